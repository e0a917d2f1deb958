package sqlite

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/headpond/headpond/backends/sqlite/internal/raw"
	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/require"
	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
	"zombiezen.com/go/sqlite"
)

// FuzzNextBorrower runs a program of careless borrowers, and after each of them looks at what the next one gets:
// a connection like a new one, on a database that nobody keeps locked.
//
// A program is text. A line is SQL, which runs to its end, or begins with a dot:
//
//	.memory                        in the first line: the database is in memory
//	.lease writer|reader|write|read|batch|crowd
//	                               the borrower gives back what it has, and the next one is checked; then it acquires
//	                               of a pool, or inside Write, Read, Batch, or Batch between two innocent ones
//	.step SQL, .prep SQL           leaves a transient, a cached statement in the middle of its rows
//	.next, .reset, .finalize       goes on with the statement that was left last
//	.blob TABLE COLUMN ROW         leaves a blob open
//	.limit ID VALUE, .timeout MS, .block, .interrupt nil|new|fired, .authorizer nil|allow|deny|ignore
//	.function NAME ARGS [aggregate|error|panic], .collation NAME [nil], .module NAME [nil]
//	.session [TABLE], .undo        leaves a session; deletes it
//	.backup to|from SCHEMA PAGES   leaves a backup
//	.deserialize SCHEMA            makes a schema another database
//	.cancel                        ends the ctx; so does the SQL function cancel()
//	.close, .discard, .error, .panic, .goexit
//
// SQL can't name a file outside of the working directory, which is a temporary one.
// What runs for too long is interrupted; limits bound what can't be.
func FuzzNextBorrower(f *testing.F) {
	empty := filepath.Join(f.TempDir(), "template.db")
	s, err := newDatabase(empty, Options{}).open(f.Context(), Writer)
	require.NoError(f, err)
	require.NoError(f, run(s.conn, `CREATE TABLE t (id INTEGER PRIMARY KEY, x);
		INSERT INTO t VALUES (1, zeroblob(9)), (2, 2), (3, 'three'), (4, NULL);
		CREATE TABLE child (parent REFERENCES t DEFERRABLE INITIALLY DEFERRED, name TEXT COLLATE NOCASE);
		CREATE INDEX names ON child (name); INSERT INTO child VALUES (1, 'a'), (2, 'B');
		CREATE TABLE innocent (n);
		CREATE VIRTUAL TABLE words USING fts5(word); INSERT INTO words VALUES ('one'), ('two');`))
	require.NoError(f, s.close(f.Context()))
	template, err := os.ReadFile(empty)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4096 || strings.Count(text, "\n") > 64 || strings.Count(text, ".lease") > 5 {
			t.Skip("too long")
		}
		newProgram(t, template, text).run()
	})
}

// program is a run of one.
type program struct {
	*testing.T
	db    *DB
	lines []string

	cancel   context.CancelFunc    // of the borrower's ctx
	deadline time.Time             // of what the borrower runs
	writes   int                   // what was written last
	seen     map[*connection]bool  // those that a borrower had
	leaked   map[uintptr][]uintptr // sqlite3* of connections that can't be closed, with their backups
	others   []*Conn               // of backups
}

// running is the program that runs, for SQLite's callback.
var running *program

func (p *program) options() Options {
	return Options{
		Readers: 1, BusyTimeout: 2 * time.Millisecond, MaxStatements: 20, CacheSize: 1 << 20,
		Setup: func(_ context.Context, conn *Conn) error {
			conn.Limit(sqlite.LimitLength, maxLength) // what one function call can do takes no longer than that
			value := func(ctx sqlite.Context, args []sqlite.Value) (sqlite.Value, error) {
				return sqlite.IntegerValue(1), nil
			}
			return errors.Join(
				conn.CreateFunction("ours", &sqlite.FunctionImpl{NArgs: 1, Scalar: value, AllowIndirect: true}),
				conn.SetCollation("ours", strings.Compare),
				conn.CreateFunction("cancel", &sqlite.FunctionImpl{Scalar: func(sqlite.Context, []sqlite.Value) (sqlite.Value, error) {
					p.cancel()
					return sqlite.Value{}, nil
				}}))
		},
	}
}

const (
	maxLength = 1 << 16
	maxTime   = 50 * time.Millisecond
	maxRows   = 2000
)

