package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headpond/headpond/backends/sqlite/internal/raw"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
)

// missesARow is a database with an index that misses a row, which no read of the table notices.
func missesARow(t *testing.T) *DB {
	t.Helper()
	file := path(t)
	for _, script := range []string{
		"CREATE TABLE work (id INTEGER PRIMARY KEY, x); CREATE INDEX i ON work (x); CREATE TABLE aside AS SELECT * FROM sqlite_schema WHERE name='i'",
		"PRAGMA writable_schema=on; DELETE FROM sqlite_schema WHERE name='i'",
		"INSERT INTO work VALUES (1, 'unseen')",
		"PRAGMA writable_schema=on; INSERT INTO sqlite_schema SELECT * FROM aside",
	} {
		db, err := Open(t.Context(), file, Options{NoDefensive: true})
		require.NoError(t, err)
		require.NoError(t, db.Writer().Do(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, script) }))
		require.NoError(t, db.Close(t.Context()))
	}
	db, err := Open(t.Context(), file, Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close(context.Background())) })
	return db
}

func TestBackupWith_VerifyFindsWhatIsBroken(t *testing.T) {
	db := missesARow(t)
	copied := filepath.Join(t.TempDir(), "copy.db")
	err := db.BackupWith(t.Context(), copied, BackupOptions{Verify: true})
	assert.Equal(t, ResultCorrupt, ErrCode(err))
	assert.ErrorContains(t, err, "backup to "+copied+": integrity_check of the copy: ")
	assert.ErrorContains(t, err, "wrong # of entries in index i")
	assert.Empty(t, files(t, copied))
	assert.NoError(t, db.Ping(t.Context()), "it says nothing of the connections")
	require.NoError(t, db.Backup(t.Context(), copied, nil), "without it nobody looks")
}

// What is wrong with the copy is said of the copy, and says nothing of the connections to the database.
func TestBackupWith_VerifyCantOpenTheCopy(t *testing.T) {
	refuse := false
	db := openBatch(t, Options{Setup: func(context.Context, *Conn) error {
		if refuse {
			return errBank
		}
		return nil
	}})
	require.NoError(t, db.Ping(t.Context()))
	generation := db.database.generation.Load()
	copied := filepath.Join(t.TempDir(), "copy.db")
	fails := func(options BackupOptions) error {
		options.Verify = true
		err := db.BackupWith(t.Context(), copied, options)
		require.Error(t, err)
		assert.ErrorContains(t, err, "backup to "+copied+": check the copy: ")
		assert.NotContains(t, err.Error(), db.database.path)
		assert.Empty(t, files(t, copied))
		assert.Equal(t, generation, db.database.generation.Load(), "the others go on")
		return err
	}
	refuse = true
	assert.ErrorIs(t, fails(BackupOptions{}), errBank)
	refuse = false
	err := fails(BackupOptions{Progress: func(done, total int) {
		if done < total {
			return
		}
		made, err := filepath.Glob(filepath.Join(filepath.Dir(copied), temporaryPattern))
		require.NoError(t, err)
		require.Len(t, made, 1)
		file, err := os.OpenFile(made[0], os.O_RDWR, 0)
		require.NoError(t, err)
		_, err = file.WriteAt([]byte("this is no database"), 0)
		require.NoError(t, errors.Join(err, file.Close()))
	}})
	assert.ErrorIs(t, err, ErrNotDatabase)
}

// Each option alone and both, of a file and in memory: the copy is whole, and opens with what is beside it.
func TestBackupWith_Options(t *testing.T) {
	collation := Options{Setup: func(_ context.Context, conn *Conn) error {
		return conn.SetCollation("backwards", func(one, other string) int { return strings.Compare(other, one) })
	}}
	inMemory, err := OpenMemory(t.Context(), collation)
	require.NoError(t, err)
	defer func() { require.NoError(t, inMemory.Close(t.Context())) }()
	for _, db := range []*DB{openBatch(t, collation), inMemory} {
		require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
			return run(conn, "CREATE TABLE word (x COLLATE backwards); CREATE INDEX i ON word (x); INSERT INTO word VALUES ('one'),('two')")
		}))
		for _, options := range []BackupOptions{{}, {Verify: true}, {ReadOnlyMedia: true}, {Verify: true, ReadOnlyMedia: true}} {
			copied := filepath.Join(t.TempDir(), "copy.db")
			calls := 0
			options.Progress = func(done, total int) { calls++ }
			require.NoError(t, db.BackupWith(t.Context(), copied, options))
			assert.NotZero(t, calls)
			assert.Equal(t, []string{"copy.db"}, files(t, copied))
			header, err := os.ReadFile(copied)
			require.NoError(t, err)
			want := []byte{2, 2}
			if options.ReadOnlyMedia || db == inMemory {
				want = []byte{1, 1}
			}
			assert.Equal(t, want, header[18:20])
			readOnly := collation
			readOnly.ReadOnly = true
			for _, as := range []Options{readOnly, collation} {
				other, err := Open(t.Context(), copied, as)
				require.NoError(t, err)
				n, err := Read(t.Context(), other, func(_ context.Context, conn *Conn) (string, error) {
					return first(conn, "SELECT group_concat(x) FROM (SELECT x FROM word ORDER BY x)")
				})
				require.NoError(t, err)
				assert.Equal(t, "two,one", n)
				require.NoError(t, other.Close(t.Context()))
			}
		}
	}
}

