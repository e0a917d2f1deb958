package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const clients = 16

// drive sends requests from several clients until ctx ends, for some of the accounts much more often than for others,
// shows how many a second were answered, and in the end how long they took.
func drive(ctx context.Context, url string, accounts int) {
	transport := &http.Transport{MaxIdleConnsPerHost: clients}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	var mu sync.Mutex // protects the following
	var took []time.Duration
	statuses := map[int]int{}
	send := func(method, path, body string) (status int) {
		request, err := http.NewRequestWithContext(ctx, method, url+path, strings.NewReader(body))
		if err != nil {
			return 0
		}
		began := time.Now()
		response, err := client.Do(request)
		if err != nil {
			if ctx.Err() == nil {
				slog.Warn("no answer", "err", err)
			}
			return 0
		}
		defer response.Body.Close()
		_, _ = io.Copy(io.Discard, response.Body)
		mu.Lock()
		defer mu.Unlock()
		took = append(took, time.Since(began))
		statuses[response.StatusCode]++
		return response.StatusCode
	}
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			zipf := rand.NewZipf(rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())), 1.2, 8, uint64(max(1, accounts)-1))
			for ctx.Err() == nil {
				account := fmt.Sprintf("/accounts/account-%d", zipf.Uint64())
				if send("POST", account+"/notes", `{"text":"buy rope"}`) == http.StatusNotFound {
					send("PUT", account, "")
				}
				for range 4 {
					send("GET", account+"/notes", "")
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
