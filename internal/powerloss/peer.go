package powerloss

import (
	"context"
	"errors"
	"io/fs"
	"os"

	zombiezen "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitemigration"
	"zombiezen.com/go/sqlite/sqlitex"
)

// peer does the same with a pool of connections that all may write.
func (w Workload) peer(ctx context.Context, from, to int64, say func(words ...any)) error {
	synchronous := "PRAGMA synchronous=NORMAL"
	if w.Full {
		synchronous = "PRAGMA synchronous=FULL"
	}
	var pool *sqlitex.Pool
	err := w.persist(func() (err error) {
		pool, err = sqlitex.NewPool(w.Path, sqlitex.PoolOptions{PoolSize: 8, PrepareConn: func(conn *zombiezen.Conn) error {
			conn.SetBlockOnBusy()
			return sqlitex.ExecuteTransient(conn, synchronous, nil)
		}})
		return err
	})
	if err != nil {
		return err
	}
	take := func(use func(conn *zombiezen.Conn) error) error {
		conn, err := pool.Take(ctx)
		if err != nil {
			return err
		}
		defer pool.Put(conn)
		return use(conn)
	}
	begin := func(conn *zombiezen.Conn) error { return sqlitemigration.Migrate(ctx, conn, schema) }
	err = w.persist(func() error { return take(begin) })
	if err != nil {
		return errors.Join(err, pool.Close())
	}
	say("opened")
	err = w.crowd(from, to, func(id int64) error {
		if id%17 == 9 {
			return take(func(conn *zombiezen.Conn) error {
				return sqlitex.ExecuteTransient(conn, "PRAGMA wal_checkpoint(TRUNCATE)", nil)
			})
		}
		say("begin", id)
		return told(id, take(func(conn *zombiezen.Conn) (err error) {
			end, err := sqlitex.ImmediateTransaction(conn)
			if err != nil {
				return err
			}
			defer end(&err)
			return do(conn, id)
		}), say)
	})
	closeErr := pool.Close()
	if w.Faulty {
		closeErr = nil
	}
	return errors.Join(err, closeErr)
}

// examinePeer does without headpond.
func examinePeer(path string, problems func(error) ([]int64, Verdict, error)) ([]int64, Verdict, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return []int64{}, nil, nil // it has no calls
	}
	conn, err := zombiezen.OpenConn(path, zombiezen.OpenReadWrite)
	if err != nil {
		return problems(err)
	}
	tables := 0
	err = sqlitex.Execute(conn, "SELECT count(*) FROM sqlite_schema", &sqlitex.ExecOptions{ResultFunc: func(stmt *zombiezen.Stmt) error {
		tables = stmt.ColumnInt(0)
		return nil
	}})
	found, v := []int64{}, Verdict(nil)
	if err == nil && tables > 0 {
		found, v, err = audit(conn)
	}
	if err := errors.Join(err, conn.Close()); err != nil {
		return problems(err)
	}
	return found, v, nil
}
