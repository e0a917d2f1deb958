package postgres

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/headpond/headpond/pool"
)

// turn is the ctx of a function given to Read, Write or WriteSerializable.
type turn struct {
	context.Context
	db   *DB
	what string
	over atomic.Bool // the function has returned
}

type turnKey struct{ *DB }

// Value returns the turn itself for its own key.
func (t *turn) Value(key any) any {
	if key == any(turnKey{t.db}) {
		return t
	}
	return t.Context.Value(key)
}

// within returns the innermost turn that ctx belongs to and that is not over, nil if there is none.
func (db *DB) within(ctx context.Context) *turn {
	for {
		t, ok := ctx.Value(turnKey{db}).(*turn)
		if !ok {
			return nil
		}
		if !t.over.Load() {
			return t
		}
		ctx = t.Context
	}
}

// nested is the error of a call inside another that it would wait for.
func (db *DB) nested(p *pool.Pool[*Conn], what string, outer *turn) error {
	return &pool.Error{Pool: p.Name(), Op: pool.Acquire, Stats: p.Stats(), Err: fmt.Errorf("%w: %s inside %s", pool.ErrNested, what, outer.what)}
}
