package tracing

import (
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/trace"
)

// births are the create spans of values that nobody has acquired yet:
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
