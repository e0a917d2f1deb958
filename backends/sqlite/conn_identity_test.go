package sqlite

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
)

// A broken connection is retired, and the others of its age; so is one whose file was replaced.
// Answers jackc/pgx#948.
func TestIdentity_TheFileIsReplaced(t *testing.T) {
	for name, replace := range map[string]func(file string) error{
		"deleted": os.Remove,
		"renamed": func(file string) error { return os.Rename(file, file+".old") },
		"replaced": func(file string) error {
			if err := os.Rename(file, file+".old"); err != nil {
				return err
			}
			return os.WriteFile(file, nil, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			needsRenames(t)
			s := table(t, Options{})
			evicted := 0
			s.database.evict = func() { evicted++ }
			other := sibling(t, s, Reader)
			require.NoError(t, s.verify(t.Context()))
			require.NoError(t, other.verify(t.Context()))
			require.NoError(t, replace(s.database.path))

			do(t, s.conn, "SELECT * FROM t") // which notices nothing
			require.ErrorIs(t, s.verify(t.Context()), ErrReplaced)
			assert.Equal(t, 1, evicted)
			require.ErrorIs(t, other.reset(t.Context()), errOutdated, "all of its age")
			require.Error(t, other.verify(t.Context()))
			assert.Equal(t, 1, evicted, "once")

			for _, mode := range []Mode{Writer, Reader} {
				_, err := s.database.open(t.Context(), mode)
				require.ErrorIs(t, err, ErrReplaced, "the next one says it")
			}
			assert.NotContains(t, files(t, s.database.path), "app.db-journal")
			if name != "replaced" {
				assert.NotContains(t, files(t, s.database.path), "app.db", "it does not come back empty")
			}
		})
	}
}

// A file that was empty at first, as one that was touched, is as good as one that Open has made: to be emptied later is to be replaced.
func TestIdentity_TheFileIsEmptied(t *testing.T) {
	for name, first := range map[string][]Mode{"a writer fills it": {Writer, Reader}, "a reader is there before": {Reader, Writer}} {
		t.Run(name, func(t *testing.T) {
			if onWindows {
				t.Skip("the system empties no file that is mapped, as the log's index is")
			}
			file := path(t)
			require.NoError(t, os.WriteFile(file, nil, 0o600))
			one := construct(t, file, first[0], Options{})
			other := sibling(t, one, first[1])
			require.NoError(t, one.verify(t.Context()))
			require.NoError(t, other.verify(t.Context()))
			require.NoError(t, os.Truncate(file, 0))
			assert.ErrorIs(t, one.verify(t.Context()), ErrReplaced)
			assert.ErrorIs(t, other.verify(t.Context()), ErrReplaced)
			for _, mode := range []Mode{Writer, Reader} {
				_, err := one.database.open(t.Context(), mode)
				assert.ErrorIs(t, err, ErrReplaced)
			}
		})
	}
}

// What was committed to a file that was touched, and has been emptied since, is gone: no later call may say that all is well.
func TestIdentity_TheFileIsEmptiedUnderADB(t *testing.T) {
	if onWindows {
		t.Skip("the system empties no file that is open")
	}
	file := path(t)
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	db, err := Open(t.Context(), file, Options{})
	require.NoError(t, err)
	defer func() { assert.ErrorIs(t, db.Close(context.Background()), ErrReplaced) }()
	write := func(script string) error {
		return db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, script) })
	}
	require.NoError(t, write("CREATE TABLE t (x); INSERT INTO t VALUES (1)"))
	_, err = db.Checkpoint(t.Context())
	require.NoError(t, err)
	require.NoError(t, os.Truncate(file, 0))
	assert.ErrorIs(t, db.Ping(t.Context()), ErrReplaced)
	db.database.spotChecked.Store(-int64(spotCheckEvery)) // the next is due
	assert.ErrorIs(t, write("CREATE TABLE IF NOT EXISTS t (x); INSERT INTO t VALUES (2)"), ErrReplaced, "it is not made anew")
}

// Answers jackc/pgx#948.
func TestIdentity_TheFileIsBroken(t *testing.T) {
	s := table(t, Options{})
	do(t, s.conn, "CREATE TABLE big (x); INSERT INTO big SELECT zeroblob(4000) FROM (WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c LIMIT 50) SELECT n FROM c)")
	require.NoError(t, s.reset(t.Context()))
	other := sibling(t, s, Reader)
	do(t, s.conn, "PRAGMA wal_checkpoint(TRUNCATE)")
	breakFile(t, s.database.path)
	evicted := 0
	s.database.evict = func() { evicted++ }
	third := sibling(t, s, Reader)
	_, err := first(third.conn, "SELECT sum(length(x)) FROM big")
	require.Equal(t, sqlite.ResultCorrupt, sqlite.ErrCode(err).ToPrimary())
	require.ErrorContains(t, third.reset(t.Context()), "malformed")
	assert.Equal(t, 1, evicted)
	require.ErrorIs(t, other.reset(t.Context()), errOutdated)
	fourth := sibling(t, s, Reader)
	require.NoError(t, fourth.reset(t.Context()), "a new one may be sound")
}

// breakFile overwrites all pages but the first with nonsense, in another process,
// since one that opens and closes the file here drops the locks on it.
func breakFile(t *testing.T, file string) {
	t.Helper()
	output, err := child(t, "break", file).CombinedOutput()
	require.NoError(t, err, string(output))
}

func init() {
	children["break"] = func(args []string) error {
		file, err := os.OpenFile(args[0], os.O_RDWR, 0)
		if err != nil {
			return err
		}
		info, err := file.Stat()
		if err != nil {
			return err
		}
		nonsense := make([]byte, info.Size()-2*4096)
		for i := range nonsense {
			nonsense[i] = 0xA5
		}
		if _, err := file.WriteAt(nonsense, 2*4096); err != nil {
			return err
		}
		return file.Close()
	}
}

func TestCheckCostsLittle(t *testing.T) {
	s := table(t, Options{})
	require.NoError(t, s.verify(t.Context()))
}

func BenchmarkCheck(b *testing.B) {
	s := table(b, Options{})
	for b.Loop() {
		if err := s.verify(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
