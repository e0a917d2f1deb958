package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/backends/sqlite/sqlitetest"
	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite/sqlitex"
)

func TestNotes(t *testing.T) {
	db := sqlitetest.Open(t, schema)
	sqlitetest.NoFullScans(t, db)
	service := handler(db, http.NotFoundHandler())
	ask := func(method, path, body string) *httptest.ResponseRecorder { return answer(service, method, path, body) }
	added := ask("POST", "/notes", "buy rope")
	assert.Equal(t, http.StatusCreated, added.Code)
	found := ask("GET", added.Header().Get("Location"), "")
	assert.Equal(t, http.StatusOK, found.Code)
	assert.Equal(t, "buy rope", found.Body.String())
	assert.Equal(t, http.StatusNotFound, ask("GET", "/notes/2", "").Code)
	assert.Equal(t, http.StatusNotFound, ask("GET", "/notes/two", "").Code)
	assert.Equal(t, http.StatusBadRequest, ask("POST", "/notes", "").Code)
	assert.Equal(t, http.StatusBadRequest, ask("POST", "/notes", strings.Repeat("rope", 1<<15)).Code)
	assert.Equal(t, http.StatusOK, ask("GET", "/healthz", "").Code)
}

// answer is what a service answers to a request.
func answer(service http.Handler, method, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	service.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w
}

func TestNotes_WhileItStops(t *testing.T) {
	db := sqlitetest.Open(t, schema)
	service := handler(db, http.NotFoundHandler())
	require.NoError(t, db.Close(t.Context()))
	for _, path := range []string{"/notes/1", "/healthz"} {
		w := answer(service, "GET", path, "")
		assert.Equal(t, http.StatusServiceUnavailable, w.Code, path)
		assert.Equal(t, "1", w.Header().Get("Retry-After"), path)
	}
}

func TestFail(t *testing.T) {
	for err, status := range map[error]int{
		errNotFound:                              404,
		&pool.Error{Err: pool.ErrAcquireTimeout}: 503,
		&pool.Error{Err: pool.ErrSaturated}:      503,
		context.Canceled:                         503,
		sqlite.ErrOutcomeUnknown:                 500,
		errors.New("a defect"):                   500,
	} {
		w := httptest.NewRecorder()
		fail(w, httptest.NewRequest("GET", "/", nil), err)
		assert.Equal(t, status, w.Code, err)
	}
}

// TestRun starts the service on a file, writes to it, copies the file meanwhile, stops the service, and reads the copy.
func TestRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes.db")
	listen := func() (net.Listener, string) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		return listener, "http://" + listener.Addr().String()
	}
	listener, url := listen()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, path, listener) }()
	response, err := http.Post(url+"/notes", "text/plain", strings.NewReader("buy rope"))
	require.NoError(t, err)
	response.Body.Close()
	assert.Equal(t, http.StatusCreated, response.StatusCode)
	response, err = http.Get(url + "/debug/poolz")
	require.NoError(t, err)
	response.Body.Close()
	assert.Equal(t, http.StatusOK, response.StatusCode)
	copied := filepath.Join(t.TempDir(), "copy.db")
	require.NoError(t, backUp(t.Context(), path, copied))
	stop()
	require.NoError(t, <-ended)
	assert.NoFileExists(t, path+"-wal", "Close has emptied it")

	db, err := sqlite.Open(t.Context(), copied, sqlite.Options{ReadOnly: true})
	require.NoError(t, err)
	sqlitetest.CloseAtEnd(t, db)
	w := httptest.NewRecorder()
	handler(db, http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequest("GET", "/notes/1", nil))
	assert.Equal(t, "buy rope", w.Body.String())

	listener, _ = listen()
	assert.ErrorIs(t, run(t.Context(), filepath.Join(t.TempDir(), "none", "notes.db"), listener), sqlite.ErrNoDirectory)
}

// A backup of a file that is not there is an error, and makes no file.
func TestBackUp_NoSuchFile(t *testing.T) {
	path, copied := filepath.Join(t.TempDir(), "mistyped.db"), filepath.Join(t.TempDir(), "copy.db")
	assert.ErrorIs(t, backUp(t.Context(), path, copied), sqlite.ErrNoFile)
	assert.NoFileExists(t, path)
	assert.NoFileExists(t, copied)
}

// A backup by a newer program leaves the file of the older service, which may be running, as it is.
func TestBackUp_DoesNotMigrate(t *testing.T) {
	path, copied := filepath.Join(t.TempDir(), "notes.db"), filepath.Join(t.TempDir(), "copy.db")
	older := *schema
	older.Migrations = older.Migrations[:1]
	db, err := sqlite.Open(t.Context(), path, sqlite.Options{Schema: &older})
	require.NoError(t, err)
	sqlitetest.CloseAtEnd(t, db)
	require.NoError(t, backUp(t.Context(), path, copied))
	version, err := sqlite.Read(t.Context(), db, func(_ context.Context, conn *sqlite.Conn) (int64, error) {
		return sqlitex.ResultInt64(conn.Prep("PRAGMA user_version"))
	})
	require.NoError(t, err)
	assert.EqualValues(t, 1, version)
	assert.FileExists(t, copied)
}
