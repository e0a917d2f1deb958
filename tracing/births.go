package tracing

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/trace"
)

// mostBirths is how many create spans are kept of a pool. Of a value that is acquired unobserved and then detached
// no end is told, so without a bound its span would stay for as long as the pool.
const mostBirths = 1024

// births are the create spans of values that nobody has acquired yet, the last ones:
// the first to do so links to it where it belongs to another trace.
type births struct {
	count atomic.Int64 // len(spans): mostly 0, and then nobody needs mu

	mu    sync.Mutex // protects the following
	spans map[uint64]trace.SpanContext
}

func (b *births) put(id uint64, span trace.SpanContext) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.spans == nil {
		b.spans = make(map[uint64]trace.SpanContext)
	}
	b.spans[id] = span
	if len(b.spans) > mostBirths {
		delete(b.spans, slices.Min(slices.Collect(maps.Keys(b.spans)))) // ids rise, so it is the oldest
	}
	b.count.Store(int64(len(b.spans)))
}

// take returns what was put, once; later, and where nothing was, an invalid one.
func (b *births) take(id uint64) trace.SpanContext {
	if b.count.Load() == 0 {
		return trace.SpanContext{}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	span := b.spans[id]
	delete(b.spans, id)
	b.count.Store(int64(len(b.spans)))
	return span
}

// clear forgets all that was put.
func (b *births) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spans = nil
	b.count.Store(0)
}
