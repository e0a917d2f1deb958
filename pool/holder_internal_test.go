package pool

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestHolders_LeavesOutALeaseThatEndsWhileItLooks has Holders see a lease, and wait for where it was acquired,
// while it ends: what it would find then can be of the next one.
func TestHolders_LeavesOutALeaseThatEndsWhileItLooks(t *testing.T) {
	p, err := New(resource.Hooks[int]{Construct: func(context.Context) (int, error) { return 1, nil }}, Options{MaxSize: 1, LeakAfter: time.Hour})
	require.NoError(t, err)
	lease, err := p.Acquire(t.Context())
	require.NoError(t, err)
	require.Len(t, p.Holders(), 1)
	lease.entry.mu.Lock()
	holders := make(chan []Holder, 1)
	go func() { holders <- p.Holders() }()
	for stacks := make([]byte, 1<<20); ; runtime.Gosched() {
		if all := string(stacks[:runtime.Stack(stacks, true)]); strings.Contains(all, "pool.(*entry[...]).holder(") {
			break
		}
	}
	require.True(t, lease.end())
	lease.entry.mu.Unlock()
	assert.Empty(t, <-holders)
	p.release(lease.entry, resource.None)
	require.NoError(t, p.Close(t.Context()))
}
