package poolz

import (
	"time"

	"github.com/headpond/headpond/pool"
)

// mostItems is how many values of a pool that lists them a page shows: those that were used last.
const mostItems = 50

// listView is the list of a pool whose values have names.
type listView struct {
	Find  string     `json:"find"`
	Total int        `json:"total"` // values whose name contains Find
	Items []itemView `json:"items"`
}

type itemView struct {
	ID    uint64    `json:"id"`
	Name  string    `json:"name"`
	Since time.Time `json:"since"`
	Used  time.Time `json:"used"`
	Held  int       `json:"held"`
	Uses  count     `json:"uses"`
	Shown string    `json:"-"`
}

// list returns the list of a pool, nil if its values have no names.
func (w *watched) list(now time.Time, find string) *listView {
	lister, ok := w.pool.(pool.Lister)
	if !ok {
		return nil
	}
	items, total := lister.List(find, mostItems)
	v := &listView{Find: find, Total: total, Items: []itemView{}}
	for _, item := range items {
		shown := "used " + seconds(now.Sub(item.Used)).String() + " ago"
		if item.Held > 0 {
			shown = "held by " + count(item.Held).String()
		}
		v.Items = append(v.Items, itemView{
			ID: item.ID, Name: shorten(item.Name), Since: item.Since, Used: item.Used, Held: item.Held, Uses: count(item.Uses),
			Shown: shown + ", " + count(item.Uses).String() + " times in " + seconds(now.Sub(item.Since)).String(),
		})
	}
	return v
}
