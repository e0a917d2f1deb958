package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"
)

const clients = 16

// drive sends requests from several clients until ctx ends, shows how many a second were answered,
// and in the end how long they took.
func drive(ctx context.Context, url string) {
	transport := &http.Transport{MaxIdleConnsPerHost: clients}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	var mu sync.Mutex // protects the following
	var took []time.Duration
	statuses := map[int]int{}
	send := func(method, path, body string) (sent order) {
		request, err := http.NewRequestWithContext(ctx, method, url+path, bytes.NewBufferString(body))
		if err != nil {
			return sent
		}
		began := time.Now()
		response, err := client.Do(request)
		if err != nil {
			if ctx.Err() == nil {
				slog.Warn("no answer", "err", err)
			}
			return sent
		}
		defer response.Body.Close()
		_ = json.NewDecoder(response.Body).Decode(&sent)
		_, _ = io.Copy(io.Discard, response.Body)
		mu.Lock()
		defer mu.Unlock()
		took = append(took, time.Since(began))
		statuses[response.StatusCode]++
		return sent
	}
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				taken := send("POST", "/orders", `{"item":"rope","amount":3}`)
				for range 4 {
					send("GET", fmt.Sprint("/orders/", taken.ID), "")
				}
				if n%10 == 0 {
					send("DELETE", fmt.Sprint("/orders/", taken.ID), "")
				}
			}
		})
	}
	for tick := time.NewTicker(time.Second); ctx.Err() == nil; {
		select {
		case <-tick.C:
			mu.Lock()
			fmt.Printf("%8d requests answered\n", len(took))
			mu.Unlock()
		case <-ctx.Done():
			tick.Stop()
		}
	}
	all.Wait()
	slices.Sort(took)
	if n := len(took); n > 0 {
		fmt.Printf("%d requests: p50 %v, p99 %v, longest %v; by status: %v\n", n, took[n/2], took[n*99/100], took[n-1], statuses)
	}
}
