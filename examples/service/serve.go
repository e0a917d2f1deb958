package main

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// stopping is how long the parts of a stop take: together less than what the platform grants before it kills,
// which is 30 s in Kubernetes (terminationGracePeriodSeconds).
type stopping struct {
	notice time.Duration // from the end of readiness to the end of listening: as long as balancers need to look elsewhere
	drain  time.Duration // from there on: what still runs then is cancelled
}

// serve answers requests until ctx ends, and stops in an order that loses none:
//
//  1. /readyz says 503, so that a balancer sends new connections elsewhere, and each answer closes its connection,
//     so that a client that keeps it alive moves as well. Requests go on.
//  2. After times.notice it listens no more, closes the connections that are idle, and waits for the requests under way.
//  3. After times.drain it cancels these.
//
// A connection that is idle during the whole of the notice is closed without an answer. A client that uses it in that very moment
// has to try again; most do so by themselves.
func serve(ctx context.Context, listener net.Listener, handler http.Handler, times stopping) error {
	requests, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var ready readiness
	server := &http.Server{
		Handler:     ready.handler(handler),
		BaseContext: func(net.Listener) context.Context { return requests },
		ReadTimeout: 10 * time.Second,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	ready.over.Store(true)
	select {
	case err := <-served:
		return err
	case <-time.After(times.notice):
	}
	defer time.AfterFunc(times.drain, cancel).Stop()
	last, stop := context.WithTimeout(context.WithoutCancel(ctx), times.drain+2*time.Second)
	defer stop()
	return server.Shutdown(last)
}

// readiness is the switch of /readyz. It says nothing of the database: one that is slow for a moment
// would take every instance out of the balancer at the same time.
type readiness struct{ over atomic.Bool }

func (r *readiness) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		over := r.over.Load()
		if over {
			w.Header().Set("Connection", "close") // after this answer: SetKeepAlivesEnabled(false) would close idle ones at once
		}
		switch {
		case request.URL.Path != "/readyz":
			next.ServeHTTP(w, request)
		case over:
			http.Error(w, "stopping", http.StatusServiceUnavailable)
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	})
}
