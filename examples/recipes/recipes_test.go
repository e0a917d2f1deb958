package recipes

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/backends/sqlite/sqlitetest"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite/sqlitemigration"
	"zombiezen.com/go/sqlite/sqlitex"
)

// TestMain is also the worker of TestWorkers.
func TestMain(m *testing.M) {
	if os.Getenv("HEADPOND_TEST_WORKER") == "" {
		os.Exit(m.Run())
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		switch lines.Text() {
		case "end":
			os.Exit(1)
		case "hang":
			time.Sleep(time.Hour)
		default:
			fmt.Println(os.Getpid(), strings.ToUpper(lines.Text()))
		}
	}
}

// listen serves every connection with a goroutine.
func listen(t *testing.T, serve func(conn net.Conn)) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, listener.Close()) })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
	return listener.Addr().String()
}

func TestTalk(t *testing.T) {
	address := listen(t, func(conn net.Conn) { // it answers every line but "hang"
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			if lines.Text() != "hang" {
				fmt.Fprintln(conn, lines.Text())
			}
		}
	})
	conns, err := Conns(address)
	require.NoError(t, err)
	defer func() { assert.NoError(t, conns.Close(context.Background())) }()
	ask := func(ctx context.Context, question string) (answer string, err error) {
		err = Talk(ctx, conns, func(conn net.Conn) error {
			if _, err := fmt.Fprintln(conn, question); err != nil {
				return err
			}
			answer, err = bufio.NewReader(conn).ReadString('\n')
			return err
		})
		return answer, err
	}
	for range 2 {
		answer, err := ask(t.Context(), "rope")
		require.NoError(t, err)
		assert.Equal(t, "rope\n", answer)
	}
	assert.EqualValues(t, 1, conns.Stats().Created, "it is used again")

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = ask(ctx, "hang")
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
	answer, err := ask(t.Context(), "oar")
	require.NoError(t, err)
	assert.Equal(t, "oar\n", answer, "of another connection")
	assert.EqualValues(t, 2, conns.Stats().Created)
}

func TestSend(t *testing.T) {
	var sent, logins atomic.Int32
	address := listen(t, func(conn net.Conn) { // as much of a mail server as that takes
		logins.Add(1)
		fmt.Fprint(conn, "220 mail\r\n")
		inText := false
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			switch line := lines.Text(); {
			case inText && line != ".":
				continue
			case inText:
				inText = false
				sent.Add(1)
			case strings.HasPrefix(line, "RCPT TO:<nobody@"):
				fmt.Fprint(conn, "550 no such user\r\n")
				continue
			case strings.HasPrefix(line, "RCPT TO:<slow@"):
				time.Sleep(time.Minute)
			case line == "DATA":
				inText = true
				fmt.Fprint(conn, "354 go on\r\n")
				continue
			case line == "QUIT":
				fmt.Fprint(conn, "221 bye\r\n")
				return
			}
			fmt.Fprint(conn, "250 ok\r\n")
		}
	})
	mailers, err := Mailers(address, "mail", nil)
	require.NoError(t, err)
	defer func() { assert.NoError(t, mailers.Close(context.Background())) }()
	text := []byte("Subject: rope\r\n\r\nIt is here.\r\n")
	require.NoError(t, Send(t.Context(), mailers, "shop@example.org", "ann@example.org", text))
	require.ErrorContains(t, Send(t.Context(), mailers, "shop@example.org", "nobody@example.org", text), "no such user")
	require.NoError(t, Send(t.Context(), mailers, "shop@example.org", "bob@example.org", text), "after a RSET")
	assert.EqualValues(t, 2, sent.Load())
	assert.EqualValues(t, 1, logins.Load())
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, Send(ctx, mailers, "shop@example.org", "slow@example.org", text), context.DeadlineExceeded)
	require.NoError(t, Send(t.Context(), mailers, "shop@example.org", "ann@example.org", text), "in another session")
	assert.EqualValues(t, 2, logins.Load())
}

func TestWorkers(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	t.Setenv("HEADPOND_TEST_WORKER", "yes")
	workers, err := Workers(self)
	require.NoError(t, err)
	ask := func(question string) string {
		t.Helper()
		answer, err := Ask(t.Context(), workers, question)
		require.NoError(t, err)
		return answer
	}
	first := ask("rope")
	assert.True(t, strings.HasSuffix(first, " ROPE"), first)
	assert.Equal(t, first, ask("rope"), "the same process")

	_, err = Ask(t.Context(), workers, "end")
	require.ErrorIs(t, err, io.EOF)
	second := ask("rope")
	assert.NotEqual(t, first, second)

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = Ask(ctx, workers, "hang")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	third := ask("rope")
	assert.NotEqual(t, second, third)

	// One that is killed while it is idle is replaced before anybody gets it.
	require.NoError(t, workers.Do(t.Context(), func(_ context.Context, w *Worker) error { return w.cmd.Process.Kill() }))
	require.NoError(t, workers.Do(t.Context(), func(_ context.Context, w *Worker) error { <-w.ended; return nil }))
	assert.NotEqual(t, third, ask("rope"))
	assert.NotZero(t, workers.Stats().Destroyed[resource.CheckFailed])
	require.NoError(t, workers.Close(t.Context()))
	assert.Zero(t, workers.Stats().DestroyFailed)
}

