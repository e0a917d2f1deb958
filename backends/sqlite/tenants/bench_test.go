package tenants_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/backends/sqlite/tenants"
	"github.com/stretchr/testify/require"
	zombiezen "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

var one = &sqlitex.ExecOptions{ResultFunc: func(*zombiezen.Stmt) error { return nil }}

func point(_ context.Context, conn *sqlite.Conn) error { return sqlitex.Execute(conn, "SELECT 1", one) }

// BenchmarkHit compares a call for a tenant whose database is open, and held by no other call, with the same call on a DB.
func BenchmarkHit(b *testing.B) {
	ctx := b.Context()
	b.Run("DB.Read", func(b *testing.B) {
		db, err := sqlite.Open(ctx, filepath.Join(b.TempDir(), "a.db"), sqlite.Options{Readers: 1, Schema: schema})
		require.NoError(b, err)
		defer db.Close(ctx)
		b.ReportAllocs()
		for b.Loop() {
			if err := db.Read(ctx, point); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Pool.Read", func(b *testing.B) {
		p := open(b, tenants.Options{})
		require.NoError(b, sign(ctx, p, "a"))
		b.ReportAllocs()
		for b.Loop() {
			if err := p.Read(ctx, "a", point); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Pool.Do", func(b *testing.B) {
		p := open(b, tenants.Options{})
		require.NoError(b, sign(ctx, p, "a"))
		b.ReportAllocs()
		for b.Loop() {
			if err := p.Do(ctx, "a", func(context.Context, *sqlite.DB) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkMiss compares a call for a tenant whose database is not open, with a place free for it, with opening the file.
// Both include its close, which the call does not wait for.
func BenchmarkMiss(b *testing.B) {
	ctx := b.Context()
	const count = 100
	directory := b.TempDir()
	path := tenants.Directory(directory)
	maker := open(b, tenants.Options{Path: path})
	for n := range count {
		require.NoError(b, sign(ctx, maker, fmt.Sprint(n)))
	}
	require.NoError(b, maker.Close(ctx))
	b.Run("Open", func(b *testing.B) {
		for n := 0; b.Loop(); n++ {
			at, _ := path(fmt.Sprint(n % count))
			db, err := sqlite.Open(ctx, at, sqlite.Options{Readers: 1, Schema: schema})
			if err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			require.NoError(b, db.Close(ctx))
			b.StartTimer()
		}
	})
	b.Run("Pool.Do", func(b *testing.B) {
		p := open(b, tenants.Options{Path: path})
		nothing := func(context.Context, *sqlite.DB) error { return nil }
		for n := 0; b.Loop(); n++ {
			tenant := fmt.Sprint(n % count)
			if err := p.Do(ctx, tenant, nothing); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			require.NoError(b, p.Exclusive(ctx, tenant, func(context.Context, string) error { return nil }))
			b.StartTimer()
		}
	})
}

// BenchmarkZipf reads from 10,000 tenants, some much more often than others, with places for 200 and for all of them.
func BenchmarkZipf(b *testing.B) {
	ctx := b.Context()
	const count = 10_000
	directory := b.TempDir()
	for _, maxOpen := range []int{200, 1000, count} {
		b.Run(fmt.Sprint(maxOpen, " open"), func(b *testing.B) {
			p := open(b, tenants.Options{Path: tenants.Directory(directory), MaxOpen: maxOpen, AcquireTimeout: -1})
			for n := range count {
				require.NoError(b, p.Read(ctx, fmt.Sprint(n), point))
			}
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				zipf := rand.NewZipf(rand.New(rand.NewPCG(1, rand.Uint64())), 1.5, 1, count-1)
				for pb.Next() {
					if err := p.Read(ctx, fmt.Sprint(zipf.Uint64()), point); err != nil {
						b.Error(err)
						return
					}
				}
			})
			stats := p.Stats()
			b.ReportMetric(100*float64(stats.Hits)/float64(stats.Hits+stats.Waited), "%hits")
		})
	}
}
