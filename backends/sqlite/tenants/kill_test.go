package tenants_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/backends/sqlite/tenants"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	zombiezen "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// killedTenants are so many more than the places that each moment has opens, closes and evictions.
const killedTenants = 40

func init() {
	// The arguments are a directory, and the number after which those of its rows begin. It writes until it is killed.
	children["write"] = func(args []string) error {
		from, err := strconv.ParseInt(args[1], 10, 64)
		if err != nil {
			return err
		}
		p, err := tenants.New(tenants.Options{Path: tenants.Directory(args[0]), Database: sqlite.Options{Schema: schema}, MaxOpen: 6, AcquireTimeout: -1})
		if err != nil {
			return err
		}
		var next atomic.Int64
		next.Store(from)
		failed := make(chan error)
		for i := range 16 {
			call := p.Write
			if i%2 == 0 {
				call = p.Batch
			}
			go func() {
				for {
					id, tenant := next.Add(1), fmt.Sprint("tenant-", rand.IntN(killedTenants))
					err := call(context.Background(), tenant, func(_ context.Context, conn *sqlite.Conn) error {
						return sqlitex.Execute(conn, "INSERT INTO owner (n, name) VALUES (?, ?)", &sqlitex.ExecOptions{Args: []any{id, tenant}})
					})
					if err != nil {
						failed <- err
					}
					_, _ = os.Stdout.WriteString(fmt.Sprintln(tenant, id)) // one write: a line is whole
				}
			}()
		}
		return <-failed
	}
}

// TestKill kills a process that writes to many tenants again and again, in the middle of opens, closes and evictions:
// every row that was acknowledged is there, in the database of its tenant.
func TestKill(t *testing.T) {
	rounds := 4
	if *long {
		rounds = 40
	}
	directory := t.TempDir()
	acknowledged := map[string]map[int64]bool{}
	for round := range rounds {
		cmd := child(t, "write", directory, strconv.Itoa(round*1_000_000))
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		var complaints bytes.Buffer
		cmd.Stderr = &complaints
		require.NoError(t, cmd.Start())
		rows := 0
		for lines := bufio.NewScanner(out); lines.Scan(); rows++ {
			tenant, text, _ := strings.Cut(lines.Text(), " ")
			id, err := strconv.ParseInt(text, 10, 64)
			require.NoError(t, err)
			if acknowledged[tenant] == nil {
				acknowledged[tenant] = map[int64]bool{}
			}
			acknowledged[tenant][id] = true
			if rows == 0 {
				time.AfterFunc(rand.N(300*time.Millisecond), func() { _ = cmd.Process.Kill() })
			}
		}
		require.Error(t, cmd.Wait(), "it was killed")
		require.Empty(t, complaints.String(), "and nothing else had ended it")
		require.NotZero(t, rows)
	}
	p := open(t, tenants.Options{Path: tenants.Directory(directory)})
	found, err := tenants.List(directory)
	require.NoError(t, err)
	assert.GreaterOrEqual(t, len(found), len(acknowledged))
	total := 0
	for _, tenant := range found {
		require.NoError(t, p.Read(t.Context(), tenant, func(_ context.Context, conn *sqlite.Conn) error {
			there := map[int64]bool{}
			err := sqlitex.Execute(conn, "SELECT n, name FROM owner", &sqlitex.ExecOptions{ResultFunc: func(row *zombiezen.Stmt) error {
				there[row.ColumnInt64(0)] = true
				assert.Equal(t, tenant, row.ColumnText(1))
				return nil
			}})
			for id := range acknowledged[tenant] {
				assert.True(t, there[id], "%s: row %d was acknowledged", tenant, id)
			}
			total += len(acknowledged[tenant])
			return err
		}))
	}
	t.Logf("%d rows acknowledged in %d tenants", total, len(found))
}
