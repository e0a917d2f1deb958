package sqlite

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"testing"
	"testing/synctest"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/pool/poolz"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The page shows the callers of Batch as those of the writer: how many wait, whose call runs, and what they came to.
func TestBatch_OnThePage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page := poolz.New()
		db := openBatch(t, Options{Observer: page.Observer(), Name: "orders"})
		defer func() { require.NoError(t, db.Close(context.Background())) }() // with what samples the page
		type shown struct {
			Name, Says string
			Waiting    int
			Held       int
			Holders    []struct{ Caller string }
			Counters   []struct {
				Name  string
				Value uint64
			}
			MeanUse struct{ N uint64 } `json:"mean_use"`
		}
		look := func() shown {
			answer := httptest.NewRecorder()
			page.ServeHTTP(answer, httptest.NewRequest("GET", "/?format=json", nil))
			var all struct{ Pools []shown }
			require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &all))
			for _, p := range all.Pools {
				if p.Name == "orders.writer" {
					return p
				}
			}
			t.Fatal("it is not there")
			return shown{}
		}
		synctest.Wait()
		db.batches.mu.Lock()
		db.batches.shared = true // so that the runner runs it
		db.batches.mu.Unlock()
		free, ended := make(chan struct{}), make(chan error, 4)
		for n := range 4 {
			use := func(context.Context, *Conn) error { return nil }
			if n == 0 {
				use = func(context.Context, *Conn) error { <-free; return nil }
			}
			go func() { ended <- db.Batch(pool.WithLabel(context.Background(), "import"), use) }()
			synctest.Wait()
		}
		now := look()
		assert.Equal(t, 3, now.Waiting)
		assert.Equal(t, 1, now.Held)
		require.Len(t, now.Holders, 1)
		assert.Contains(t, now.Holders[0].Caller, "batch_page_test.go:")
		close(free)
		for range 4 {
			require.NoError(t, <-ended)
		}
		synctest.Wait()
		now = look()
		counters := map[string]uint64{}
		for _, c := range now.Counters {
			counters[c.Name] = c.Value
		}
		assert.Equal(t, counters["acquired"], counters["released"])
		assert.Equal(t, counters["acquired"], now.MeanUse.N, "all three speak of calls")
	})
}
