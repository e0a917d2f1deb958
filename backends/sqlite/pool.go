package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
)

// closeLimit is how long Pool.Close waits for connections to be put back.
const closeLimit = 10 * time.Second

// Pool is a pool of connections that any caller may write with. It stands in for *sqlitex.Pool of zombiezen:
// an existing program changes the import and the constructor, and keeps its Take, Put and Close.
// Make one with NewPool. All methods may be called from any goroutine.
//
// What differs: connections are opened when they are needed, Take waits for 5s at most, a connection comes back
// to its baseline at every Put (see [Reset]), Put never panics, Close does not wait for ever,
// and the deprecated Get is not there.
// Where many goroutines write, [DB] serves them better: one writer, first come, first served.
type Pool struct {
	files *database
	conns *pool.Pool[*Conn]

	closing atomic.Bool

	mu       sync.Mutex // protects the following
	taken    map[*Conn]pool.Lease[*Conn]
	ignored  uint64
	closeErr error // the first error of closing a connection since Close
}

// NewPool returns a pool of connections to the database file at path, which is made by the first Take
// where there is none. It does no I/O: the error names the path or the option that can't be right.
//
// Of options,
//
//   - Readers is the number of connections, which write as well; here it defaults to 5
//   - BusyTimeout defaults to 30s here, for these connections wait for each other
//   - AcquireTimeout bounds a Take, and defaults to 5s
//   - WriterPolicy is the policy of all connections; with ReadOnly it is ReaderPolicy
//   - ReadOnly makes every connection read-only, and the file is not made
//   - Schema is an error: migrate with a connection from Take, or use Open
//   - MaxBatch and MaxBatchTime have no effect
//
// and what sqlitex.PoolOptions has as PrepareConn is Setup.
func NewPool(path string, options Options) (*Pool, error) {
	if options.Readers == 0 {
		options.Readers = 5
	}
	if options.BusyTimeout == 0 {
		options.BusyTimeout = 30 * time.Second
	}
	p := &Pool{files: newDatabase(path, options), taken: make(map[*Conn]pool.Lease[*Conn])}
	mode, policy := Writer, options.WriterPolicy
	if options.ReadOnly {
		mode, policy = Reader, options.ReaderPolicy
	}
	if options.Schema != nil {
		p.files.invalid = errors.Join(p.files.invalid, errors.New("Options.Schema is set: NewPool does not apply it, Open does"))
	}
	if p.files.invalid != nil {
		return nil, p.files.fail(mode, "options", p.files.invalid)
	}
	name := options.Name
	if name == "" {
		base := filepath.Base(p.files.path)
		name = strings.TrimSuffix(base, filepath.Ext(base))
	}
	var err error
	p.conns, err = pool.New(p.hooks(mode), pool.Options{
		Name: name, MaxSize: options.Readers, Policy: policy,
		MaxWaiters: options.MaxWaiters, AcquireTimeout: options.AcquireTimeout, MaintainEvery: options.MaintainEvery,
		LeakAfter: options.LeakAfter, Observer: options.Observer, Figures: p.figures,
	})
	if err != nil {
		return nil, err
	}
	p.files.evict = p.conns.Evict
	return p, nil
}

// hooks are those of the mode, with what Close needs of them.
func (p *Pool) hooks(mode Mode) resource.Hooks[*Conn] {
	hooks := p.files.hooks(mode)
	construct, prepare, destroy := hooks.Construct, hooks.Prepare, hooks.Destroy
	hooks.Construct = func(ctx context.Context) (*Conn, error) {
		conn, err := construct(ctx)
		if err != nil && p.closing.Load() { // which interrupts it
			err = fmt.Errorf("%w: %w", pool.ErrClosed, err)
		}
		return conn, err
	}
	hooks.Prepare = func(ctx context.Context, conn *Conn) error {
		if err := prepare(ctx, conn); err != nil {
			return err
		}
		if p.closing.Load() { // after the alarm is armed: either this sees Close, or Close fires the alarm
			return pool.ErrClosed
		}
		return nil
	}
	hooks.Destroy = func(ctx context.Context, conn *Conn) error {
		err := destroy(ctx, conn)
		if err != nil && p.closing.Load() {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.closeErr == nil {
				p.closeErr = err
			}
		}
		return err
	}
	return hooks
}

