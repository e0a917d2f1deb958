package fake

import (
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/headpond/headpond/resource"
)

// Way is how a scripted hook behaves.
type Way uint8

const (
	Works  Way = iota
	Fails      // with ErrFailed
	Slow       // works, after SlowTime
	Panics     // with "boom"
	Exits      // calls runtime.Goexit
	Hangs      // until its ctx ends
	Ways       // how many there are
)

// SlowTime is what a Slow hook takes.
const SlowTime = 100 * time.Millisecond

// ErrFailed is the error of a hook that Fails.
var ErrFailed = errors.New("fake: the hook failed")

func (w Way) String() string {
	return [...]string{"works", "fails", "slow", "panics", "exits", "hangs"}[w]
}

func (w Way) run(ctx context.Context) error {
	switch w {
	case Fails:
		return ErrFailed
	case Slow:
		<-time.After(SlowTime)
	case Panics:
		panic("boom")
	case Exits:
		runtime.Goexit()
	case Hangs:
		<-ctx.Done()
		return context.Cause(ctx)
	}
	return nil
}

// Script is how every hook behaves. The zero Script works.
type Script struct{ Construct, Check, Prepare, Reset, Destroy Way }

// Follow makes the hooks that Scripted returned behave as script says from their next call on.
func (m *Maker) Follow(script Script) {
	m.mu.Lock()
	m.script = script
	m.mu.Unlock()
}

func (m *Maker) way(of func(Script) Way) Way {
	m.mu.Lock()
	defer m.mu.Unlock()
	return of(m.script)
}

// Scripted returns hooks that record and do what the script says.
// A fake counts as live from the call of Construct until Destroy has ended.
func (m *Maker) Scripted() resource.Hooks[*Value] {
	record := m.Hooks()
	return resource.Hooks[*Value]{
		Construct: func(ctx context.Context) (v *Value, err error) {
			m.count(1)
			defer func() {
				if v == nil {
					m.count(-1)
				}
			}()
			if err := m.way(func(s Script) Way { return s.Construct }).run(ctx); err != nil {
				return nil, err
			}
			return m.add(), nil
		},
		Check: func(ctx context.Context, v *Value) error {
			_ = record.Check(ctx, v)
			return m.way(func(s Script) Way { return s.Check }).run(ctx)
		},
		Prepare: func(ctx context.Context, v *Value) error {
			_ = record.Prepare(ctx, v)
			return m.way(func(s Script) Way { return s.Prepare }).run(ctx)
		},
		Reset: func(ctx context.Context, v *Value) error {
			_ = record.Reset(ctx, v)
			return m.way(func(s Script) Way { return s.Reset }).run(ctx)
		},
		Destroy: func(ctx context.Context, v *Value) error {
			v.end()
			defer m.count(-1)
			return m.way(func(s Script) Way { return s.Destroy }).run(ctx)
		},
	}
}

// IsFine reports whether a hook that behaves so does its work.
func (w Way) IsFine() bool { return w == Works || w == Slow }
