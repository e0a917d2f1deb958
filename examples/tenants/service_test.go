package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/headpond/headpond/backends/sqlite/tenants"
	"github.com/headpond/headpond/pool/poolz"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	os.Exit(m.Run())
}

func TestAnswers(t *testing.T) {
	directory := t.TempDir()
	page := poolz.New()
	s, err := open(t.Context(), directory, 10, page.Observer())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.close(context.Background())) })
	handler := s.handler(page)
	ask := func(method, path, body string) (int, string) {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
		return w.Code, strings.TrimSpace(w.Body.String())
	}
	for _, test := range []struct {
		method, path, body string
		code               int
		answer             string
	}{
		{"POST", "/accounts/acme/notes", `{"text":"rope"}`, 404, `{"error":"Not Found"}`},
		{"GET", "/accounts/acme/notes", "", 404, `{"error":"Not Found"}`},
		{"DELETE", "/accounts/acme", "", 404, `{"error":"Not Found"}`},
		{"PUT", "/accounts/acme", "", 201, `{"account":"acme"}`},
		{"PUT", "/accounts/acme", "", 201, `{"account":"acme"}`},
		{"PUT", "/accounts/Acme", "", 201, `{"account":"Acme"}`},
		{"GET", "/accounts/acme/notes", "", 200, `[]`},
		{"POST", "/accounts/acme/notes", `{"text":"rope"}`, 201, `{"id":1,"text":"rope","written":"`},
		{"POST", "/accounts/acme/notes", `{"text":""}`, 400, `{"error":"a note has a text"}`},
		{"POST", "/accounts/acme/notes", `{`, 400, `{"error":"a note has a text: unexpected EOF"}`},
		{"GET", "/accounts/acme/notes", "", 200, `[{"id":1,"text":"rope","written":"`},
		{"GET", "/accounts/Acme/notes", "", 200, `[]`},
		{"GET", "/debug/accounts?name=acme", "", 200, `{"open":[{"Name":"acme",`},
		{"GET", "/debug/accounts?name=none", "", 200, `{"open":[],`},
		{"DELETE", "/accounts/acme", "", 200, `{"account":"acme"}`},
		{"GET", "/accounts/acme/notes", "", 404, `{"error":"Not Found"}`},
		{"PUT", "/accounts/acme", "", 201, `{"account":"acme"}`},
	} {
		code, answer := ask(test.method, test.path, test.body)
		name := test.method + " " + test.path + " " + test.body
		assert.Equal(t, test.code, code, name)
		assert.True(t, strings.HasPrefix(answer, test.answer), "%s: %s", name, answer)
	}
	time.Sleep(150 * time.Millisecond)
	code, answer := ask("GET", "/accounts/acme/notes", "")
	assert.Equal(t, 200, code)
	assert.Equal(t, "[]", answer, "a new account of that name has nothing of the old one")
	code, text := ask("GET", "/debug/poolz", "")
	assert.Equal(t, 200, code)
	assert.Contains(t, text, "3 pools", "the readers and the writer of the list, and one for all accounts")
}

// TestRun is the whole of it: under load, then a backup of all, which goes on where it stopped.
func TestRun(t *testing.T) {
	directory, copies := t.TempDir(), t.TempDir()
	s := settings{directory: directory, address: "127.0.0.1:0", open: 5, accounts: 30, load: 300 * time.Millisecond, drain: time.Minute}
	for n := 0; n < 2 || n < 50 && len(list(t, directory)) == 0; n++ { // a busy machine may make no account in that time
		require.NoError(t, run(t.Context(), s))
	}
	made := list(t, directory)
	require.NotEmpty(t, made)
	s.backup = copies
	require.NoError(t, run(t.Context(), s))
	copied, err := tenants.List(copies)
	require.NoError(t, err)
	assert.Subset(t, copied, made)
	require.NoError(t, run(t.Context(), s), "again: there is nothing to do")

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	s.backup, s.address = "", taken.Addr().String()
	var failed *net.OpError
	assert.ErrorAs(t, run(t.Context(), s), &failed)
	s.directory = filepath.Join(directory, "none")
	assert.Error(t, run(t.Context(), s))
}

func list(t *testing.T, directory string) []string {
	all, err := tenants.List(filepath.Join(directory, "account"))
	require.NoError(t, err)
	return all
}

// TestDrain tells the service to stop while a request waits for its account.
func TestDrain(t *testing.T) {
	s, err := open(t.Context(), t.TempDir(), 2, nil)
	require.NoError(t, err)
	handler := s.handler(poolz.New())
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest("PUT", "/accounts/acme", nil))
	require.Equal(t, 201, w.Code)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- serve(ctx, listener, handler, time.Minute) }()
	status := make(chan int, 1)
	require.NoError(t, s.notes.Exclusive(t.Context(), "acme", func(context.Context, string) error {
		go func() {
			response, err := http.Get("http://" + listener.Addr().String() + "/accounts/acme/notes")
			if !assert.NoError(t, err) {
				status <- 0
				return
			}
			response.Body.Close()
			status <- response.StatusCode
		}()
		for s.notes.Stats().Waiting == 0 {
			time.Sleep(time.Millisecond)
		}
		stop()
		time.Sleep(10 * time.Millisecond)
		assert.Empty(t, served, "it waits")
		return nil
	}))
	assert.Equal(t, http.StatusOK, <-status)
	assert.NoError(t, <-served)
	assert.NoError(t, s.close(t.Context()))
}