func newProgram(t *testing.T, template []byte, text string) *program {
	p := &program{T: t, lines: strings.Split(text, "\n"), seen: map[*connection]bool{}, leaked: map[uintptr][]uintptr{}}
	t.Chdir(t.TempDir())
	var err error
	if p.lines[0] == ".memory" {
		p.lines = p.lines[1:]
		p.db, err = OpenMemory(context.Background(), p.options())
		require.NoError(t, err)
		err = p.db.Write(context.Background(), func(_ context.Context, conn *Conn) error {
			return run(conn, "CREATE TABLE innocent (n); CREATE TABLE t (id INTEGER PRIMARY KEY, x); INSERT INTO t VALUES (1, zeroblob(9)), (2, 2), (3, 'three')")
		})
	} else {
		require.NoError(t, os.WriteFile("app.db", template, 0o600))
		p.db, err = Open(context.Background(), "app.db", p.options())
	}
	require.NoError(t, err)
	p.db.checkpointer.stop() // on a machine that is slow a checkpoint would come in between, and outside waits for nobody
	return p
}

func (p *program) late() bool { return time.Now().After(p.deadline) }

func (p *program) run() {
	running = p
	for lines := p.lines; len(lines) > 0; {
		where := "writer"
		if rest, ok := strings.CutPrefix(lines[0], ".lease "); ok {
			where, lines = rest, lines[1:]
		}
		end := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, ".lease ") })
		if end < 0 {
			end = len(lines)
		}
		p.lend(where, lines[:end])
		p.check()
		lines = lines[end:]
	}
	p.close()
}

// lend lets a borrower have a connection.
func (p *program) lend(where string, lines []string) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	p.cancel = cancel
	do := func(ctx context.Context, conn *Conn) error { return p.borrow(ctx, conn, lines) }
	with := map[string]func(){
		"write": func() { _ = p.db.Write(ctx, do) },
		"read":  func() { _ = p.db.Read(ctx, do) },
		"batch": func() { _ = p.db.Batch(ctx, do) },
		"crowd": func() { p.crowd(ctx, do) },
	}[where]
	if with == nil {
		from := p.db.Writer()
		if where == "reader" {
			from = p.db.Readers()
		}
		with = func() {
			lease, err := from.Acquire(ctx)
			if err != nil {
				p.Errorf("acquire: %v", err)
				return
			}
			defer lease.Release()
			if errors.Is(p.borrow(ctx, lease.Value(), lines), errDiscard) {
				lease.Discard()
			}
		}
	}
	p.apart(with)
}

// apart runs do in a goroutine, which may panic or end.
func (p *program) apart(do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if thrown := recover(); thrown != nil && thrown != any(errBorrower) {
				p.Errorf("panic: %v", thrown)
			}
		}()
		do()
	}()
	<-done
}

var (
	errBorrower = errors.New("the borrower failed")
	errDiscard  = errors.New("discard")
)

// crowd runs do between two innocent works, in a transaction that they share as long as do lets them.
func (p *program) crowd(ctx context.Context, do func(ctx context.Context, conn *Conn) error) {
	lease, err := p.db.Writer().Acquire(context.Background())
	if err != nil {
		p.Errorf("acquire: %v", err)
		return
	}
	var all sync.WaitGroup
	together := func(n int, call func()) {
		all.Go(func() { p.apart(call) })
		waitForWorks(p.db, n)
	}
	innocent := func(sql string) func() {
		return func() {
			err := p.db.Batch(context.Background(), func(_ context.Context, conn *Conn) error {
				if s, _ := connectionOf(conn); s.isChanged() || s.Active() > 0 {
					p.Errorf("a call of a batch found what another one had left")
				}
				return run(conn, sql)
			})
			if err != nil {
				p.Errorf("an innocent work of a batch: %v", err)
			}
		}
	}
	p.writes++
	together(1, innocent(fmt.Sprintf("INSERT INTO innocent VALUES (%d)", p.writes)))
	together(2, func() { _ = p.db.Batch(ctx, do) })
	together(3, innocent(fmt.Sprintf("INSERT INTO innocent VALUES (-%d)", p.writes)))
	lease.Release()
	all.Wait()
	p.outside(func(conn *Conn) {
		if got, err := first(conn, fmt.Sprintf("SELECT count(*) FROM innocent WHERE abs(n) = %d", p.writes)); got != "2" {
			p.Errorf("of two innocent calls of a batch %s are there: %v", got, err)
		}
	})
}