// The end of ctx ends the check, and nothing is left.
func TestBackupWith_VerifyHearsCtx(t *testing.T) {
	db := openFiller(t, Options{})
	fill(t, db, 1)
	copied := filepath.Join(t.TempDir(), "copy.db")
	ctx, cancel := context.WithCancelCause(t.Context())
	err := db.BackupWith(ctx, copied, BackupOptions{Verify: true, Progress: func(done, total int) {
		if done == total {
			cancel(errBank)
		}
	}})
	assert.ErrorIs(t, err, errBank)
	assert.Empty(t, files(t, copied))
}

// endsWhen is a ctx that has ended as soon as ended says so.
type endsWhen struct {
	context.Context
	ended func() bool
}

func (e endsWhen) Err() error {
	if e.ended() {
		return context.Canceled
	}
	return nil
}

func init() {
	// write FILE: write to the database without waiting for a lock.
	children["write"] = func(args []string) error {
		conn, err := raw.Open(args[0], sqlite.OpenReadWrite)
		if err != nil {
			return err
		}
		conn.SetBusyTimeout(0)
		return errors.Join(run(conn, "INSERT INTO t VALUES (1)"), raw.Close(conn))
	}
}

// Who opens the copy as soon as it has its name keeps its locks on it, even if ctx ends before the other name is gone.
func TestBackup_ClosesNothingThatHasTheNameOfTheCopy(t *testing.T) {
	db := openBatch(t, Options{})
	require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, "CREATE TABLE t (x)") }))
	copied := filepath.Join(t.TempDir(), "copy.db")
	var conn *Conn
	ctx := endsWhen{context.WithoutCancel(t.Context()), func() bool {
		if _, err := os.Stat(copied); conn != nil || err != nil {
			return conn != nil
		}
		var err error
		conn, err = raw.Open(copied, sqlite.OpenReadWrite)
		require.NoError(t, err)
		require.NoError(t, run(conn, "BEGIN EXCLUSIVE"))
		return true
	}}
	require.NoError(t, db.BackupWith(ctx, copied, BackupOptions{ReadOnlyMedia: true})) // a journal whose locks are on the file itself
	require.NotNil(t, conn, "ctx was asked when the copy had its name")
	defer func() { require.NoError(t, raw.Close(conn)) }()
	assert.Equal(t, []string{"copy.db"}, files(t, copied))
	output, err := child(t, "write", copied).CombinedOutput()
	assert.Error(t, err, "another process writes under the lock")
	assert.Contains(t, string(output), "database is locked")
}

// The name of one of the database's own files is found by what is there, however it is spelled.
func TestBackup_NeverTakesANameOfTheDatabase(t *testing.T) {
	db := openBatch(t, Options{})
	own := db.database.path
	home := t.TempDir()
	below := filepath.Join(filepath.Dir(own), "below", "deep")
	require.NoError(t, os.MkdirAll(below, 0o700))
	t.Chdir(home)
	for _, suffix := range suffixes {
		if !onWindows && symlink(t, below, filepath.Join(home, "link"+suffix)) { // Windows takes link/.. for nothing
			assert.ErrorIs(t, db.Backup(t.Context(), "link"+suffix+"/../../batch.db"+suffix, nil), fs.ErrInvalid)
		}
	}
	t.Chdir(filepath.Dir(own))
	for _, suffix := range suffixes {
		for _, name := range []string{"batch.db", "./batch.db", "below/../batch.db", "../" + filepath.Base(filepath.Dir(own)) + "/batch.db"} {
			assert.ErrorIs(t, db.Backup(t.Context(), name+suffix, nil), fs.ErrInvalid, name+suffix)
		}
	}
	// In a directory where letter case says nothing, the one name is the other. Elsewhere a link stands for that.
	_, err := os.Stat("BATCH.DB")
	anyCase := err == nil
	if !anyCase {
		assert.NoError(t, db.Backup(t.Context(), "Batch.db-journal", nil), "here it is another file")
		require.NoError(t, os.Remove("Batch.db-journal"))
		require.NoError(t, os.Link("batch.db", "BATCH.DB"))
	}
	for _, name := range []string{"BATCH.DB-journal", "batch.db-JOURNAL", "BATCH.DB-WAL", "BATCH.DB"} {
		assert.ErrorIs(t, db.Backup(t.Context(), name, nil), fs.ErrInvalid, name)
	}
	if !anyCase {
		require.NoError(t, os.Remove("BATCH.DB"))
	}
	assert.Equal(t, []string{"batch.db", "batch.db-shm", "batch.db-wal", "below"}, files(t, own))
	assert.NoError(t, db.Backup(t.Context(), "below/batch.db", nil), "in another directory it is another file")
}

// Open takes link/.. for what the system takes it for.
func TestOpen_FollowsALinkBeforeItGoesUp(t *testing.T) {
	home, data := t.TempDir(), t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(data, "below"), 0o700))
	if onWindows || !symlink(t, filepath.Join(data, "below"), filepath.Join(home, "link")) {
		t.Skip("the system takes link/.. for nothing")
	}
	t.Chdir(home)
	db, err := Open(t.Context(), "link/../app.db", Options{})
	require.NoError(t, err)
	t.Chdir("/")
	assert.NoError(t, db.Ping(t.Context()))
	require.NoError(t, db.Close(t.Context()))
	_, err = os.Stat(filepath.Join(data, "app.db"))
	assert.NoError(t, err)
	_, err = os.Stat(filepath.Join(home, "app.db"))
	assert.ErrorIs(t, err, fs.ErrNotExist)
}
