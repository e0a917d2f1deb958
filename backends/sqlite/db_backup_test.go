package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite/sqlitex"
)

// fill writes about so many megabytes.
func fill(t testing.TB, db *DB, megabytes int) {
	t.Helper()
	require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
		return sqlitex.Execute(conn, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n LIMIT ?)
			INSERT INTO filler SELECT i, zeroblob(3900) FROM n`, &sqlitex.ExecOptions{Args: []any{megabytes << 20 / 4096}})
	}))
}

var backedUp = "CREATE TABLE filler (id INTEGER PRIMARY KEY, x); CREATE TABLE entry (id INTEGER PRIMARY KEY, pair INTEGER)"

func openFiller(t testing.TB, options Options) *DB {
	t.Helper()
	db := openBatch(t, options)
	require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, backedUp) }))
	return db
}

// look opens a copy, and calls use when it has passed integrity_check.
func look(t testing.TB, copied string, use func(conn *Conn)) {
	t.Helper()
	db, err := Open(t.Context(), copied, Options{})
	require.NoError(t, err)
	require.NoError(t, db.Read(t.Context(), func(_ context.Context, conn *Conn) error {
		assert.Equal(t, "ok", get(t, conn, "PRAGMA integrity_check"))
		use(conn)
		return nil
	}))
	require.NoError(t, db.Close(context.Background()))
	assert.Equal(t, []string{filepath.Base(copied)}, files(t, copied))
}

// Four writers go on, each transaction of a pair of entries: the copy has what was committed before,
// nothing by half and nothing in between left out, and the writers could not make it begin again.
func TestBackupIsOneSnapshotWhileWritersGoOn(t *testing.T) {
	db := openFiller(t, Options{})
	fill(t, db, 8)
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	var acknowledged atomic.Int64
	started := make(chan struct{}, 4)
	for range 4 {
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				assert.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
					return run(conn, `INSERT INTO entry (pair) VALUES (1); UPDATE filler SET x=randomblob(3900) WHERE id = 1 + abs(random()) % 2048;
						INSERT INTO entry (pair) VALUES (2)`)
				}))
				acknowledged.Add(1)
				if n == 10 {
					started <- struct{}{}
				}
			}
		})
	}
	for range 4 {
		<-started
	}
	copied := filepath.Join(t.TempDir(), "copy.db")
	before := acknowledged.Load()
	var last, total, calls int
	backing, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	require.NoError(t, db.Backup(backing, copied, func(done, all int) {
		if !assert.Greater(t, done, last, "writers do not start it over") {
			giveUp()
		}
		last, total = done, all
		calls++
		now := acknowledged.Load()
		assert.Eventually(t, func() bool { return acknowledged.Load() > now }, time.Minute, time.Millisecond, "they do go on")
	}))
	after := acknowledged.Load()
	stop()
	all.Wait()
	assert.Equal(t, total, last)
	assert.GreaterOrEqual(t, calls, 8)
	look(t, copied, func(conn *Conn) {
		pairs, err := sqlitex.ResultInt64(conn.Prep("SELECT count(*)/2 FROM entry"))
		require.NoError(t, err)
		assert.GreaterOrEqual(t, pairs, before)
		assert.LessOrEqual(t, pairs, after+4)
		assert.Equal(t, "0", get(t, conn, "SELECT max(id) - count(*) FROM entry"), "no gap")
		assert.Equal(t, "0", get(t, conn, "SELECT count(*) FROM entry WHERE pair != 2 - id % 2"), "no transaction by half")
		assert.Equal(t, "2048", get(t, conn, "SELECT count(*) FROM filler"))
	})
}

// The end of ctx, or of the database, ends it within 20 ms, and a failure leaves nothing.
func TestBackupLeavesNothingWhereItFails(t *testing.T) {
	db := openFiller(t, Options{})
	fill(t, db, 32)
	directory := t.TempDir()
	nothing := func(why string) {
		t.Helper()
		if onWindows { // as soon as the sync is over that was given up
			require.Eventually(t, func() bool { return len(files(t, filepath.Join(directory, "x"))) == 0 }, time.Minute, time.Millisecond, why)
		}
		assert.Empty(t, files(t, filepath.Join(directory, "x")), why)
		assert.Zero(t, db.Readers().Stats().Held, why)
		assert.Zero(t, db.checkpointer.backups.Load(), why)
	}
	for _, at := range []int{1, 20, 0} { // 0: when all is copied, and only the disk is to be waited for
		took := time.Hour
		for tries := 0; took >= 100*time.Millisecond && tries < 10; tries++ { // a busy machine has ten
			var began time.Time
			ctx, cancel := context.WithCancelCause(t.Context())
			calls := 0
			copied := filepath.Join(directory, "cancelled.db")
			err := db.Backup(ctx, copied, func(done, total int) {
				if calls++; calls == at || at == 0 && done == total {
					began = time.Now()
					cancel(errBank)
				}
			})
			if err == nil { // all was on the disk before somebody looked
				require.NoError(t, os.Remove(copied))
				continue
			}
			took = min(took, time.Since(began))
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorIs(t, err, errBank)
			assert.ErrorContains(t, err, copied)
			nothing("cancelled")
		}
		assert.Less(t, took, 100*time.Millisecond, "20 on a machine that has nothing else to do")
		t.Logf("cancelled at %d: it took %v", at, took)
	}
	assert.Panics(t, func() {
		_ = db.Backup(t.Context(), filepath.Join(directory, "panic.db"), func(int, int) { panic("bank") })
	})
	require.Eventually(t, func() bool { return db.Readers().Stats().Live() == 0 }, 10*time.Second, time.Millisecond)
	nothing("panic")

	for range 2 { // the second time it is closed already
		err := db.Backup(t.Context(), filepath.Join(directory, "closed.db"), func(int, int) {
			if !db.closing.Load() {
				ctx, cancel := context.WithCancel(context.Background())
				cancel()
				go db.Close(ctx)
				for s, _ := liveReader(db); !s.interrupter.Load().triggered(); {
					<-time.After(time.Millisecond)
				}
			}
		})
		assert.ErrorIs(t, err, pool.ErrClosed)
		nothing("closed")
	}
}

// A file that was synced as ctx ended is there: only one that was given up is taken away.
func TestSyncFileTakesAwayWhatItGaveUp(t *testing.T) {
	directory := t.TempDir()
	var synced []string
	for n := range 100 {
		name := filepath.Join(directory, strconv.Itoa(n))
		require.NoError(t, os.WriteFile(name, []byte("copy"), 0o600))
		ctx, cancel := context.WithCancel(t.Context())
		if n%2 == 0 {
			go cancel()
		}
		err := syncFile(ctx, name, 0o600)
		cancel()
		if err == nil {
			synced = append(synced, name)
		} else {
			assert.ErrorIs(t, err, context.Canceled)
		}
	}
	require.Eventually(t, func() bool { return len(files(t, filepath.Join(directory, "x"))) == len(synced) }, time.Minute, time.Millisecond)
	for _, name := range synced {
		assert.FileExists(t, name)
	}
}

// liveReader is a connection that reads.
func liveReader(db *DB) (*connection, bool) {
	db.database.mu.Lock()
	defer db.database.mu.Unlock()
	for s := range db.database.live {
		if s.mode == Reader {
			return s, true
		}
	}
	return nil, false
}

// It overwrites nothing, and puts nothing where SQLite would take it for another thing.
func TestBackupRefuses(t *testing.T) {
	db := openFiller(t, Options{})
	directory := t.TempDir()
	there := filepath.Join(directory, "there.db")
	require.NoError(t, os.WriteFile(there, []byte("precious"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(directory, "gone.db-wal"), nil, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(directory, "lost.db-journal"), nil, 0o600))
	own := filepath.Base(db.database.path)
	refused := map[string]error{
		there:                                     fs.ErrExist,
		filepath.Join(directory, "gone.db"):       fs.ErrExist,
		filepath.Join(directory, "lost.db"):       fs.ErrExist,
		directory:                                 fs.ErrExist,
		db.database.path:                          fs.ErrInvalid,
		db.database.path + "-wal":                 fs.ErrInvalid,
		db.database.path + "-journal":             fs.ErrInvalid,
		filepath.Join(directory, "no", "such.db"): fs.ErrNotExist,
		"":         ErrInMemory,
		":memory:": ErrInMemory,
	}
	left := 3
	if symlink(t, "nowhere", filepath.Join(directory, "link.db")) {
		left += 2
		require.True(t, symlink(t, filepath.Dir(db.database.path), filepath.Join(directory, "linked")))
		refused[filepath.Join(directory, "link.db")] = fs.ErrExist
		refused[filepath.Join(directory, "linked", own)] = fs.ErrInvalid
		refused[filepath.Join(directory, "linked", own+"-shm")] = fs.ErrInvalid
	}
	if file, err := os.Stat(filepath.Join(filepath.Dir(db.database.path), strings.ToUpper(own))); err == nil { // names have no case here
		mine, err := os.Stat(db.database.path)
		require.NoError(t, err)
		require.True(t, os.SameFile(mine, file))
		refused[strings.ToUpper(db.database.path)] = fs.ErrInvalid
		refused[strings.ToUpper(db.database.path+"-journal")] = fs.ErrInvalid
	} else if hard := filepath.Join(directory, "hard.db"); os.Link(db.database.path, hard) == nil {
		left++
		refused[hard] = fs.ErrInvalid
		refused[hard+"-journal"] = fs.ErrInvalid
	}
	for to, want := range refused {
		err := db.Backup(t.Context(), to, nil)
		assert.ErrorIs(t, err, want, to)
		assert.ErrorContains(t, err, "backup to "+to)
	}
	require.Error(t, db.Backup(t.Context(), "a\x00b", nil))
	kept, err := os.ReadFile(there)
	require.NoError(t, err)
	assert.Equal(t, "precious", string(kept))
	assert.Len(t, files(t, there), left)
	assert.ElementsMatch(t, []string{own, own + "-wal", own + "-shm"}, files(t, db.database.path))
}

// Of several to one path one succeeds.
func TestBackupsToOnePath(t *testing.T) {
	db := openFiller(t, Options{Readers: 4})
	fill(t, db, 1)
	copied := filepath.Join(t.TempDir(), "copy.db")
	var all sync.WaitGroup
	var made atomic.Int64
	for range 4 {
		all.Go(func() {
			if err := db.Backup(t.Context(), copied, nil); err == nil {
				made.Add(1)
			} else {
				assert.ErrorIs(t, err, fs.ErrExist)
			}
		})
	}
	all.Wait()
	assert.EqualValues(t, 1, made.Load())
	look(t, copied, func(conn *Conn) { assert.Equal(t, "256", get(t, conn, "SELECT count(*) FROM filler")) })
}

// The copy is as the database: its mode, the size of its pages, what its header says.
func TestBackupIsAsTheDatabase(t *testing.T) {
	for _, size := range []string{"512", "4096", "65536"} {
		db := openFiller(t, Options{FileMode: 0o640, Pragmas: []Pragma{{"page_size", size}}})
		fill(t, db, 2)
		require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, "PRAGMA user_version=7") }))
		read, err := Open(t.Context(), db.database.path, Options{ReadOnly: true})
		require.NoError(t, err)
		copied := filepath.Join(t.TempDir(), "copy.db")
		require.NoError(t, read.Backup(t.Context(), copied, nil))
		require.NoError(t, read.Close(t.Context()))
		info, err := os.Stat(copied)
		require.NoError(t, err)
		assert.Equal(t, shown(0o640), info.Mode())
		look(t, copied, func(conn *Conn) {
			assert.Equal(t, size, get(t, conn, "PRAGMA page_size"))
			assert.Equal(t, "7", get(t, conn, "PRAGMA user_version"))
			assert.Equal(t, "512", get(t, conn, "SELECT count(*) FROM filler"))
		})
	}
}

func TestBackupFromMemory(t *testing.T) {
	db, err := OpenMemory(t.Context(), Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close(context.Background())) }()
	require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, backedUp) }))
	fill(t, db, 4)
	copied := filepath.Join(t.TempDir(), "copy.db")
	require.NoError(t, db.Read(t.Context(), func(ctx context.Context, _ *Conn) error {
		assert.ErrorIs(t, db.Backup(ctx, copied, nil), pool.ErrNested)
		return nil
	}))
	require.NoError(t, db.Backup(t.Context(), copied, nil))
	info, err := os.Stat(copied)
	require.NoError(t, err)
	assert.Equal(t, shown(0o600), info.Mode())
	look(t, copied, func(conn *Conn) { assert.Equal(t, "1024", get(t, conn, "SELECT count(*) FROM filler")) })
	require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, "DELETE FROM filler") }))
}

// Inside Write it copies what was committed before.
func TestBackupInsideWrite(t *testing.T) {
	db := openFiller(t, Options{})
	copied := filepath.Join(t.TempDir(), "copy.db")
	require.NoError(t, db.Write(t.Context(), func(ctx context.Context, conn *Conn) error {
		return errors.Join(run(conn, "INSERT INTO entry VALUES (1, 1)"), db.Backup(ctx, copied, nil))
	}))
	look(t, copied, func(conn *Conn) { assert.Equal(t, "0", get(t, conn, "SELECT count(*) FROM entry")) })
}
