package poolz_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/pool/poolz"
	"github.com/headpond/headpond/resource"
)

// answers are hooks for a pool of a value that takes a connection, a process or a file in earnest.
var answers = resource.Hooks[int]{
	Construct: func(context.Context) (int, error) { return 42, nil },
}

func Example() {
	page := poolz.New()
	internal := http.NewServeMux()
	internal.Handle("/debug/poolz", page)
	server := httptest.NewServer(internal) // on an internal port
	defer server.Close()

	p, err := pool.New(answers, pool.Options{Name: "answers", MaxSize: 2, Observer: page.Observer()})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close(context.Background())
	lease, err := p.Acquire(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Release()

	answer, err := http.Get(server.URL + "/debug/poolz?format=json")
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	var shown struct {
		Pools []struct {
			Name       string
			Held, Free int
		}
	}
	if err := json.NewDecoder(answer.Body).Decode(&shown); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%+v\n", shown.Pools)
	// Output: [{Name:answers Held:1 Free:1}]
}

func ExampleNew() {
	page := poolz.New()
	fmt.Println("slow from", page.SlowAfter)
	// Output: slow from 100ms
}

// One page for all pools of a program, with its own idea of slow.
func ExamplePage() {
	page := poolz.New()
	page.SlowAfter = 10 * time.Millisecond // before the first pool

	for _, name := range []string{"orders", "stock"} {
		p, err := pool.New(answers, pool.Options{Name: name, Observer: page.Observer()})
		if err != nil {
			log.Fatal(err)
		}
		defer p.Close(context.Background())
	}
	shown := httptest.NewRecorder()
	page.ServeHTTP(shown, httptest.NewRequest(http.MethodGet, "/debug/poolz", nil))
	fmt.Println(strings.Contains(shown.Body.String(), "orders"), strings.Contains(shown.Body.String(), "stock"))
	// Output: true true
}

// A page beside other observers.
func ExamplePage_Observer() {
	page := poolz.New()
	acquired := func(pool.Inspector) pool.Tap {
		return pool.Tap{End: func(_ context.Context, event pool.Event) {
			if event.Op == pool.Acquire {
				fmt.Println("acquired", event.ID)
			}
		}}
	}
	p, err := pool.New(answers, pool.Options{Observer: pool.Observers(page.Observer(), acquired)})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close(context.Background())
	if err := p.Do(context.Background(), func(context.Context, int) error { return nil }); err != nil {
		log.Fatal(err)
	}
	// Output: acquired 1
}

// The page only reads.
func ExamplePage_ServeHTTP() {
	page := poolz.New()
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		answer := httptest.NewRecorder()
		page.ServeHTTP(answer, httptest.NewRequest(method, "/debug/poolz", nil))
		fmt.Println(method, answer.Code, answer.Header().Get("Content-Type"))
	}
	// Output:
	// GET 200 text/html; charset=utf-8
	// POST 405 text/plain; charset=utf-8
}
