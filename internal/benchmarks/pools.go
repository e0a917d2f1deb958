package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"math"
	"runtime"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/jackc/puddle/v2"
	commonspool "github.com/jolestar/go-commons-pool/v2"
)

// A poolEntrant is a way to share a few values: a pool, or what is used as one.
type poolEntrant struct {
	name, settings string
	open           func(size int) pooled
}

// pooled is an open pool.
type pooled struct {
	cycles func(ctx context.Context, n int, yield bool) // n times acquire and release, where yield with a runtime.Gosched between
	take   func(ctx context.Context) (giveBack func())  // acquire alone
	close  func()
}

// value is what all pools hold here.
type value struct{ _ [64]byte }

var (
	headpond = poolEntrant{"headpond", "no limits, no hooks but Construct", openHeadpond(resource.Hooks[*value]{}, pool.Options{})}

	headpondLimits = poolEntrant{"headpond, limits", "MaxLifetime with LifetimeJitter, MaxIdleTime and MaxUses, none of which is reached",
		openHeadpond(resource.Hooks[*value]{}, pool.Options{Policy: limits})}

	headpondHooks = poolEntrant{"headpond, limits and hooks", "and Check (on every acquire), Prepare, Reset and Destroy, which do nothing",
		openHeadpond(resource.Hooks[*value]{Check: noHook, Prepare: noHook, Reset: noHook, Destroy: noHook}, pool.Options{Policy: limitsAndChecks})}

	channel = poolEntrant{"buffered channel", "filled beforehand; received from in a select with ctx.Done()", openChannel}
	raw     = poolEntrant{"puddle", "puddle.Pool itself; it has no limits and no hooks", openPuddle}
	sqlConn = poolEntrant{"database/sql Conn", "a driver that does nothing; SetMaxOpenConns and SetMaxIdleConns at the size", openSQL}
	commons = poolEntrant{"go-commons-pool", "MaxTotal and MaxIdle at the size; no tests, no evictor (its defaults)", openCommons}
)

var (
	limits          = resource.Policy{MaxLifetime: time.Hour, LifetimeJitter: time.Minute, MaxIdleTime: time.Hour, MaxUses: math.MaxInt}
	limitsAndChecks = func() resource.Policy { checks := limits; checks.CheckAfterIdle = -1; return checks }()
)

func noHook(context.Context, *value) error { return nil }

func openHeadpond(hooks resource.Hooks[*value], options pool.Options) func(size int) pooled {
	hooks.Construct = func(context.Context) (*value, error) { return new(value), nil }
	return func(size int) pooled {
		options := options
		options.MaxSize = size
		options.AcquireTimeout = -1 // the peers have none
		p, err := pool.New(hooks, options)
		check(err)
		return pooled{
			cycles: func(ctx context.Context, n int, yield bool) {
				for range n {
					lease, err := p.Acquire(ctx)
					check(err)
					if yield {
						runtime.Gosched()
					}
					lease.Release()
				}
			},
			take: func(ctx context.Context) func() {
				lease, err := p.Acquire(ctx)
				check(err)
				return lease.Release
			},
			close: func() { check(p.Close(context.Background())) },
		}
	}
}

func openChannel(size int) pooled {
	values := make(chan *value, size)
	for range size {
		values <- new(value)
	}
	acquire := func(ctx context.Context) *value {
		select {
		case v := <-values:
			return v
		case <-ctx.Done():
			panic(ctx.Err())
		}
	}
	return pooled{
		cycles: func(ctx context.Context, n int, yield bool) {
			for range n {
				v := acquire(ctx)
				if yield {
					runtime.Gosched()
				}
				values <- v
			}
		},
		take: func(ctx context.Context) func() {
			v := acquire(ctx)
			return func() { values <- v }
		},
		close: func() {},
	}
}

func openPuddle(size int) pooled {
	p, err := puddle.NewPool(&puddle.Config[*value]{
		Constructor: func(context.Context) (*value, error) { return new(value), nil },
		Destructor:  func(*value) {},
		MaxSize:     int32(size),
	})
	check(err)
	return pooled{
		cycles: func(ctx context.Context, n int, yield bool) {
			for range n {
				resource, err := p.Acquire(ctx)
				check(err)
				if yield {
					runtime.Gosched()
				}
				resource.Release()
			}
		},
		take: func(ctx context.Context) func() {
			resource, err := p.Acquire(ctx)
			check(err)
			return resource.Release
		},
		close: p.Close,
	}
}

