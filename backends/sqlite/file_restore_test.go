package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// copyOf returns a function for Options.Restore that copies a file, and its log where there is one.
func copyOf(source string) func(ctx context.Context, path string) error {
	return func(_ context.Context, path string) error {
		for _, suffix := range []string{"", walSuffix} {
			content, err := os.ReadFile(source + suffix)
			if suffix != "" && errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			if err := os.WriteFile(path+suffix, content, 0o666); err != nil {
				return err
			}
		}
		return nil
	}
}

// saved is a database with a counter that is n, which nobody has open.
func saved(t *testing.T, n int, options Options) (file string) {
	t.Helper()
	file = path(t)
	options.Schema = counters
	db, err := Open(t.Context(), file, options)
	require.NoError(t, err)
	for range n {
		require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, increment) }))
	}
	require.NoError(t, db.Close(context.Background()))
	return file
}

func TestRestore(t *testing.T) {
	for name, options := range map[string]Options{"a file": {}, "a file and its log": {ForeignCheckpoints: true}} {
		t.Run(name, func(t *testing.T) {
			source, file := saved(t, 3, options), path(t)
			calls := 0
			schema := *counters
			schema.Migrations = append(schema.Migrations[:len(schema.Migrations):len(schema.Migrations)], "CREATE TABLE newer (x)")
			options := Options{Schema: &schema, FileMode: 0o640, ForeignCheckpoints: true, Restore: func(ctx context.Context, path string) error {
				calls++
				assert.Equal(t, t.Context(), ctx)
				assert.Equal(t, "app.db", filepath.Base(path))
				assert.NotEqual(t, file, path)
				return copyOf(source)(ctx, path)
			}}
			for range 2 { // the second Open finds the file
				db, err := Open(t.Context(), file, options)
				require.NoError(t, err)
				assert.Equal(t, "3", count(t, db))
				require.NoError(t, db.Read(t.Context(), func(_ context.Context, conn *Conn) error {
					assert.Equal(t, "0", get(t, conn, "SELECT count(*) FROM newer"))
					return nil
				}))
				require.NoError(t, db.Close(context.Background()))
				require.NoError(t, os.Remove(file+shmSuffix))
			}
			assert.Equal(t, 1, calls)
			stat, err := os.Stat(file)
			require.NoError(t, err)
			assert.Equal(t, shown(0o640), stat.Mode())
			assert.Equal(t, []string{"app.db", "app.db-wal"}, files(t, file))
		})
	}
}

func TestRestore_NothingToRestore(t *testing.T) {
	file := path(t)
	db, err := Open(t.Context(), file, Options{Schema: counters, Restore: func(_ context.Context, path string) error {
		assert.NoError(t, os.WriteFile(path, []byte("half"), 0o600))
		return fmt.Errorf("s3: %w", ErrNothingToRestore)
	}})
	require.NoError(t, err)
	assert.Equal(t, "0", count(t, db))
	require.NoError(t, db.Close(context.Background()))
	assert.Equal(t, []string{"app.db"}, files(t, file))
}

func TestRestore_Fails(t *testing.T) {
	source := saved(t, 3, Options{})
	whole, err := os.ReadFile(source)
	require.NoError(t, err)
	write := func(content []byte) func(ctx context.Context, path string) error {
		return func(_ context.Context, path string) error { return os.WriteFile(path, content, 0o600) }
	}
	down := errors.New("the bucket is gone")
	for name, c := range map[string]struct {
		restore func(ctx context.Context, path string) error
		is      error
		says    string
	}{
		"an error":      {func(context.Context, string) error { return down }, down, "restore: Options.Restore: the bucket is gone"},
		"half":          {func(ctx context.Context, path string) error { return errors.Join(write(whole)(ctx, path), down) }, down, "the bucket is gone"},
		"nothing":       {func(context.Context, string) error { return nil }, nil, "write it, or return ErrNothingToRestore for a new database"},
		"an empty file": {write(nil), ErrNotDatabase, "has left an empty file"},
		"no database":   {write([]byte("this is a text, and longer than the header of a database would be, of which SQLite reads the first hundred bytes")), ErrNotDatabase, "what Options.Restore has left can't be opened"},
		"a cut file":    {write(whole[:len(whole)-4096]), nil, "what Options.Restore has left can't be opened"},
		"a directory":   {func(_ context.Context, path string) error { return os.Mkdir(path, 0o700) }, ErrNotFile, "no regular file, but d"},
	} {
		t.Run(name, func(t *testing.T) {
			file := path(t)
			_, err := Open(t.Context(), file, Options{Schema: counters, Restore: c.restore})
			var open *OpenError
			require.ErrorAs(t, err, &open)
			assert.Equal(t, file, open.Path)
			assert.Equal(t, "restore", open.Step)
			assert.ErrorContains(t, err, c.says)
			if c.is != nil {
				assert.ErrorIs(t, err, c.is)
			}
			assert.Empty(t, files(t, file))
		})
	}
}

