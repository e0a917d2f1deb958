package sqlite

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// pointRead reads one row by its key, with a cached statement.
func pointRead(conn *Conn) error {
	stmt, err := conn.Prepare("SELECT n FROM counter WHERE id=?")
	if err != nil {
		return err
	}
	stmt.BindInt64(1, 1)
	row, err := stmt.Step()
	if err == nil && row {
		_ = stmt.ColumnInt64(0)
		err = stmt.Reset()
	}
	return err
}

func TestAcquireAndReleaseAllocateNothing(t *testing.T) {
	db := open(t, false, Options{})
	lease := func(ctx context.Context) func() {
		return func() {
			lease, err := db.Readers().Acquire(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if err := pointRead(lease.Value()); err != nil {
				t.Fatal(err)
			}
			lease.Release()
		}
	}
	var read float64 // by SQLite's calls of the system, on Windows
	require.NoError(t, db.Readers().Do(t.Context(), func(_ context.Context, conn *Conn) error {
		read = testing.AllocsPerRun(100, func() { require.NoError(t, pointRead(conn)) })
		return nil
	}))
	if !onWindows {
		assert.Zero(t, read)
	}
	assert.Equal(t, read, testing.AllocsPerRun(100, lease(context.Background())), "for a ctx that can't end")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	assert.Equal(t, read, testing.AllocsPerRun(100, lease(ctx)), "for one that can")
}

func TestReadAndWriteAllocateTheirCtxAlone(t *testing.T) {
	if onWindows {
		t.Skip("SQLite's calls of the system allocate there")
	}
	db := open(t, false, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	use := func(_ context.Context, conn *Conn) error { return pointRead(conn) }
	for name, run := range map[string]func(context.Context, func(context.Context, *Conn) error) error{"Read": db.Read, "Write": db.Write} {
		assert.LessOrEqual(t, testing.AllocsPerRun(100, func() {
			if err := run(ctx, use); err != nil {
				t.Fatal(err)
			}
		}), 1.0, name)
	}
}

func BenchmarkRead(b *testing.B) {
	db := open(b, false, Options{})
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	file := db.database.path
	bare, err := sqlite.OpenConn(file, sqlite.OpenReadOnly)
	require.NoError(b, err)
	defer bare.Close()
	peer, err := sqlitex.NewPool(file, sqlitex.PoolOptions{})
	require.NoError(b, err)
	defer peer.Close()
	bench := func(name string, read func() error) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := read(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	bench("bare", func() error { return pointRead(bare) })
	bench("lease", func() error {
		lease, err := db.Readers().Acquire(ctx)
		if err != nil {
			return err
		}
		err = pointRead(lease.Value())
		lease.Release()
		return err
	})
	bench("Read", func() error {
		return db.Read(ctx, func(_ context.Context, conn *Conn) error { return pointRead(conn) })
	})
	bench("sqlitex.Pool", func() error {
		conn, err := peer.Take(ctx)
		if err != nil {
			return err
		}
		defer peer.Put(conn)
		return pointRead(conn)
	})
}

func BenchmarkWrite(b *testing.B) {
	db := open(b, false, Options{})
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	bare, err := sqlite.OpenConn(path(b))
	require.NoError(b, err)
	defer bare.Close()
	do(b, bare, "PRAGMA synchronous=1; CREATE TABLE counter (id INTEGER PRIMARY KEY, n INTEGER NOT NULL); INSERT INTO counter VALUES (1, 0)")
	step := func(conn *Conn, sql string) error {
		stmt, err := conn.Prepare(sql)
		if err == nil {
			_, err = stmt.Step()
		}
		return err
	}
	b.Run("bare", func(b *testing.B) {
		for b.Loop() {
			for _, sql := range []string{"BEGIN IMMEDIATE", increment, "COMMIT"} {
				if err := step(bare, sql); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("Write", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := db.Write(ctx, func(_ context.Context, conn *Conn) error { return step(conn, increment) }); err != nil {
				b.Fatal(err)
			}
		}
	})
}
