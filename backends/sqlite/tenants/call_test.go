package tenants_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/backends/sqlite/tenants"
	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	zombiezen "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitemigration"
	"zombiezen.com/go/sqlite/sqlitex"
)

var errMine = errors.New("mine")

func TestCall_AsTheDatabasesOwn(t *testing.T) {
	p := open(t, tenants.Options{})
	insert := func(_ context.Context, conn *sqlite.Conn) error {
		return sqlitex.Execute(conn, "INSERT INTO owner (name) VALUES ('x')", nil)
	}
	require.NoError(t, p.Write(t.Context(), "a", insert))
	require.NoError(t, p.Batch(t.Context(), "a", insert))
	require.NoError(t, p.Do(t.Context(), "a", func(ctx context.Context, db *sqlite.DB) error {
		assert.Len(t, p.Holders(), 1)
		return errors.Join(db.Write(ctx, insert), db.Batch(ctx, insert))
	}))
	err := p.Read(t.Context(), "a", insert)
	assert.Equal(t, zombiezen.ResultReadOnly, zombiezen.ErrCode(err), "a reader")
	fail := func(ctx context.Context, conn *sqlite.Conn) error { return errors.Join(insert(ctx, conn), errMine) }
	assert.ErrorIs(t, p.Write(t.Context(), "a", fail), errMine)
	assert.ErrorIs(t, p.Batch(t.Context(), "a", fail), errMine)
	assert.Equal(t, errMine, p.Do(t.Context(), "a", func(context.Context, *sqlite.DB) error { return errMine }), "as it is")
	assert.Panics(t, func() {
		_ = p.Write(t.Context(), "a", func(ctx context.Context, conn *sqlite.Conn) error { panic(insert(ctx, conn)) })
	})
	assert.Panics(t, func() {
		_ = p.Exclusive(t.Context(), "a", func(context.Context, string) error { panic("mine") })
	})
	_, rows, err := owners(t.Context(), p, "a")
	require.NoError(t, err)
	assert.Equal(t, 4, rows)
	assert.Empty(t, p.Holders(), "every call has returned")
}

// TestCall_ErrorsNameTheTenant looks at the error of a database whose connections are all taken.
func TestCall_ErrorsNameTheTenant(t *testing.T) {
	p := open(t, tenants.Options{AcquireTimeout: 300 * time.Millisecond})
	require.NoError(t, p.Do(t.Context(), "acme", func(ctx context.Context, db *sqlite.DB) error {
		return db.Write(ctx, func(context.Context, *sqlite.Conn) error {
			err := p.Write(t.Context(), "acme", func(context.Context, *sqlite.Conn) error { return nil })
			assert.ErrorIs(t, err, pool.ErrAcquireTimeout)
			assert.ErrorContains(t, err, "acme")
			return nil
		})
	}))
}

// TestCall_OneTimeoutForAll waits to be admitted first, and then for the writer: both share AcquireTimeout.
func TestCall_OneTimeoutForAll(t *testing.T) {
	p := open(t, tenants.Options{MaxOpen: 1, AcquireTimeout: 2400 * time.Millisecond})
	require.NoError(t, sign(t.Context(), p, "a"))
	require.NoError(t, p.Do(t.Context(), "a", func(ctx context.Context, db *sqlite.DB) error {
		lease, err := db.Writer().Acquire(ctx)
		require.NoError(t, err)
		defer lease.Release()
		patient, cancel := context.WithTimeout(t.Context(), 1200*time.Millisecond)
		defer cancel()
		var all sync.WaitGroup
		defer all.Wait()
		all.Go(func() { // a drains for it, and admits no calls until it gives up
			assert.ErrorIs(t, sign(patient, p, "b"), context.DeadlineExceeded)
		})
		eventually(t, "a drains", func() bool { return p.Stats().Draining == 1 })
		began := time.Now()
		for _, call := range []func(context.Context, string, func(context.Context, *sqlite.Conn) error) error{p.Write, p.Batch} {
			all.Go(func() {
				err := call(t.Context(), "a", func(context.Context, *sqlite.Conn) error { return nil })
				assert.ErrorIs(t, err, pool.ErrAcquireTimeout)
				assert.ErrorIs(t, err, context.DeadlineExceeded)
				assert.NotErrorIs(t, err, context.Canceled, "that is how the pool ended the wait")
				assert.ErrorContains(t, err, "no turn in the database")
				took := time.Since(began)
				assert.GreaterOrEqual(t, took, 2200*time.Millisecond)
				assert.Less(t, took, 3400*time.Millisecond, "not 1.2 s and then 2.4")
			})
		}
		return nil
	}))
}

// TestCall_TimeoutEndsWithTheWait waits for its turn for a while, and then takes longer than AcquireTimeout.
func TestCall_TimeoutEndsWithTheWait(t *testing.T) { synctest.Test(t, testCallTimeoutEndsWithTheWait) }

