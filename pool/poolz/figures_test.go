package poolz_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/pool/poolz"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFigures_HaveTheirKindAndLabels(t *testing.T) {
	page := poolz.New()
	newPool(t, resource.Hooks[int]{}, pool.Options{Observer: page.Observer(), Figures: func() []pool.Figure {
		kind := func(value string) []pool.Label { return []pool.Label{{Name: "kind", Value: value}} }
		return []pool.Figure{
			{Name: "size", Unit: "By", Help: "How <large> it is."},
			{Name: "findings", Kind: pool.Counter, Labels: kind("pragma")},
			{Name: "findings", Kind: pool.Counter, Labels: kind("statement"), Value: 3},
		}
	}})
	var shown struct {
		Pools []struct {
			Figures []struct {
				Name, Kind, Help string
				Labels           map[string]string
				Value            float64
			}
		}
	}
	require.NoError(t, json.Unmarshal(get(t, page, "/?format=json").Body.Bytes(), &shown))
	figures := shown.Pools[0].Figures
	require.Len(t, figures, 3, "programs get all of them")
	assert.Equal(t, "gauge", figures[0].Kind)
	assert.Equal(t, "How <large> it is.", figures[0].Help)
	assert.Equal(t, "counter", figures[2].Kind)
	assert.Equal(t, map[string]string{"kind": "statement"}, figures[2].Labels)
	html := get(t, page, "/").Body.String()
	assert.Contains(t, html, `<div title="How &lt;large&gt; it is."><dt>size</dt><dd>0 B</dd></div>`, "a gauge of 0 says something")
	assert.Contains(t, html, `<dt>findings: statement</dt><dd>3</dd>`)
	assert.NotContains(t, html, `<dt>findings: pragma</dt>`)
	assert.Contains(t, html, `<p class="zeros">0: findings (pragma)</p>`)
}

func TestFigures_OfAnOwner(t *testing.T) {
	page := poolz.New()
	waiting := 0.0
	figures := func() []pool.Figure {
		kind := func(value string) []pool.Label { return []pool.Label{{Name: "kind", Value: value}} }
		return []pool.Figure{
			{Name: "headpond.sqlite.batch.waiting", Help: "Calls of Batch that wait.", Value: waiting},
			{Name: "headpond.sqlite.wal.size", Unit: "By", Help: "The size of the log.", Value: 96 << 10},
			{Name: "headpond.sqlite.wal.size.limit", Unit: "By", Value: 64 << 10},
			{Name: "headpond.sqlite.batches", Kind: pool.Counter},
			{Name: "headpond.sqlite.findings", Kind: pool.Counter, Labels: kind("pragma")},
			{Name: "headpond.sqlite.findings", Kind: pool.Counter, Labels: kind("temp")},
		}
	}
	newPool(t, resource.Hooks[int]{}, pool.Options{Name: "orders.readers", Owner: "orders", Observer: page.Observer(), Figures: figures})
	newPool(t, resource.Hooks[int]{}, pool.Options{Name: "orders.writer", Owner: "orders", Observer: page.Observer()})
	html := get(t, page, "/").Body.String()
	assert.Equal(t, 1, strings.Count(html, "<h3>orders, as a whole</h3>"))
	assert.Contains(t, html, `<div class="meter bad" title="The size of the log."><span>wal.size</span>`)
	assert.Contains(t, html, `aria-label="wal.size: 96 KiB of 64 KiB"`)
	assert.Contains(t, html, `0: headpond.sqlite.batches, headpond.sqlite.findings<`)
	assert.NotContains(t, html, "calls of Batch that wait")
	waiting = 12
	html = get(t, page, "/").Body.String()
	assert.Contains(t, html, `<p class="queue">12 calls of Batch that wait</p>`)
}
