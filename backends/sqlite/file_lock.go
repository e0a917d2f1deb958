package sqlite

import (
	"context"
	"errors"
	"os"
	"runtime"

	"github.com/headpond/headpond/backends/sqlite/internal/raw"
	"github.com/headpond/headpond/internal/ctxerr"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// lockName waits until no other process, and no other goroutine of this one, holds the lock of that name, or until ctx ends.
// It is a lock of SQLite's on an empty file of that name: so it works wherever a database does, and ends with its holder.
// unlock takes the file away.
func lockName(ctx context.Context, name string) (unlock func(), err error) {
	for {
		conn, err := lockOnce(ctx, name)
		if err != nil {
			return nil, err
		}
		// If a holder has taken the file away meanwhile, this lock keeps nobody out: there may be another file of that name.
		if handle := raw.New(conn); !handle.Moved() {
			return func() { unlockName(conn, name) }, nil
		}
		_ = raw.Close(conn)
	}
}

// lockOnce returns a connection that has locked the file which was there when it was opened.
func lockOnce(ctx context.Context, name string) (*Conn, error) {
	conn, err := raw.Open(name, sqlite.OpenReadWrite|sqlite.OpenCreate)
	if err != nil {
		return nil, err
	}
	conn.SetBusyTimeout(0)
	for count := 0; ; count++ {
		err = sqlitex.ExecuteTransient(conn, "PRAGMA journal_mode=MEMORY", nil) // no file beside it
		if err == nil {
			err = sqlitex.ExecuteTransient(conn, "BEGIN EXCLUSIVE", nil)
		}
		if err == nil {
			return conn, nil
		}
		if sqlite.ErrCode(err).ToPrimary() != sqlite.ResultBusy {
			break
		}
		if !sleep(lockBackoff.delay(count), ctx.Done(), nil) {
			err = ctxerr.Ended(ctx)
			break
		}
	}
	return nil, errors.Join(err, raw.Close(conn))
}

func unlockName(conn *Conn, name string) {
	_ = os.Remove(name) // before anybody else can lock it
	_ = raw.Close(conn)
	if runtime.GOOS == "windows" { // which removes no open file, so that it can't be one that another process has locked
		_ = os.Remove(name)
	}
}
