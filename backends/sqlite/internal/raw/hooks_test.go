package raw

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
)

// borrower answers what SQLite asks.
type borrower struct {
	busy      []int
	tries     int // for so many times Busy says that SQLite is to try again
	progress  int
	asked     int
	refuses   bool   // MayCommit says no
	forbidden string // Authorize forbids what has this name
}

func (b *borrower) Busy(count int) bool {
	b.busy = append(b.busy, count)
	return count < b.tries
}

func (b *borrower) Calls(string)                 {}
func (b *borrower) Progress()                    { b.progress++ }
func (b *borrower) MayCommit() bool              { b.asked++; return !b.refuses }
func (*borrower) MayCheckpoint(bool) bool        { return true }
func (*borrower) SchemaChanged()                 {}
func (*borrower) Checkpointed(sqlite.ResultCode) {}

func (b *borrower) Authorize(_ sqlite.OpType, name string, _ bool, _ string) bool {
	return name != b.forbidden
}

func TestEvents_BusyIsAskedUntilItSaysNo(t *testing.T) {
	file, waits := filepath.Join(t.TempDir(), "app.db"), &borrower{tries: 3}
	holder, waiter := attach(t, file, new(borrower)), attach(t, file, waits)
	require.NoError(t, holder.Run(BeginImmediate))
	defer func() { require.NoError(t, holder.Run(Rollback)) }()
	err := waiter.Run(BeginImmediate)
	assert.Equal(t, sqlite.ResultBusy, sqlite.ErrCode(err))
	assert.Equal(t, []int{0, 1, 2, 3}, waits.busy)
	assert.True(t, waiter.HasBusyHandler())
	waiter.conn.SetBusyTimeout(0)
	assert.False(t, waiter.HasBusyHandler())
}

func TestEvents_ProgressIsCalledWhileAStatementRuns(t *testing.T) {
	b := new(borrower)
	h := attach(t, filepath.Join(t.TempDir(), "app.db"), b)
	assert.Zero(t, b.progress)
	do(t, h.conn, "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c LIMIT 100000) SELECT count(*) FROM c")
	assert.GreaterOrEqual(t, b.progress, 100_000/stepsBetween)
}

func TestEvents_MayCommitIsAskedAndObeyed(t *testing.T) {
	b := new(borrower)
	h := attach(t, filepath.Join(t.TempDir(), "app.db"), b)
	do(t, h.conn, "CREATE TABLE t (x)")
	assert.Zero(t, b.asked)
	h.AskBeforeCommit(true)
	do(t, h.conn, "SELECT * FROM t")
	assert.Zero(t, b.asked, "nothing is committed")
	do(t, h.conn, "INSERT INTO t VALUES (1)")
	assert.Equal(t, 1, b.asked)
	b.refuses = true
	assert.Equal(t, sqlite.ResultConstraintCommitHook, sqlite.ErrCode(run(h.conn, "INSERT INTO t VALUES (2)")))
	h.AskBeforeCommit(false)
	do(t, h.conn, "INSERT INTO t VALUES (3)")
	assert.Equal(t, 2, b.asked)
}

func TestEvents_AuthorizeForbids(t *testing.T) {
	h := attach(t, filepath.Join(t.TempDir(), "app.db"), &borrower{forbidden: "temp_store"})
	assert.Equal(t, sqlite.ResultAuth, sqlite.ErrCode(run(h.conn, "PRAGMA temp_store=2")))
	do(t, h.conn, "PRAGMA cache_size=7; CREATE TABLE t (x)")
}

func TestEvents_HearNothingAfterUninstall(t *testing.T) {
	require.NoError(t, Supported())
	conn, err := Open(":memory:", sqlite.OpenReadWrite)
	require.NoError(t, err)
	defer func() { require.NoError(t, Close(conn)) }()
	h, w := New(conn), new(witness)
	attachedNow := func() bool {
		var all []Events
		Attached(func(events Events) { all = append(all, events) })
		return slices.Contains(all, Events(w))
	}
	require.NoError(t, h.Attach(w))
	assert.True(t, attachedNow())
	require.NoError(t, h.Install())
	do(t, conn, "CREATE TABLE t (x)")
	require.Contains(t, w.authorized, "t")
	require.NoError(t, h.Uninstall())
	assert.False(t, attachedNow())
	heard := len(w.authorized)
	do(t, conn, "CREATE TABLE u (x)")
	assert.Len(t, w.authorized, heard)
	require.NoError(t, h.Uninstall(), "it can be called again")
}
