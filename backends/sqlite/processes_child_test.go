package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headpond/headpond/pool"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitemigration"
	"zombiezen.com/go/sqlite/sqlitex"
)

// processSchema is that of crashOptions, and finds a call by its id.
var processSchema = &sqlitemigration.Schema{Migrations: append(crashOptions.Schema.Migrations, "CREATE INDEX work_by_id ON work (id)")}

// process is what one process of TestProcesses does until it is killed: it says each step in a line of its own.
//
//	work ID       the call has returned nil
//	failed ID     the call has returned an error: nothing of it is there, or ever will be
//	begin NAME    a backup begins
//	done NAME     it has succeeded
//	wrong TEXT    what must not be
type process struct {
	File    string
	Backups string // the directory for them
	From    int64  // ids of works begin behind it
	Limit   int64  // Options.JournalSizeLimit
	Full    bool   // SyncFull

	db   *DB
	next atomic.Int64
	late atomic.Int64 // the most that a timer was late, in nanoseconds
	last sync.Map     // goroutine: the last id that it was told of
}

// processWait is both AcquireTimeout and BusyTimeout: shorter than the other SQLite holds the lock.
const processWait = 1500 * time.Millisecond

func init() {
	children["process"] = func(args []string) error {
		p := &process{}
		if err := json.Unmarshal([]byte(args[0]), p); err != nil {
			return err
		}
		return p.live(context.Background())
	}
}

func (p *process) say(words ...any) { _, _ = os.Stdout.WriteString(fmt.Sprintln(words...)) } // one write: a line is whole

func (p *process) live(ctx context.Context) (err error) {
	options := Options{Schema: processSchema, JournalSizeLimit: p.Limit, AcquireTimeout: processWait, BusyTimeout: processWait,
		OnPinned:  func(pinned Pinned) { p.say("wrong:", pinned) }, // no snapshot of the test lasts for that long
		OnFinding: func(_ context.Context, finding Finding) { p.say("wrong:", finding) }}
	if p.Full {
		options.Synchronous = SyncFull
	}
	if p.db, err = Open(ctx, p.File, options); err != nil {
		return err
	}
	p.next.Store(p.From)
	go p.keepTime()
	for i := range 4 {
		go p.write(ctx, i, "Write", p.db.Write)
		go p.write(ctx, 4+i, "Batch", p.db.Batch)
	}
	for range 2 {
		go p.read(ctx)
	}
	go func() {
		for ; ; pause(200 * time.Millisecond) {
			_, err := p.db.Checkpoint(ctx)
			p.tolerate("Checkpoint", err)
		}
	}()
	for i := 0; ; i++ {
		pause(500 * time.Millisecond)
		name := fmt.Sprint(p.From, "-", i, ".db")
		p.say("begin", name)
		if err := p.db.Backup(ctx, filepath.Join(p.Backups, name), nil); err == nil {
			p.say("done", name)
		} else {
			p.say("wrong:", err)
		}
	}
}

// pause sleeps for up to that long.
func pause(most time.Duration) { <-time.After(rand.N(most)) }

// keepTime notes how late timers are, since the machine is busy.
func (p *process) keepTime() {
	for {
		began := time.Now()
		<-time.After(time.Millisecond)
		p.late.Store(max(p.late.Load(), int64(time.Since(began)-time.Millisecond)))
	}
}

// tolerate says what error is wrong. It is right that a call fails if others hold the lock or the writer for too long.
func (p *process) tolerate(what string, err error) {
	if err != nil && sqlite.ErrCode(err).ToPrimary() != sqlite.ResultBusy && !errors.Is(err, pool.ErrAcquireTimeout) {
		p.say("wrong:", what, strings.ReplaceAll(err.Error(), "\n", " "))
	}
}

func (p *process) write(ctx context.Context, goroutine int, what string, call func(context.Context, func(context.Context, *Conn) error) error) {
	for ; ; pause(4 * time.Millisecond) {
		id, asked := p.next.Add(1), time.Now()
		var once sync.Once
		waited := func() {
			once.Do(func() {
				took, late := time.Since(asked), time.Duration(p.late.Load())
				if took > processWait+20*time.Millisecond+4*late { // a call is handed from goroutine to goroutine, and each may be late
					p.say("wrong:", what, "waited for", took, "on a machine whose timers are at most", late, "late")
				}
			})
		}
		err := call(ctx, func(ctx context.Context, conn *Conn) error {
			waited()
			return pair(id)(ctx, conn)
		})
		waited()
		p.tolerate(what, err)
		if err != nil {
			p.say("failed", id)
			continue
		}
		p.say("work", id)
		p.last.Store(goroutine, id)
	}
}

// read looks at the database in one snapshot: it is the sum of whole works, with all that the process was told of, and never goes back.
func (p *process) read(ctx context.Context) {
	var seen int64
	for ; ; pause(4 * time.Millisecond) {
		var known []any
		p.last.Range(func(_, id any) bool {
			known = append(known, id)
			return true
		})
		err := p.db.Read(ctx, func(_ context.Context, conn *Conn) error {
			number := func(sql string, args ...any) (n int64, err error) {
				err = sqlitex.Execute(conn, sql, &sqlitex.ExecOptions{Args: args, ResultFunc: func(stmt *Stmt) error {
					n = stmt.ColumnInt64(0)
					return nil
				}})
				return n, err
			}
			works, err := number("SELECT n FROM works")
			if err != nil {
				return err
			}
			rows, err := number("SELECT coalesce(max(at), 0) FROM work")
			if rand.IntN(50) == 0 {
				pause(200 * time.Millisecond)
				rows, err = number("SELECT count(*) FROM work NOT INDEXED")
			}
			if err != nil || rows != 2*works || works < seen {
				return errors.Join(err, fmt.Errorf("%d works, %d rows, %d works before", works, rows, seen))
			}
			seen = works
			for _, id := range known {
				halves, err := number("SELECT count(*) FROM work WHERE id=?", id)
				if err != nil || halves != 2 {
					return errors.Join(err, fmt.Errorf("work %d, which was acknowledged, has %d rows", id, halves))
				}
			}
			return nil
		})
		if err != nil {
			p.say("wrong: Read", err)
		}
	}
}
