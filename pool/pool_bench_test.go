package pool_test

import (
	"context"
	"testing"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/jackc/puddle/v2"
	"github.com/stretchr/testify/require"
)

type variant struct {
	name    string
	hooks   resource.Hooks[int]
	options pool.Options
}

func variants() []variant {
	nop := func(context.Context, int) error { return nil }
	construct := func(context.Context) (int, error) { return 1, nil }
	limits := resource.Policy{MaxLifetime: time.Hour, MaxIdleTime: time.Hour, MaxUses: 1 << 30}
	checked := limits
	checked.CheckAfterIdle = -1 // on every acquire
	return []variant{
		{"defaults", resource.Hooks[int]{Construct: construct}, pool.Options{}},
		{"limits", resource.Hooks[int]{Construct: construct}, pool.Options{Policy: limits}},
		{"hooks", resource.Hooks[int]{Construct: construct, Check: nop, Prepare: nop, Reset: nop, Destroy: nop}, pool.Options{Policy: checked}},
	}
}

// BenchmarkCycle is an acquire and a release, beside raw puddle's.
func BenchmarkCycle(b *testing.B) {
	ctx := b.Context()
	raw := func(b *testing.B, size int32) *puddle.Pool[int] {
		p, err := puddle.NewPool(&puddle.Config[int]{
			Constructor: func(context.Context) (int, error) { return 1, nil }, Destructor: func(int) {}, MaxSize: size,
		})
		require.NoError(b, err)
		b.Cleanup(p.Close)
		return p
	}
	run := func(b *testing.B, goroutines int, cycle func()) {
		b.ReportAllocs()
		if goroutines == 1 {
			for b.Loop() {
				cycle()
			}
			return
		}
		b.SetParallelism(goroutines)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				cycle()
			}
		})
	}
	for _, load := range []struct {
		name             string
		goroutines, size int
	}{{"serial", 1, 4}, {"parallel", 2, 16}, {"contended", 16, 2}} {
		b.Run(load.name+"/puddle", func(b *testing.B) {
			p := raw(b, int32(load.size))
			run(b, load.goroutines, func() {
				r, _ := p.Acquire(ctx)
				r.Release()
			})
		})
		for _, v := range variants() {
			b.Run(load.name+"/"+v.name, func(b *testing.B) {
				v.options.MaxSize = load.size
				p, err := pool.New(v.hooks, v.options)
				require.NoError(b, err)
				b.Cleanup(func() { require.NoError(b, p.Close(context.Background())) })
				run(b, load.goroutines, func() {
					l, err := p.Acquire(ctx)
					if err != nil {
						b.Error(err)
						return
					}
					l.Release()
				})
			})
		}
	}
}
