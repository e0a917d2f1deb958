package pool

import "context"

// SafeTap returns tap with every field set, to functions that swallow a panic:
// neither a pool nor its caller can help it, and neither a slot nor a lease may be lost for it.
// Begin returns the ctx that it was given if tap's panics, or returns nil.
// Enabled returns false if tap has neither Begin nor End, or if its Enabled panics.
// The pool calls every Tap through it; code that calls one by itself should do so, too.
func SafeTap(tap Tap) Tap {
	return Tap{
		Enabled: func(ctx context.Context) (enabled bool) {
			if tap.Begin == nil && tap.End == nil {
				return false
			}
			if tap.Enabled == nil {
				return true
			}
			defer func() { _ = recover() }()
			return tap.Enabled(ctx)
		},
		Begin: func(ctx context.Context, event Event) (inner context.Context) {
			if tap.Begin == nil {
				return ctx
			}
			defer func() {
				_ = recover()
				if inner == nil {
					inner = ctx
				}
			}()
			return tap.Begin(ctx, event)
		},
		End: func(ctx context.Context, event Event) {
			if tap.End != nil {
				defer func() { _ = recover() }()
				tap.End(ctx, event)
			}
		},
		Statements: tap.Statements,
		Leak: func(leak Leak) {
			if tap.Leak != nil {
				defer func() { _ = recover() }()
				tap.Leak(leak)
			}
		},
		Detach: func() {
			if tap.Detach != nil {
				defer func() { _ = recover() }()
				tap.Detach()
			}
		},
	}
}

// begin is Tap.Begin of the pool's observer; without one it returns ctx.
func (p *Pool[T]) begin(ctx context.Context, event Event) context.Context {
	if p.tap == nil {
		return ctx
	}
	return p.tap.Begin(ctx, event)
}

// beginAlone and endAlone are begin and end for a goroutine of the pool's own that owns a slot:
// if the tap calls runtime.Goexit, that ends another goroutine.

func (p *Pool[T]) beginAlone(ctx context.Context, event Event) (inner context.Context) {
	if p.tap == nil {
		return ctx
	}
	inner = ctx
	apart(func() { inner = p.tap.Begin(ctx, event) })
	return inner
}

func (p *Pool[T]) endAlone(ctx context.Context, event Event) {
	if p.tap != nil {
		apart(func() { p.tap.End(ctx, event) })
	}
}

// apart calls do in another goroutine, and waits until that has ended.
func apart(do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	<-done
}

// end is Tap.End of the pool's observer, if there is one.
func (p *Pool[T]) end(ctx context.Context, event Event) {
	if p.tap != nil {
		p.tap.End(ctx, event)
	}
}
