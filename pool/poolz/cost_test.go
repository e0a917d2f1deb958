package poolz_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/pool/poolz"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/require"
)

// fortyPools returns a page of 20 databases, each with a pool of readers, of which four are held, and one of a writer, which is held;
// with as many figures as a database has, and ten statements. The last pool is for use.
func fortyPools(b *testing.B) (*poolz.Page, *pool.Pool[int]) {
	page := poolz.New()
	var figures []pool.Figure
	for n := range 32 {
		figures = append(figures, pool.Figure{Name: fmt.Sprintf("headpond.sqlite.figure.%d", n), Unit: "{page}", Help: "A figure of a database, in a sentence.", Value: float64(n)})
	}
	var statements []pool.StatementStats
	for n := range 10 {
		statements = append(statements, pool.StatementStats{Text: fmt.Sprintf("SELECT item FROM orders WHERE customer=? AND id>%d ORDER BY id LIMIT 100", n), Mode: "reader", Runs: 1000, Total: time.Second, Rows: 9000})
	}
	var last *pool.Pool[int]
	for n := range 40 {
		options := pool.Options{Name: fmt.Sprintf("orders%d.writer", n/2), Owner: fmt.Sprintf("orders%d", n/2), MaxSize: 2, LeakAfter: time.Hour, Observer: page.Observer()}
		held := 1
		if n%2 == 0 {
			options.Name, options.MaxSize, held = options.Owner+".readers", 8, 4
			options.Figures = func() []pool.Figure { return figures }
			options.Statements = func() []pool.StatementStats { return statements }
		}
		last = newPool(b, resource.Hooks[int]{}, options)
		for range held {
			lease, err := last.Acquire(b.Context())
			require.NoError(b, err)
			b.Cleanup(lease.Release)
		}
	}
	return page, last
}

// BenchmarkFortyPools measures what a viewer costs: a request, which the page makes every two seconds,
// and an acquire and release of a pool on the page with and without a viewer.
func BenchmarkFortyPools(b *testing.B) {
	page, used := fortyPools(b)
	b.Run("a request", func(b *testing.B) {
		size := 0
		for b.Loop() {
			size = get(b, page, "/").Body.Len()
		}
		b.ReportMetric(float64(size)/1024, "KiB")
	})
	use := func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			lease, err := used.Acquire(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			lease.Release()
		}
	}
	b.Run("a lease, nobody looks", use)
	b.Run("a lease, somebody looks", func(b *testing.B) {
		over, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			for tick := time.NewTicker(2 * time.Second); ; {
				get(b, page, "/")
				select {
				case <-tick.C:
				case <-over:
					tick.Stop()
					return
				}
			}
		}()
		use(b)
		close(over)
		<-done
	})
}
