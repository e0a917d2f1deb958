package pool

import "time"

// Lister is an [Inspector] that can list its values by name, as a pool of databases can, one for each tenant.
// A page shows the first of them, and finds one by its name. A name is for people: it never becomes part of a metric.
type Lister interface {
	Inspector

	// List returns at most most of the values whose name contains find, those that were used last first,
	// and how many there are. It may be called from any goroutine.
	List(find string, most int) (items []Item, total int)
}

// Item is a value in the list of a [Lister].
type Item struct {
	ID    uint64 // of the value
	Name  string
	Since time.Time // when it was constructed
	Used  time.Time // when it was last acquired or released
	Held  int       // leases on it
	Uses  uint64    // leases since it was constructed
}
