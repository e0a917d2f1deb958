package stdlib

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
)

// files has the databases that data source names have open, each once.
var files registry

// registry holds databases by their files. One that takes its time to open or to close holds up no other one,
// and a call that waits for it hears its own ctx.
type registry struct {
	mu  sync.Mutex // protects the following; it is not held while anything is opened or closed
	all []*shared
}

// shared is a database that several connectors may have open.
type shared struct {
	path   string // absolute, its directory without links
	source *source

	// The registry's mu protects the following; err and gaveUp are set before busy is closed.

	db     *sqlite.DB    // nil: it is being opened
	file   os.FileInfo   // nil: it is not there yet
	users  int           // 0: it is being closed
	busy   chan struct{} // closed when the opening or closing under way is over; nil: none is
	err    error         // of opening it
	gaveUp bool          // because the ctx of the call that opened it had ended
}

// open opens the database that source tells of, or shares the one that has its file open.
func (r *registry) open(ctx context.Context, s *source) (*shared, error) {
	if s.path == "" {
		db, err := sqlite.OpenMemory(ctx, s.database)
		return &shared{db: db, users: 1}, err
	}
	path, err := filepath.Abs(s.path)
	if err != nil {
		return nil, err
	}
	if directory, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		path = filepath.Join(directory, filepath.Base(path))
	}
	for {
		one, busy, err := r.join(path, s)
		if err != nil {
			return nil, err
		}
		if busy == nil && one.db == nil {
			return one, r.fill(ctx, one)
		}
		if busy == nil {
			return one, nil
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, fmt.Errorf("headpond/sqlite/stdlib: another call is opening or closing %s: %w", path, ctx.Err())
		}
		if one.err != nil && one.source == s && !one.gaveUp {
			return nil, one.err // another try would end like that
		}
	}
}

// join counts the caller as a user of the database of a file, if that is open. If another call opens or closes it, busy is closed
// after that. Otherwise the caller has to fill what join returns.
func (r *registry) join(path string, s *source) (one *shared, busy <-chan struct{}, err error) {
	file, err := os.Stat(path)
	if err != nil {
		file = nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	at := slices.IndexFunc(r.all, func(other *shared) bool {
		return other.path == path || file != nil && other.file != nil && os.SameFile(other.file, file)
	})
	if at < 0 {
		one = &shared{path: path, source: s, file: file, users: 1, busy: make(chan struct{})}
		r.all = append(r.all, one)
		return one, nil, nil
	}
	one = r.all[at]
	if one.busy != nil {
		return one, one.busy, nil
	}
	if key, differs := different(one.source, s); differs {
		return nil, nil, fmt.Errorf("headpond/sqlite/stdlib: %s is open already in this process with %q %q, and here it is %q: open it alike",
			s.path, key, one.source.values[key], s.values[key])
	}
	one.users++
	return one, nil, nil
}

// fill opens what join has returned.
func (r *registry) fill(ctx context.Context, one *shared) error {
	var file os.FileInfo
	db, err := sqlite.Open(ctx, one.path, one.source.database)
	if err == nil {
		if file, err = os.Stat(one.path); err != nil {
			err = errors.Join(fmt.Errorf("headpond/sqlite/stdlib: the file that was just opened: %w", err), db.Close(context.Background()))
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	one.db, one.file, one.err, one.gaveUp = db, file, err, ctx.Err() != nil
	if err != nil {
		r.removeLocked(one)
	}
	r.idleLocked(one)
	return err
}

// close closes the database if nothing else uses it.
func (r *registry) close(one *shared) error {
	r.mu.Lock()
	if one.users--; one.users > 0 {
		r.mu.Unlock()
		return nil
	}
	one.busy = make(chan struct{})
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
	defer cancel()
	err := one.db.Close(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.removeLocked(one)
	r.idleLocked(one)
	return err
}

func (r *registry) removeLocked(one *shared) {
	if at := slices.Index(r.all, one); at >= 0 { // not so in memory
		r.all = slices.Delete(r.all, at, at+1)
	}
}

// idleLocked says that the opening or closing is over.
func (r *registry) idleLocked(one *shared) {
	close(one.busy)
	one.busy = nil
}

// different returns a key that concerns the database and has another value in a than in b.
func different(a, b *source) (key string, differs bool) {
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if ofSession := key == "batch" || key == "time_format" || key == "idle_in_tx"; !ofSession && a.values[key] != b.values[key] {
			return key, true
		}
	}
	return "", false
}

// closeWithin is how long [sql.DB.Close], which takes no ctx, waits for transactions and rows that are still open.
const closeWithin = 5 * time.Second
