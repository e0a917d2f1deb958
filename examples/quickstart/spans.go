package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/sdk/trace"
)

// recorder is an exporter that keeps in the process what one trace and the figures need.
type recorder struct {
	mu      sync.Mutex // protects the following
	spans   int
	acquire durations
	first   []trace.ReadOnlySpan // of traces until one of them has a create span
	whole   []trace.ReadOnlySpan // the trace that is shown
}

type durations []time.Duration

// quantile returns the q quantile of sorted durations.
func (d durations) quantile(q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	return d[int(q*float64(len(d)-1))].Round(time.Microsecond)
}

func (r *recorder) ExportSpans(_ context.Context, spans []trace.ReadOnlySpan) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, span := range spans {
		r.spans++
		if strings.HasPrefix(span.Name(), "acquire ") {
			r.acquire = append(r.acquire, span.EndTime().Sub(span.StartTime()))
		}
		if r.whole == nil {
			r.first = append(r.first, span)
			r.find(span)
		}
	}
	return nil
}

func (r *recorder) Shutdown(context.Context) error { return nil }

// find keeps the trace of root when that is complete and built a connection.
func (r *recorder) find(root trace.ReadOnlySpan) {
	if root.Parent().IsValid() {
		return
	}
	var whole []trace.ReadOnlySpan
	created := false
	for _, span := range r.first {
		if span.SpanContext().TraceID() == root.SpanContext().TraceID() {
			whole = append(whole, span)
			created = created || strings.HasPrefix(span.Name(), "create ")
		}
	}
	if created && len(whole) >= 4 {
		r.whole, r.first = whole, nil
	}
}

func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.spans
}

// waits returns how long the acquires took, sorted.
func (r *recorder) waits() durations {
	r.mu.Lock()
	defer r.mu.Unlock()
	waits := slices.Clone(r.acquire)
	slices.Sort(waits)
	return waits
}

// tree draws the trace, children below their parents in the order of their start.
func (r *recorder) tree() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.SortFunc(r.whole, func(a, b trace.ReadOnlySpan) int { return a.StartTime().Compare(b.StartTime()) })
	var drawn strings.Builder
	var draw func(parent string, indent int)
	draw = func(parent string, indent int) {
		for _, span := range r.whole {
			if span.Parent().SpanID().String() == parent {
				took := span.EndTime().Sub(span.StartTime()).Round(time.Microsecond)
				fmt.Fprintf(&drawn, "  %-40s %10v\n", strings.Repeat("  ", indent)+span.Name(), took)
				draw(span.SpanContext().SpanID().String(), indent+1)
			}
		}
	}
	draw("0000000000000000", 0)
	return drawn.String()
}