// borrower is who has a connection.
type borrower struct {
	*program
	*connection
	tls        *libc.TLS
	below      uintptr               // the sqlite3* of the connection
	stmts      []*sqlite.Stmt        // that were left
	transients map[*sqlite.Stmt]bool // of stmts
	blobs      int                   // that were opened
	backups    []uintptr
	sessions   []*sqlite.Session
}

// borrow does what the lines say.
func (p *program) borrow(_ context.Context, conn *Conn, lines []string) error {
	s, _ := connectionOf(conn)
	p.seen[s] = true
	b := &borrower{program: p, connection: s, transients: map[*sqlite.Stmt]bool{}}
	b.tls, b.below = below(conn)
	p.bound(s, maxTime)
	defer b.leave()
	for _, line := range lines {
		verb, rest, _ := strings.Cut(line, " ")
		switch {
		case strings.Contains(strings.ToLower(line), "innocent"):
		case !strings.HasPrefix(line, "."):
			b.runAll(line)
		case verb == ".error":
			return errBorrower
		case verb == ".discard":
			return errDiscard
		case verb == ".panic":
			panic(errBorrower)
		case verb == ".goexit":
			runtime.Goexit()
		case verb == ".close":
			_ = raw.Close(conn) // fails, for the statements that are ours
			return nil
		case calls[verb] != nil:
			calls[verb](b, rest, strings.Fields(rest))
		}
	}
	return nil
}

// leave notes what keeps the connection from closing.
func (b *borrower) leave() {
	if !b.Closed() {
		lib.Xsqlite3_progress_handler(b.tls, b.below, 0, 0, 0)
	}
	if len(b.transients) > 0 || b.blobs > 0 || len(b.backups) > 0 {
		b.leaked[b.below] = append(b.leaked[b.below], b.backups...)
	}
	for _, session := range b.sessions {
		runtime.SetFinalizer(session, nil) // it would panic
	}
}

// runAll runs SQL to its end, or the end of patience.
func (b *borrower) runAll(sql string) {
	for sql = strings.TrimSpace(sql); sql != ""; {
		if !b.may(sql) {
			return
		}
		stmt, rest, err := b.conn.PrepareTransient(sql)
		if err != nil {
			return
		}
		more := true
		for rows := 0; more && err == nil && rows < maxRows && !b.late(); rows++ {
			more, err = stmt.Step()
		}
		_ = stmt.Finalize()
		if err != nil {
			return
		}
		sql = strings.TrimSpace(sql[len(sql)-rest:])
	}
}

// step begins a statement, and leaves it.
func (b *borrower) step(sql string, cached bool) {
	if !b.may(sql) {
		return
	}
	prepare := b.conn.Prepare
	if !cached {
		prepare = func(sql string) (*sqlite.Stmt, error) {
			stmt, _, err := b.conn.PrepareTransient(sql)
			return stmt, err
		}
	}
	if stmt, err := prepare(sql); err == nil {
		if reflect.ValueOf(stmt).Elem().FieldByName("stmt").Uint() == 0 { // nothing but a comment, which crashes in the cache
			_ = stmt.Finalize()
			return
		}
		b.stmts = slices.DeleteFunc(b.stmts, func(other *sqlite.Stmt) bool { return other == stmt }) // from the cache
		if !cached {
			b.transients[stmt] = true
		}
		b.stmts = append(b.stmts, stmt)
		_, _ = stmt.Step()
	}
}

// last calls do with the statement that was left last.
func (b *borrower) last(do func(stmt *sqlite.Stmt) error) {
	if n := len(b.stmts); n > 0 {
		_ = do(b.stmts[n-1])
	}
}

// may reports whether sql stays within bounds: it can't open a file outside of the working directory,
// and where nothing is there any more to refuse it, does not set what is of the whole process.
func (b *borrower) may(sql string) bool {
	if namesFile.MatchString(sql) && (!plainly.MatchString(sql) || escapes.MatchString(sql)) {
		return false
	}
	return b.HasAuthorizer() || !ofProcess.MatchString(sql)
}

