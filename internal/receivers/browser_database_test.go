package receivers

import (
	"context"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/pool/poolz"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite/sqlitex"
)

// busyDatabase returns a page with a database whose writer is stuck in one call of Batch, behind which others wait,
// whose log is past its limit, and one of whose statements lacks an index.
func busyDatabase(t *testing.T) *httptest.Server {
	page := poolz.New()
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "orders.db"), sqlite.Options{
		Observer: page.Observer(), SlowAfter: time.Microsecond, LeakAfter: time.Hour, JournalSizeLimit: 64 << 10, MaxWaiters: 50, AcquireTimeout: time.Minute,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close(context.Background())) })
	run := func(sql string, args ...any) func(context.Context, *sqlite.Conn) error {
		return func(_ context.Context, conn *sqlite.Conn) error {
			return sqlitex.Execute(conn, sql, &sqlitex.ExecOptions{Args: args})
		}
	}
	require.NoError(t, db.Write(t.Context(), run("CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER, item TEXT)")))
	require.NoError(t, db.Write(t.Context(), run("WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n WHERE x<20000) INSERT INTO orders (customer, item) SELECT x%100, 'rope' FROM n")))
	for customer := range 20 {
		require.NoError(t, db.Read(t.Context(), run("SELECT item FROM orders WHERE customer=? LIMIT 3 OFFSET 190", customer)))
		require.NoError(t, db.Read(t.Context(), run("SELECT item FROM orders WHERE id=?", customer)))
	}
	pin, err := db.Readers().Acquire(t.Context()) // so that the log stays past its limit
	require.NoError(t, err)
	t.Cleanup(pin.Release)
	stmt := pin.Value().Prep("SELECT id FROM orders")
	_, err = stmt.Step()
	require.NoError(t, err)
	require.NoError(t, db.Write(t.Context(), run("UPDATE orders SET item='sail'")))
	inside, stuck := make(chan struct{}), make(chan struct{})
	var calls sync.WaitGroup
	calls.Go(func() {
		assert.NoError(t, db.Batch(context.Background(), func(context.Context, *sqlite.Conn) error { close(inside); <-stuck; return nil }))
	})
	<-inside
	for n := range 12 {
		calls.Go(func() {
			assert.NoError(t, db.Batch(context.Background(), run("INSERT INTO orders (customer, item) VALUES (?, 'oar')", n)))
		})
	}
	t.Cleanup(func() { close(stuck); calls.Wait() }) // before the DB is closed
	require.Eventually(t, func() bool { return db.Stats().Batch.Waiting == 12 }, time.Minute, time.Millisecond)
	server := httptest.NewServer(page)
	t.Cleanup(server.Close)
	return server
}

func TestThePageOfADatabase(t *testing.T) {
	for _, size := range []struct {
		name          string
		width, height int
	}{{"page-database", 1400, 1300}, {"page-database-phone", 390, 1400}} {
		t.Run(size.name, func(t *testing.T) {
			browser := newBrowser(t, size.width, size.height)
			server := busyDatabase(t)
			var now string
			var seen struct {
				Owners, Says, Queue, First, Warning, Meter string
				Statements                                 int
				Wide                                       bool
			}
			require.NoError(t, chromedp.Run(browser, chromedp.Navigate(server.URL), chromedp.WaitVisible("section", chromedp.ByQuery),
				chromedp.Poll(`document.querySelectorAll("polyline[points*=' ']").length > 0`, nil, chromedp.WithPollingTimeout(30*time.Second)),
				chromedp.Evaluate(`document.querySelectorAll("details[id$=statements], details[id$=figures]").forEach(d => d.open = true)`, nil),
				chromedp.Evaluate(`(() => { const owner = document.querySelector(".owner"), text = name => owner.querySelector(name).textContent; return {
					Owners: [...document.querySelectorAll("h3")].map(h => h.textContent).join(),
					Says: document.querySelector(".says").textContent, Queue: text(".queue"), First: text(".statements .text"), Warning: text(".warning"),
					Meter: [...owner.querySelectorAll(".meter")].map(m => m.textContent).join("; "),
					Statements: owner.querySelectorAll(".statements li").length,
					Wide: document.documentElement.scrollWidth > innerWidth}; })()`, &seen)))
			screenshot(t, browser, size.name)
			var kept bool // what was opened, and the focus, when the page has been brought up to date
			require.NoError(t, chromedp.Run(browser,
				chromedp.Evaluate(`document.querySelector("details[id$=statements] summary").focus()`, nil),
				chromedp.Evaluate(`document.querySelector("time").textContent`, &now)))
			require.NoError(t, chromedp.Run(browser,
				chromedp.Poll(fmt.Sprintf(`document.querySelector("time").textContent !== %q`, now), nil, chromedp.WithPollingTimeout(30*time.Second)),
				chromedp.Evaluate(`document.querySelector("details[id$=statements]").open && document.activeElement.parentElement.id.endsWith("statements")`, &kept)))
			assert.True(t, kept)
			assert.Equal(t, "orders, as a whole", seen.Owners, "once, though it has two pools")
			assert.Regexp(t, `^wal\.size is .*, and its limit is 64 KiB\.$`, seen.Says)
			assert.Equal(t, "12 calls of Batch that wait for their turn", seen.Queue)
			assert.Contains(t, seen.Meter, "batch.waiting12 of 50")
			assert.Regexp(t, `wal\.size.* of 64 KiB`, seen.Meter)
			assert.Contains(t, []string{"SELECT item FROM orders WHERE customer=? LIMIT 3 OFFSET 190", "UPDATE orders SET item='sail'", "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n WHERE x<20000) INSERT INTO orders (customer, item) SELECT x%100, 'rope' FROM n"}, seen.First)
			assert.Regexp(t, "steps of a full scan a run", seen.Warning)
			assert.Equal(t, 5, seen.Statements)
			assert.False(t, seen.Wide, "nothing is cut off at the side")
		})
	}
}
