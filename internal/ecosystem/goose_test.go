package ecosystem

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var gooseSteps = fstest.MapFS{
	"00001_users.sql": {Data: []byte(`
-- +goose Up
CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL, created TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
-- +goose StatementBegin
CREATE TRIGGER no_anon BEFORE INSERT ON users WHEN new.name = '' BEGIN
	SELECT raise(ABORT, 'a user has a name');
END;
-- +goose StatementEnd
INSERT INTO users (name) VALUES ('root');
-- +goose Down
DROP TABLE users;
`)},
	"00002_posts.sql": {Data: []byte(`
-- +goose NO TRANSACTION
-- +goose Up
CREATE TABLE posts (id INTEGER PRIMARY KEY, users_id INTEGER NOT NULL REFERENCES users (id));
CREATE INDEX posts_users_id ON posts (users_id);
VACUUM;
-- +goose Down
DROP TABLE posts;
`)},
}

func counted(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO posts (users_id) SELECT id FROM users")
	return err
}

func uncounted(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, "DELETE FROM posts")
	return err
}

// gooseProvider runs what is above, and as the third migration one in Go.
func gooseProvider(t *testing.T, db *sql.DB, more fstest.MapFS, options ...goose.ProviderOption) *goose.Provider {
	all := fstest.MapFS{}
	for _, from := range []fstest.MapFS{gooseSteps, more} {
		for name, file := range from {
			all[name] = file
		}
	}
	options = append(options, goose.WithDisableGlobalRegistry(true),
		goose.WithGoMigrations(goose.NewGoMigration(3, &goose.GoFunc{RunTx: counted}, &goose.GoFunc{RunTx: uncounted})))
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, all, options...)
	require.NoError(t, err)
	return provider
}

func TestGoose_UpAndDown(t *testing.T) {
	db, ctx := open(t), t.Context()
	provider := gooseProvider(t, db, nil)
	for range 2 {
		results, err := provider.Up(ctx)
		require.NoError(t, err)
		assert.Len(t, results, 3)
		var count int
		require.NoError(t, db.QueryRow("SELECT count(*) FROM posts").Scan(&count))
		assert.Equal(t, 1, count)
		status, err := provider.Status(ctx)
		require.NoError(t, err)
		for _, one := range status {
			assert.Equal(t, goose.StateApplied, one.State)
			assert.False(t, one.AppliedAt.IsZero())
		}
		_, err = provider.DownTo(ctx, 0)
		require.NoError(t, err)
		require.NoError(t, db.QueryRow("SELECT count(*) FROM sqlite_schema WHERE name IN ('users', 'posts')").Scan(&count))
		assert.Zero(t, count)
	}
}

func TestGoose_AMigrationThatFails(t *testing.T) {
	db, ctx := open(t), t.Context()
	provider := gooseProvider(t, db, fstest.MapFS{"00004_fails.sql": {Data: []byte(`
-- +goose Up
ALTER TABLE users ADD COLUMN email TEXT;
INSERT INTO users (name) VALUES ('');
`)}})
	results, err := provider.Up(ctx)
	require.ErrorContains(t, err, "a user has a name")
	var partial *goose.PartialError
	require.True(t, errors.As(err, &partial), "%T %v", err, results)
	assert.Len(t, partial.Applied, 3)
	assert.EqualValues(t, 4, partial.Failed.Source.Version)
	version, err := provider.GetDBVersion(ctx)
	require.NoError(t, err)
	assert.EqualValues(t, 3, version)
	var count int
	require.NoError(t, db.QueryRow("SELECT count(*) FROM pragma_table_info('users') WHERE name='email'").Scan(&count))
	assert.Zero(t, count, "it was rolled back")

	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	_, err = provider.DownTo(cancelled, 0)
	require.ErrorIs(t, err, context.Canceled)
	_, err = provider.DownTo(ctx, 1)
	require.NoError(t, err)
}

// processes is how many migrate one file at once.
const processes = 4

func TestGoose_ProcessesAtOnce(t *testing.T) {
	if path := os.Getenv("HEADPOND_GOOSE_FILE"); path != "" {
		migrateOne(t, path)
		return
	}
	path := filepath.Join(t.TempDir(), "app.db")
	all := make(chan error, processes)
	for range processes {
		command := exec.Command(os.Args[0], "-test.run=^TestGoose_ProcessesAtOnce$", "-test.count=1")
		command.Env = append(os.Environ(), "HEADPOND_GOOSE_FILE="+path)
		go func() {
			output, err := command.CombinedOutput()
			if err != nil {
				err = fmt.Errorf("%w: %s", err, output)
			}
			all <- err
		}()
	}
	for range processes {
		require.NoError(t, <-all)
	}
	db, err := sql.Open("headpond", path)
	require.NoError(t, err)
	defer db.Close()
	var versions, users, posts int
	require.NoError(t, db.QueryRow("SELECT count(*) FROM goose_db_version WHERE version_id > 0").Scan(&versions))
	require.NoError(t, db.QueryRow("SELECT count(*), (SELECT count(*) FROM posts) FROM users").Scan(&users, &posts))
	assert.Equal(t, []int{3, 1, 1}, []int{versions, users, posts}, "each migration was applied once")
}

// migrateOne is one of the processes.
func migrateOne(t *testing.T, path string) {
	db, err := sql.Open("headpond", path+"?busy_timeout=60s")
	require.NoError(t, err)
	defer db.Close()
	turn, err := sql.Open("headpond", path+".lock?busy_timeout=60s")
	require.NoError(t, err)
	defer turn.Close()
	_, err = gooseProvider(t, db, nil, goose.WithLocker(&fileLock{db: turn})).Up(t.Context())
	require.NoError(t, err)
}

// fileLock is a lock between processes, which goose has none of for SQLite: a transaction on a file of its own.
type fileLock struct {
	db *sql.DB
	tx *sql.Tx
}

func (l *fileLock) Lock(ctx context.Context, _ *sql.DB) (err error) {
	l.tx, err = l.db.BeginTx(ctx, nil)
	return err
}

func (l *fileLock) Unlock(context.Context, *sql.DB) error { return l.tx.Rollback() }
