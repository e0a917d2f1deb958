// Package tenants has a database for each tenant, user, workspace or agent: any number of files, of which a bounded number
// is open at a time.
//
//	p, err := tenants.New(tenants.Options{
//		Path:     tenants.Directory("/var/lib/app/tenants"),
//		Database: sqlite.Options{Schema: schema},
//		MaxOpen:  200,
//	})
//	...
//	err = p.Write(ctx, "acme", func(ctx context.Context, conn *sqlite.Conn) error {
//		return sqlitex.Execute(conn, "INSERT INTO notes (text) VALUES (?)", &sqlitex.ExecOptions{Args: []any{text}})
//	})
//
// A call makes the database of a name that has none. If names come from outside, as from a URL, let Path refuse those that
// are not known: its error is that of the call, and nothing is made. If files is a [Directory],
//
//	Path: func(tenant string) (string, error) { if !known(tenant) { return "", errUnknown }; return files(tenant) },
//
// # Places
//
// A database has a place from the moment it begins to open until it is closed, and there are MaxOpen places: so the bound on
// file descriptors and memory holds at every instant. A call to an open database is admitted at once. Any other call waits
// until its tenant has a place and is open; one opening serves all calls that wait for it.
//
// Tenants wait for places in one queue, in the order of their first waiting call: a thousand calls for one tenant take
// one place in it. Only a database that no call holds is closed, the least recently used one first. Some places
// are kept free ahead of demand (MaxOpening of them), so that opening a database seldom waits for another one to close.
//
// While a tenant waits and every open database is held, the database that has been open for the longest drains:
// it admits no new calls, which queue up behind the tenant that waits, and is closed as soon as its last call has ended.
// So no tenant starves, however busy the others are; but a call that lasts keeps its place for as long.
//
// # Errors
//
// A database that can't be opened is its own tenant's problem: its place is free again at once, its calls fail with
// the reason, and it is not tried again for 100ms, then 200ms, up to 10s. If the paths of two tenants lead to one file,
// the second one gets [ErrSameFile]. A file that is replaced while it is open fails one call or a few with [sqlite.ErrReplaced];
// then the database is closed and opened anew. Replace it in [Pool.Exclusive] instead.
//
// # Calls inside calls
//
// A function that was given to Read, Write, Batch, Do or Exclusive may call the pool again, with its ctx. For its own tenant
// such a call is admitted at once; inside Exclusive, which keeps the database closed, it fails at once with [pool.ErrNested].
// For another tenant it is admitted at once too if that is open, and it may wait for an opening, or for a place that
// becomes free by itself. If it would have to wait until another call ends, it fails in the same way: two such calls
// could wait for each other for ever. So take what two tenants need one after the other, or choose MaxOpen large enough.
// A nested call that is made with another ctx can't be told apart, and may wait for itself until AcquireTimeout.
//
// # Observing it
//
// Options.Observer sees one pool whose values are databases: its figures and histograms are those of all tenants together,
// and no tenant's name is in them. [Pool.Tenants] lists what is open, [Pool.Holders] who holds what.
package tenants
