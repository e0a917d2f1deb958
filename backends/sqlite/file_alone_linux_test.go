package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOpen_NamesHardLinks(t *testing.T) {
	file := path(t)
	db, err := Open(t.Context(), file, Options{})
	require.NoError(t, err)
	other := filepath.Join(t.TempDir(), "hard.db")
	require.NoError(t, os.Link(file, other))
	assert.NoError(t, db.Ping(t.Context()), "what is open goes on, as under a backup by links")
	for _, name := range []string{file, other} {
		_, err = Open(t.Context(), name, Options{})
		assert.ErrorIs(t, err, ErrHardLinks)
		assert.ErrorContains(t, err, "it has 2: remove the others, or copy the file")
	}
	readOnly, err := Open(t.Context(), other, Options{ReadOnly: true})
	require.NoError(t, err, "what does not write loses nothing")
	require.NoError(t, readOnly.Close(t.Context()))
	require.NoError(t, db.Close(t.Context()))
	require.NoError(t, os.Remove(other))
	db, err = Open(t.Context(), file, Options{})
	require.NoError(t, err)
	require.NoError(t, db.Close(t.Context()))
}

// Open waits for a moment whether the other name goes, but not when ctx has ended.
func TestOpen_HearsCtxWhileAFileHasTwoNames(t *testing.T) {
	file := path(t)
	closed(t, file)
	require.NoError(t, os.Link(file, filepath.Join(t.TempDir(), "hard.db")))
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errBank)
	_, err := Open(ctx, file, Options{})
	assert.ErrorIs(t, err, context.Canceled)
	assert.ErrorIs(t, err, errBank)
}

// A process that was killed while it made the file has left another name of it, which nothing opens.
func TestOpen_TakesNoTemporaryNameForAHardLink(t *testing.T) {
	file := path(t)
	closed(t, file)
	directory := filepath.Dir(file)
	require.NoError(t, os.Link(file, filepath.Join(directory, ".headpond-123")))
	require.NoError(t, os.Mkdir(filepath.Join(directory, restorePrefix+"app.db"), 0o700))
	require.NoError(t, os.Link(file, filepath.Join(directory, restorePrefix+"app.db", "app.db")))
	db, err := Open(t.Context(), file, Options{})
	require.NoError(t, err)
	require.NoError(t, db.Close(t.Context()))
}

func TestOpen_NamesAFileThatIsAMount(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a b.db")
	closed(t, file)
	point := filepath.Join(t.TempDir(), "mounted here.db")
	require.NoError(t, os.WriteFile(point, nil, 0o600))
	if err := syscall.Mount(file, point, "", syscall.MS_BIND, ""); err != nil {
		t.Skipf("this machine lets nobody mount a file: %v", err)
	}
	defer func() { assert.NoError(t, syscall.Unmount(point, syscall.MNT_DETACH)) }()
	link := filepath.Join(t.TempDir(), "link.db")
	require.NoError(t, os.Symlink(point, link))
	for _, name := range []string{point, link} {
		_, err := Open(t.Context(), name, Options{})
		assert.ErrorIs(t, err, ErrMounted)
		assert.ErrorContains(t, err, "mount the directory that it is in")
	}
	db, err := Open(t.Context(), file, Options{})
	require.NoError(t, err, "where it is mounted from, its log is beside it")
	require.NoError(t, db.Close(t.Context()))
	assert.Equal(t, `a b\c\x`, unescape([]byte(`a\040b\134c\x`)))
}

func init() {
	// effective FILE: open it as nobody's program with the rights of root.
	children["effective"] = func(args []string) error {
		if err := syscall.Setreuid(65534, 0); err != nil {
			return fmt.Errorf("become nobody: %w", err)
		}
		db, err := Open(context.Background(), args[0], Options{})
		if err != nil {
			return err
		}
		return errors.Join(db.Ping(context.Background()), db.Close(context.Background()))
	}
}

// A program that runs with another user's rights than those of whoever started it has these.
func TestOpen_AsksForTheEffectiveUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("it takes root to be another user")
	}
	file := path(t)
	closed(t, file)
	output, err := child(t, "effective", file).CombinedOutput()
	if strings.HasPrefix(string(output), "become nobody") {
		t.Skipf("root may not: %s", output)
	}
	require.NoError(t, err, string(output))
}
