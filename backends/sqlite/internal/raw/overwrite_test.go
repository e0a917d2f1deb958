package raw

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
	"zombiezen.com/go/sqlite"
)

// logged opens a connection to a new file in WAL mode, with a table and three commits in its log.
func logged(t *testing.T) *Handle {
	t.Helper()
	h := open(t)
	require.Equal(t, "wal", get(t, h.conn, "PRAGMA journal_mode=wal"))
	do(t, h.conn, "CREATE TABLE t (x); INSERT INTO t VALUES (1); PRAGMA user_version=-7")
	return h
}

// file is the path of the main database.
func (h *Handle) file() string { return libc.GoString(lib.Xsqlite3_db_filename(h.tls, h.db, 0)) }

func TestOverwrite_WritesOnePageAndChangesNothing(t *testing.T) {
	h := logged(t)
	before := h.LogPages()
	require.NoError(t, h.Overwrite(h.Limits()))
	assert.Equal(t, before+1, h.LogPages())
	assert.Equal(t, "-7", get(t, h.conn, "PRAGMA user_version"))
	assert.Equal(t, "1", get(t, h.conn, "SELECT count(*) FROM t"))
}

func TestOverwrite_ReachesWhatWasAttached(t *testing.T) {
	h := logged(t)
	do(t, h.conn, `ATTACH '`+filepath.Join(t.TempDir(), "other.db")+`' AS 'an "other"'`)
	require.Equal(t, "wal", get(t, h.conn, `PRAGMA "an ""other""".journal_mode=wal`))
	do(t, h.conn, `CREATE TABLE "an ""other""".u (x); PRAGMA "an ""other""".user_version=9`)
	frames := func() (all []int) {
		require.NoError(t, h.Run(BeginImmediate))
		for _, log := range h.Logs() {
			all = append(all, log.Frames)
		}
		require.NoError(t, h.Run(Rollback))
		return all
	}
	before := frames()
	require.Len(t, before, 2)
	require.NoError(t, h.Overwrite(h.Limits()))
	assert.Equal(t, []int{before[0] + 1, before[1] + 1}, frames())
	assert.Equal(t, "9", get(t, h.conn, `PRAGMA "an ""other""".user_version`))
}

// What a borrower has set does not keep it from its work, and stays.
func TestOverwrite_WhateverTheBorrowerSet(t *testing.T) {
	h := logged(t)
	baseline := h.Limits()
	do(t, h.conn, "PRAGMA query_only=on")
	h.conn.Limit(sqlite.LimitSQLLength, 5)
	require.NoError(t, h.conn.SetAuthorizer(sqlite.AuthorizeFunc(func(sqlite.Action) sqlite.AuthResult { return sqlite.AuthResultDeny })))
	h.conn.SetBlockOnBusy()
	rings := make(chan struct{})
	close(rings)
	h.conn.SetInterrupt(rings)
	h.RefuseCommits(true)
	before, limits, settings := h.LogPages(), h.Limits(), h.Settings()

	require.NoError(t, h.Overwrite(baseline))

	assert.Equal(t, before+1, h.LogPages())
	assert.Equal(t, limits, h.Limits())
	assert.Equal(t, settings, h.Settings())
	assert.False(t, h.HasAuthorizer())
	assert.False(t, h.HasBusyHandler())
	assert.Equal(t, int32(1), h.cell.refuse)
	h.conn.SetInterrupt(nil)
	require.NoError(t, h.conn.SetAuthorizer(nil))
}

func TestOverwrite_WaitsAsBusySays(t *testing.T) {
	h := logged(t)
	waits := &borrower{tries: 2}
	other := attach(t, h.file(), waits)
	require.NoError(t, h.Run(BeginImmediate))
	assert.Equal(t, sqlite.ResultBusy, sqlite.ErrCode(other.Overwrite(other.Limits())))
	assert.Equal(t, []int{0, 1, 2}, waits.busy)
	assert.True(t, other.Idle())
	require.NoError(t, h.Run(Rollback))
	assert.NoError(t, other.Overwrite(other.Limits()))
}

// A ROLLBACK is no commit that failed, also after a commit that had nothing to write.
func TestFailedCommits_CountsNoRollback(t *testing.T) {
	h := logged(t)
	do(t, h.conn, "BEGIN IMMEDIATE; COMMIT; BEGIN; INSERT INTO t VALUES (2); ROLLBACK; DELETE FROM t WHERE x=99")
	h.RefuseCommits(true)
	assert.Error(t, run(h.conn, "INSERT INTO t VALUES (3)"))
	h.RefuseCommits(false)
	assert.EqualValues(t, 2, h.Rollbacks())
	assert.Zero(t, h.FailedCommits())
}

func TestLogs_AreThoseOfTheIndex(t *testing.T) {
	h := logged(t)
	require.NoError(t, h.Run(BeginImmediate))
	logs := h.Logs()
	require.NoError(t, h.Run(Rollback))
	require.Len(t, logs, 1)
	assert.Equal(t, h.LogPages(), logs[0].Frames)
	assert.Equal(t, 4096, logs[0].PageSize)
	assert.Equal(t, h.file()+"-wal", logs[0].Path)
	assert.False(t, logs[0].Recovered)
}

func TestMoveAgain_ForgetsWhatWasMoved(t *testing.T) {
	h := logged(t)
	moved := func(mode string) (moved int) {
		stmt, _, err := h.conn.PrepareTransient("PRAGMA wal_checkpoint(" + mode + ")")
		require.NoError(t, err)
		_, err = stmt.Step()
		require.NoError(t, err)
		moved = stmt.ColumnInt(2)
		require.NoError(t, stmt.Finalize())
		return moved
	}
	all := moved("PASSIVE")
	require.NotZero(t, all)
	require.Equal(t, all, moved("NOOP"))
	require.NoError(t, h.Run(BeginImmediate))
	for _, log := range h.Logs() {
		require.NoError(t, h.MoveAgain(log))
	}
	require.NoError(t, h.Run(Rollback))
	assert.Zero(t, moved("NOOP"))
	assert.Equal(t, all, moved("PASSIVE"))
}
