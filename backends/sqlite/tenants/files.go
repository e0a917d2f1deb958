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
	path string      // absolute, its directory without links
	file os.FileInfo // nil: it does not exist yet
}

// claim reserves the file at path for tenant, until release. It is called again after the file was opened,
// since that may have created it. The error is ErrSameFile, or that of looking at the path.
func (f *files) claim(tenant, path string) error {
	mine, err := look(path)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for other, theirs := range f.claims {
		if other != tenant && (theirs.path == mine.path || theirs.file != nil && mine.file != nil && os.SameFile(theirs.file, mine.file)) {
			return fmt.Errorf("%w: %s and %s, which tenant %q uses", ErrSameFile, mine.path, theirs.path, other)
		}
	}
	if f.claims == nil {
		f.claims = make(map[string]claim)
	}
	f.claims[tenant] = mine
	return nil
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
	file, err := os.Stat(absolute)
	if err != nil {
		file = nil // opening it says what is wrong, if it is not only new
	}
	return claim{absolute, file}, nil
}
