package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const clients = 16

// drive sends requests from several clients until ctx ends, shows how many a second were answered,
// and in the end how long they took and what failed.
func drive(ctx context.Context, url string) {
	transport := &http.Transport{MaxIdleConnsPerHost: clients}
	defer transport.CloseIdleConnections()
	d := driver{url: url, client: &http.Client{Transport: transport}, failed: make(map[string]int)}
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				d.visit(ctx, n%10 == 0)
			}
		})
	}
	for tick := time.NewTicker(time.Second); ctx.Err() == nil; {
		select {
		case <-tick.C:
			d.mu.Lock()
			fmt.Printf("%8d requests answered\n", len(d.took))
			d.mu.Unlock()
		case <-ctx.Done():
			tick.Stop()
		}
	}
	all.Wait()
	fmt.Print(d.report())
}

// driver is what the clients share.
type driver struct {
	url    string
	client *http.Client

	mu     sync.Mutex      // protects the following
	took   []time.Duration // by the requests that were answered
	failed map[string]int  // by kind
}

// visit takes an order, looks at it, and may cancel it.
func (d *driver) visit(ctx context.Context, cancels bool) {
	taken, ok := d.send(ctx, "POST", "/orders", `{"item":"rope","amount":3}`)
	if !ok {
		return
	}
	path := fmt.Sprint("/orders/", taken.ID)
	for range 4 {
		d.send(ctx, "GET", path, "")
	}
	if cancels {
		d.send(ctx, "DELETE", path, "")
	}
}

// send reports whether the request succeeded, and what it returned.
func (d *driver) send(ctx context.Context, method, path, body string) (order, bool) {
	request, err := http.NewRequestWithContext(ctx, method, d.url+path, bytes.NewBufferString(body))
	if err != nil {
		d.note(0, "no request: "+err.Error())
		return order{}, false
	}
	began := time.Now()
	var answer struct {
		order
		failure
	}
	response, err := d.client.Do(request)
	if err == nil {
		err = json.NewDecoder(response.Body).Decode(&answer)
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
	switch {
	case err != nil && ctx.Err() != nil: // the load ends here
		return order{}, false
	case err != nil:
		d.note(0, "no answer: "+cause(err))
		return order{}, false
	case response.StatusCode >= 400:
		d.note(time.Since(began), fmt.Sprintf("%d %s", response.StatusCode, answer.Kind))
		return order{}, false
	}
	d.note(time.Since(began), "")
	return answer.order, true
}

// note counts a request: how long it took if it was answered, and the kind of its failure if it failed.
func (d *driver) note(took time.Duration, kind string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if took > 0 {
		d.took = append(d.took, took)
	}
	if kind != "" {
		d.failed[kind]++
	}
}

// report is what came of the requests, one line for each kind of failure.
func (d *driver) report() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var text strings.Builder
	slices.Sort(d.took)
	if n := len(d.took); n > 0 {
		fmt.Fprintf(&text, "%d requests answered: p50 %v, p99 %v, longest %v\n", n, d.took[n/2], d.took[n*99/100], d.took[n-1])
	}
	for _, kind := range slices.Sorted(maps.Keys(d.failed)) {
		fmt.Fprintf(&text, "%8d failed: %s\n", d.failed[kind], kind)
	}
	if len(d.failed) == 0 {
		text.WriteString("none failed\n")
	}
	return text.String()
}

// cause is what an error says at its end: the same words for all requests, without their addresses.
func cause(err error) string {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err.Error()
}