func testCallTimeoutEndsWithTheWait(t *testing.T) {
	p := open(t, tenants.Options{AcquireTimeout: 200 * time.Millisecond})
	for _, call := range []func(context.Context, string, func(context.Context, *sqlite.Conn) error) error{p.Read, p.Write, p.Batch} {
		require.NoError(t, p.Exclusive(t.Context(), "a", func(context.Context, string) error { return nil }), "the next call opens it")
		require.NoError(t, call(t.Context(), "a", func(ctx context.Context, conn *sqlite.Conn) error {
			<-time.After(250 * time.Millisecond)
			assert.NoError(t, ctx.Err())
			return sqlitex.Execute(conn, "SELECT 1", nil)
		}))
	}
}

func TestCall_Nested(t *testing.T) {
	p := open(t, tenants.Options{MaxOpen: 2, MaxOpening: 1})
	nothing := func(context.Context, *sqlite.Conn) error { return nil }
	require.NoError(t, sign(t.Context(), p, "b"))
	require.NoError(t, p.Do(t.Context(), "a", func(ctx context.Context, _ *sqlite.DB) error {
		assert.NoError(t, p.Write(ctx, "a", nothing), "its own")
		return p.Read(ctx, "b", func(ctx context.Context, _ *sqlite.Conn) error {
			assert.NoError(t, p.Read(ctx, "a", nothing))
			assert.ErrorIs(t, p.Read(ctx, "c", nothing), pool.ErrNested, "both places are held, by this very call")
			assert.ErrorIs(t, p.Exclusive(ctx, "a", nil), pool.ErrNested)
			assert.ErrorIs(t, p.Write(ctx, "b", nothing), pool.ErrNested, "the database's own rule")
			assert.ErrorIs(t, p.Migrate(ctx, names("d"), 1), pool.ErrNested)
			assert.ErrorIs(t, p.Close(ctx), pool.ErrNested)
			return nil
		})
	}))
	assert.ErrorIs(t, p.Read(t.Context(), "a", nothing), pool.ErrClosed, "Close has begun")
}

// TestCall_ReplacedFile moves another database to a path whose database is open. One call or a few fail; then it is opened anew,
// however it is called.
func TestCall_ReplacedFile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("an open file can't be renamed here")
	}
	for way, ownerOf := range map[string]func(p *tenants.Pool) (string, error){
		"Read": func(p *tenants.Pool) (string, error) {
			name, _, err := owners(t.Context(), p, "a")
			return name, err
		},
		"SQL": func(p *tenants.Pool) (name string, err error) {
			err = p.SQL("a").QueryRowContext(t.Context(), "SELECT name FROM owner LIMIT 1").Scan(&name)
			return name, err
		},
	} {
		t.Run(way, func(t *testing.T) {
			directory := t.TempDir()
			p := open(t, tenants.Options{Path: tenants.Directory(directory)})
			require.NoError(t, sign(t.Context(), p, "a"))
			require.NoError(t, sign(t.Context(), p, "other"))
			require.NoError(t, p.Exclusive(t.Context(), "other", func(context.Context, string) error { return nil }))
			require.NoError(t, os.Rename(filepath.Join(directory, "other.db"), filepath.Join(directory, "a.db")))
			var name string
			require.Eventually(t, func() bool {
				var err error
				name, err = ownerOf(p)
				if err != nil {
					assert.ErrorIs(t, err, sqlite.ErrReplaced)
				}
				return err == nil && name == "other"
			}, 10*time.Second, 10*time.Millisecond, "it was %s's", name)
		})
	}
}

func TestSameFile(t *testing.T) { synctest.Test(t, testSameFile) }