var (
	namesFile = regexp.MustCompile(`(?i)attach|vacuum|directory`)
	plainly   = regexp.MustCompile(`^[\w .:;'"=,-]*$`)
	escapes   = regexp.MustCompile(`(?i)x'|\.\.`) // a blob that is a name; another directory
	ofProcess = regexp.MustCompile(`(?i)directory|heap_limit`)
)

// calls are what a line with a dot does.
var calls = map[string]func(b *borrower, rest string, args []string){
	".step": func(b *borrower, rest string, _ []string) { b.step(rest, false) },
	".prep": func(b *borrower, rest string, _ []string) { b.step(rest, true) },
	".next": func(b *borrower, _ string, _ []string) {
		b.last(func(stmt *sqlite.Stmt) error { _, err := stmt.Step(); return err })
	},
	".reset": func(b *borrower, _ string, _ []string) { b.last((*sqlite.Stmt).Reset) },
	".finalize": func(b *borrower, _ string, _ []string) {
		b.last(func(stmt *sqlite.Stmt) error {
			b.stmts = b.stmts[:len(b.stmts)-1]
			delete(b.transients, stmt)
			return stmt.Finalize()
		})
	},
	".blob": func(b *borrower, _ string, args []string) {
		if _, err := b.conn.OpenBlob("", arg(args, 0), arg(args, 1), int64(number(args, 2)), true); err == nil {
			b.blobs++
		}
	},
	".limit": func(b *borrower, _ string, args []string) {
		id, value := sqlite.Limit(number(args, 0)), int32(number(args, 1))
		if id == sqlite.LimitLength {
			value = min(value, maxLength)
		}
		if id >= 0 && int(id) < len(raw.Limits{}) {
			b.conn.Limit(id, value)
		}
	},
	".timeout": func(b *borrower, _ string, args []string) {
		b.conn.SetBusyTimeout(time.Duration(number(args, 0)%10) * time.Millisecond)
	},
	".block": func(b *borrower, _ string, _ []string) { b.conn.SetBlockOnBusy() },
	".interrupt": func(b *borrower, _ string, args []string) {
		rings := make(chan struct{})
		switch arg(args, 0) {
		case "nil":
			rings = nil
		case "fired":
			close(rings)
		}
		b.conn.SetInterrupt(rings)
	},
	".authorizer": func(b *borrower, _ string, args []string) {
		result := map[string]sqlite.AuthResult{"deny": sqlite.AuthResultDeny, "ignore": sqlite.AuthResultIgnore}[arg(args, 0)]
		if arg(args, 0) == "nil" {
			_ = b.conn.SetAuthorizer(nil)
			return
		}
		_ = b.conn.SetAuthorizer(sqlite.AuthorizeFunc(func(sqlite.Action) sqlite.AuthResult { return result }))
	},
	".function": func(b *borrower, _ string, args []string) {
		impl := &sqlite.FunctionImpl{NArgs: max(-1, number(args, 1)), AllowIndirect: true}
		switch arg(args, 2) {
		case "aggregate":
			impl.MakeAggregate = func(sqlite.Context) (sqlite.AggregateFunction, error) { return sum{}, nil }
		case "panic":
			impl.Scalar = func(sqlite.Context, []sqlite.Value) (sqlite.Value, error) { panic(errBorrower) }
		case "error":
			impl.Scalar = func(sqlite.Context, []sqlite.Value) (sqlite.Value, error) { return sqlite.Value{}, errBorrower }
		default:
			impl.Scalar = func(sqlite.Context, []sqlite.Value) (sqlite.Value, error) { return sqlite.IntegerValue(42), nil }
		}
		_ = b.conn.CreateFunction(arg(args, 0), impl)
	},
	".collation": func(b *borrower, _ string, args []string) {
		compare := sqlite.CollatingFunc(strings.Compare)
		if arg(args, 1) == "nil" {
			compare = nil
		}
		_ = b.conn.SetCollation(arg(args, 0), compare)
	},
	".module": func(b *borrower, _ string, args []string) {
		module := &sqlite.Module{Connect: func(*Conn, *sqlite.VTableConnectOptions) (sqlite.VTable, *sqlite.VTableConfig, error) {
			return nil, nil, errBorrower
		}}
		if arg(args, 1) == "nil" {
			module = nil
		}
		_ = b.conn.SetModule(arg(args, 0), module)
	},
	".session": func(b *borrower, _ string, args []string) {
		if session, err := b.conn.CreateSession(""); err == nil {
			b.sessions = append(b.sessions, session)
			_ = session.Attach(arg(args, 0))
		}
	},
	".undo": func(b *borrower, _ string, _ []string) {
		if n := len(b.sessions); n > 0 {
			b.sessions[n-1].Delete()
			b.sessions = b.sessions[:n-1]
		}
	},
	".backup": func(b *borrower, _ string, args []string) {
		conn, err := raw.Open(":memory:", sqlite.OpenReadWrite)
		if err != nil {
			return
		}
		b.others = append(b.others, conn)
		_, other := below(conn)
		_ = run(conn, "CREATE TABLE other AS SELECT zeroblob(4096)")
		schema, err := libc.CString(arg(args, 1))
		if err != nil {
			return
		}
		defer libc.Xfree(b.tls, schema)
		main, err := libc.CString("main")
		if err != nil {
			return
		}
		defer libc.Xfree(b.tls, main)
		var backup uintptr
		if arg(args, 0) == "to" {
			backup = lib.Xsqlite3_backup_init(b.tls, b.below, schema, other, main)
		} else {
			backup = lib.Xsqlite3_backup_init(b.tls, other, main, b.below, schema)
		}
		if backup == 0 {
			return
		}
		lib.Xsqlite3_backup_step(b.tls, backup, int32(number(args, 2)))
		if arg(args, 0) == "to" { // does not keep the connection from closing: then it must not be finished
			b.others = b.others[:len(b.others)-1] // but this
		} else {
			b.backups = append(b.backups, backup)
		}
	},
	".deserialize": func(b *borrower, _ string, args []string) {
		conn, err := raw.Open(":memory:", sqlite.OpenReadWrite)
		if err != nil {
			return
		}
		b.others = append(b.others, conn)
		_ = run(conn, "CREATE TABLE other (x)")
		if data, err := conn.Serialize("main"); err == nil {
			_ = b.conn.Deserialize(arg(args, 0), data)
		}
	},
	".cancel": func(b *borrower, _ string, _ []string) {
		b.cancel()
		if b.connection.watching.ctx != nil {
			<-b.interrupter.Load().done
		}
	},
}

