package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/pool/poolz"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAnswers(t *testing.T) {
	metrics, flush, err := telemetry(t.Context())
	require.NoError(t, err)
	t.Cleanup(flush)
	page := poolz.New()
	db := open(t, page)
	service := handler(db, page, metrics)
	ask := func(method, path, body string) (int, string) {
		w := httptest.NewRecorder()
		service.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
		return w.Code, w.Body.String()
	}
	for _, test := range []struct {
		method, path, body string
		code               int
		answer             string
	}{
		{"POST", "/orders", `{"item":"rope","amount":3}`, 201, `{"id":1,"item":"rope","amount":3}`},
		{"POST", "/orders", `{"id":9,"item":"oar","amount":2}`, 201, `{"id":2,"item":"oar","amount":2}`},
		{"GET", "/orders/1", "", 200, `{"id":1,"item":"rope","amount":3}`},
		{"DELETE", "/orders/1", "", 200, `{"id":1,"item":"rope","amount":3}`},
		{"GET", "/orders/1", "", 404, `{"error":"there is no such order","kind":"not found"}`},
		{"DELETE", "/orders/1", "", 404, `{"error":"there is no such order","kind":"not found"}`},
		{"GET", "/orders/two", "", 404, `{"error":"there is no such order","kind":"not found"}`},
		{"POST", "/orders", `{"item":"rope","amount":0}`, 400, `{"error":"an order has an item and an amount above 0","kind":"invalid"}`},
		{"POST", "/orders", `{"amount":3}`, 400, `{"error":"an order has an item and an amount above 0","kind":"invalid"}`},
		{"POST", "/orders", `{"item":"` + strings.Repeat("rope", 1<<15) + `","amount":3}`, 400, `{"error":"an order has an item and an amount above 0: unexpected EOF","kind":"invalid"}`},
		{"PUT", "/orders", "", 405, "Method Not Allowed"},
	} {
		code, answer := ask(test.method, test.path, test.body)
		name := test.method + " " + test.path + " " + test.body[:min(40, len(test.body))]
		assert.Equal(t, test.code, code, name)
		assert.Equal(t, test.answer, strings.TrimSpace(answer), name)
	}

	code, text := ask("GET", "/metrics", "")
	assert.Equal(t, http.StatusOK, code)
	for _, name := range []string{
		"\nhttp_server_request_duration_seconds_count{", "\ndb_client_connection_count{", "\ndb_client_connection_use_time_seconds_bucket{", "\nheadpond_sqlite_batches_total{",
	} {
		assert.Contains(t, text, name)
	}
	code, text = ask("GET", "/debug/poolz", "")
	assert.Equal(t, http.StatusOK, code)
	assert.Contains(t, text, "orders.readers")

	require.NoError(t, db.Close(t.Context()))
	for _, method := range []string{"POST /orders", "GET /orders/2", "DELETE /orders/2"} {
		method, path, _ := strings.Cut(method, " ")
		code, answer := ask(method, path, `{"item":"rope","amount":3}`)
		assert.Equal(t, http.StatusServiceUnavailable, code, method)
		assert.JSONEq(t, `{"error":"Service Unavailable","kind":"stopping"}`, answer, method)
	}
}

// TestDrain tells the service to stop while a request waits for the writer.
func TestDrain(t *testing.T) {
	for _, test := range []struct {
		name  string
		drain time.Duration
		freed bool // the writer comes back in time
		code  int
	}{
		{"goes on", time.Minute, true, http.StatusNotFound},
		{"is cancelled when its time is over", 10 * time.Millisecond, false, http.StatusServiceUnavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			page := poolz.New()
			db := open(t, page)
			writer, err := db.Writer().Acquire(t.Context())
			require.NoError(t, err)
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			url := "http://" + listener.Addr().String() + "/orders/1"
			ctx, stop := context.WithCancel(t.Context())
			served := make(chan error, 1)
			go func() {
				served <- serve(ctx, listener, handler(db, page, http.NotFoundHandler()), stopping{drain: test.drain})
			}()
			answered := make(chan int, 1)
			go func() {
				request, _ := http.NewRequest("DELETE", url, nil)
				response, err := http.DefaultClient.Do(request)
				if !assert.NoError(t, err) {
					answered <- 0
					return
				}
				_, _ = io.Copy(io.Discard, response.Body)
				response.Body.Close()
				answered <- response.StatusCode
			}()
			for db.Stats().Writer.Waiting == 0 {
				runtime.Gosched()
			}
			stop()
			require.Eventually(t, func() bool {
				conn, err := net.Dial("tcp", listener.Addr().String())
				if err == nil {
					conn.Close()
				}
				return err != nil
			}, 10*time.Second, time.Millisecond, "it takes no more")
			if test.freed {
				assert.Empty(t, served, "it waits")
				writer.Release()
			}
			assert.Equal(t, test.code, <-answered)
			assert.NoError(t, <-served)
			writer.Release()
			assert.NoError(t, db.Close(t.Context()))
		})
	}
}

// TestRun is the whole of it: a database that exists is opened again, and what can't work is an error.
func TestRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "orders.db")
	for n := 0; n < 2 || n < 50 && len(stored(t, path)) == 0; n++ { // a busy machine may take no order in 200 ms
		require.NoError(t, run(t.Context(), path, "127.0.0.1:0", stopping{drain: time.Minute}, 200*time.Millisecond))
		assert.NoFileExists(t, path+"-wal", "the last checkpoint has emptied it")
	}
	assert.NotEmpty(t, stored(t, path))
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	var failed *net.OpError
	assert.ErrorAs(t, run(t.Context(), path, taken.Addr().String(), stopping{}, 0), &failed)
	assert.ErrorIs(t, run(t.Context(), filepath.Join(t.TempDir(), "none", "orders.db"), "127.0.0.1:0", stopping{}, 0), sqlite.ErrNoDirectory)
	t.Setenv("OTEL_TRACES_EXPORTER", "pigeon")
	assert.ErrorContains(t, run(t.Context(), path, "127.0.0.1:0", stopping{}, 0), "OTEL_TRACES_EXPORTER")
}

func open(t *testing.T, page *poolz.Page) *sqlite.DB {
	settings := options(page)
	settings.AcquireTimeout = time.Minute
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "orders.db"), settings)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close(context.Background())) })
	return db
}
