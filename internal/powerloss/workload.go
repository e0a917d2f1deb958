package powerloss

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	zombiezen "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitemigration"
	"zombiezen.com/go/sqlite/sqlitex"
)

const (
	database = "app.db" // in the root of a workload
	backups  = "backups"
)

// Workload is what one process does to the database in a directory. Its calls have numbers; all that it does, it does by them.
type Workload struct {
	Root       string // the directory
	Path       string // by which the database there is opened; a link may lead to it
	Said       string // the file that takes what is said
	Peer       bool   // zombiezen's own sqlitex.Pool instead of headpond, as a control
	Full       bool   // SyncFull; else SyncNormal
	Goroutines int
	From, To   int64    // the numbers of its calls, To not included
	Opens      int      // how many times it opens the database; the calls are shared out among them
	Kill       bool     // itself at the last call, with the others under way; else it closes
	Faulty     bool     // syncs fail: an error is no surprise
	Inject     []string // what fails: strace's inject= expressions, as "fsync:error=EIO:when=7+13"; it counts the calls of each thread by itself
	Bare       bool     // it opens the database without a schema: the tables are there
}

var schema = sqlitemigration.Schema{Migrations: []string{`
	CREATE TABLE work (at INTEGER PRIMARY KEY, id INTEGER, half INTEGER, load TEXT);
	CREATE INDEX work_id ON work (id);
	CREATE TABLE works (n INTEGER);
	INSERT INTO works VALUES (0);
`}}

// options are those of the workload and of its judge. A small limit of the log has it emptied often.
func (w Workload) options() sqlite.Options {
	o := sqlite.Options{Synchronous: sqlite.SyncNormal, AcquireTimeout: time.Minute, BusyTimeout: 10 * time.Second, JournalSizeLimit: 200_000, Schema: &schema}
	if w.Full {
		o.Synchronous = sqlite.SyncFull
	}
	if w.Faulty {
		o.BusyTimeout = 300 * time.Millisecond // for which a commit that failed is tried to be overwritten
	}
	if w.Bare {
		o.Schema = nil
	}
	return o
}

// load is what half of a call stores: mostly little, and now and then more than a page.
func load(id, half int64) string {
	size := (id*31 + half*17) % 120
	if id%9 == 0 {
		size = (id * 977) % 9000
	}
	return strings.Repeat(string(rune('a'+(id+half)%26)), int(size))
}

var errRefused = errors.New("refused")

// do is the transaction of a call.
func do(conn *zombiezen.Conn, id int64) error {
	for half := range int64(2) {
		err := sqlitex.Execute(conn, "INSERT INTO work (id, half, load) VALUES (?, ?, ?)", &sqlitex.ExecOptions{Args: []any{id, half, load(id, half)}})
		if err != nil {
			return err
		}
	}
	if err := sqlitex.Execute(conn, "UPDATE works SET n=n+1", nil); err != nil {
		return err
	}
	if id%23 == 7 { // it fails, with all that it did
		return errRefused
	}
	return nil
}

// Run does it, in this process.
func (w Workload) Run(ctx context.Context) error {
	file, err := os.OpenFile(w.Said, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	say := func(words ...any) { _, _ = file.WriteString(fmt.Sprintln(words...)) } // one system call a line
	each := (w.To - w.From + int64(w.Opens) - 1) / int64(w.Opens)                 // with Opens, To is not From
	for from := w.From; from < w.To; from += each {
		run := w.headpond
		if w.Peer {
			run = w.peer
		}
		err := run(ctx, from, min(from+each, w.To), say)
		if errors.Is(err, errHopeless) {
			break
		}
		if err != nil {
			return err
		}
	}
	if w.Kill {
		kill() // it was hopeless before
	}
	return file.Close()
}

// errHopeless: nothing succeeds any more, as on a disk that has died.
var errHopeless = errors.New("nothing succeeds any more")

// crowd makes the calls of a range from many goroutines.
func (w Workload) crowd(from, to int64, call func(id int64) error) error {
	var next, inVain atomic.Int64
	next.Store(from)
	failures := make(chan error, w.Goroutines)
	var all sync.WaitGroup
	for range w.Goroutines {
		all.Go(func() {
			for id := next.Add(1) - 1; id < to; id = next.Add(1) - 1 {
				if w.Kill && id == w.To-1 {
					kill()
				}
				err := call(id)
				if err == nil || errors.Is(err, errRefused) {
					inVain.Store(0)
				} else if !w.Faulty {
					failures <- fmt.Errorf("call %d: %w", id, err)
					return
				} else if inVain.Add(1) > 24 {
					failures <- errHopeless
					return
				}
			}
		})
	}
	all.Wait()
	close(failures)
	return <-failures
}

// told says what a call was told, which it returns.
func told(id int64, err error, say func(words ...any)) error {
	switch {
	case err == nil:
		say("ack", id)
	case errors.Is(err, sqlite.ErrOutcomeUnknown):
		say("unknown", id)
	default:
		say("fail", id)
	}
	return err
}

// persist calls open again and again if syncs fail.
func (w Workload) persist(open func() error) error {
	for tries := 0; ; tries++ {
		err := open()
		if err == nil || !w.Faulty {
			return err
		}
		if tries == 50 {
			return errHopeless
		}
	}
}

// headpond opens a DB, makes calls, and closes it.
func (w Workload) headpond(ctx context.Context, from, to int64, say func(words ...any)) error {
	var db *sqlite.DB
	err := w.persist(func() (err error) {
		db, err = sqlite.Open(ctx, w.Path, w.options())
		return err
	})
	if err != nil {
		return err
	}
	say("opened")
	err = w.crowd(from, to, func(id int64) error {
		switch {
		case id%17 == 9:
			say("checkpoint", id)
			done, err := db.Checkpoint(ctx)
			if err == nil && done.Complete {
				say("checkpointed", id)
			}
			return err
		case id%83 == 50:
			name := fmt.Sprint(id, ".db")
			if id%2 == 0 {
				name = filepath.Join(backups, name)
			}
			say("backup", name)
			err := db.Backup(ctx, filepath.Join(w.Root, name), nil)
			if err == nil {
				say("copied", name)
			} else {
				say("uncopied", name)
			}
			return err
		case id%97 == 60: // other connections
			db.Writer().Evict()
			db.Readers().Evict()
			return nil
		}
		call := db.Batch
		if id%5 == 0 {
			call = db.Write
		}
		say("begin", id)
		return told(id, call(ctx, func(_ context.Context, conn *sqlite.Conn) error { return do(conn, id) }), say)
	})
	if w.Faulty { // else it waits until what failed can be overwritten
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Second)
		defer cancel()
	}
	say("close", from)
	closeErr := db.Close(ctx)
	if _, err := os.Stat(filepath.Join(w.Root, database+"-wal")); closeErr == nil && errors.Is(err, fs.ErrNotExist) { // what keeps Close from emptying the log is no error of it
		say("closed", from)
	}
	if w.Faulty {
		closeErr = nil
	}
	return errors.Join(err, closeErr)
}

// kill ends this process at once.
func kill() {
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		_ = self.Kill()
	}
	select {}
}
