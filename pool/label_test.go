package pool_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLabel_IsThatOfTheAcquire(t *testing.T) {
	p := counting(t, pool.Options{MaxSize: 1})
	ctx := pool.WithLabel(t.Context(), "checkout")
	lease, err := p.Acquire(ctx)
	require.NoError(t, err)
	require.Len(t, p.Holders(), 1)
	assert.Equal(t, "checkout", p.Holders()[0].Label)
	assert.Contains(t, p.Holders()[0].String(), `as "checkout"`)
	lease.Release()
	lease, err = p.Acquire(t.Context())
	require.NoError(t, err)
	assert.Empty(t, p.Holders()[0].Label, "not that of the lease before")
	lease.Release()
	require.NoError(t, p.Do(pool.WithLabel(ctx, strings.Repeat("é", 100)), func(context.Context, int) error {
		assert.Equal(t, strings.Repeat("é", 64), p.Holders()[0].Label)
		return nil
	}))
}

func TestLabel_IsInErrorsAndLeaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var leaks []pool.Leak
		p := counting(t, pool.Options{MaxSize: 1, AcquireTimeout: time.Second, LeakAfter: 10 * time.Second, Observer: func(pool.Inspector) pool.Tap {
			return pool.Tap{Leak: func(leak pool.Leak) { leaks = append(leaks, leak) }}
		}})
		lease, err := p.Acquire(pool.WithLabel(t.Context(), "report"))
		require.NoError(t, err)
		_, err = p.Acquire(t.Context())
		require.ErrorContains(t, err, `as "report" by`)
		<-time.After(time.Minute)
		lease.Release()
		require.Len(t, leaks, 2)
		assert.Equal(t, "report", leaks[0].Label)
		assert.Equal(t, "report", leaks[1].Label)
	})
}

func TestCallers_AreRecordedForAMinuteAfterATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := counting(t, pool.Options{MaxSize: 1, AcquireTimeout: time.Second})
		lease, err := p.Acquire(t.Context())
		require.NoError(t, err)
		_, err = p.Acquire(t.Context())
		require.ErrorIs(t, err, pool.ErrAcquireTimeout)
		assert.NotContains(t, err.Error(), "label_test.go", "it was not recorded")
		lease.Release()
		lease, err = p.Acquire(t.Context())
		require.NoError(t, err)
		_, err = p.Acquire(t.Context())
		require.ErrorContains(t, err, "label_test.go")
		lease.Release()
		<-time.After(2 * time.Minute)
		lease, err = p.Acquire(t.Context())
		require.NoError(t, err)
		assert.Empty(t, p.Holders()[0].Stack.Caller())
		lease.Release()
	})
}

func TestCallers_AreRecordedAfterALongWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := counting(t, pool.Options{MaxSize: 1})
		lease, err := p.Acquire(t.Context())
		require.NoError(t, err)
		time.AfterFunc(2*time.Second, lease.Release)
		lease, err = p.Acquire(t.Context())
		require.NoError(t, err)
		assert.Contains(t, p.Holders()[0].Stack.Caller(), "label_test.go")
		lease.Release()
	})
}

func TestHolders_AnErrorNamesTheLongest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := counting(t, pool.Options{MaxSize: 50, AcquireTimeout: time.Second})
		var all []pool.Lease[int]
		for range 50 {
			lease, err := p.Acquire(t.Context())
			require.NoError(t, err)
			all = append(all, lease)
			<-time.After(time.Second)
		}
		_, err := p.Acquire(t.Context())
		var failed *pool.Error
		require.ErrorAs(t, err, &failed)
		require.Len(t, failed.Holders, 8)
		for i, holder := range failed.Holders {
			assert.EqualValues(t, i+1, holder.ID)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorContains(t, p.Close(ended), "50 still held: #1 for 51s; #2 for 50s; #3 for 49s; and 47 more")
		for _, lease := range all {
			lease.Release()
		}
	})
}

func TestLabel_ThatIsCutKeepsNothingOfTheRest(t *testing.T) {
	long := strings.Repeat("a", 100)
	label := pool.LabelOf(pool.WithLabel(t.Context(), long))
	require.Len(t, label, 64)
	assert.NotSame(t, unsafe.StringData(long), unsafe.StringData(label))
}
