package sqlite

import (
	"context"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// One holds the lock at a time, although each holder takes the file away, and file systems give its number to the next one.
func TestLockName_OneAtATime(t *testing.T) {
	require.NoError(t, supported())
	rounds := 20
	if *long {
		rounds = 5000
	}
	for range rounds {
		name := filepath.Join(t.TempDir(), "lock")
		var inside atomic.Int32
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 3 {
					unlock, err := lockName(context.Background(), name)
					if !assert.NoError(t, err) {
						return
					}
					assert.EqualValues(t, 1, inside.Add(1))
					inside.Add(-1)
					unlock()
				}
			})
		}
		all.Wait()
		assert.Empty(t, files(t, name))
	}
}