func arg(args []string, i int) string {
	if i < len(args) {
		return args[i]
	}
	return ""
}

func number(args []string, i int) int {
	n, _ := strconv.ParseInt(arg(args, i), 10, 32)
	return int(n)
}

// sum is an aggregate that is always 42.
type sum struct{}

func (sum) Step(sqlite.Context, []sqlite.Value) error          { return nil }
func (sum) WindowInverse(sqlite.Context, []sqlite.Value) error { return nil }
func (sum) WindowValue(sqlite.Context) (sqlite.Value, error)   { return sqlite.IntegerValue(42), nil }
func (sum) Finalize(sqlite.Context)                            {}

// bound makes what runs on a connection fail after a while, whatever became of its interrupt.
func (p *program) bound(s *connection, most time.Duration) {
	p.deadline = time.Now().Add(most)
	tls, db := below(s.conn)
	function := *(*uintptr)(unsafe.Pointer(&struct {
		f func(*libc.TLS, uintptr) int32
	}{progress}))
	lib.Xsqlite3_progress_handler(tls, db, 100, function, 0)
}

// below returns what is below a connection: the thread that libc takes it for, and the sqlite3*.
func below(conn *Conn) (*libc.TLS, uintptr) {
	value := reflect.ValueOf(conn).Elem()
	return (*libc.TLS)(value.FieldByName("tls").UnsafePointer()), uintptr(value.FieldByName("conn").Uint())
}

func progress(*libc.TLS, uintptr) int32 {
	if running.late() {
		return 1
	}
	return 0
}

// check looks at what the next borrowers get.
func (p *program) check() {
	for _, from := range p.db.pools() {
		p.settled(from)
	}
	p.writes++
	p.outside(func(conn *Conn) {
		if err := run(conn, fmt.Sprintf("BEGIN IMMEDIATE; PRAGMA user_version=%d; COMMIT", p.writes)); err != nil {
			p.Errorf("the database is not free: %v", err)
		}
	})
	p.next(p.db.Readers(), Reader)
	p.next(p.db.Writer(), Writer)
}

