package poolz_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/pool/poolz"
	"github.com/headpond/headpond/resource"
)

func Example() {
	page := poolz.New()
	internal := http.NewServeMux()
	internal.Handle("/debug/poolz", page)
	server := httptest.NewServer(internal) // on an internal port
	defer server.Close()

	hooks := resource.Hooks[int]{Construct: func(context.Context) (int, error) { return 42, nil }}
	p, err := pool.New(hooks, pool.Options{Name: "answers", MaxSize: 2, Observer: page.Observer()})
	if err != nil {
		panic(err)
	}
	lease, err := p.Acquire(context.Background())
	if err != nil {
		panic(err)
	}
	defer lease.Release()

	answer, err := http.Get(server.URL + "/debug/poolz?format=json")
	if err != nil {
		panic(err)
	}
	defer answer.Body.Close()
	var shown struct {
		Pools []struct {
			Name       string
			Held, Free int
		}
	}
	if err := json.NewDecoder(answer.Body).Decode(&shown); err != nil {
		panic(err)
	}
	fmt.Printf("%+v\n", shown.Pools)
	// Output: [{Name:answers Held:1 Free:1}]
}
