package recipes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"

	"github.com/headpond/headpond/backends/sqlite"
)

// Litestream is for Options.Restore: it brings the database back with the command of that name.
func Litestream(replica string) func(ctx context.Context, path string) error {
	return func(ctx context.Context, path string) error {
		out, err := exec.CommandContext(ctx, "litestream", "restore", "-if-replica-exists", "-integrity-check", "quick", "-o", path, replica).CombinedOutput()
		if err != nil {
			return fmt.Errorf("litestream restore: %w: %s", err, out)
		}
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return sqlite.ErrNothingToRestore
		}
		return err
	}
}
