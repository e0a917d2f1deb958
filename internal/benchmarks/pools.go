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

// A sharer is a way to share a few values: a pool, or what is used as one.
type sharer struct {
	name, settings string
	open           func(size int) shared
}

// shared is an open one.
type shared struct {
	cycles func(ctx context.Context, n int) // n times acquire and release
	take   func() (giveBack func())         // acquire alone
	close  func()
}

// by returns what is shared by acquire and release: the loop is the same for everybody.
func by[Lease any](acquire func(context.Context) (Lease, error), release func(Lease), close func()) shared {
	return shared{
		cycles: func(ctx context.Context, n int) {
			for range n {
				lease, err := acquire(ctx)
				check(err)
				release(lease)
			}
		},
		take: func() func() {
			lease, err := acquire(context.Background())
			check(err)
			return func() { release(lease) }
		},
		close: close,
	}
}

// takeAll acquires n values and returns a function that gives them back.
func (s shared) takeAll(n int) (giveBack func()) {
	all := make([]func(), n)
	for i := range all {
		all[i] = s.take()
	}
	return func() {
		for _, giveBack := range all {
			giveBack()
		}
	}
}

// value is what all share here.
type value struct{ _ [64]byte }

var (
	headpondPlain  = sharer{"headpond", "no limits, no hook but Construct", openHeadpond(resource.Hooks[*value]{}, pool.Options{})}
	headpondLimits = sharer{"headpond, limits", "MaxLifetime with LifetimeJitter, MaxIdleTime and MaxUses, none of which is reached",
		openHeadpond(resource.Hooks[*value]{}, pool.Options{Policy: limits})}
	headpondHooks = sharer{"headpond, limits and hooks", "the same limits, and Check (on every acquire), Prepare, Reset and Destroy, which do nothing",
		openHeadpond(resource.Hooks[*value]{Check: noHook, Prepare: noHook, Reset: noHook, Destroy: noHook}, pool.Options{Policy: limitsAndChecks})}

	channel = sharer{"buffered channel", "filled beforehand; received from at once where it can be, else in a select with ctx.Done()", openChannel}
	raw     = sharer{"puddle", "puddle.Pool itself; it has no limits and no hooks", openPuddle}
	sqlConn = sharer{"database/sql Conn", "a driver that does nothing; SetMaxOpenConns and SetMaxIdleConns at the size", openConn}
	commons = sharer{"go-commons-pool", "MaxTotal and MaxIdle at the size; no tests, no evictor (its defaults)", openCommons}
)

var (
	limits          = resource.Policy{MaxLifetime: time.Hour, LifetimeJitter: time.Minute, MaxIdleTime: time.Hour, MaxUses: math.MaxInt}
	limitsAndChecks = func() resource.Policy { checks := limits; checks.CheckAfterIdle = -1; return checks }()
)

func noHook(context.Context, *value) error      { return nil }
func construct(context.Context) (*value, error) { return new(value), nil }
func constructAny(context.Context) (any, error) { return new(value), nil }

func openHeadpond(hooks resource.Hooks[*value], options pool.Options) func(size int) shared {
	return func(size int) shared {
		hooks, options := hooks, options
		hooks.Construct = construct
		options.MaxSize, options.AcquireTimeout = size, -1 // the peers have no timeout
		p, err := pool.New(hooks, options)
		check(err)
		return by(p.Acquire, pool.Lease[*value].Release, func() { check(p.Close(context.Background())) })
	}
}

func openChannel(size int) shared {
	values := make(chan *value, size)
	for range size {
		values <- new(value)
	}
	return by(func(ctx context.Context) (*value, error) {
		select {
		case v := <-values:
			return v, nil
		default:
		}
		select {
		case v := <-values:
			return v, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}, func(v *value) { values <- v }, func() {})
}

func openPuddle(size int) shared {
	p, err := puddle.NewPool(&puddle.Config[*value]{Constructor: construct, Destructor: func(*value) {}, MaxSize: int32(size)})
	check(err)
	return by(p.Acquire, (*puddle.Resource[*value]).Release, p.Close)
}

func openConn(size int) shared {
	db := sql.OpenDB(nothing{})
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	return by(db.Conn, func(conn *sql.Conn) { check(conn.Close()) }, func() { check(db.Close()) })
}

// nothing is a database driver that does nothing.
type nothing struct{}

func (nothing) Connect(context.Context) (driver.Conn, error) { return &nothing{}, nil }
func (nothing) Driver() driver.Driver                        { return nil }
func (*nothing) Prepare(string) (driver.Stmt, error)         { return nil, driver.ErrSkip }
func (*nothing) Begin() (driver.Tx, error)                   { return nil, driver.ErrSkip }
func (*nothing) Close() error                                { return nil }

func openCommons(size int) shared {
	ctx := context.Background()
	config := commonspool.NewDefaultPoolConfig()
	config.MaxTotal, config.MaxIdle = size, size
	p := commonspool.NewObjectPool(ctx, commonspool.NewPooledObjectFactorySimple(constructAny), config)
	return by(p.BorrowObject, func(object any) { check(p.ReturnObject(ctx, object)) }, func() { p.Close(ctx) })
}

// under returns the entrant whose turns put its pool under a load:
// a pool of a certain size, with all values made, and some of them held by others.
func (s sharer) under(l load, size, held int) entrant {
	return entrant{s.name, s.settings, func() (func(time.Duration) figures, func()) {
		p := s.open(size)
		p.takeAll(size)()
		giveBack := p.takeAll(held)
		turn := func(d time.Duration) figures {
			return l.run(d, func(ctx context.Context, n int) error {
				p.cycles(ctx, n)
				return nil
			})
		}
		return turn, func() { giveBack(); p.close() }
	}}
}

func pools() group {
	under := func(l load, size int) (entrants []entrant) {
		for _, s := range []sharer{headpondPlain, headpondLimits, headpondHooks, channel, raw, sqlConn, commons} {
			entrants = append(entrants, s.under(l, size, 0))
		}
		return entrants
	}
	cores := runtime.GOMAXPROCS(0)
	const turn = 200 * time.Millisecond
	return group{
		name:  "pool",
		title: "A pool of anything",
		about: "Acquire and release of a value that costs nothing, with nothing done in between: what the pool itself costs. " +
			"Serial is one goroutine; parallel one for each core, with a value for each; contended 32 goroutines on 2 values. " +
			"`least` and `most` are the cycles that the least and the most served goroutine got in one turn.",
		columns: []column{{name: "time", show: duration}, {name: "allocs", show: few}, {name: "least", show: commas}, {name: "most", show: commas}},
		base:    "puddle",
		chart:   bars,
		contests: []contest{
			{"serial", turn, under(load{goroutines: 1, step: 1000}, 8)},
			{"parallel", turn, under(load{goroutines: cores, step: 1000}, max(8, cores))},
			{"contended", turn, under(load{goroutines: 32}, 2)},
		},
	}
}
