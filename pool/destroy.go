package pool

import (
	"context"

	"github.com/headpond/headpond/resource"
)

// destroy destroys an entry that the gate counts as being destroyed, for reason, in another goroutine.
// The slot is free when the Destroy hook has returned, or is abandoned.
func (p *Pool[T]) destroy(e *entry[T], reason resource.Reason) {
	e.ending = reason
	e.life.destroy()
}

// destruct is what destroy does in the other goroutine.
func (p *Pool[T]) destruct(e *entry[T]) {
	p.forget(e)
	err := p.dispose(e.id, e.ending, e.value)
	p.gate.Gone(e.ending, err != nil, p.abandoned(err))
	p.maintainNow()
}

// dispose runs the Destroy hook, of an entry or of what an abandoned Construct made.
func (p *Pool[T]) dispose(id uint64, reason resource.Reason, value T) error {
	event := Event{Op: Destroy, ID: id, Reason: reason}
	timeout := p.options.Policy.DestroyTimeout
	mark := &hookMark{op: Destroy}
	defer mark.returned.Store(true)
	ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), markKey[T]{p}, mark), timeout)
	defer cancel()
	began := p.now()
	ctx = p.beginAlone(ctx, event)
	if p.hooks.Destroy != nil {
		_, event.Err = isolate(p, Destroy, timeout, func() (none struct{}, err error) {
			return none, p.hooks.Destroy(ctx, value)
		}, func(struct{}) {})
	}
	event.Took = p.now() - began
	p.endAlone(ctx, event)
	return event.Err
}
