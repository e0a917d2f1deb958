package tenants

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/headpond/headpond/backends/sqlite"
)

// ErrSameFile is the error of a tenant whose path leads to the file of another one that is in use.
var ErrSameFile = errors.New("its file is that of another tenant")

// files knows which file each tenant has whose database is open, opening or closing, or that a caller of Exclusive has.
// It tells files apart by identity, so that links and letter case don't hide that two tenants share one.
type files struct {
	options sqlite.Options // of each database

	mu     sync.Mutex // protects the following; it is held during no system call
	claims map[string]claim
}

type claim struct {
	path   string      // absolute, its directory without links
	file   os.FileInfo // nil: it does not exist yet
	closed bool        // a caller of Exclusive has it, who may have deleted or replaced the file since
}

// claim reserves the file at path for tenant, until release; closed: for a caller of Exclusive. It is called again after the file
// was opened, since that may have created it. The error is ErrSameFile, or that of looking at the path.
func (f *files) claim(tenant, path string, closed bool) error {
	mine, err := look(path)
	if err != nil {
		return err
	}
	mine.closed = closed
	now := f.lookAgain()
	f.mu.Lock()
	defer f.mu.Unlock()
	for other, theirs := range f.claims {
		if other == tenant {
			continue
		}
		if file, looked := now[theirs.path]; looked && theirs.closed {
			theirs.file = file
		}
		if theirs.path == mine.path || theirs.file != nil && mine.file != nil && os.SameFile(theirs.file, mine.file) {
			return fmt.Errorf("%w: %s and %s, which tenant %q uses", ErrSameFile, mine.path, theirs.path, other)
		}
	}
	if f.claims == nil {
		f.claims = make(map[string]claim)
	}
	f.claims[tenant] = mine
	return nil
}

// lookAgain returns what is at the paths that callers of Exclusive have. If they have deleted a file, the system may identify
// a new one in the same way. It does not while a database is open: its file is there, even without a name.
func (f *files) lookAgain() map[string]os.FileInfo {
	f.mu.Lock()
	var paths []string
	for _, claimed := range f.claims {
		if claimed.closed {
			paths = append(paths, claimed.path)
		}
	}
	f.mu.Unlock()
	files := make(map[string]os.FileInfo, len(paths))
	for _, path := range paths {
		files[path] = stat(path)
	}
	return files
}

// release ends the claim of tenant.
func (f *files) release(tenant string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.claims, tenant)
}

// look looks at what is at path without opening it: closing a descriptor of a database file drops its locks.
func look(path string) (claim, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return claim{}, err
	}
	if directory, err := filepath.EvalSymlinks(filepath.Dir(absolute)); err == nil { // else opening it says why
		absolute = filepath.Join(directory, filepath.Base(absolute))
	}
	return claim{path: absolute, file: stat(absolute)}, nil
}

// stat returns what is at path, nil if that can't be told: opening it says what is wrong, if it is not only new.
func stat(path string) os.FileInfo {
	file, err := os.Stat(path)
	if err != nil {
		return nil
	}
	return file
}
