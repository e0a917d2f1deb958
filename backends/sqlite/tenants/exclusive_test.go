package tenants_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/headpond/headpond/backends/sqlite/tenants"
	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestExclusive(t *testing.T) {
	directory := t.TempDir()
	p := open(t, tenants.Options{Path: tenants.Directory(directory)})
	for range 3 {
		require.NoError(t, sign(t.Context(), p, "a"))
	}
	copied := filepath.Join(directory, "copied")
	require.NoError(t, p.Exclusive(t.Context(), "a", func(ctx context.Context, path string) error {
		assert.Equal(t, filepath.Join(directory, "a.db"), path)
		if count, known := descriptors(path); known {
			assert.Zero(t, count)
		}
		assert.NoFileExists(t, path+"-wal", "the file is whole by itself")
		assert.ErrorIs(t, sign(ctx, p, "a"), pool.ErrNested, "it would wait for itself")
		assert.NoError(t, sign(ctx, p, "b"), "another tenant")
		content, err := os.ReadFile(path)
		return errors.Join(err, os.WriteFile(copied, content, 0o600))
	}))
	_, rows, err := owners(t.Context(), p, "a")
	require.NoError(t, err)
	assert.Equal(t, 3, rows)

	require.NoError(t, p.Exclusive(t.Context(), "a", func(_ context.Context, path string) error { return os.Remove(path) }))
	_, rows, err = owners(t.Context(), p, "a")
	require.NoError(t, err)
	assert.Zero(t, rows, "it was made anew")

	require.NoError(t, p.Exclusive(t.Context(), "a", func(_ context.Context, path string) error { return os.Rename(copied, path) }))
	_, rows, err = owners(t.Context(), p, "a")
	require.NoError(t, err)
	assert.Equal(t, 3, rows, "it was restored")

	assert.Equal(t, errMine, p.Exclusive(t.Context(), "a", func(context.Context, string) error { return errMine }), "as it is")
	assert.ErrorContains(t, p.Exclusive(t.Context(), "", nil), "the name is empty")
}

// TestExclusive_KeepsOthersOut has callers that use a tenant without a pause while its file is moved away and back:
// no call sees it gone, and none is lost.
func TestExclusive_KeepsOthersOut(t *testing.T) {
	p := open(t, tenants.Options{MaxOpen: 4, AcquireTimeout: -1})
	var all sync.WaitGroup
	var written atomic.Int64
	stop := make(chan struct{})
	for range 8 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if assert.NoError(t, sign(t.Context(), p, "a")) {
					written.Add(1)
				}
			}
		})
	}
	for range 20 {
		require.NoError(t, p.Exclusive(t.Context(), "a", func(_ context.Context, path string) error {
			if _, err := os.Stat(path); err != nil {
				return nil // nothing was written yet
			}
			return errors.Join(os.Rename(path, path+".away"), os.Rename(path+".away", path))
		}))
	}
	close(stop)
	all.Wait()
	_, rows, err := owners(t.Context(), p, "a")
	require.NoError(t, err)
	assert.EqualValues(t, written.Load(), rows)
}

// TestExclusive_DeletedFileIsNobodys deletes a tenant's file: the file system may identify the next new file as it did that one.
func TestExclusive_DeletedFileIsNobodys(t *testing.T) {
	p := open(t, tenants.Options{})
	require.NoError(t, sign(t.Context(), p, "a"))
	require.NoError(t, p.Exclusive(t.Context(), "a", func(ctx context.Context, path string) error {
		return errors.Join(os.Remove(path), sign(ctx, p, "b"))
	}))
	_, rows, err := owners(t.Context(), p, "a")
	require.NoError(t, err)
	assert.Zero(t, rows)
}

// TestExclusive_HasTheFileThatItMakes replaces a tenant's file: no other tenant whose path leads there gets the new one.
func TestExclusive_HasTheFileThatItMakes(t *testing.T) {
	directory := t.TempDir()
	path := tenants.Directory(directory)
	p := open(t, tenants.Options{Path: path})
	require.NoError(t, sign(t.Context(), p, "a"))
	require.NoError(t, sign(t.Context(), p, "new"))
	require.NoError(t, p.Exclusive(t.Context(), "new", func(context.Context, string) error { return nil }))
	link, err := path("link")
	require.NoError(t, err)
	require.NoError(t, p.Exclusive(t.Context(), "a", func(ctx context.Context, path string) error {
		require.NoError(t, os.Rename(filepath.Join(directory, "new.db"), path))
		require.NoError(t, os.Link(path, link))
		assert.ErrorIs(t, sign(ctx, p, "link"), tenants.ErrSameFile)
		assert.ErrorIs(t, p.Exclusive(ctx, "link", func(context.Context, string) error {
			t.Error("it would have the file of another tenant")
			return nil
		}), tenants.ErrSameFile)
		return nil
	}))
}