func TestRestore_EndsWithCtx(t *testing.T) {
	file := path(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the service stops")
	source := saved(t, 3, Options{})
	_, err := Open(ctx, file, Options{Restore: func(ctx context.Context, path string) error {
		defer cancel(cause)
		return copyOf(source)(ctx, path)
	}})
	assert.ErrorIs(t, err, context.Canceled)
	assert.ErrorIs(t, err, cause)
	assert.Empty(t, files(t, file))
}

func TestRestore_IsAnError(t *testing.T) {
	options := Options{Restore: func(context.Context, string) error { panic("it was called") }}
	_, err := OpenMemory(t.Context(), options)
	assert.ErrorContains(t, err, "Options.Restore is set: a database in memory has no file")
	_, err = NewPool(path(t), options)
	assert.ErrorContains(t, err, "Options.Restore is set: NewPool does not call it")
	options.ReadOnly = true
	_, err = Open(t.Context(), path(t), options)
	assert.ErrorContains(t, err, "Options.Restore is set: it must be nil with ReadOnly")
}

// Where a log is left of a database that is gone, nothing is restored: SQLite would take that log for the new file's.
func TestRestore_NotBesideAnOrphanedLog(t *testing.T) {
	file := path(t)
	require.NoError(t, os.WriteFile(file+walSuffix, []byte("log"), 0o600))
	_, err := Open(t.Context(), file, Options{Restore: func(context.Context, string) error { panic("it was called") }})
	assert.ErrorIs(t, err, ErrNoFile)
}

// One of those that make the file at the same time does not know of Options.Restore: its file stands, and is not taken for the restored one.
func TestRestore_AnotherMakesTheFile(t *testing.T) {
	source, file := saved(t, 3, Options{}), path(t)
	_, err := Open(t.Context(), file, Options{Restore: func(ctx context.Context, path string) error {
		db, err := Open(ctx, file, Options{Schema: counters})
		require.NoError(t, err)
		require.NoError(t, db.Close(context.Background()))
		return copyOf(source)(ctx, path)
	}})
	assert.ErrorIs(t, err, fs.ErrExist)
	assert.ErrorContains(t, err, "give Options.Restore to each that opens it")
}

// A panic of Restore goes on, and leaves no lock.
func TestRestore_Panics(t *testing.T) {
	file := path(t)
	assert.PanicsWithValue(t, "no", func() {
		_, _ = Open(t.Context(), file, Options{Restore: func(context.Context, string) error { panic("no") }})
	})
	assert.Empty(t, files(t, file))
}

// Of many that open the file at once, by two names, one restores it; if that fails, the next one does.
func TestRestore_OneAtATime(t *testing.T) {
	source, file := saved(t, 3, Options{}), path(t)
	link := filepath.Join(t.TempDir(), "link.db")
	if !symlink(t, file, link) {
		link = file
	}
	var inside, calls, failed atomic.Int32
	restore := func(ctx context.Context, path string) error {
		assert.EqualValues(t, 1, inside.Add(1))
		defer inside.Add(-1)
		if calls.Add(1) <= 3 {
			return errors.New("the first three fail")
		}
		return copyOf(source)(ctx, path)
	}
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			db, err := Open(t.Context(), []string{file, link}[i%2], Options{Restore: restore})
			if err != nil {
				failed.Add(1)
				assert.ErrorContains(t, err, "the first three fail")
				return
			}
			assert.Equal(t, "3", count(t, db))
			assert.NoError(t, db.Close(context.Background()))
		})
	}
	all.Wait()
	assert.EqualValues(t, 4, calls.Load())
	assert.EqualValues(t, 3, failed.Load())
	assert.Equal(t, []string{"app.db"}, files(t, file))
}

