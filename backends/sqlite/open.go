package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"zombiezen.com/go/sqlite"
)

// newDatabase does no I/O. What is wrong with path or options, every open says.
func newDatabase(path string, options Options) *database {
	d := &database{path: path, options: options.withDefaults(), made: time.Now(), live: make(map[*state]struct{}), evict: func() {}}
	d.invalid = errors.Join(d.options.validate(), validPath(path))
	if d.invalid == nil {
		d.path, d.invalid = filepath.Abs(path)
	}
	return d
}

// step is a step of open: what fails there is an OpenError that names it.
type step struct {
	name string
	do   func(ctx context.Context) error
}

func (d *database) fail(mode Mode, step string, err error) error {
	return &OpenError{Path: d.path, Mode: mode, Step: step, Err: err}
}

// open opens a connection. Where it fails it leaves nothing open.
func (d *database) open(ctx context.Context, mode Mode) (*state, error) {
	if d.invalid != nil {
		return nil, d.fail(mode, "options", d.invalid)
	}
	if err := reachable(); err != nil {
		return nil, d.fail(mode, "look", err)
	}
	if d.options.ReadOnly && mode == Writer {
		return nil, d.fail(mode, "options", ErrReadOnly)
	}
	if d.memory {
		return d.connect(ctx, d.path, mode, nil)
	}
	file, err := d.look(mode)
	if errors.Is(err, ErrNoFile) && mode == Writer && !d.opened() {
		if err := d.create(ctx); err != nil {
			return nil, err // an OpenError
		}
		file, err = d.look(mode)
	}
	if err != nil {
		return nil, d.fail(mode, "look", err)
	}
	return d.connect(ctx, d.path, mode, file)
}

// look looks at what is at the path, without opening it:
// a descriptor that is closed drops the locks of every connection in this process.
func (d *database) look(mode Mode) (os.FileInfo, error) {
	file, err := os.Stat(d.path)
	switch {
	case err == nil && !file.Mode().IsRegular():
		return nil, fmt.Errorf("%w: %v", ErrNotFile, file.Mode().Type())
	case err == nil:
		return file, d.accessible(mode)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	case d.opened():
		return nil, errGone
	}
	if parent, parentErr := os.Stat(filepath.Dir(d.path)); parentErr != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoDirectory, parentErr)
	} else if !parent.IsDir() {
		return nil, fmt.Errorf("%w: %s is no directory", ErrNoDirectory, filepath.Dir(d.path))
	}
	if mode == Reader {
		return nil, fmt.Errorf("%w, and a reader does not create it", ErrNoFile)
	}
	return nil, ErrNoFile
}

// accessible returns an error where the file at the path, or its log, is closed to this process.
// SQLite would open a log that it can't write, too, and fail with every write for as long as the connection lives.
func (d *database) accessible(mode Mode) error {
	path, need := resolved(d.path), "read"
	if mode == Writer {
		need = "read and write"
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := accessible(path+suffix, mode == Writer); err != nil && (suffix == "" || !errors.Is(err, fs.ErrNotExist)) {
			return fmt.Errorf("this process can't %s %s: %w", need, filepath.Base(path)+suffix, err)
		}
	}
	return nil
}

// resolved is path without links, as SQLite has it: the -wal and -shm files are there.
func resolved(path string) string {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		return target
	}
	return path
}

// explain adds why SQLite could not open a file, or could not write it, of which it says no more than that.
func (d *database) explain(path string, mode Mode, err error) error {
	switch code := sqlite.ErrCode(err); {
	case code == sqlite.ResultIOErrSHMSize:
		return fmt.Errorf("the -shm file can't grow, as on a full disk: %w", err)
	case code.ToPrimary() != sqlite.ResultCantOpen && code.ToPrimary() != sqlite.ResultReadOnly:
		return err
	}
	null, why := os.Open(os.DevNull)
	if why != nil { // no descriptors are left, most likely
		return fmt.Errorf("this process can't open any file: %w: %w", why, err)
	}
	_ = null.Close()
	if path != d.path {
		return err
	}
	if _, why := d.look(mode); why != nil {
		return fmt.Errorf("%w: %w", why, err)
	}
	directory := filepath.Dir(resolved(path))
	if why := accessible(directory, true); why != nil {
		return fmt.Errorf("this process can't write %s, where SQLite makes the -wal and -shm files: %w: %w", directory, why, err)
	}
	return err
}