// Take returns a connection that nobody else uses until it is given to Put: one that lies ready,
// else one that it opens, else, where Options.Readers are open, the next one that is put back,
// first come, first served. It blocks until then, or until ctx ends, or for Options.AcquireTimeout.
//
// ctx goes on to count: when it ends before Put, what runs on the connection is interrupted,
// and so is a wait for a lock. A caller must not cancel it before it is done with the connection.
//
// The error is a *pool.Error to errors.As. To errors.Is it is pool.ErrAcquireTimeout where too many are out
// (it says for how long, and with Options.LeakAfter by whom), ctx.Err(), pool.ErrClosed or pool.ErrSaturated;
// where a connection can't be opened it is an *OpenError to errors.As.
func (p *Pool) Take(ctx context.Context) (*Conn, error) {
	lease, err := p.conns.Acquire(ctx)
	if err != nil {
		return nil, exhausted(err)
	}
	conn := lease.Value()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken[conn] = lease
	return conn, nil
}

// exhausted says in the words of Pool what to do about an acquire that found all connections taken.
func exhausted(err error) error {
	var full *pool.Error
	if errors.Is(err, pool.ErrAcquireTimeout) && errors.As(err, &full) && full.Stats.Held >= full.Stats.MaxSize {
		return fmt.Errorf("%w (each Take needs a Put, and Options.Readers is MaxSize)", err)
	}
	return err
}

// Put gives back a connection that Take returned, and brings it to its baseline: statements in the middle
// of their rows are reset, a transaction is rolled back, and what can't be undone costs the connection.
// It does not block. Nobody may use the connection any more.
//
// Put never panics. nil is ignored, and so is a connection that Take did not return or that was put back before:
// it stays as it is, its owner has to close it, and PoolStats.IgnoredPuts counts it.
// One that its borrower closed is replaced.
//
// The limit of that: a second Put of the same *Conn, when somebody else took it in the meantime,
// can't be told from theirs, and ends their use of it. Where that could happen, use Conns, whose leases know.
func (p *Pool) Put(conn *Conn) {
	if conn == nil {
		return
	}
	p.mu.Lock()
	lease, ok := p.taken[conn]
	delete(p.taken, conn)
	if !ok {
		p.ignored++
	}
	p.mu.Unlock()
	lease.Release() // the zero lease has ended
}

// Conns returns the pool under this one, to acquire connections as leases, or for the length of a function
// with its Do, and to ask it for its Holders. Put ignores what was not taken with Take.
func (p *Pool) Conns() *pool.Pool[*Conn] { return p.conns }

// PoolStats are the figures of a Pool.
type PoolStats struct {
	pool.Stats
	Found       Found  // what borrowers left behind, by kind
	IgnoredPuts uint64 // connections given to Put that it had not lent, or not any more
}

// Stats returns the pool's figures, all of one instant, and what was found on connections.
func (p *Pool) Stats() PoolStats {
	stats := PoolStats{Stats: p.conns.Stats(), Found: p.files.found.snapshot()}
	p.mu.Lock()
	defer p.mu.Unlock()
	stats.IgnoredPuts = p.ignored
	return stats
}

// figures are those that the pool does not have itself.
func (p *Pool) figures() []pool.Figure {
	p.mu.Lock()
	ignored := p.ignored
	p.mu.Unlock()
	all := []pool.Figure{{Name: "headpond.sqlite.puts.ignored", Unit: "{put}", Value: float64(ignored)}}
	for kind, count := range p.files.found.snapshot() {
		all = append(all, pool.Figure{Name: "headpond.sqlite.found." + Kind(kind).String(), Unit: "{connection}", Value: float64(count)})
	}
	return all
}

// Close ends the pool: every Take fails with pool.ErrClosed, what runs on a connection is interrupted at once,
// and Close waits until every connection was put back and is closed. After 10s it returns a *pool.Error
// that names the holders: to errors.Is it is context.DeadlineExceeded. Their connections are closed when they are put back,
// never under their holder. Close may be called again, and waits again.
// Where all were put back, its error is the first of closing a connection, such as an *UnfinalizedError.
func (p *Pool) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	p.closing.Store(true)
	p.files.interruptAll()
	return p.finish(ctx)
}

// CloseContext is Close that lets what runs go on until ctx ends. Then it interrupts it, and waits for one second more:
// the error is that of Close, and to errors.Is also that of ctx.
func (p *Pool) CloseContext(ctx context.Context) error {
	p.closing.Store(true)
	err := p.finish(ctx)
	if err == nil || ctx.Err() == nil {
		return err
	}
	p.files.interruptAll()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err = p.finish(last); err == nil || last.Err() == nil {
		return err
	}
	return errors.Join(ended(ctx), err)
}

// finish waits until every connection is closed.
func (p *Pool) finish(ctx context.Context) error {
	if err := p.conns.Close(ctx); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closeErr
}