func TestAdopt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "goose.db")
	migrations := []string{
		"CREATE TABLE thing (id INTEGER PRIMARY KEY, name TEXT NOT NULL)",
		"INSERT INTO thing VALUES (1, 'rope')",
	}
	before, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	require.NoError(t, err)
	require.NoError(t, before.Write(t.Context(), func(_ context.Context, conn *sqlite.Conn) error { // as goose leaves it
		return sqlitex.ExecuteScript(conn, migrations[0]+";"+migrations[1]+`;
			CREATE TABLE goose_db_version (id INTEGER PRIMARY KEY AUTOINCREMENT, version_id INTEGER NOT NULL, is_applied INTEGER NOT NULL, tstamp TIMESTAMP DEFAULT (datetime('now')));
			INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, 1), (20260101, 1), (20260202, 1);`, nil)
	}))
	require.NoError(t, before.Close(t.Context()))
	for range 2 { // the second time it is not asked
		db, err := Adopt(t.Context(), path, append(migrations, "INSERT INTO thing VALUES (2, 'oar')"))
		require.NoError(t, err)
		names, err := Names(t.Context(), db)
		require.NoError(t, err)
		assert.Equal(t, []string{"rope", "oar"}, names)
		require.NoError(t, db.Close(t.Context()))
	}
}

func TestHealthy(t *testing.T) {
	db := sqlitetest.Open(t, nil)
	status := func(ctx context.Context) int {
		w := httptest.NewRecorder()
		Healthy(db)(w, httptest.NewRequestWithContext(ctx, "GET", "/healthz", nil))
		return w.Code
	}
	assert.Equal(t, 200, status(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.Equal(t, 503, status(ctx))
	require.NoError(t, db.Close(t.Context()))
	assert.Equal(t, 503, status(t.Context()))
}

func TestReadYourWrites(t *testing.T) {
	db := sqlitetest.Open(t, &sqlitemigration.Schema{Migrations: []string{
		"CREATE TABLE thing (id INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT; INSERT INTO thing VALUES (1, '')",
	}})
	for n := range 100 {
		name := fmt.Sprint("rope ", n)
		stored, err := Rename(t.Context(), db, 1, " "+name+" ")
		require.NoError(t, err)
		assert.Equal(t, name, stored)
		names, err := Names(t.Context(), db)
		require.NoError(t, err)
		assert.Equal(t, []string{name}, names)
	}
	_, err := sqlite.Write(t.Context(), db, func(context.Context, *sqlite.Conn) (string, error) { return "lost", errors.New("on purpose") })
	assert.Error(t, err)
}

func TestTake(t *testing.T) {
	db := sqlitetest.Open(t, &sqlitemigration.Schema{Migrations: []string{
		"CREATE TABLE stock (item TEXT PRIMARY KEY, n INTEGER NOT NULL) STRICT; INSERT INTO stock VALUES ('rope', 10)",
	}})
	var sold atomic.Int32
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			took, err := Take(t.Context(), db, "rope")
			assert.NoError(t, err)
			if took {
				sold.Add(1)
			}
		})
	}
	all.Wait()
	assert.EqualValues(t, 10, sold.Load())
	took, err := Take(t.Context(), db, "oar")
	require.NoError(t, err)
	assert.False(t, took)
}

// TestLitestream has a command of that name that copies a file, if there is one.
func TestLitestream(t *testing.T) {
	directory := t.TempDir()
	if runtime.GOOS == "windows" {
		t.Skip("the command is a script")
	}
	script := "#!/bin/sh\n[ \"$6\" = /replica ] && exit 1\n[ ! -e \"$7\" ] || cp \"$7\" \"$6\"\n"
	require.NoError(t, os.WriteFile(filepath.Join(directory, "litestream"), []byte(script), 0o700))
	restored, replica := filepath.Join(directory, "restored.db"), filepath.Join(directory, "replica.db")
	t.Setenv("PATH", directory+":"+os.Getenv("PATH"))
	assert.ErrorIs(t, Litestream(replica)(t.Context(), restored), sqlite.ErrNothingToRestore)
	require.NoError(t, os.WriteFile(replica, []byte("copied"), 0o600))
	require.NoError(t, Litestream(replica)(t.Context(), restored))
	content, err := os.ReadFile(restored)
	require.NoError(t, err)
	assert.Equal(t, "copied", string(content))
	assert.ErrorContains(t, Litestream(replica)(t.Context(), "/replica"), "litestream restore: exit status 1")
}
