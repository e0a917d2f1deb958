package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/benbjohnson/litestream"
	"github.com/benbjohnson/litestream/file"
	"github.com/headpond/headpond/backends/sqlite"
)

// replica is Litestream as a library: it copies a database to a directory, which stands for a bucket on another machine.
type replica struct {
	db    *litestream.DB
	store *litestream.Store
}

// newReplica does no I/O. A database that is lost loses what it has not copied, every so often.
func newReplica(database, directory string, every time.Duration) *replica {
	db := litestream.NewDB(database)
	client := file.NewReplicaClient(directory)
	db.Replica = litestream.NewReplicaWithClient(db, client)
	client.Replica = db.Replica
	db.MonitorInterval, db.Replica.SyncInterval = every, every
	r := &replica{db: db, store: litestream.NewStore([]*litestream.DB{db}, litestream.DefaultCompactionLevels)}
	db.SetLogger(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	return r
}

// restore is for sqlite.Options.Restore.
func (r *replica) restore(ctx context.Context, path string) error {
	options := litestream.NewRestoreOptions()
	options.OutputPath, options.IntegrityCheck = path, litestream.IntegrityCheckQuick
	err := r.db.Replica.Restore(ctx, options)
	if errors.Is(err, litestream.ErrTxNotAvailable) || errors.Is(err, litestream.ErrNoSnapshots) { // nothing was ever copied
		return fmt.Errorf("%w: %w", sqlite.ErrNothingToRestore, err)
	}
	return err
}

// start begins to copy. Nothing is lost by what was written before: nobody else moves the log.
func (r *replica) start(ctx context.Context) error { return r.store.Open(ctx) }

// sync returns when all that was committed before the call is in the replica.
func (r *replica) sync(ctx context.Context) error { return r.db.SyncAndWait(ctx) }

// lag is how long ago all that there was had been copied.
func (r *replica) lag() time.Duration { return time.Since(r.db.LastSuccessfulSyncAt()) }

// close copies the rest, and ends. The database must be closed by then: see docs/litestream.md.
// The Close of Litestream copies nothing of a database that it has not looked at yet, as it first does after MonitorInterval.
func (r *replica) close(ctx context.Context) error {
	return errors.Join(r.sync(ctx), r.store.Close(ctx))
}

// replicate is Litestream in a process of its own. It copies until in ends; a line of in asks it to copy now.
func replicate(ctx context.Context, s settings, in io.Reader, out io.Writer) (err error) {
	r := newReplica(s.database, s.replica, s.every)
	if err := r.start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close(context.WithoutCancel(ctx))) }()
	fmt.Fprintln(out, "replicates")
	return answer(ctx, r, in, out)
}

// answer answers each line of in with "synced" when all that was committed before is in the replica.
func answer(ctx context.Context, r *replica, in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if err := r.sync(ctx); err != nil {
			slog.Warn("not copied", "err", err, "lag", r.lag())
			continue
		}
		fmt.Fprintln(out, "synced")
	}
	return lines.Err()
}

// restoreBeside restores the replica to a directory of its own, and returns how many rows there are: see countRows.
func restoreBeside(ctx context.Context, s settings) (n int, err error) {
	directory, err := os.MkdirTemp("", "headpond-restored-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(directory)
	path := filepath.Join(directory, "restored.db")
	err = newReplica(path, s.replica, s.every).restore(ctx, path)
	if errors.Is(err, sqlite.ErrNothingToRestore) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return countRows(ctx, path)
}
