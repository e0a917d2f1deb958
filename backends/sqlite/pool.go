package sqlite

import (
	"context"
	"errors"
	"fmt"
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
// Make one with [NewPool]. All methods may be called from any goroutine.
//
// What differs: connections are opened when they are needed, Take waits for 5s at most, a connection comes back
// to its baseline at every Put (see [Reset]), Put never panics, Close does not wait for ever,
// and the deprecated Get is not there.
// If many goroutines write, [DB] serves them better: one writer, first come, first served.
type Pool struct {
	database *database
	conns    *pool.Pool[*Conn]
	first    *firstOpen

	closing atomic.Bool

	mu       sync.Mutex // protects the following
	taken    map[*Conn]pool.Lease[*Conn]
	ignored  uint64
	closeErr error // the first error of closing a connection since Close
}

// NewPool returns a pool of connections to the database file that name is the path of, which is made by the first Take
// if there is none. It does no I/O: the error names the part of the name, or the option, that can't be right.
//
// As for sqlitex.NewPool, name may be a URI (https://www.sqlite.org/uri.html): file:app.db?mode=ro. And it may name a database
// in memory, which is kept alive until Close: ":memory:" and "file::memory:" are one for this pool, and what has cache=shared,
// as "file:orders?mode=memory&cache=shared", is one for all pools of this process with the same name.
// There its connections keep each other out: one that writes waits for those that read, and the other way round.
//
// Of options,
//
//   - Readers is the number of connections, which write as well; here it defaults to 5
//   - BusyTimeout defaults to 30s here, for these connections wait for each other
//   - AcquireTimeout bounds a Take, and defaults to 5s
//   - WriterPolicy is the policy of all connections; with ReadOnly it is ReaderPolicy
//   - ReadOnly makes every connection read-only, and the file is not made
//   - Schema is brought up to date by the first Take, before any connection is handed out. That Take, and those that come meanwhile,
//     wait for it until their ctx ends; if it fails they return its error, and the next Take tries again
//   - Flags are those of sqlitex.PoolOptions
//   - Restore and ForeignCheckpoints are an error: use Open
//   - MaxBatch and MaxBatchTime have no effect
//
// and what sqlitex.PoolOptions has as PrepareConn is Setup.
func NewPool(name string, options Options) (*Pool, error) {
	named, err := parsePoolName(name, options.Flags)
	if err != nil {
		return nil, fmt.Errorf("headpond/sqlite: the pool of %q: %w", name, err)
	}
	options.Flags = 0 // these are settled
	options.ReadOnly = options.ReadOnly || named.readOnly
	if options.Readers == 0 {
		options.Readers = 5
	}
	if options.BusyTimeout == 0 {
		options.BusyTimeout = 30 * time.Second
	}
	p := &Pool{database: newDatabase(named.path, options), taken: make(map[*Conn]pool.Lease[*Conn])}
	if named.memory {
		p.database = newMemoryDatabase(named.uri(), options)
	}
	p.database.noCreate = named.noCreate
	mode, policy := Writer, options.WriterPolicy
	if options.ReadOnly {
		mode, policy = Reader, options.ReaderPolicy
	}
	if options.Restore != nil {
		p.database.invalid = errors.Join(p.database.invalid, errors.New("Options.Restore is set: NewPool does not call it, Open does"))
	}
	if options.ForeignCheckpoints {
		p.database.invalid = errors.Join(p.database.invalid, errors.New("Options.ForeignCheckpoints is true: NewPool does not watch the log, Open does"))
	}
	if p.database.invalid != nil {
		return nil, p.database.openError(mode, "options", p.database.invalid)
	}
	p.first = newFirstOpen(p.database)
	settings := options.poolOptions(p.database.name(), options.Readers, policy, p.figures)
	settings.Observer, settings.Statements = p.database.statements.observe(mode, settings.Observer), p.Statements
	settings.Namespace = p.database.namespace()
	if p.conns, err = pool.New(p.hooks(mode), settings); err != nil {
		return nil, err
	}
	p.database.evict = p.conns.Evict
	p.database.doubt.own()
	return p, nil
}

// hooks are those of the mode, with what Close needs of them.
func (p *Pool) hooks(mode Mode) resource.Hooks[*Conn] {
	hooks := p.database.hooks(mode, nil)
	construct, prepare, destroy := hooks.Construct, hooks.Prepare, hooks.Destroy
	hooks.Construct = func(ctx context.Context) (*Conn, error) {
		if err := p.first.wait(ctx); err != nil {
			return nil, err
		}
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
		if p.closing.Load() { // after watch: either this sees Close, or Close triggers the interrupter
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

// Take returns a connection for the caller alone, until it is given to Put: an idle one. If there is none, it opens one;
// if [Options.Readers] are open, it waits for the next one that is put back, first come, first served.
// It blocks until then, or until ctx ends, or for [Options.AcquireTimeout]; before that, while Options.Schema is applied.
//
// ctx goes on to count: when it ends before Put, what runs on the connection is interrupted,
// and so is a wait for a lock. A caller must not cancel it before it is done with the connection.
//
// The error is a [*pool.Error]. It wraps [pool.ErrAcquireTimeout] if too many connections are out
// (it says for how long, and with [Options.LeakAfter] which callers have them), ctx.Err(), [pool.ErrClosed] or [pool.ErrSaturated],
// or an [*OpenError] if a connection can't be opened. It is an *OpenError alone if Options.Schema could not be applied,
// and that of ctx alone if ctx ended while it was applied.
func (p *Pool) Take(ctx context.Context) (*Conn, error) {
	if err := p.first.wait(ctx); err != nil && !errors.Is(err, pool.ErrClosed) { // if it is closed, Acquire says so
		return nil, err
	}
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
		return fmt.Errorf("%w (each Take needs a Put)", err)
	}
	return err
}

// Put gives back a connection that Take returned, and brings it to its baseline: statements in the middle
// of their rows are reset, a transaction is rolled back, and what can't be undone costs the connection.
// It does not block, but for Options.BusyTimeout at most if a COMMIT of the borrower's failed on the disk, to overwrite
// what that has left in the log. The caller must not use the connection any more.
//
// Put never panics. nil is ignored, and so is a connection that Take did not return or that was put back before:
// it stays as it is, its owner has to close it, and PoolStats.IgnoredPuts counts it.
// One that its borrower closed is replaced.
//
// The limit of that: a second Put of the same *Conn, after another caller has taken it,
// can't be told from that caller's, and ends its use of the connection. If that could happen, use Conns, whose leases know.
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
	stats := PoolStats{Stats: p.conns.Stats(), Found: p.database.found.load()}
	p.mu.Lock()
	defer p.mu.Unlock()
	stats.IgnoredPuts = p.ignored
	return stats
}

// Statements returns what each statement came to: see [DB.Statements].
func (p *Pool) Statements() []StatementStats { return p.database.statements.stats() }

// figures are those that the pool does not have itself.
func (p *Pool) figures() []pool.Figure {
	p.mu.Lock()
	ignored := p.ignored
	p.mu.Unlock()
	all := []pool.Figure{counter("puts.ignored", "{put}", "Calls of Put with a connection that was not taken out.", float64(ignored))}
	return append(all, p.database.found.load().figures()...)
}

// Close ends the pool: every Take fails with [pool.ErrClosed], what runs on a connection is interrupted at once,
// and Close waits until every connection was put back and is closed. After 10s it returns a [*pool.Error]
// that names the holders, and wraps context.DeadlineExceeded. Their connections are closed when they are put back,
// never under their holder. Close may be called again, and waits again.
// If all were put back, its error is the first of closing a connection, such as an *UnfinalizedError.
func (p *Pool) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	p.closing.Store(true)
	p.first.close()
	p.database.interruptAll()
	return p.finish(ctx)
}

// CloseContext is Close that lets what runs go on until ctx ends. Then it interrupts it, and waits for one second more:
// the error is that of Close, and wraps that of ctx, too.
func (p *Pool) CloseContext(ctx context.Context) error {
	p.closing.Store(true)
	p.first.close()
	return p.database.closeOrInterrupt(ctx, p.finish)
}

// finish waits until every connection is closed.
func (p *Pool) finish(ctx context.Context) error {
	if err := errors.Join(p.conns.Close(ctx), p.first.finish(ctx), p.database.doubt.release(ctx)); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closeErr
}
