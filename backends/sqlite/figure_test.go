package sqlite

import (
	"fmt"
	"strings"
	"testing"

	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFiguresSayWhatTheyAre(t *testing.T) {
	for _, memory := range []bool{false, true} {
		db := open(t, memory, Options{Name: "orders", JournalSizeLimit: 4096})
		assert.Equal(t, "orders", db.Readers().Options().Owner)
		assert.Equal(t, "orders", db.Writer().Options().Owner)
		seen := map[string]pool.Figure{}
		for _, f := range db.Readers().Figures() {
			key := fmt.Sprint(f.Name, f.Labels)
			assert.NotContains(t, seen, key, "each is there once")
			seen[key] = f
			assert.True(t, strings.HasPrefix(f.Name, "headpond.sqlite."), f.Name)
			assert.NotEmpty(t, f.Unit, f.Name)
			assert.True(t, strings.HasSuffix(f.Help, "."), "%s: %q", f.Name, f.Help)
		}
		kinds := 0
		for _, f := range seen {
			if f.Name == "headpond.sqlite.findings" {
				kinds++
			}
		}
		assert.EqualValues(t, FindingKinds, kinds)
		assert.EqualValues(t, 4096, seen["headpond.sqlite.wal.size.limit[]"].Value)
		assert.Equal(t, pool.Counter, seen["headpond.sqlite.batches[]"].Kind)
		assert.Equal(t, pool.Gauge, seen["headpond.sqlite.wal.size[]"].Kind)
		if !memory {
			assert.Empty(t, db.Writer().Figures(), "the readers' has them")
		}
	}
	db := open(t, false, Options{JournalSizeLimit: -1})
	for _, f := range db.Readers().Figures() {
		require.NotEqual(t, "headpond.sqlite.wal.size.limit", f.Name, "there is none")
	}
}
