package sqlite

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
)

// What names a file, as SQLite reads URIs.
func TestPoolName_OfAFile(t *testing.T) {
	for name, want := range map[string]poolName{
		"app.db":                            {path: "app.db"},
		"a%20b.db":                          {path: "a%20b.db"},
		"file:app.db":                       {path: "app.db"},
		"file:app.db?mode=rwc#fragment":     {path: "app.db"},
		"file:a%20b%3f.db?mode=ro":          {path: "a b?.db", readOnly: true},
		"file:app.db?mode=rw&cache=private": {path: "app.db", noCreate: true},
		"file:/data/app.db":                 {path: "/data/app.db"},
		"file:///data/app.db?cache=shared":  {path: "/data/app.db", shared: true},
		"file://localhost/data/app.db":      {path: "/data/app.db"},
	} {
		got, err := parsePoolName(name, 0)
		require.NoError(t, err, name)
		assert.Equal(t, want, got, name)
	}
	//lint:ignore SA1019 programs that move here still pass OpenNoMutex and OpenFullMutex
	noMutex, fullMutex := sqlite.OpenNoMutex, sqlite.OpenFullMutex
	for flags, want := range map[sqlite.OpenFlags]poolName{
		sqlite.OpenReadOnly:                                  {path: "app.db", readOnly: true, noCreate: true},
		sqlite.OpenReadWrite | noMutex | sqlite.OpenWAL:      {path: "app.db", noCreate: true},
		sqlite.OpenReadWrite | sqlite.OpenCreate | fullMutex: {path: "app.db"},
		sqlite.OpenReadWrite | sqlite.OpenMemory:             {path: "app.db", memory: true, noCreate: true},
	} {
		got, err := parsePoolName("app.db", flags)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
}

// What SQLite shares is shared, in whatever order the parameters come: a database of memdb whose name begins with a slash,
// and one with cache=shared.
func TestPoolName_OfMemdb(t *testing.T) {
	for name, want := range map[string]poolName{
		"file:/x?vfs=memdb&cache=private": {path: "/x", memory: true, shared: true},
		"file:/x?cache=private&vfs=memdb": {path: "/x", memory: true, shared: true},
		"file:x?vfs=memdb&cache=shared":   {path: "x", memory: true, shared: true},
		"file:x?cache=shared&vfs=memdb":   {path: "x", memory: true, shared: true},
		"file:x?vfs=memdb&cache=private":  {path: "x", memory: true},
		"file:x?vfs=memdb":                {path: "x", memory: true},
	} {
		for range 20 { // the parameters are in a map
			got, err := parsePoolName(name, 0)
			require.NoError(t, err, name)
			require.Equal(t, want, got, name)
		}
	}
}

// A pool does with the file what the flags say.
func TestNewPool_Flags(t *testing.T) {
	file := path(t)
	open := func(name string, flags sqlite.OpenFlags, sql string) error {
		p, err := NewPool(name, Options{Flags: flags})
		require.NoError(t, err)
		defer func() { assert.NoError(t, p.Close()) }()
		conn, err := p.Take(t.Context())
		if err != nil {
			return err
		}
		defer p.Put(conn)
		return run(conn, sql)
	}
	const noCreate = sqlite.OpenReadWrite | sqlite.OpenWAL | sqlite.OpenURI
	assert.ErrorIs(t, open(file, noCreate, "SELECT 1"), ErrNoFile)
	assert.ErrorIs(t, open("file:"+file+"?mode=rw", 0, "SELECT 1"), ErrNoFile)
	assert.ErrorIs(t, open(file, sqlite.OpenReadOnly, "SELECT 1"), ErrNoFile)
	assert.Empty(t, files(t, file))
	require.NoError(t, open("file:"+file, 0, "CREATE TABLE t (x)"))
	assert.NoError(t, open(file, noCreate, "INSERT INTO t VALUES (1)"))
	assert.NoError(t, open("file:"+file+"?mode=rw", 0, "INSERT INTO t VALUES (2)"))
	for _, err := range []error{open(file, sqlite.OpenReadOnly, "INSERT INTO t VALUES (3)"), open("file:"+file+"?mode=ro", 0, "INSERT INTO t VALUES (3)")} {
		assert.Equal(t, ResultReadOnly, ErrCode(err).ToPrimary())
	}
	assert.NoError(t, open(file, sqlite.OpenReadWrite|sqlite.OpenMemory, "CREATE TABLE t (x)"), "it is another one")
}

// counted returns how many rows table t has for a connection of p, after it has made that table and one row more.
func counted(t *testing.T, p *Pool) string {
	t.Helper()
	conn := take(t, p)
	defer p.Put(conn)
	do(t, conn, "CREATE TABLE IF NOT EXISTS t (x); INSERT INTO t VALUES (1)")
	return get(t, conn, "SELECT count(*) FROM t")
}

// In memory, the connections of a pool share a database, and it lives until Close.
func TestNewPool_InMemory(t *testing.T) {
	for _, name := range []string{
		":memory:", "file::memory:", "file::memory:?cache=private", "file::memory:?mode=memory&cache=shared", "file::memory:?cache=shared",
		"file:orders?mode=memory", "file:orders?mode=memory&cache=shared", "file:/orders?vfs=memdb",
	} {
		t.Run(strings.ReplaceAll(name, "/", "_"), func(t *testing.T) {
			directory := t.TempDir()
			t.Chdir(directory)
			p, err := NewPool(name, Options{Readers: 3})
			require.NoError(t, err)
			one, other := take(t, p), take(t, p)
			do(t, one, "CREATE TABLE t (x); INSERT INTO t VALUES (1)")
			assert.Equal(t, "1", get(t, other, "SELECT count(*) FROM t"))
			p.Put(one)
			p.Put(other)
			p.Conns().Evict() // none is open
			assert.Equal(t, "2", counted(t, p), "it is kept alive")

			same, err := NewPool(name, Options{})
			require.NoError(t, err)
			if strings.Contains(name, "cache=shared") || strings.Contains(name, "memdb") {
				assert.Equal(t, "3", counted(t, same), "it is that of the process")
			} else {
				assert.Equal(t, "1", counted(t, same), "it is that of the pool")
			}
			require.NoError(t, p.Close())
			require.NoError(t, same.Close())
			last, err := NewPool(name, Options{})
			require.NoError(t, err)
			assert.Equal(t, "1", counted(t, last), "it has ended with the last pool")
			require.NoError(t, last.Close())
			entries, err := os.ReadDir(directory)
			require.NoError(t, err)
			assert.Empty(t, entries)
		})
	}
}

// Those who write at the same time wait for each other.
func TestNewPool_InMemoryFromManyGoroutines(t *testing.T) {
	p, err := NewPool(":memory:", Options{Readers: 4})
	require.NoError(t, err)
	defer func() { require.NoError(t, p.Close()) }()
	conn := take(t, p)
	do(t, conn, "CREATE TABLE t (x)")
	p.Put(conn)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 20 {
				conn, err := p.Take(context.Background())
				if !assert.NoError(t, err) {
					return
				}
				assert.NoError(t, run(conn, fmt.Sprintf("BEGIN IMMEDIATE; INSERT INTO t VALUES (%d); COMMIT; SELECT count(*) FROM t", i)))
				p.Put(conn)
			}
		})
	}
	all.Wait()
	conn = take(t, p)
	assert.Equal(t, "160", get(t, conn, "SELECT count(*) FROM t"))
	p.Put(conn)
}

func TestNewPool_URIOfARelativePath(t *testing.T) {
	directory := t.TempDir()
	t.Chdir(directory)
	p, err := NewPool("file:a%20b.db", Options{})
	require.NoError(t, err)
	counted(t, p)
	require.NoError(t, p.Close())
	_, err = os.Stat(filepath.Join(directory, "a b.db"))
	assert.NoError(t, err)
}
