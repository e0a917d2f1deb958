package ecosystem

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/alexedwards/scs/sqlite3store"
	"github.com/alexedwards/scs/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func sessions(t *testing.T, cleanup time.Duration) (*sql.DB, *sqlite3store.SQLite3Store) {
	db := open(t)
	_, err := db.Exec("CREATE TABLE sessions (token TEXT PRIMARY KEY, data BLOB NOT NULL, expiry REAL NOT NULL); CREATE INDEX sessions_expiry_idx ON sessions(expiry);")
	require.NoError(t, err)
	store := sqlite3store.NewWithCleanupInterval(db, cleanup)
	t.Cleanup(store.StopCleanup)
	return db, store
}

func TestSCS(t *testing.T) {
	db, store := sessions(t, time.Millisecond)
	require.NoError(t, store.Commit("kept", []byte{0, 1, 2}, time.Now().Add(time.Hour)))
	require.NoError(t, store.Commit("kept", []byte{3}, time.Now().Add(time.Hour)))
	require.NoError(t, store.Commit("old", []byte("x"), time.Now().Add(-time.Hour)))
	data, found, err := store.Find("kept")
	require.NoError(t, err)
	assert.True(t, found)
	assert.Equal(t, []byte{3}, data)
	_, found, err = store.Find("old")
	require.NoError(t, err)
	assert.False(t, found)
	all, err := store.All()
	require.NoError(t, err)
	assert.Equal(t, map[string][]byte{"kept": {3}}, all)
	require.Eventually(t, func() bool {
		var count int
		return db.QueryRow("SELECT count(*) FROM sessions").Scan(&count) == nil && count == 1
	}, time.Minute, time.Millisecond, "the old one is cleaned away")
	require.NoError(t, store.Delete("kept"))
	_, found, err = store.Find("kept")
	require.NoError(t, err)
	assert.False(t, found)
}

func TestSCS_AServer(t *testing.T) {
	_, store := sessions(t, time.Millisecond)
	manager := scs.New()
	manager.Store = store
	server := httptest.NewServer(manager.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		count := manager.GetInt(r.Context(), "count") + 1
		manager.Put(r.Context(), "count", count)
		fmt.Fprint(w, count)
	})))
	defer server.Close()
	var group sync.WaitGroup
	failed := make(chan error, stormers)
	for range stormers {
		group.Go(func() { failed <- visit(server) })
	}
	group.Wait()
	for range stormers {
		require.NoError(t, <-failed)
	}
}

// visit visits a server that counts. Between its own visits others come, without a session, and give up on the way.
func visit(server *httptest.Server) error {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	own, other := &http.Client{Jar: jar, Transport: transport}, &http.Client{Transport: transport}
	for n := range storming {
		hasty, cancel := context.WithTimeout(context.Background(), time.Duration(rand.IntN(3000))*time.Microsecond)
		got, err := count(hasty, other, server.URL)
		if err == nil && got != 1 || err != nil && hasty.Err() == nil {
			cancel()
			return fmt.Errorf("without a session: %d, %w", got, err)
		}
		cancel()
		if got, err = count(context.Background(), own, server.URL); err != nil || got != n+1 {
			return fmt.Errorf("%d for the visit %d, %w", got, n+1, err)
		}
	}
	return nil
}

func count(ctx context.Context, client *http.Client, url string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	var text [20]byte
	n, _ := response.Body.Read(text[:])
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s: %s", response.Status, text[:n])
	}
	return strconv.Atoi(string(text[:n]))
}
