//go:build unix

package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func init() {
	// The arguments are files to open, as nobody.
	children["nobody"] = func(args []string) error {
		if err := syscall.Setuid(65534); err != nil {
			return fmt.Errorf("become nobody: %w", err)
		}
		for _, file := range args {
			_, err := newDatabase(file, Options{}).open(context.Background(), Writer)
			if !errors.Is(err, fs.ErrPermission) {
				return fmt.Errorf("%s: not a matter of permission: %v", file, err)
			}
		}
		return nil
	}
}

func init() {
	// readonly DIRECTORY: as nobody, copy databases that nobody may write.
	children["readonly"] = func(args []string) error {
		if err := syscall.Setuid(65534); err != nil {
			return fmt.Errorf("become nobody: %w", err)
		}
		for _, mode := range []fs.FileMode{0o444, 0o400} {
			if err := copyReadOnly(filepath.Join(args[0], mode.String()), mode); err != nil {
				return fmt.Errorf("of mode %v: %w", mode, err)
			}
		}
		return nil
	}
}

// copyReadOnly copies a database in a file of that mode.
func copyReadOnly(directory string, mode fs.FileMode) error {
	ctx, file := context.Background(), filepath.Join(directory, "app.db")
	if err := os.Mkdir(directory, 0o700); err != nil {
		return err
	}
	db, err := Open(ctx, file, Options{})
	if err != nil {
		return err
	}
	err = db.Write(ctx, func(_ context.Context, conn *Conn) error { return run(conn, "CREATE TABLE t (x)") })
	if err := errors.Join(err, db.Close(ctx), os.Chmod(file, mode)); err != nil {
		return err
	}
	if db, err = Open(ctx, file, Options{ReadOnly: true}); err != nil {
		return err
	}
	defer db.Close(ctx)
	for i, options := range []BackupOptions{{}, {Verify: true, ReadOnlyMedia: true}} {
		copied := filepath.Join(directory, fmt.Sprintf("copy%d.db", i))
		if err := db.BackupWith(ctx, copied, options); err != nil {
			return err
		}
		switch info, err := os.Stat(copied); {
		case err != nil:
			return err
		case info.Mode() != mode:
			return fmt.Errorf("the copy has mode %v", info.Mode())
		}
	}
	// A copy that can't be written is no matter of Read.
	empty := filepath.Join(directory, "empty.db")
	if err := os.WriteFile(empty, nil, mode); err != nil {
		return err
	}
	err = db.copyTo(ctx, empty, nil)
	if ErrCode(err).ToPrimary() != ResultReadOnly || strings.Contains(err.Error(), "use Write") {
		return fmt.Errorf("a copy that can't be written: %v", err)
	}
	return nil
}

// Who may only read a database can copy it: the copy gets its mode when it is complete.
func TestBackup_OfAFileThatCanOnlyBeRead(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "headpond") // t.TempDir's parents are closed to nobody
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	if os.Getuid() != 0 {
		for _, mode := range []fs.FileMode{0o444, 0o400} {
			require.NoError(t, copyReadOnly(filepath.Join(dir, mode.String()), mode))
		}
		return
	}
	require.NoError(t, os.Chown(dir, 65534, -1)) // root may write what it will
	output, err := child(t, "readonly", dir).CombinedOutput()
	if bytes.HasPrefix(output, []byte("become nobody")) {
		t.Skipf("root may not, as in a container without its privileges: %s", output)
	}
	require.NoError(t, err, string(output))
}

func TestOpenNamesAMissingPermission(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("it takes root to become nobody")
	}
	dir, err := os.MkdirTemp("/tmp", "headpond") // t.TempDir's parents are closed to nobody
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	require.NoError(t, os.Chmod(dir, 0o755))
	closed := filepath.Join(dir, "closed")
	require.NoError(t, os.Mkdir(closed, 0o700))
	file := filepath.Join(dir, "app.db")
	construct(t, file, Writer, Options{})
	output, err := child(t, "nobody", file, filepath.Join(dir, "new.db"), filepath.Join(closed, "app.db")).CombinedOutput()
	if bytes.HasPrefix(output, []byte("become nobody")) {
		t.Skipf("root may not, as in a container without its privileges: %s", output)
	}
	require.NoError(t, err, string(output))
}
