package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitemigration"
	"zombiezen.com/go/sqlite/sqlitex"
)

const (
	bankAccounts = 1000
	bankBalance  = 100 // of each account, at first
)

var bankSchema = &sqlitemigration.Schema{Migrations: []string{`
	CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);
	CREATE TABLE ledger (id INTEGER PRIMARY KEY, debit REFERENCES account, credit REFERENCES account, amount INTEGER NOT NULL);
	WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id+1 FROM n WHERE id < 1000) INSERT INTO account SELECT id, 100 FROM n;
`}}

// transfer is one that was tried.
type transfer struct {
	id, debit, credit, amount int64
}

// mishap is what befalls a transfer when its statements have run.
type mishap uint8

const (
	fails mishap = iota
	panics
	exits
	rollsBack // by a statement of its own
	commits   // likewise
	leavesOpen
	cancelled // by its own caller, then
	mishaps
)

// spared is how many of the transfers with a number below 32 meet none of the mishaps.
const spared = 32

var errBank = errors.New("refused by the bank")

// bank moves money in a database, and remembers what it was told of it.
type bank struct {
	db *DB

	last     atomic.Int64
	sums     atomic.Int64 // snapshots that were looked at
	unlucky  atomic.Int64 // transfers that failed
	mu       sync.Mutex   // protects the following
	receipts map[int64]transfer
}

// TestBank has 64 goroutines move money with Write and Batch while others read, with cancels at any moment, errors, panics,
// transactions that are ended from inside, and connections that are evicted:
// no snapshot sees money appear or vanish, and exactly those transfers are in the ledger whose call returned nil.
func TestBank(t *testing.T) {
	both(t, func(t *testing.T, memory bool) {
		rounds := 20
		if *long {
			rounds = 1000
		}
		options := Options{Schema: bankSchema, AcquireTimeout: -1, BusyTimeout: time.Minute, MaxBatch: 16}
		var db *DB
		var err error
		if memory {
			db, err = OpenMemory(t.Context(), options)
		} else {
			db, err = Open(t.Context(), path(t), options)
		}
		require.NoError(t, err)
		b := &bank{db: db, receipts: map[int64]transfer{}}
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() {
				for range rounds {
					switch n := rand.IntN(100); {
					case n == 0:
						db.Writer().Evict()
					case n == 1:
						db.Readers().Evict()
					case n < 20:
						b.read(t)
					case n < 50:
						b.move(t, db.Write)
					default:
						b.move(t, db.Batch)
					}
				}
			})
		}
		all.Wait()
		b.audit(t)
		stats := db.Stats()
		t.Logf("%d transfers, %d that failed, %d snapshots; %d batches, the largest of %d, %d calls ran again; %d readers and %d writers opened",
			len(b.receipts), b.unlucky.Load(), b.sums.Load(), stats.Batch.Batches, stats.Batch.Largest, stats.Batch.Retries, stats.Readers.Created, stats.Writer.Created)
		assert.NotZero(t, b.unlucky.Load())
		assert.Greater(t, len(b.receipts), 64*rounds/4)
		require.NoError(t, db.Close(context.Background()))
	})
}

// move makes one transfer, in a goroutine of its own, which may end early.
func (b *bank) move(t *testing.T, call func(context.Context, func(context.Context, *Conn) error) error) {
	one := transfer{b.last.Add(1), 1 + rand.Int64N(bankAccounts), 1 + rand.Int64N(bankAccounts), 1 + rand.Int64N(10)}
	fate := mishap(rand.IntN(spared))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var others sync.WaitGroup
	defer others.Wait()
	impatient := rand.IntN(16) == 0
	if impatient {
		pause := rand.IntN(200)
		others.Go(func() {
			for range pause {
				runtime.Gosched()
			}
			cancel()
		})
	}
	err := errors.New("it neither returned nor panicked")
	others.Go(func() {
		defer func() {
			if thrown := recover(); thrown != nil {
				err = fmt.Errorf("%v: %w", thrown, errBank)
			}
		}()
		err = call(ctx, func(_ context.Context, conn *Conn) error {
			if err := one.run(conn); err != nil {
				return err
			}
			return fate.befall(conn, cancel)
		})
	})
	others.Wait()
	if err == nil {
		b.mu.Lock()
		b.receipts[one.id] = one
		b.mu.Unlock()
		assert.True(t, fate >= mishaps || fate == cancelled || fate == leavesOpen, "transfer %d met mishap %d, and was committed", one.id, fate)
		return
	}
	b.unlucky.Add(1)
	if fate >= mishaps {
		assert.True(t, impatient && errors.Is(err, context.Canceled), "a transfer whom nobody disturbed: %v", err)
	}
}

