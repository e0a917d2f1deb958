package sqlite

import (
	"io/fs"
	"os"
	"runtime"
	"testing"
)

// What tests must know of the system that they run on.

const onWindows = runtime.GOOS == "windows"

// directory is a temporary one. Windows removes no file that is open, and some tests leave a connection open,
// as a careless borrower does: what is left then is no failure.
func directory(t testing.TB) string {
	if !onWindows {
		return t.TempDir()
	}
	directory, err := os.MkdirTemp("", "headpond-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	return directory
}

// needsRenames skips a test that renames, replaces or deletes a file that a connection has open.
func needsRenames(t testing.TB) {
	t.Helper()
	if onWindows {
		t.Skip("Windows neither renames nor deletes a file that SQLite has open")
	}
}

// symlink makes a symbolic link, if the system lets this process make one.
func symlink(t testing.TB, target, link string) bool {
	t.Helper()
	err := os.Symlink(target, link)
	if _, made := os.Lstat(link); err == nil {
		err = made // wine's says that it has made one
	}
	if err != nil && !onWindows {
		t.Fatal(err)
	}
	return err == nil
}

// shown is the mode that Stat shows of a file that was made with one: Windows keeps no more of it than whether it can be written.
func shown(mode fs.FileMode) fs.FileMode {
	if onWindows {
		return 0o666
	}
	return mode
}

// descriptorsShow reports whether descriptors counts any.
const descriptorsShow = runtime.GOOS == "linux"
