package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"zombiezen.com/go/sqlite/sqlitemigration"
	"zombiezen.com/go/sqlite/sqlitex"
)

var schema = &sqlitemigration.Schema{Migrations: []string{"CREATE TABLE row (n INTEGER PRIMARY KEY, content BLOB NOT NULL)"}}

// options are those of a database whose log Litestream copies.
func options(r *replica) sqlite.Options {
	return sqlite.Options{
		Schema:             schema,
		ForeignCheckpoints: true,
		Restore:            r.restore,
		OnPinned:           func(pinned sqlite.Pinned) { slog.Warn(pinned.String()) },
	}
}

// serve is the service: it writes numbered rows until in ends, and says of each when it is committed.
// With s.library it copies the database itself; otherwise another process does.
func serve(ctx context.Context, s settings, in io.Reader, out io.Writer) (err error) {
	r := newReplica(s.database, s.replica, s.every)
	db, err := sqlite.Open(ctx, s.database, options(r))
	if err != nil {
		return err
	}
	if s.library {
		if err := r.start(ctx); err != nil {
			return errors.Join(err, db.Close(ctx))
		}
	}
	stop, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		// In this order: closing Litestream copies what is left in the log, and drops the locks of this process on the file.
		last := context.WithoutCancel(ctx)
		err = errors.Join(err, db.Close(last))
		if s.library {
			err = errors.Join(err, r.close(last))
		}
		fmt.Fprintln(out, "stopped")
	}()
	n, err := highest(ctx, db)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "open", n)
	var writing sync.WaitGroup
	defer writing.Wait()
	defer cancel()
	writing.Go(func() {
		if err := write(stop, db, n, out); err != nil {
			slog.Error("the service failed", "err", err)
			os.Exit(1)
		}
	})
	if s.library {
		return answer(ctx, r, in, out)
	}
	_, err = io.Copy(io.Discard, in)
	return err
}

// pace is the time between two rows: Litestream keeps up with that.
const pace = 200 * time.Microsecond

// write writes rows from the one behind n on, until ctx ends.
func write(ctx context.Context, db *sqlite.DB, n int, out io.Writer) error {
	for ctx.Err() == nil {
		n++
		err := db.Write(ctx, func(_ context.Context, conn *sqlite.Conn) error {
			return sqlitex.Execute(conn, "INSERT INTO row (n, content) VALUES (?, zeroblob(200))", &sqlitex.ExecOptions{Args: []any{n}})
		})
		if err != nil && ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		fmt.Fprintln(out, "row", n)
		wait(ctx, pace)
	}
	return nil
}

func highest(ctx context.Context, db *sqlite.DB) (int, error) {
	return sqlite.Read(ctx, db, func(_ context.Context, conn *sqlite.Conn) (int, error) {
		return sqlitex.ResultInt(conn.Prep("SELECT coalesce(max(n), 0) FROM row"))
	})
}

// countRows returns how many rows the database has. It is an error if they are not 1, 2, 3 and so on, or if the file is broken.
func countRows(ctx context.Context, path string) (n int, err error) {
	db, err := sqlite.Open(ctx, path, sqlite.Options{})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close(ctx)) }()
	return sqlite.Read(ctx, db, func(_ context.Context, conn *sqlite.Conn) (int, error) {
		last, err := sqlitex.ResultInt(conn.Prep("SELECT coalesce(max(n), 0) FROM row WHERE n > 0"))
		if err != nil {
			return 0, err
		}
		count, err := sqlitex.ResultInt(conn.Prep("SELECT count(*) FROM row"))
		if err != nil {
			return 0, err
		}
		if count != last {
			return 0, fmt.Errorf("there are %d rows, and the last one is %d", count, last)
		}
		said, err := sqlitex.ResultText(conn.Prep("PRAGMA integrity_check"))
		if err == nil && said != "ok" {
			err = fmt.Errorf("integrity_check: %s", said)
		}
		return count, err
	})
}
