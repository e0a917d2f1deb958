package sqlite

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
)

// SQLite forgets an interrupt that comes just before a statement begins. Here zombiezen's never comes.
func TestAnInterruptThatIsLostComesAgain(t *testing.T) {
	for name, fire := range map[string]func(s *connection, cancel func()){
		"the end of ctx": func(_ *connection, cancel func()) { cancel() },
		"Close":          func(s *connection, _ func()) { s.database.interruptAll() },
	} {
		t.Run(name, func(t *testing.T) {
			s := table(t, Options{})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s.watch(ctx)
			s.conn.SetInterrupt(nil)
			failed := runForever(s.conn)
			fire(s, cancel)
			select {
			case err := <-failed:
				assert.Equal(t, sqlite.ResultInterrupt, sqlite.ErrCode(err).ToPrimary())
			case <-time.After(10 * time.Second):
				t.Error("it goes on")
				s.Interrupt()
				<-failed
			}
			require.NoError(t, s.reset(t.Context()))
			for range 10 { // nothing of it is left for the next borrower
				_, err := first(s.conn, "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c LIMIT 1000) SELECT count(*) FROM c")
				require.NoError(t, err)
			}
		})
	}
}

// An interrupter that is stopped interrupts nothing, whenever it is triggered.
func TestInterrupter_OneThatIsStoppedInterruptsNothing(t *testing.T) {
	var interrupts atomic.Int32
	i := newInterrupter(func() { interrupts.Add(1) })
	i.trigger()
	for interrupts.Load() < 2 {
		runtime.Gosched()
	}
	i.stop()
	after := interrupts.Load()
	i.stop()
	i.repeat(nil) // ends at once
	assert.Equal(t, after, interrupts.Load())
	late := newInterrupter(func() { t.Error("it interrupts") })
	late.stop()
	late.trigger()
	late.repeat(nil)
}
