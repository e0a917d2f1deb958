package tenants_test

import (
	"context"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/backends/sqlite/tenants"
	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite/sqlitemigration"
	"zombiezen.com/go/sqlite/sqlitex"
)

// fill makes the databases of count tenants with the first schema, in a new directory.
func fill(t *testing.T, count int) (directory string, all []string) {
	directory = t.TempDir()
	p := open(t, tenants.Options{Path: tenants.Directory(directory), AcquireTimeout: -1})
	for n := range count {
		all = append(all, fmt.Sprintf("tenant-%03d", n))
		require.NoError(t, sign(t.Context(), p, all[n]))
	}
	require.NoError(t, p.Close(t.Context()))
	return directory, all
}

// second adds to schema.
var second = &sqlitemigration.Schema{Migrations: append(slices.Clone(schema.Migrations), "ALTER TABLE owner ADD since TEXT NOT NULL DEFAULT 'now'")}

func TestMigrate(t *testing.T) {
	directory, all := fill(t, 40)
	require.NoError(t, os.WriteFile(filepath.Join(directory, "tenant-007.db"), []byte(strings.Repeat("broken ", 1000)), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(directory, "tenant-023.db"), []byte(strings.Repeat("broken ", 1000)), 0o600))
	var mu sync.Mutex
	opened := map[string]int{}
	p := open(t, tenants.Options{
		Path: tenants.Directory(directory), MaxOpen: 6, MaxOpening: 3, Database: sqlite.Options{Schema: second},
		OnOpen: func(tenant string, _ time.Duration, _ error) { mu.Lock(); opened[tenant]++; mu.Unlock() },
	})
	require.NoError(t, sign(t.Context(), p, "tenant-000"))
	require.NoError(t, sign(t.Context(), p, "tenant-001"))
	err := p.Migrate(t.Context(), slices.Values(all), 0)
	assert.ErrorIs(t, err, sqlite.ErrNotDatabase)
	assert.ErrorContains(t, err, `"tenant-007"`)
	assert.ErrorContains(t, err, `"tenant-023"`)
	assert.Len(t, strings.Split(err.Error(), "\n"), 2)
	assert.EqualValues(t, 38, p.Stats().Migrated)
	assert.Len(t, opened, 40)
	for tenant, times := range opened {
		assert.Equal(t, 1, times, "%s: Migrate pushes nothing out that is in use", tenant)
	}
	require.NoError(t, p.Close(t.Context()))

	// Each has the new column now: it is read by a pool that has no schema to bring up to date.
	plain := open(t, tenants.Options{Path: tenants.Directory(directory), Database: sqlite.Options{Schema: &sqlitemigration.Schema{}}})
	for _, tenant := range all {
		if strings.HasSuffix(tenant, "7") && strings.Contains(tenant, "00") || strings.HasSuffix(tenant, "023") {
			continue
		}
		assert.NoError(t, plain.Read(t.Context(), tenant, func(_ context.Context, conn *sqlite.Conn) error {
			return sqlitex.Execute(conn, "SELECT since FROM owner", nil)
		}), tenant)
	}
}