// settled waits until nothing of a pool is held: a connection ends behind its borrower's back,
// and so does the runner of Batch.
func (p *program) settled(from *pool.Pool[*Conn]) {
	for deadline := time.Now().Add(30 * time.Second); ; runtime.Gosched() {
		stats := from.Stats()
		if stats.Held == 0 && stats.Destroying == 0 && stats.Acquired == stats.Released {
			return
		}
		if time.Now().After(deadline) {
			p.Fatalf("a slot is lost: %+v", stats)
		}
	}
}

// outside calls do with a connection that is not of a pool.
func (p *program) outside(do func(conn *Conn)) {
	flags := sqlite.OpenReadWrite
	if p.db.database.memory {
		flags |= sqlite.OpenURI
	}
	conn, err := raw.Open(p.db.database.path, flags)
	if err != nil {
		p.Errorf("open: %v", err)
		return
	}
	conn.SetBusyTimeout(0)
	do(conn)
	if err := raw.Close(conn); err != nil {
		p.Errorf("close: %v", err)
	}
}

// next is the next borrower, who finds everything as it should be.
func (p *program) next(from *pool.Pool[*Conn], mode Mode) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	lease, err := from.Acquire(ctx)
	if err != nil {
		p.Errorf("%v: acquire: %v", mode, err)
		return
	}
	defer lease.Release()
	s, _ := connectionOf(lease.Value())
	if !s.Idle() || s.isChanged() || !s.waitsForLocks || s.conn.CheckReset() != "" || !s.conn.AutocommitEnabled() {
		p.Errorf("%v: not as it was", mode)
	}
	if p.seen[s] {
		p.compare(s)
	}
	p.writes++
	got, err := first(s.conn, "PRAGMA user_version")
	if err != nil || got != strconv.Itoa(p.writes-1) {
		p.Errorf("%v: it read %s where %d was written: %v", mode, got, p.writes-1, err)
	}
	err = run(s.conn, fmt.Sprintf("BEGIN IMMEDIATE; PRAGMA user_version=%d; COMMIT", p.writes))
	switch {
	case s.mode == Writer && err != nil:
		p.Errorf("it can't write: %v", err)
	case s.mode == Reader:
		p.writes--
		if sqlite.ErrCode(err).ToPrimary() != sqlite.ResultReadOnly {
			p.Errorf("a reader's write: %v", err)
		}
		_ = run(s.conn, "ROLLBACK")
	}
	cancel()
	select {
	case <-s.InterruptChannel():
	case <-time.After(30 * time.Second):
	}
	if err := run(s.conn, "SELECT 1"); sqlite.ErrCode(err).ToPrimary() != sqlite.ResultInterrupt {
		p.Errorf("%v: it does not hear the end of its ctx: %v", mode, err)
	}
}

// compare compares a connection with a new one.
func (p *program) compare(s *connection) {
	kind := [2]any{s.mode, s.database.memory}
	want, ok := baselines[kind]
	if !ok {
		fresh, err := s.database.open(context.Background(), s.mode)
		if err != nil {
			p.Errorf("open: %v", err)
			return
		}
		want = describe(fresh.conn)
		if err := fresh.close(context.Background()); err != nil {
			p.Errorf("end: %v", err)
		}
		baselines[kind] = want
	}
	got := describe(s.conn)
	for _, question := range slices.Sorted(maps.Keys(want)) {
		if got[question] != want[question] {
			p.Errorf("%v: %s is %q; on a new connection it is %q", s.mode, question, got[question], want[question])
		}
	}
}

// baselines are what describe says of a new connection, which does not depend on the program.
var baselines = map[[2]any]map[string]string{}

// describe returns what the SQL of a connection can tell about it, by question.
func describe(conn *Conn) map[string]string {
	all := make(map[string]string)
	for _, question := range questions {
		var answer strings.Builder
		stmt, err := conn.Prepare(question)
		for more := true; more && err == nil; {
			if more, err = stmt.Step(); more {
				for column := range stmt.ColumnCount() {
					answer.WriteString(stmt.ColumnText(column) + " ")
				}
			}
		}
		if err != nil {
			answer.WriteString(err.Error())
		} else {
			_ = stmt.Finalize()
		}
		all[question] = answer.String()
	}
	for id := range len(raw.Limits{}) {
		all[fmt.Sprint("limit ", id)] = fmt.Sprint(conn.Limit(sqlite.Limit(id), -1))
	}
	return all
}

