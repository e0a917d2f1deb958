package pool_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/internal/fake"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// recorder writes down what an observer is told, and the way of the ctx:
// every Begin appends its operation to the trail in it.
type recorder struct {
	name string

	mu     sync.Mutex // protects the following
	lines  []string
	events []pool.Event // of End
}

type trailKey struct{ name string }

func (r *recorder) trail(ctx context.Context) string {
	trail, _ := ctx.Value(trailKey{r.name}).(string)
	return trail
}

func (r *recorder) line(line string) {
	r.mu.Lock()
	r.lines = append(r.lines, r.name+line)
	r.mu.Unlock()
}

func (r *recorder) observer(pool.Inspector) pool.Tap {
	return pool.Tap{
		Begin: func(ctx context.Context, event pool.Event) context.Context {
			trail := r.trail(ctx) + "/" + event.Op.String()
			r.line(fmt.Sprintf("begin %s #%d", trail, event.ID))
			return context.WithValue(ctx, trailKey{r.name}, trail)
		},
		End: func(ctx context.Context, event pool.Event) {
			r.line(fmt.Sprintf("end %s #%d", r.trail(ctx), event.ID))
			r.mu.Lock()
			r.events = append(r.events, event)
			r.mu.Unlock()
		},
		Detach: func() { r.line("detach") },
	}
}

// take returns what was written since the last time.
func (r *recorder) take() (lines []string, events []pool.Event) {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	lines, r.lines = r.lines, nil
	events, r.events = r.events, nil
	return lines, events
}

// observed is a pool of one whose hooks are slow, and write the trail in their ctx down.
func observed(t *testing.T, options pool.Options) (*pool.Pool[*fake.Value], *recorder) {
	var r recorder
	seen := func(op pool.Op, hook func(context.Context, *fake.Value) error) func(context.Context, *fake.Value) error {
		return func(ctx context.Context, v *fake.Value) error {
			r.line(fmt.Sprintf("%v in %s", op, r.trail(ctx)))
			return hook(ctx, v)
		}
	}
	options.MaxSize, options.Observer = 1, r.observer
	options.Policy.CheckAfterIdle = -1
	p, _ := newPool(t, options, func(hooks *resource.Hooks[*fake.Value]) {
		construct := hooks.Construct
		hooks.Construct = func(ctx context.Context) (*fake.Value, error) {
			r.line("construct in " + r.trail(ctx))
			<-time.After(time.Second)
			return construct(ctx)
		}
		hooks.Check = seen(pool.Check, hooks.Check)
		hooks.Prepare = seen(pool.Prepare, hooks.Prepare)
		hooks.Reset = seen(pool.Reset, hooks.Reset)
		hooks.Destroy = seen(pool.Destroy, hooks.Destroy)
	})
	return p, &r
}

func TestAnObserverSeesEveryOperationAndItsCtxFlows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, r := observed(t, pool.Options{})
		lease, err := p.Acquire(context.WithValue(t.Context(), trailKey{}, "caller"))
		require.NoError(t, err)
		lines, events := r.take()
		assert.Equal(t, []string{
			"begin caller/acquire #0",
			"begin caller/acquire/construct #1",
			"construct in caller/acquire/construct",
			"end caller/acquire/construct #1",
			"begin caller/acquire/check #1",
			"check in caller/acquire/check",
			"end caller/acquire/check #1",
			"begin caller/acquire/prepare #1",
			"prepare in caller/acquire/prepare",
			"end caller/acquire/prepare #1",
			"end caller/acquire #1",
		}, lines)
		assert.Equal(t, []pool.Event{
			{Op: pool.Construct, ID: 1, Took: time.Second},
			{Op: pool.Check, ID: 1},
			{Op: pool.Prepare, ID: 1},
			{Op: pool.Acquire, ID: 1, Took: time.Second, Source: pool.Created},
		}, events)

		<-time.After(3 * time.Second)
		lease.Release()
		lines, events = r.take()
		assert.Equal(t, []string{
			"begin caller/acquire/release #1", // the ctx of Acquire, kept on the lease
			"begin caller/acquire/release/reset #1",
			"reset in caller/acquire/release/reset",
			"end caller/acquire/release/reset #1",
			"end caller/acquire/release #1",
		}, lines)
		assert.Equal(t, []pool.Event{
			{Op: pool.Reset, ID: 1},
			{Op: pool.Release, ID: 1, Held: 3 * time.Second, Outcome: pool.Returned},
		}, events)

		lease = acquire(t, p)
		_, events = r.take()
		assert.Equal(t, pool.Event{Op: pool.Acquire, ID: 1, Source: pool.Idle}, events[len(events)-1])
		lease.Discard()
		lines, events = r.take()
		assert.ElementsMatch(t, []string{
			"begin /acquire/release #1", "end /acquire/release #1",
			"begin /destroy #1", "destroy in /destroy", "end /destroy #1", // a background ctx
		}, lines)
		assert.ElementsMatch(t, []pool.Event{
			{Op: pool.Release, ID: 1, Outcome: pool.Destroyed, Reason: resource.Discarded},
			{Op: pool.Destroy, ID: 1, Reason: resource.Discarded},
		}, events)

		lease = acquire(t, p)
		r.take()
		detached := lease.Detach()
		assert.Equal(t, 2, detached.ID)
		_, events = r.take()
		assert.Equal(t, []pool.Event{{Op: pool.Release, ID: 2, Outcome: pool.Detached}}, events)
		detached.Destroyed = 1
	})
}

func TestAnObserverSeesAHandoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, r := observed(t, pool.Options{})
		lease := acquire(t, p)
		time.AfterFunc(2*time.Second, lease.Release)
		r.take()
		acquire(t, p).Discard()
		_, events := r.take()
		i := slices.IndexFunc(events, func(event pool.Event) bool { return event.Op == pool.Acquire })
		assert.Equal(t, pool.Event{Op: pool.Acquire, ID: 1, Took: 2 * time.Second, Source: pool.Handoff}, events[i])
	})
}

// TestAnObserverSeesErrors has each hook fail.
func TestAnObserverSeesErrors(t *testing.T) {
	for _, test := range []struct {
		script fake.Script
		want   string
	}{
		{fake.Script{Construct: fake.Fails}, "construct: fake: the hook failed, acquire discarded 0: headpond/pool"},
		{fake.Script{Check: fake.Fails}, "construct ok, check: fake: the hook failed, construct ok, check: fake: the hook failed, acquire discarded 2: headpond/pool"},
		{fake.Script{Prepare: fake.Fails}, "prepare: fake: the hook failed, acquire discarded 1: headpond/pool"},
		{fake.Script{Prepare: fake.Panics}, "prepare: prepare panicked: boom, acquire discarded 1: headpond/pool"},
		{fake.Script{Reset: fake.Fails}, "acquire discarded 0: ok, reset: fake: the hook failed, release destroyed reset_failed: fake: the hook failed"},
		{fake.Script{Reset: fake.Panics}, "acquire discarded 0: ok, reset: reset panicked: boom, release destroyed panicked: reset panicked: boom"},
	} {
		t.Run(fmt.Sprintf("%+v", test.script), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var r recorder
				p, _ := scripted(t, pool.Options{MaxSize: 1, Observer: r.observer, Policy: resource.Policy{CheckAfterIdle: -1}}, test.script)
				if lease, err := p.Acquire(t.Context()); err == nil {
					lease.Release()
				}
				_, events := r.take()
				var told []string
				for _, event := range events {
					text := event.Op.String()
					switch event.Op {
					case pool.Destroy:
						continue
					case pool.Acquire:
						text += fmt.Sprintf(" discarded %d:", event.Discarded)
					case pool.Release:
						text += fmt.Sprintf(" %v %v:", event.Outcome, event.Reason)
					default:
						if event.Err != nil {
							text += ":"
						}
					}
					if event.Err == nil {
						text += " ok"
					} else if event.Op == pool.Acquire {
						text += " headpond/pool"
					} else {
						text += " " + event.Err.Error()
					}
					told = append(told, text)
				}
				assert.True(t, strings.HasSuffix(strings.Join(told, ", "), test.want), "%q", told)
			})
		})
	}
}

// TestAnObserverSeesGoexit has hooks end their caller's goroutine: what has begun ends all the same.
func TestAnObserverSeesGoexit(t *testing.T) {
	for name, script := range map[string]fake.Script{"acquire": {Prepare: fake.Exits}, "release": {Reset: fake.Exits}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var r recorder
				p, _ := scripted(t, pool.Options{MaxSize: 1, Observer: r.observer}, script)
				go func() { acquire(t, p).Release() }()
				lines, events := r.take()
				begins := slices.DeleteFunc(lines, func(line string) bool { return !strings.HasPrefix(line, "begin") })
				assert.Len(t, events, len(begins))
				ended := slices.IndexFunc(events, func(event pool.Event) bool { return event.Op.String() == name })
				require.GreaterOrEqual(t, ended, 0)
				if name == "acquire" {
					assert.EqualError(t, events[ended].Err, "a hook called runtime.Goexit")
				} else {
					assert.Equal(t, pool.Destroyed, events[ended].Outcome)
					assert.Equal(t, resource.Panicked, events[ended].Reason)
				}
			})
		})
	}
}

func TestEnabledIsAskedForEachLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type wanted struct{}
		var r recorder
		p, _ := newPool(t, pool.Options{MaxSize: 1, Observer: func(p pool.Inspector) pool.Tap {
			tap := r.observer(p)
			tap.Enabled = func(ctx context.Context) bool { return ctx.Value(wanted{}) != nil }
			return tap
		}})
		quiet := acquire(t, p)
		quiet.Release()
		lines, _ := r.take()
		assert.Empty(t, lines)
		loud, err := p.Acquire(context.WithValue(t.Context(), wanted{}, true))
		require.NoError(t, err)
		loud.Release()
		lines, _ = r.take()
		assert.Len(t, lines, 8, "acquire, prepare, release, reset")
		acquire(t, p).Release()
		lines, _ = r.take()
		assert.Empty(t, lines, "the next lease of the same value is another one")
	})
}

func TestDetachIsCalledOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		p, _ := newPool(t, pool.Options{MaxSize: 1, Observer: r.observer})
		for range 3 {
			require.NoError(t, p.Close(t.Context()))
		}
		lines, _ := r.take()
		assert.Equal(t, []string{"detach"}, lines)
	})
}

func TestAnObserverMayInspectThePool(t *testing.T) {
	p, err := pool.New((&fake.Maker{}).Hooks(), pool.Options{Name: "orders", MaxSize: 7, Observer: func(p pool.Inspector) pool.Tap {
		assert.Equal(t, "orders", p.Name())
		assert.Equal(t, 7, p.Options().MaxSize)
		assert.Equal(t, 7, p.Stats().MaxSize)
		assert.Empty(t, p.Holders())
		assert.Empty(t, p.Figures())
		return pool.Tap{} // every field may be nil
	}})
	require.NoError(t, err)
	hold(t, p, 2)
	require.NoError(t, p.Close(t.Context()))
}

// Answers XSAM/otelsql#7, XSAM/otelsql#57, XSAM/otelsql#179, exaring/otelpgx#48.
func TestObserver_NothingIsCalledForALeaseThatIsNotEnabled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		called := func(what string) { t.Error(what, "for a lease that is not enabled") }
		asked := 0
		p, _ := newPool(t, pool.Options{LeakAfter: time.Second, Policy: resource.Policy{CheckAfterIdle: -1}, Observer: func(pool.Inspector) pool.Tap {
			return pool.Tap{
				Enabled: func(context.Context) bool { asked++; return false },
				Begin: func(ctx context.Context, event pool.Event) context.Context {
					if event.Op != pool.Destroy { // which belongs to no lease
						called(fmt.Sprint("Begin ", event.Op))
					}
					return ctx
				},
				End: func(_ context.Context, event pool.Event) {
					if event.Op != pool.Destroy {
						called(fmt.Sprint("End ", event.Op))
					}
				},
			}
		}})
		acquire(t, p).Release()
		acquire(t, p).Discard()
		require.NoError(t, p.Do(t.Context(), func(context.Context, *fake.Value) error { return nil }))
		assert.Equal(t, 3, asked, "once for a lease")
	})
}

func TestTap_APanicCostsNothing(t *testing.T) {
	for _, at := range []struct {
		op    pool.Op
		begin bool
	}{
		{pool.Acquire, true}, {pool.Acquire, false}, {pool.Construct, true}, {pool.Construct, false}, {pool.Check, true}, {pool.Check, false},
		{pool.Prepare, true}, {pool.Prepare, false}, {pool.Reset, true}, {pool.Reset, false}, {pool.Release, true}, {pool.Release, false}, {pool.Destroy, true}, {pool.Destroy, false},
	} {
		t.Run(at.op.String(), func(t *testing.T) {
			p, _ := newPool(t, pool.Options{MaxSize: 1, Policy: resource.Policy{CheckAfterIdle: -1}, Observer: func(pool.Inspector) pool.Tap {
				return pool.Tap{
					Begin: func(ctx context.Context, e pool.Event) context.Context {
						if at.begin && e.Op == at.op {
							panic("tap")
						}
						return ctx
					},
					End: func(_ context.Context, e pool.Event) {
						if !at.begin && e.Op == at.op {
							panic("tap")
						}
					},
				}
			}})
			for range 3 {
				acquire(t, p).Release()
			}
			acquire(t, p).Discard()
			acquire(t, p).Release()
		})
	}
}
