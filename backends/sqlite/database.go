package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headpond/headpond/internal/ctxerr"
)

// database is what the connections of one file have in common.
type database struct {
	path     string // absolute, or the URI of one in memory
	memory   bool
	noCreate bool    // the file is not made if there is none
	options  Options // defaults filled in
	invalid  error   // why nothing can be opened; nil: it can be tried

	waitLimit  time.Duration // of Write, for its turn and the lock together; 0: its ctx alone ends the wait for the turn
	found      counts
	generation atomic.Uint64 // connections of an earlier one end when they are verified or released
	evict      func()        // makes the pools end what is idle
	made       time.Time

	schemaGeneration atomic.Uint64 // a connection of an earlier one drops its cached statements
	schemaVersions   atomic.Uint64 // of the file, as the last spot check saw them

	spotChecked atomic.Int64 // when spotCheck last looked, since made
	lockedSince atomic.Int64 // since when the writer waits for the lock of another process, since made; 0: it does not
	interrupted atomic.Bool  // interruptAll was called
	replaced    atomic.Bool  // a connection has found ErrReplaced

	attached atomic.Pointer[[]string] // the paths of what Options.Setup has attached to the writer; nil: nothing, or it is not known

	target atomic.Pointer[string] // see resolved; nil: not known yet

	watcher    watcher
	doubt      ioDoubt
	statements statements

	mu   sync.Mutex // protects the following
	file os.FileInfo
	live map[*connection]struct{}
}

// newDatabase does no I/O. If path or options are wrong, every open returns an error that says so.
func newDatabase(path string, options Options) *database {
	d := &database{path: path, options: options.withDefaults(), made: time.Now(), live: make(map[*connection]struct{}), evict: func() {}}
	d.watcher.hear = d.hear
	d.statements.slowAfter, d.statements.onStatement = d.options.SlowAfter, d.options.OnStatement
	d.invalid = errors.Join(d.options.validate(), validPath(path))
	if d.invalid == nil {
		d.path, d.invalid = absolute(path)
	}
	return d
}

// resolved is the path without links, as of the first call at which the file was there.
func (d *database) resolved() string {
	if d.memory {
		return d.path
	}
	if target := d.target.Load(); target != nil {
		return *target
	}
	target, err := filepath.EvalSymlinks(d.path)
	if err != nil {
		return d.path
	}
	d.target.Store(&target)
	return target
}

// name is Options.Name, or what it defaults to.
func (d *database) name() string {
	switch {
	case d.options.Name != "":
		return d.options.Name
	case d.memory:
		return "memory"
	}
	base := filepath.Base(d.path)
	return strings.TrimSuffix(base, filepath.Ext(base))
}

// namespace is the name of the database in telemetry: that of its file, without the folders.
func (d *database) namespace() string {
	if d.memory {
		return ":memory:"
	}
	return filepath.Base(d.path)
}

func (d *database) openError(mode Mode, step string, err error) error {
	return &OpenError{Path: d.path, Mode: mode, Step: step, Err: err}
}

// rememberFile remembers the file that the first connection opened, and returns an error
// if a later one would open another.
func (d *database) rememberFile(file os.FileInfo) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.file == nil {
		d.file = file
	}
	return d.noteReplaced(checkSameFile(d.file, file))
}

// rememberFilled remembers that the file, which was empty when it was opened, has content by now.
func (d *database) rememberFilled(file os.FileInfo) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.file != nil && d.file.Size() == 0 && os.SameFile(d.file, file) {
		d.file = file
	}
}

// noteReplaced notes that the file was found to be another one, or gone, if err says so.
func (d *database) noteReplaced(err error) error {
	if err != nil && errors.Is(err, ErrReplaced) {
		d.replaced.Store(true)
	}
	return err
}

// wasOpened reports whether a connection was open before.
func (d *database) wasOpened() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.file != nil
}

// invalidate ends every connection of the generation of c, and of earlier ones, for what c found: idle ones at once,
// others when they come back.
func (d *database) invalidate(c *connection) {
	if d.generation.CompareAndSwap(c.generation, c.generation+1) {
		d.evict()
	}
}

// interruptAll makes what runs on any connection fail, and what will run.
func (d *database) interruptAll() {
	d.interrupted.Store(true)
	d.mu.Lock()
	defer d.mu.Unlock()
	for c := range d.live {
		c.interrupter.Load().trigger()
	}
}

// closeGrace is how long a close waits for what it has interrupted.
const closeGrace = time.Second

// closeOrInterrupt calls close. If ctx ends before that is done, it interrupts what runs on all connections, and calls close again,
// for closeGrace at most: if that is not enough, the error wraps that of ctx, too.
func (d *database) closeOrInterrupt(ctx context.Context, close func(ctx context.Context) error) error {
	err := close(ctx)
	if err == nil || ctx.Err() == nil {
		return err
	}
	d.interruptAll()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeGrace)
	defer cancel()
	if err = close(last); err == nil || last.Err() == nil {
		return err
	}
	return errors.Join(ctxerr.Ended(ctx), err)
}

// hear has a context.AfterFunc wait for every ctx that is watched and has none.
func (d *database) hear() {
	d.watcher.awake.Store(false) // first: a connection that notes a ctx from now on wakes it again
	var few [16]*connection
	unheard := few[:0]
	d.mu.Lock()
	for c := range d.live {
		if c.watching.unheard() {
			unheard = append(unheard, c)
		}
	}
	d.mu.Unlock()
	for _, c := range unheard {
		if !c.watching.listen(c.interrupter.Load) {
			d.watcher.wake()
		}
	}
}