func TestMigrate_Stops(t *testing.T) {
	_, all := fill(t, 1)
	t.Run("with its ctx, at any moment", func(t *testing.T) {
		p := open(t, tenants.Options{})
		ctx, cancel := context.WithCancelCause(t.Context())
		endless := func(yield func(string) bool) {
			for n := 0; yield(fmt.Sprint(n)); n++ {
				if n == 10 {
					cancel(errMine)
				}
			}
		}
		err := p.Migrate(ctx, endless, 3)
		assert.ErrorIs(t, err, context.Canceled)
		assert.ErrorIs(t, err, errMine)
		assert.ErrorContains(t, err, "migrate")
		assert.Less(t, p.Stats().Migrated, uint64(12))
		ctx, cancel = context.WithCancelCause(t.Context())
		last := func(yield func(string) bool) {
			yield("last")
			cancel(errMine)
		}
		if err := p.Migrate(ctx, last, 1); p.Stats().Failing > 0 || err != nil {
			assert.ErrorIs(t, err, errMine, "it may not have been done")
		}
	})
	t.Run("with Close", func(t *testing.T) {
		p := open(t, tenants.Options{})
		endless := func(yield func(string) bool) {
			for n := 0; yield(fmt.Sprint(n)); n++ {
				if n == 5 {
					go func() { assert.NoError(t, p.Close(context.Background())) }()
				}
			}
		}
		assert.ErrorIs(t, p.Migrate(t.Context(), endless, 2), pool.ErrClosed)
	})
	t.Run("with a panic of its tenants", func(t *testing.T) {
		p := open(t, tenants.Options{})
		assert.Panics(t, func() {
			_ = p.Migrate(t.Context(), iter.Seq[string](func(yield func(string) bool) { yield("a"); panic("mine") }), 2)
		})
		assert.Zero(t, p.Stats().Calls)
	})
	p := open(t, tenants.Options{})
	assert.ErrorContains(t, p.Migrate(t.Context(), slices.Values(all), -1), "parallel is -1")
}

// TestMigrate_KeepsErrorsAsItStops has a tenant fail at the moment at which ctx ends: that error is not lost.
func TestMigrate_KeepsErrorsAsItStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := open(t, tenants.Options{Path: func(string) (string, error) {
		cancel()
		return "", errMine
	}})
	err := p.Migrate(ctx, names("a", "b", "c"), 1)
	assert.ErrorIs(t, err, errMine)
	assert.ErrorContains(t, err, `"a": path: mine`)
	assert.ErrorIs(t, err, context.Canceled)
	assert.Len(t, strings.Split(err.Error(), "\n"), 2)
}

// TestMigrate_PathPanics has a Path that panics for one tenant, and calls runtime.Goexit for another: that is their error, and stops no other.
func TestMigrate_PathPanics(t *testing.T) {
	path := tenants.Directory(t.TempDir())
	p := open(t, tenants.Options{Path: func(tenant string) (string, error) {
		switch tenant {
		case "panics":
			panic(errMine)
		case "exits":
			runtime.Goexit()
		}
		return path(tenant)
	}})
	for name, call := range map[string]func(iter.Seq[string]) error{
		"migrate": func(all iter.Seq[string]) error { return p.Migrate(t.Context(), all, 1) },
		"backup":  func(all iter.Seq[string]) error { return p.Backup(t.Context(), t.TempDir(), all, 1) },
	} {
		err := call(names("panics", "exits"))
		assert.ErrorIs(t, err, errMine)
		assert.ErrorContains(t, err, `"panics": `+name+": acquire panicked: mine")
		assert.ErrorContains(t, err, `"exits": `+name+": acquire called runtime.Goexit")
	}
	assert.Error(t, p.Migrate(t.Context(), names("panics", "exits", "a"), 1))
	assert.EqualValues(t, 1, p.Stats().Migrated)
}

// TestMigrate_WaitsLongerThanAcquireTimeout has no place for longer than that.
func TestMigrate_WaitsLongerThanAcquireTimeout(t *testing.T) {
	p := open(t, tenants.Options{MaxOpen: 1, AcquireTimeout: 500 * time.Millisecond})
	done := make(chan error, 1)
	require.NoError(t, p.Do(t.Context(), "a", func(context.Context, *sqlite.DB) error {
		go func() { done <- p.Migrate(t.Context(), names("b"), 1) }()
		time.Sleep(700 * time.Millisecond)
		assert.Empty(t, done)
		return nil
	}))
	assert.NoError(t, <-done)
}

