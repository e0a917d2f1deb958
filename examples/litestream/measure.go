package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// series is one way to run the service.
type series struct {
	name                string
	litestream, foreign bool
}

// figures are what one series came to.
type figures struct {
	took   []time.Duration // of each write, sorted
	log    sqlite.WAL
	alarms atomic.Int64 // calls of OnPinned
}

// measure has one writer that changes a page at a time, without a pause, and four readers that overlap, for 20 ms each.
// The limit of the log is 1 MiB where the DB empties it itself, so that it does so often; where Litestream does, it is the default.
func measure(ctx context.Context, s settings, out io.Writer) error {
	fmt.Fprintf(out, "%-38s %9s %9s %9s %9s %10s %8s %7s %9s\n", "", "writes/s", "median", "99 %", "longest", "held back", "in vain", "alarms", "log")
	for _, one := range []series{{"alone", false, false}, {"beside Litestream", true, false}, {"beside Litestream, ForeignCheckpoints", true, true}} {
		f, err := one.run(ctx, s)
		if err != nil {
			return fmt.Errorf("%s: %w", one.name, err)
		}
		fmt.Fprintf(out, "%-38s %9.0f %9s %9s %9s %10s %8d %7d %5d MiB\n", one.name, float64(len(f.took))/s.measure.Seconds(), f.at(0.5), f.at(0.99), f.at(1),
			f.log.HeldBack.Round(time.Millisecond), f.log.Incomplete, f.alarms.Load(), f.log.Size>>20)
	}
	return nil
}

// at is the longest of that part of all writes.
func (f *figures) at(part float64) time.Duration {
	if len(f.took) == 0 {
		return 0
	}
	return f.took[min(int(part*float64(len(f.took))), len(f.took)-1)].Round(10 * time.Microsecond)
}

func (one series) run(ctx context.Context, s settings) (f *figures, err error) {
	directory, err := os.MkdirTemp("", "headpond-measure-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(directory)
	s.database, s.replica = filepath.Join(directory, "app.db"), filepath.Join(directory, "replica")
	f = &figures{}
	r := newReplica(s.database, s.replica, s.every)
	o := options(r)
	o.ForeignCheckpoints = one.foreign
	if !one.foreign {
		o.JournalSizeLimit = 1 << 20
	}
	o.OnPinned = func(sqlite.Pinned) { f.alarms.Add(1) }
	db, err := sqlite.Open(ctx, s.database, o)
	if err != nil {
		return nil, err
	}
	if one.litestream {
		err = r.start(ctx)
	}
	if err == nil {
		err = f.load(ctx, db, s.measure)
	}
	f.log = db.Stats().WAL
	err = errors.Join(err, db.Close(ctx))
	if one.litestream {
		err = errors.Join(err, r.close(ctx))
	}
	slices.Sort(f.took)
	return f, err
}

// load writes and reads for so long.
func (f *figures) load(ctx context.Context, db *sqlite.DB, long time.Duration) error {
	const pages = 1000
	fill := "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < ?) INSERT INTO row SELECT i, randomblob(3000) FROM n"
	if err := db.Write(ctx, func(_ context.Context, conn *sqlite.Conn) error {
		return sqlitex.Execute(conn, fill, &sqlitex.ExecOptions{Args: []any{pages}})
	}); err != nil {
		return err
	}
	until, cancel := context.WithTimeout(ctx, long)
	defer cancel()
	var readers sync.WaitGroup
	defer readers.Wait()
	for range 4 {
		readers.Go(func() {
			for until.Err() == nil {
				_ = db.Read(until, func(ctx context.Context, conn *sqlite.Conn) error { // the last one is cancelled
					_, err := sqlitex.ResultInt(conn.Prep("SELECT length(content) FROM row WHERE n=1"))
					wait(ctx, 20*time.Millisecond)
					return err
				})
			}
		})
	}
	for n := 0; until.Err() == nil; n++ {
		began := time.Now()
		if err := db.Write(ctx, func(_ context.Context, conn *sqlite.Conn) error {
			return sqlitex.Execute(conn, "UPDATE row SET content=randomblob(3000) WHERE n=?", &sqlitex.ExecOptions{Args: []any{n%pages + 1}})
		}); err != nil {
			return err
		}
		f.took = append(f.took, time.Since(began))
	}
	return nil
}
