package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/pool/poolz"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestRollingUpdate stops one of two instances under clients that keep their connections alive, behind a balancer of connections:
// no request is lost, although none of them is tried again.
func TestRollingUpdate(t *testing.T) {
	const clients = 16
	notices := [2]time.Duration{3 * time.Second, 0}
	page := poolz.New()
	db := open(t, page)
	var addresses [2]string
	var answered [2]atomic.Int64
	var stops [2]context.CancelFunc
	var served [2]chan error
	for i := range addresses {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		addresses[i] = listener.Addr().String()
		service := handler(db, page, http.NotFoundHandler())
		counted := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answered[i].Add(1)
			service.ServeHTTP(w, r)
		})
		ctx, stop := context.WithCancel(t.Context())
		stops[i], served[i] = stop, make(chan error, 1)
		go func() { served[i] <- serve(ctx, listener, counted, stopping{notice: notices[i], drain: time.Minute}) }()
	}

	// The balancer sends a new connection to the first instance while it is ready, and knows nothing of requests.
	var target atomic.Int32
	probe := func(i int) int {
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		response, err := client.Get("http://" + addresses[i] + "/readyz")
		if err != nil {
			return 0
		}
		response.Body.Close()
		return response.StatusCode
	}
	require.Equal(t, http.StatusNoContent, probe(0))
	require.Equal(t, http.StatusNoContent, probe(1))
	transport := &http.Transport{
		MaxIdleConnsPerHost: clients,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, addresses[target.Load()])
		},
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}

	var acknowledged atomic.Int64
	running, end := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for running.Err() == nil {
				response, err := client.Post("http://orders/orders", "application/json", strings.NewReader(`{"item":"rope","amount":1}`)) // net/http does not send a POST again
				if !assert.NoError(t, err) {
					return
				}
				_, _ = io.Copy(io.Discard, response.Body)
				response.Body.Close()
				if !assert.Equal(t, http.StatusCreated, response.StatusCode) {
					return
				}
				acknowledged.Add(1)
			}
		})
	}
	reaches := func(i int, n int64) {
		t.Helper()
		require.Eventually(t, func() bool { return answered[i].Load() >= n }, time.Minute, time.Millisecond)
	}
	reaches(0, 20*clients)
	assert.Zero(t, answered[1].Load())
	stops[0]()
	require.Eventually(t, func() bool { return probe(0) == http.StatusServiceUnavailable }, time.Minute, time.Millisecond)
	target.Store(1)
	require.NoError(t, <-served[0])
	after := answered[1].Load()
	assert.NotZero(t, after, "before the first one listened no more")
	reaches(1, after+20*clients)
	end()
	all.Wait()
	stops[1]()
	require.NoError(t, <-served[1])
	assert.Equal(t, acknowledged.Load(), answered[0].Load()+answered[1].Load())
}

func TestKindOf(t *testing.T) {
	for _, test := range []struct {
		err    error
		status int
		kind   string
	}{
		{errInvalid, 400, "invalid"},
		{errNotFound, 404, "not found"},
		{&pool.Error{Err: pool.ErrClosed}, 503, "stopping"},
		{&pool.Error{Err: pool.ErrSaturated}, 503, "saturated"},
		{&pool.Error{Err: pool.ErrAcquireTimeout}, 503, "no connection in time"},
		{context.Canceled, 503, "cancelled"},
		{context.DeadlineExceeded, 503, "cancelled"},
		{errors.Join(context.Canceled, sqlite.ErrOutcomeUnknown), 500, "outcome unknown"},
		{sqlite.ErrReadOnly, 500, "internal"},
	} {
		status, kind := kindOf(test.err)
		assert.Equal(t, test.status, status, test.err)
		assert.Equal(t, test.kind, kind, test.err)
	}
}

// TestReport drives a service that answers everything once, then fails, then is gone.
func TestReport(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	failing := false
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if failing {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, `{"error":"Service Unavailable","kind":"saturated"}`)
			return
		}
		_, _ = io.WriteString(w, `{"id":7,"item":"rope","amount":3}`)
	})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	transport := new(http.Transport)
	d := driver{url: "http://" + listener.Addr().String(), client: &http.Client{Transport: transport}, failed: map[string]int{}}

	d.visit(t.Context(), true)
	assert.Regexp(t, `^6 requests answered: p50 .*\nnone failed\n$`, d.report())
	failing = true
	d.visit(t.Context(), true)
	d.visit(t.Context(), true)
	require.NoError(t, server.Close())
	assert.ErrorIs(t, <-served, http.ErrServerClosed)
	transport.CloseIdleConnections()
	d.visit(t.Context(), true)
	ended, end := context.WithCancel(t.Context())
	end()
	d.visit(ended, true)
	assert.Regexp(t, `^8 requests answered: p50 .*\n {7}2 failed: 503 saturated\n {7}1 failed: no answer: .*refused.*\n$`, d.report())
}
