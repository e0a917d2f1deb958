package pool

import (
	"context"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/headpond/headpond/internal/catch"
)

// labelKey is the context key of a label.
type labelKey struct{}

// labels says that WithLabel was called in this process: until then no ctx is asked for one.
var labels atomic.Bool

// maxLabel is how long a label may be, in runes.
const maxLabel = 64

// WithLabel returns a copy of ctx that names what a caller does: a lease that is acquired with it has the label
// in Holders, errors, leak reports and pages. Of a label that is longer than 64 runes the rest is cut off.
// It is read when the lease is acquired, and never later.
func WithLabel(ctx context.Context, label string) context.Context {
	for i, runes := 0, 0; i < len(label); runes++ {
		if runes == maxLabel {
			label = strings.Clone(label[:i]) // the rest may be large, and a lease is held for long
			break
		}
		_, size := utf8.DecodeRuneInString(label[i:])
		i += size
	}
	labels.Store(true)
	return context.WithValue(ctx, labelKey{}, label)
}

// LabelOf returns the label of ctx; empty if it has none, or if its Value panics.
func LabelOf(ctx context.Context) string {
	if !labels.Load() {
		return ""
	}
	return labelIn(ctx)
}

// labelIn must not panic: the acquire that asks has its value already.
func labelIn(ctx context.Context) (label string) {
	defer catch.Swallow()
	label, _ = ctx.Value(labelKey{}).(string)
	return label
}
