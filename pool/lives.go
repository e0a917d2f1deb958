package pool

import (
	"context"
	"math"

	"github.com/jackc/puddle/v2"
)

// This file is all of the pool that is puddle's: no other one names it.
//
// puddle owns the lives of the values: it calls construct, registers a value from then until its end,
// calls destruct in a goroutine of its own, and at Close waits for the last one.
// The gate owns their turns: which value is idle, which caller gets it, who may build and who waits.
// So to puddle every value is acquired from its construction to its end: nothing is ever idle there,
// nothing waits there, and its maximum is out of reach. It is so because only one of the two can own the list
// of idle values, and the bound on live values needs that list, the waiters and the builds under one lock.

// lives constructs and destroys the values of a pool, and knows of each that is live.
type lives[T any] struct{ values *puddle.Pool[*entry[T]] }

// life is an entry's place in lives. Destroy or detach ends it, once.
type life[T any] struct{ resource *puddle.Resource[*entry[T]] }

// birth is what construct has to know of the build that it is part of.
type birth struct {
	observed   bool   // the caller that it is built for is; false: do not tell the observer
	generation uint64 // of the pool, when the build began
}

// birthKey is the key under which puddle hands a birth on, in a ctx.
type birthKey struct{}

func newLives[T any](construct func(context.Context, birth) (*entry[T], error), destruct func(*entry[T])) (lives[T], error) {
	values, err := puddle.NewPool(&puddle.Config[*entry[T]]{
		Constructor: func(ctx context.Context) (*entry[T], error) {
			return construct(ctx, ctx.Value(birthKey{}).(birth))
		},
		Destructor: destruct,
		MaxSize:    math.MaxInt32, // the gate counts
	})
	return lives[T]{values}, err
}

// construct calls construct in another goroutine, and blocks until it has returned.
// ctx is only asked for its values.
func (l lives[T]) construct(ctx context.Context, b birth) (*entry[T], error) {
	resource, err := l.values.Acquire(context.WithValue(context.WithoutCancel(ctx), birthKey{}, b))
	if err != nil {
		return nil, err
	}
	e := resource.Value()
	e.life = life[T]{resource}
	return e, nil
}

// destroy calls destruct in another goroutine, and does not wait for it.
func (l life[T]) destroy() { l.resource.Destroy() }

// detach forgets the value without destroying it.
func (l life[T]) detach() { l.resource.Hijack() }

// close waits until every destruct has returned. Nothing may be live any more.
func (l lives[T]) close() { l.values.Close() }