// questions are about the connection, not the database.
var questions = []string{
	"PRAGMA analysis_limit", "PRAGMA automatic_index", "PRAGMA busy_timeout", "PRAGMA cache_size", "PRAGMA cache_spill",
	"PRAGMA cell_size_check", "PRAGMA checkpoint_fullfsync", "PRAGMA count_changes",
	"PRAGMA defer_foreign_keys", "PRAGMA empty_result_callbacks", "PRAGMA foreign_keys", "PRAGMA full_column_names",
	"PRAGMA fullfsync", "PRAGMA function_list", "PRAGMA ignore_check_constraints", "PRAGMA journal_mode", "PRAGMA journal_size_limit",
	"PRAGMA legacy_alter_table", "PRAGMA locking_mode", "PRAGMA max_page_count", "PRAGMA mmap_size", "PRAGMA query_only",
	"PRAGMA read_uncommitted", "PRAGMA recursive_triggers", "PRAGMA reverse_unordered_selects", "PRAGMA secure_delete",
	"PRAGMA short_column_names", "PRAGMA synchronous", "PRAGMA temp_store", "PRAGMA temp_store_directory", "PRAGMA threads",
	"PRAGMA trusted_schema", "PRAGMA wal_autocheckpoint", "PRAGMA writable_schema",
	"SELECT name FROM pragma_database_list WHERE name <> 'temp'", "SELECT * FROM sqlite_temp_schema",
	"SELECT ours(1), lower('A'), upper('a'), abs(-1), typeof(1), length('abc'), coalesce(NULL, 2), 'a' LIKE 'A', 'a' GLOB 'A', json('[1 ]'), date(0)",
	"SELECT 'a' = 'A' COLLATE NOCASE, 'a' < 'B' COLLATE NOCASE, 'a' = 'a ' COLLATE RTRIM, 'a' = 'a ' COLLATE BINARY, 'a' < 'B' COLLATE ours",
	"SELECT length(fts5_source_id()), rtreedepth(zeroblob(4)), geopoly_area('[[0,0],[1,0],[1,1],[0,0]]')",
	"SELECT value FROM json_each('[1, 2]')", "SELECT count(*) > 0 FROM dbstat", "SELECT sum(x), count(*), group_concat(x) FROM (SELECT 1 x UNION ALL SELECT 2)",
	"SELECT 'a' < 'B' COLLATE mine", "PRAGMA hard_heap_limit", "PRAGMA soft_heap_limit", "SELECT ?1, ?2",
}

// close ends the database, and what the borrowers left open.
func (p *program) close() {
	err := p.db.Close(context.Background())
	var unfinalized *UnfinalizedError
	if err != nil && (len(p.leaked) == 0 || !errors.As(err, &unfinalized)) {
		p.Errorf("close: %v", err)
	}
	if found := p.db.Stats().Found[FoundUnfinalized]; found != uint64(len(p.leaked)) {
		p.Errorf("%d connections were found to be unfinalized, of %d", found, len(p.leaked))
	}
	tls := libc.NewTLS()
	defer tls.Close()
	for db, backups := range p.leaked {
		for _, backup := range backups {
			lib.Xsqlite3_backup_finish(tls, backup)
		}
		for stmt := lib.Xsqlite3_next_stmt(tls, db, 0); stmt != 0; stmt = lib.Xsqlite3_next_stmt(tls, db, 0) {
			lib.Xsqlite3_finalize(tls, stmt)
		}
		if code := sqlite.ResultCode(lib.Xsqlite3_close(tls, db)); code != sqlite.ResultOK {
			p.Errorf("close what was left open: %v", code)
		}
	}
	for _, conn := range p.others {
		if err := raw.Close(conn); err != nil {
			p.Errorf("close another: %v", err)
		}
	}
	if open := descriptors(p, p.db.database.path); !p.db.database.memory && open != 0 {
		p.Errorf("%d descriptors are left open", open)
	}
	connections.Range(func(_, s any) bool {
		if s.(*connection).database == p.db.database {
			p.Errorf("a connection is left")
		}
		return true
	})
	raw.Attached(func(events raw.Events) {
		if events.(*connection).database == p.db.database {
			p.Errorf("a cell is left")
		}
	})
}