func testSameFile(t *testing.T) {
	directory := t.TempDir()
	first, second := filepath.Join(directory, "first"), filepath.Join(directory, "second")
	require.NoError(t, os.Mkdir(first, 0o700))
	err := os.Symlink(first, second)
	if _, made := os.Lstat(second); err == nil {
		err = made // wine says that it has made one
	}
	if err != nil {
		t.Skipf("no symbolic links here: %v", err)
	}
	paths := map[string]string{
		"a": filepath.Join(first, "a.db"), "same text": filepath.Join(first, "a.db"), "through a link": filepath.Join(second, "a.db"),
		"a link": filepath.Join(directory, "link.db"), "a hard link": filepath.Join(directory, "hard.db"), "b": filepath.Join(first, "b.db"),
	}
	p := open(t, tenants.Options{IdleAfter: 50 * time.Millisecond, Path: func(tenant string) (string, error) { return paths[tenant], nil }})
	idle := func() { // IdleAfter closes what is open
		<-time.After(51 * time.Millisecond)
		synctest.Wait()
		require.Zero(t, p.Stats().Open+p.Stats().Closing)
	}
	require.NoError(t, p.Do(t.Context(), "a", func(ctx context.Context, _ *sqlite.DB) error {
		require.NoError(t, os.Symlink(paths["a"], paths["a link"]))
		require.NoError(t, os.Link(paths["a"], paths["a hard link"]))
		for _, tenant := range []string{"same text", "through a link", "a link", "a hard link"} {
			err := sign(ctx, p, tenant)
			assert.ErrorIs(t, err, tenants.ErrSameFile, tenant)
			assert.ErrorContains(t, err, `"a"`)
			assert.ErrorIs(t, p.Exclusive(ctx, tenant, func(context.Context, string) error {
				t.Error("it would have the file of another tenant")
				return nil
			}), tenants.ErrSameFile, tenant)
		}
		return sign(ctx, p, "b")
	}))
	idle()
	require.NoError(t, os.Remove(paths["a hard link"]))
	<-time.After(200 * time.Millisecond) // the pause after the failures
	require.NoError(t, sign(t.Context(), p, "a link"), "a is closed")
	idle()
	require.NoError(t, p.Exclusive(t.Context(), "a", func(ctx context.Context, _ string) error {
		assert.ErrorIs(t, sign(t.Context(), p, "through a link"), tenants.ErrSameFile, "a has it, though it is closed")
		return nil
	}))
	<-time.After(200 * time.Millisecond)
	require.NoError(t, p.Do(t.Context(), "through a link", func(ctx context.Context, _ *sqlite.DB) error {
		assert.ErrorIs(t, sign(ctx, p, "a"), tenants.ErrSameFile)
		return nil
	}))
}

// TestSameFile_Failed opens a file that is no database for one tenant, then for another: the first one does not have it.
func TestSameFile_Failed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("it is no database ", 1000)), 0o600))
	p := open(t, tenants.Options{Path: func(string) (string, error) { return path, nil }})
	assert.ErrorIs(t, sign(t.Context(), p, "a"), sqlite.ErrNotDatabase)
	assert.ErrorIs(t, sign(t.Context(), p, "b"), sqlite.ErrNotDatabase)
}

// TestBroken has tenants whose files can't be opened among others: it hurts nobody else.
func TestBroken(t *testing.T) { synctest.Test(t, testBroken) }

func testBroken(t *testing.T) {
	directory := t.TempDir()
	file := func(name, content string, mode os.FileMode) {
		require.NoError(t, os.WriteFile(filepath.Join(directory, name), []byte(content), mode))
	}
	file("corrupt.db", strings.Repeat("it is no database ", 1000), 0o600)
	file("unreadable.db", "", 0o000)
	require.NoError(t, os.Mkdir(filepath.Join(directory, "folder.db"), 0o700))
	path := tenants.Directory(directory)
	newer := open(t, tenants.Options{Path: path, Database: sqlite.Options{Schema: &sqlitemigration.Schema{
		Migrations: append(schema.Migrations, "CREATE TABLE more (n)", "CREATE TABLE evenmore (n)"),
	}}})
	require.NoError(t, sign(t.Context(), newer, "newer"))
	require.NoError(t, newer.Close(t.Context()))
	p := open(t, tenants.Options{MaxOpen: 2, Path: func(tenant string) (string, error) {
		if tenant == "missing" {
			return filepath.Join(directory, "none", "missing.db"), nil
		}
		return path(tenant)
	}})
	wants := map[string]error{"corrupt": sqlite.ErrNotDatabase, "folder": sqlite.ErrNotFile, "missing": sqlite.ErrNoDirectory, "newer": sqlite.ErrNewerSchema}
	if os.Getuid() != 0 && runtime.GOOS != "windows" {
		wants["unreadable"] = os.ErrPermission
	}
	var all sync.WaitGroup
	for tenant, want := range wants {
		for range 3 {
			all.Go(func() {
				for range 50 {
					err := sign(t.Context(), p, tenant)
					assert.ErrorIs(t, err, want, tenant)
					var failed *tenants.Error
					if assert.ErrorAs(t, err, &failed) {
						assert.Equal(t, tenant, failed.Tenant)
						assert.Equal(t, "open", failed.Op)
					}
					<-time.After(10 * time.Millisecond) // some come within the pause after a failure, some behind it
				}
			})
		}
	}
	for _, tenant := range []string{"a", "b", "c", "d"} {
		all.Go(func() {
			for range 20 {
				assert.NoError(t, sign(t.Context(), p, tenant))
			}
		})
	}
	all.Wait()
	for _, tenant := range []string{"a", "b", "c", "d"} {
		name, rows, err := owners(t.Context(), p, tenant)
		assert.NoError(t, err)
		assert.Equal(t, tenant, name)
		assert.Equal(t, 20, rows)
	}

	// A file that is mended is found within the pause.
	require.NoError(t, p.Exclusive(t.Context(), "corrupt", func(_ context.Context, path string) error { return os.Remove(path) }))
	assert.NoError(t, sign(t.Context(), p, "corrupt"))
}
