package sqlite

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/headpond/headpond/internal/ctxerr"
)

// A file that can be reached by another name has another log there: SQLite looks for the log beside the name that it was given.
// What one process has committed is in the log of its name, and a process that uses the other name neither sees it nor keeps it.

// checkAlone returns an error if the file at path, which is about to be opened for writing, has another name, or another one elsewhere.
// It waits for a name that is about to go, until ctx ends.
func checkAlone(ctx context.Context, path string) error {
	path = resolved(path)
	if mounted(path) {
		return fmt.Errorf("%w: mount the directory that it is in", ErrMounted)
	}
	const tries, pause = 20, 10 * time.Millisecond
	for try := 0; ; try++ {
		names := namesOf(path)
		if names <= 1 {
			return nil
		}
		if try == tries { // a process that is making the file has two names for it, for a moment
			return fmt.Errorf("%w: it has %d: remove the others, or copy the file", ErrHardLinks, names)
		}
		if !sleep(pause, ctx.Done(), nil) {
			return ctxerr.Ended(ctx)
		}
	}
}

// namesOf is how many names the file has, but for those that a process has left that was killed while it made the file:
// nothing opens these.
func namesOf(path string) int {
	file, err := os.Stat(path)
	if err != nil {
		return 0 // what opens it says so
	}
	names := linksOf(file)
	if names <= 1 {
		return names
	}
	directory := os.DirFS(filepath.Dir(path))
	for _, pattern := range []string{temporaryPattern, temporaryPattern + "/*"} {
		left, _ := fs.Glob(directory, pattern)
		for _, name := range left {
			if other, err := os.Lstat(filepath.Join(filepath.Dir(path), name)); err == nil && os.SameFile(file, other) {
				names--
			}
		}
	}
	return names
}
