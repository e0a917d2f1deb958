package poolz_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/pool/poolz"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// named is a pool whose values have names.
type named struct {
	pool.Inspector
	names []string
}

func (n named) List(find string, most int) (items []pool.Item, total int) {
	for i, name := range n.names {
		if strings.Contains(name, find) {
			if total++; total <= most {
				items = append(items, pool.Item{ID: uint64(i + 1), Name: name, Since: time.Now().Add(-time.Hour), Used: time.Now().Add(-45 * time.Second), Held: i % 2, Uses: 1234})
			}
		}
	}
	return items, total
}

func TestList(t *testing.T) {
	page := poolz.New()
	all := named{Inspector: newPool(t, resource.Hooks[int]{}, pool.Options{Name: "tenants"}), names: []string{`<script>alert("1")</script>`}}
	for n := range 120 {
		all.names = append(all.names, fmt.Sprint("tenant-", n))
	}
	page.Observer()(all)
	plain := newPool(t, resource.Hooks[int]{}, pool.Options{Name: "plain", Observer: page.Observer()})

	type list struct {
		Find  string
		Total int
		Items []struct {
			ID   uint64
			Name string
			Held int
		}
	}
	ask := func(find string) (lists map[string]*list, html string) {
		var shown struct {
			Pools []struct {
				Name string
				List *list
			}
		}
		require.NoError(t, json.Unmarshal(get(t, page, "/?format=json&find="+url.QueryEscape(find)).Body.Bytes(), &shown))
		lists = map[string]*list{}
		for _, p := range shown.Pools {
			lists[p.Name] = p.List
		}
		return lists, get(t, page, "/?find="+url.QueryEscape(find)).Body.String()
	}
	lists, html := ask("")
	assert.Nil(t, lists["plain"], "its values have no names")
	assert.Equal(t, 121, lists["tenants"].Total)
	assert.Len(t, lists["tenants"].Items, 50, "those that were used last")
	assert.Equal(t, 1, strings.Count(html, `<ol class="list">`))
	assert.Contains(t, html, "&lt;script&gt;alert(")
	assert.NotContains(t, html, "<script>alert(")
	assert.Regexp(t, `used 4[0-9.]+ s ago, 1,234 times in `, html)
	assert.Contains(t, html, "held by 1")

	lists, html = ask("tenant-77")
	assert.Equal(t, 1, lists["tenants"].Total)
	assert.Equal(t, "tenant-77", lists["tenants"].Items[0].Name)
	assert.EqualValues(t, 79, lists["tenants"].Items[0].ID)
	assert.Contains(t, html, `value="tenant-77"`)
	assert.Contains(t, html, "-list\" open>", "what was asked for is seen")

	lists, html = ask(`"><b>none`)
	assert.Zero(t, lists["tenants"].Total)
	assert.Empty(t, lists["tenants"].Items)
	assert.NotContains(t, html, `"><b>none`)
	require.NoError(t, plain.Close(context.Background()))
}