func TestBackup(t *testing.T) {
	directory, all := fill(t, 12)
	p := open(t, tenants.Options{Path: tenants.Directory(directory), MaxOpen: 6})
	to := t.TempDir()
	err := p.Backup(t.Context(), to, slices.Values(append(slices.Clone(all[:6]), "never made", "")), 2)
	assert.ErrorIs(t, err, fs.ErrNotExist)
	assert.ErrorContains(t, err, `"never made"`)
	assert.ErrorContains(t, err, "the name is empty")
	assert.NoFileExists(t, filepath.Join(directory, "never=20made.db"))
	assert.EqualValues(t, 6, p.Stats().BackedUp)
	before, err := os.Stat(filepath.Join(to, all[3]+".db"))
	require.NoError(t, err)
	require.NoError(t, os.Remove(filepath.Join(to, all[4]+".db")))

	require.NoError(t, sign(t.Context(), p, all[3]))
	require.NoError(t, p.Backup(t.Context(), to, slices.Values(all), 0), "it goes on where it stopped")
	assert.EqualValues(t, 6+1+6, p.Stats().BackedUp)
	after, err := os.Stat(filepath.Join(to, all[3]+".db"))
	require.NoError(t, err)
	assert.True(t, os.SameFile(before, after))
	found, err := tenants.List(to)
	require.NoError(t, err)
	assert.Equal(t, all, found)

	copies := open(t, tenants.Options{Path: tenants.Directory(to)})
	for _, tenant := range all {
		name, rows, err := owners(t.Context(), copies, tenant)
		require.NoError(t, err)
		assert.Equal(t, tenant, name)
		assert.Equal(t, 1, rows)
	}
	assert.ErrorIs(t, p.Backup(t.Context(), filepath.Join(to, "none"), slices.Values(all), 0), fs.ErrNotExist)
	assert.ErrorContains(t, p.Backup(t.Context(), filepath.Join(to, all[0]+".db"), slices.Values(all), 0), "not a directory")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, p.Backup(ctx, t.TempDir(), slices.Values(all), 0), context.Canceled)
}

// TestBackup_SaysThatThereIsNoCopy fails with errors that look like that of a copy which is there already.
func TestBackup_SaysThatThereIsNoCopy(t *testing.T) {
	from, all := fill(t, 1)
	tenant, to := all[0], t.TempDir()
	exists := &fs.PathError{Op: "mkdir", Path: "cache", Err: fs.ErrExist}
	path := tenants.Directory(from)
	for name, options := range map[string]tenants.Options{
		"of Setup": {Path: path, Database: sqlite.Options{Setup: func(context.Context, *sqlite.Conn) error { return exists }}},
		"of Path":  {Path: func(string) (string, error) { return "", exists }},
	} {
		p := open(t, options)
		assert.ErrorIs(t, p.Backup(t.Context(), to, names(tenant), 0), exists, name)
		assert.NoFileExists(t, filepath.Join(to, tenant+".db"))
		assert.Zero(t, p.Stats().BackedUp)
	}
	p := open(t, tenants.Options{Path: path})
	rest := filepath.Join(to, tenant+".db-wal")
	require.NoError(t, os.WriteFile(rest, nil, 0o600))
	err := p.Backup(t.Context(), to, names(tenant), 0)
	assert.ErrorIs(t, err, fs.ErrExist)
	assert.ErrorContains(t, err, filepath.Base(rest), "left over from a copy that was deleted")
}

// TestBackup_AnotherCallMakesTheCopy has a copy appear while the database is opened to make one.
func TestBackup_AnotherCallMakesTheCopy(t *testing.T) {
	from, all := fill(t, 1)
	to := t.TempDir()
	p := open(t, tenants.Options{Path: tenants.Directory(from), Database: sqlite.Options{Setup: func(context.Context, *sqlite.Conn) error {
		return os.WriteFile(filepath.Join(to, all[0]+".db"), nil, 0o600)
	}}})
	assert.NoError(t, p.Backup(t.Context(), to, slices.Values(all), 0))
	assert.Zero(t, p.Stats().BackedUp)
}
