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