// connect opens a connection to the file at path, which is d.path or a new one that is about to get there.
// file is what was seen at the path before; nil in memory.
func (d *database) connect(ctx context.Context, path string, mode Mode, file os.FileInfo) (*state, error) {
	flags := sqlite.OpenReadWrite // never OpenCreate: a file that is gone must not come back empty
	if mode == Reader {
		flags = sqlite.OpenReadOnly
	}
	if d.memory {
		flags = sqlite.OpenReadWrite | sqlite.OpenURI
	}
	age := d.age.Load()
	conn, err := openConn(path, flags)
	if err != nil {
		return nil, d.fail(mode, "connect", d.explain(path, mode, err))
	}
	s := &state{handle: newHandle(conn), mode: mode, db: d, file: file, age: age, patient: true}
	if err := s.attach(); err != nil {
		return nil, d.fail(mode, "connect", errors.Join(err, closeConn(conn)))
	}
	states.Store(conn, s)
	cells.Store(s.address(), s)
	s.rearm()
	d.mu.Lock()
	d.live[s] = struct{}{}
	d.mu.Unlock()

	s.arm(ctx)
	s.waitOnBusy()
	for _, step := range s.steps(path) {
		if err := step.do(ctx); err != nil {
			if spoils(sqlite.ErrCode(err)) {
				d.spoil(s) // a connection that is open may not notice
			}
			err = d.explain(path, mode, withContext(ctx, notDatabase(err)))
			_ = s.end(ctx) // the first error says more
			return nil, d.fail(mode, step.name, err)
		}
	}
	s.disarm()
	if s.alarm.Load().fired() {
		s.rearm()
	}
	return s, nil
}

// steps are those of a connection that is about to serve, in this order:
// what only an empty file takes, the journal mode, the other pragmas, a look at the file,
// the caller's own, and our hooks last.
func (s *state) steps(path string) []step {
	o := &s.db.options
	set := func(fresh bool) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			all := append(o.pragmas(), o.Pragmas...)
			for _, pragma := range all {
				if pragma.ofNewFile() == fresh {
					if err := pragma.set(ctx, s); err != nil {
						return err
					}
				}
			}
			return nil
		}
	}
	return []step{
		{"look", func(context.Context) error { return s.sameFile(path) }},
		{"pragmas", func(ctx context.Context) error {
			if s.mode == Reader || s.file != nil && s.file.Size() > 0 {
				return nil
			}
			return set(true)(ctx)
		}},
		{"journal mode", s.useWAL},
		{"pragmas", set(false)},
		{"read the schema", func(ctx context.Context) error {
			_, _, err := s.query(ctx, "SELECT 1 FROM sqlite_schema LIMIT 1")
			return err
		}},
		{"pragmas", func(ctx context.Context) error {
			for _, pragma := range append(o.pragmas(), o.Pragmas...) {
				if err := pragma.verify(ctx, s); err != nil {
					return err
				}
			}
			return s.setDefensive(!o.NoDefensive)
		}},
		{"Setup", s.setup},
		{"prepare", func(context.Context) error {
			if err := s.install(); err != nil {
				return err
			}
			s.installed.Store(true)
			s.limits, s.settings = s.handle.limits(), s.handle.settings()
			return s.probe()
		}},
	}
}

// sameFile makes sure that what was opened is what was seen at the path before, and what the others opened.
func (s *state) sameFile(path string) error {
	if s.file == nil {
		return nil
	}
	now, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !os.SameFile(s.file, now) {
		return ErrReplaced
	}
	if path != s.db.path {
		return nil // a new one
	}
	return s.db.identify(s.file)
}

// useWAL makes the journal mode WAL. It reads it first: the change takes a lock that nobody waits for.
func (s *state) useWAL(ctx context.Context) error {
	if s.mode == Reader || s.db.memory {
		return nil
	}
	mode, _, err := s.query(ctx, "PRAGMA journal_mode")
	if err == nil && mode != "wal" {
		mode, _, err = s.query(ctx, "PRAGMA journal_mode=wal")
	}
	if err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("%w: SQLite left the journal mode at %q, as it does where the file system has no shared memory", ErrNoWAL, mode)
	}
	return nil
}

// setup calls Options.Setup, and makes sure that it left the connection fit.
func (s *state) setup(ctx context.Context) error {
	if s.db.options.Setup == nil {
		return nil
	}
	if err := s.db.options.Setup(ctx, s.conn); err != nil {
		return err
	}
	switch {
	case s.closed():
		return errors.New("it closed the connection")
	case !s.idle():
		return errors.New("it left a transaction or a statement open")
	}
	if s.interrupt() != s.alarm.Load().rings {
		s.disarm()
		s.rearm()
	}
	if !s.waits() {
		s.waitOnBusy()
	}
	return nil
}

// notDatabase makes SQLITE_NOTADB an ErrNotDatabase.
func notDatabase(err error) error {
	if sqlite.ErrCode(err).ToPrimary() == sqlite.ResultNotADB {
		return fmt.Errorf("%w: %w", ErrNotDatabase, err)
	}
	return err
}