func openSQL(size int) pooled {
	db := sql.OpenDB(nothing{})
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	return pooled{
		cycles: func(ctx context.Context, n int, yield bool) {
			for range n {
				conn, err := db.Conn(ctx)
				check(err)
				if yield {
					runtime.Gosched()
				}
				check(conn.Close())
			}
		},
		take: func(ctx context.Context) func() {
			conn, err := db.Conn(ctx)
			check(err)
			return func() { check(conn.Close()) }
		},
		close: func() { check(db.Close()) },
	}
}

// nothing is a database driver that does nothing.
type nothing struct{ driver.Tx }

func (nothing) Connect(context.Context) (driver.Conn, error) { return &nothing{}, nil }
func (nothing) Driver() driver.Driver                        { return nil }
func (*nothing) Prepare(string) (driver.Stmt, error)         { return nil, driver.ErrSkip }
func (*nothing) Begin() (driver.Tx, error)                   { return nil, driver.ErrSkip }
func (*nothing) Close() error                                { return nil }

func openCommons(size int) pooled {
	config := commonspool.NewDefaultPoolConfig()
	config.MaxTotal, config.MaxIdle = size, size
	p := commonspool.NewObjectPool(context.Background(), commonspool.NewPooledObjectFactorySimple(
		func(context.Context) (any, error) { return new(value), nil }), config)
	return pooled{
		cycles: func(ctx context.Context, n int, yield bool) {
			for range n {
				object, err := p.BorrowObject(ctx)
				check(err)
				if yield {
					runtime.Gosched()
				}
				check(p.ReturnObject(ctx, object))
			}
		},
		take: func(ctx context.Context) func() {
			object, err := p.BorrowObject(ctx)
			check(err)
			return func() { check(p.ReturnObject(ctx, object)) }
		},
		close: func() { p.Close(context.Background()) },
	}
}

// takeAll acquires n values and returns a function that gives them back.
func (p pooled) takeAll(n int) (giveBack func()) {
	all := make([]func(), n)
	for i := range all {
		all[i] = p.take(context.Background())
	}
	return func() {
		for _, giveBack := range all {
			giveBack()
		}
	}
}

// under returns the entrant whose turns put its pool under a load:
// a pool of a certain size, with all values made, and some of them held by others.
func (e poolEntrant) under(l load, size, held int, yield bool) entrant {
	return entrant{e.name, e.settings, func() (func(time.Duration) figures, func()) {
		p := e.open(size)
		p.takeAll(size)()
		giveBack := p.takeAll(held)
		turn := func(d time.Duration) figures {
			return l.run(d, func(ctx context.Context, n int) error {
				p.cycles(ctx, n, yield)
				return nil
			})
		}
		return turn, func() { giveBack(); p.close() }
	}}
}

func pools() group {
	const turn = 150 * time.Millisecond
	under := func(l load, size int, yield bool) (entrants []entrant) {
		for _, e := range []poolEntrant{headpond, headpondLimits, headpondHooks, channel, raw, sqlConn, commons} {
			entrants = append(entrants, e.under(l, size, 0, yield))
		}
		return entrants
	}
	cores := runtime.GOMAXPROCS(0)
	return group{
		name:  "pool",
		title: "A pool of anything",
		about: "Acquire and release of a value that costs nothing, with nothing done in between: what the pool itself costs. " +
			"Serial is one goroutine; parallel one for each core, with a value for each; contended 32 goroutines on 2 values; " +
			"held the same, but each yields to the others (runtime.Gosched) while it has a value, as one does that works with it, so that nearly all wait. " +
			"`least` and `most` are the cycles that the least and the most served goroutine got in one turn.",
		columns: []column{{name: "time", show: duration}, {name: "allocs", show: few}, {name: "least", show: commas}, {name: "most", show: commas}},
		base:    "puddle",
		chart:   bars,
		contests: []contest{
			{"serial", 1, turn, under(load{goroutines: 1, step: 1000}, 8, false)},
			{"parallel", 2, turn, under(load{goroutines: cores, step: 1000}, max(8, cores), false)},
			{"contended", 3, 2 * turn, under(load{goroutines: 32}, 2, false)},
			{"contended, held", 4, 2 * turn, under(load{goroutines: 32}, 2, true)},
		},
	}
}