func (x transfer) run(conn *Conn) error {
	for _, step := range []struct {
		sql  string
		args []any
	}{
		{"UPDATE account SET balance = balance - ? WHERE id = ?", []any{x.amount, x.debit}},
		{"INSERT INTO ledger VALUES (?, ?, ?, ?)", []any{x.id, x.debit, x.credit, x.amount}},
		{"UPDATE account SET balance = balance + ? WHERE id = ?", []any{x.amount, x.credit}},
	} {
		if err := sqlitex.Execute(conn, step.sql, &sqlitex.ExecOptions{Args: step.args}); err != nil {
			return err
		}
	}
	return nil
}

func (m mishap) befall(conn *Conn, cancel func()) error {
	switch m {
	case fails:
		return errBank
	case panics:
		panic("bank")
	case exits:
		runtime.Goexit()
	case rollsBack:
		return run(conn, "ROLLBACK")
	case commits:
		return run(conn, "COMMIT")
	case leavesOpen:
		_, err := conn.Prep("SELECT id FROM account").Step()
		return err
	case cancelled:
		cancel()
	}
	return nil
}

// read looks at the sum in one snapshot, twice.
func (b *bank) read(t *testing.T) {
	assert.NoError(t, b.db.Read(context.Background(), func(_ context.Context, conn *Conn) error {
		for range 2 {
			sum, err := sqlitex.ResultInt64(conn.Prep("SELECT sum(balance) FROM account"))
			if err != nil {
				return err
			}
			assert.EqualValues(t, bankAccounts*bankBalance, sum)
			runtime.Gosched()
		}
		b.sums.Add(1)
		return nil
	}))
}

// audit compares the ledger with the receipts, and the accounts with the ledger.
func (b *bank) audit(t *testing.T) {
	b.read(t)
	entries := map[int64]transfer{}
	balances := map[int64]int64{}
	for id := range int64(bankAccounts) {
		balances[id+1] = bankBalance
	}
	accounts := map[int64]int64{}
	require.NoError(t, b.db.Read(t.Context(), func(_ context.Context, conn *Conn) error {
		check := sqlitex.Execute(conn, "PRAGMA integrity_check", &sqlitex.ExecOptions{ResultFunc: func(stmt *sqlite.Stmt) error {
			assert.Equal(t, "ok", stmt.ColumnText(0))
			return nil
		}})
		ledger := sqlitex.Execute(conn, "SELECT id, debit, credit, amount FROM ledger", &sqlitex.ExecOptions{ResultFunc: func(stmt *sqlite.Stmt) error {
			x := transfer{stmt.ColumnInt64(0), stmt.ColumnInt64(1), stmt.ColumnInt64(2), stmt.ColumnInt64(3)}
			entries[x.id] = x
			balances[x.debit] -= x.amount
			balances[x.credit] += x.amount
			return nil
		}})
		return errors.Join(check, ledger, sqlitex.Execute(conn, "SELECT id, balance FROM account", &sqlitex.ExecOptions{ResultFunc: func(stmt *sqlite.Stmt) error {
			accounts[stmt.ColumnInt64(0)] = stmt.ColumnInt64(1)
			return nil
		}}))
	}))
	var lost, unacknowledged []transfer
	for id, x := range b.receipts {
		if entries[id] != x {
			lost = append(lost, x)
		}
	}
	for id, x := range entries {
		if b.receipts[id] != x {
			unacknowledged = append(unacknowledged, x)
		}
	}
	assert.Empty(t, lost, "acknowledged, and not in the ledger")
	assert.Empty(t, unacknowledged, "in the ledger, and not acknowledged")
	assert.Equal(t, balances, accounts, "the accounts are what the ledger says")
}