// Who waits for another's restore waits until its own ctx ends.
func TestRestore_WaitsUntilCtxEnds(t *testing.T) {
	source, file := saved(t, 1, Options{}), path(t)
	db, err := Open(t.Context(), file, Options{Restore: func(ctx context.Context, path string) error {
		waits, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		defer cancel()
		_, err := Open(waits, file, Options{Restore: func(context.Context, string) error { panic("two at once") }})
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		return copyOf(source)(ctx, path)
	}})
	require.NoError(t, err)
	require.NoError(t, db.Close(context.Background()))
}

func init() {
	// The arguments are a file, the one to restore it from, and a directory in which each call makes a file of its own.
	// It says when it is about to open, and opens when it is told to.
	children["restore"] = func(args []string) error {
		fmt.Println("ready")
		var word string
		if _, err := fmt.Scan(&word); err != nil {
			return err
		}
		db, err := Open(context.Background(), args[0], Options{Restore: func(ctx context.Context, path string) error {
			if err := os.WriteFile(filepath.Join(args[2], strconv.Itoa(os.Getpid())), nil, 0o600); err != nil {
				return err
			}
			if word == "hang" {
				if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
					return err
				}
				fmt.Println("hangs")
				time.Sleep(time.Hour) // until it is killed
			}
			return copyOf(args[1])(ctx, path)
		}})
		if err != nil {
			return err
		}
		var n string
		if err := db.Read(context.Background(), func(_ context.Context, conn *Conn) error {
			n, err = first(conn, "SELECT n FROM counter")
			return err
		}); err != nil || n != "3" {
			return errors.Join(err, fmt.Errorf("the counter is %q", n))
		}
		return db.Close(context.Background())
	}
}

// The same of processes. One that is killed in the middle leaves a half file, which the next one takes away.
func TestRestore_OneProcessAtATime(t *testing.T) {
	source, file, calls := saved(t, 3, Options{}), path(t), t.TempDir()
	start := func(word string) (wait func() error, kill func(), said func() string) {
		cmd := child(t, "restore", file, source, calls)
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		require.NoError(t, err)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		said = func() (line string) {
			_, err := fmt.Fscan(out, &line)
			require.NoError(t, err)
			return line
		}
		require.Equal(t, "ready", said())
		_, err = fmt.Fprintln(in, word)
		require.NoError(t, err)
		return cmd.Wait, func() { require.NoError(t, cmd.Process.Kill()) }, said
	}
	hung, kill, said := start("hang")
	require.Equal(t, "hangs", said())
	var waits []func() error
	for range 4 {
		wait, _, _ := start("go")
		waits = append(waits, wait)
	}
	assert.Contains(t, files(t, file), ".headpond-restore-app.db")
	kill()
	require.Error(t, hung())
	for _, wait := range waits {
		assert.NoError(t, wait())
	}
	entries, err := os.ReadDir(calls)
	require.NoError(t, err)
	assert.Len(t, entries, 2, "the one that was killed, and one of the others")

	// Of two processes that close at the same moment, each sees the other's lock, and neither takes the log away: the next one does.
	db, err := Open(t.Context(), file, Options{Restore: func(context.Context, string) error { panic("the file is there") }})
	require.NoError(t, err)
	assert.Equal(t, "3", count(t, db))
	require.NoError(t, db.Close(context.Background()))
	assert.Equal(t, []string{"app.db"}, files(t, file))
}
