package stdlib

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/headpond/headpond/backends/sqlite"
)

const accounts, balance = 100, 1000 // at first

// bank moves money through a *sql.DB, and remembers what it was told.
type bank struct {
	db   *sql.DB
	last atomic.Int64

	mu       sync.Mutex // protects the following
	receipts map[int64]bool
	unlucky  int
}

// TestBank has 64 goroutines move money while others read, with cancels at any moment, transactions that are forgotten
// until their ctx ends, and some that are ended by a statement: no snapshot sees money appear or vanish,
// and exactly those transfers are in the ledger whose call returned nil.
func TestBank(t *testing.T) {
	for name, db := range map[string]*sql.DB{
		"file":   func() *sql.DB { db, _ := open(t, sqlite.Options{AcquireTimeout: -1}, Options{}); return db }(),
		"memory": openMemory(t, sqlite.Options{AcquireTimeout: -1}, Options{}),
	} {
		t.Run(name, func(t *testing.T) {
			do(t, db, `CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);
				CREATE TABLE ledger (id INTEGER PRIMARY KEY, debit REFERENCES account, credit REFERENCES account, amount INTEGER NOT NULL);
				CREATE TRIGGER post AFTER INSERT ON ledger BEGIN
					UPDATE account SET balance=balance-new.amount WHERE id=new.debit;
					UPDATE account SET balance=balance+new.amount WHERE id=new.credit;
				END;
				WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id+1 FROM n WHERE id<100) INSERT INTO account SELECT id, 1000 FROM n`)
			b := &bank{db: db, receipts: make(map[int64]bool)}
			var all sync.WaitGroup
			for range 64 {
				all.Go(func() {
					for range 20 {
						if rand.IntN(5) == 0 {
							b.look(t)
						} else {
							b.move(t)
						}
					}
				})
			}
			all.Wait()
			b.audit(t)
		})
	}
}

// look looks at the sum twice, in one snapshot.
func (b *bank) look(t *testing.T) {
	tx, err := b.db.BeginTx(context.Background(), &sql.TxOptions{ReadOnly: true})
	if !assert.NoError(t, err) {
		return
	}
	for range 2 {
		var sum int
		if assert.NoError(t, tx.QueryRow("SELECT sum(balance) FROM account").Scan(&sum)) {
			assert.Equal(t, accounts*balance, sum)
		}
	}
	assert.NoError(t, tx.Commit())
}

// move makes one transfer, in one of the ways.
func (b *bank) move(t *testing.T) {
	id := b.last.Add(1)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	impatient := rand.IntN(6) == 0
	if impatient {
		ctx, cancel = context.WithTimeout(ctx, rand.N(5*time.Millisecond))
		defer cancel()
	}
	fate := rand.IntN(20)
	err := b.transfer(ctx, id, fate)
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		b.receipts[id] = true
		return
	}
	b.unlucky++
	assert.True(t, impatient && ctx.Err() != nil || fate < 3, "transfer %d, whom nobody disturbed: %v", id, err)
}

const insert = "INSERT INTO ledger VALUES (?, ?, ?, ?)"

var errRefused = errors.New("refused by the bank")

// transfer moves money by a statement of its own, or in a transaction that reads, then writes.
func (b *bank) transfer(ctx context.Context, id int64, fate int) error {
	values := []any{id, 1 + rand.IntN(accounts), 1 + rand.IntN(accounts), 1 + rand.IntN(10)}
	if fate >= 10 {
		_, err := b.db.ExecContext(ctx, insert, values...)
		return err
	}
	tx, err := b.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	var before int
	if err := tx.QueryRowContext(ctx, "SELECT balance FROM account WHERE id=?", values[1]).Scan(&before); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, insert, values...); err != nil {
		return err
	}
	switch fate {
	case 0:
		return errRefused
	case 1:
		_, err := tx.ExecContext(ctx, "INSERT OR ROLLBACK INTO ledger VALUES (?, 1, 1, 1)", id)
		return errors.Join(err, tx.Commit())
	case 2:
		_, err := tx.ExecContext(ctx, "INSERT INTO ledger VALUES (?, 999, 1, 1)", -id) // no such account
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// audit compares the ledger with the receipts, and the balances with the ledger.
func (b *bank) audit(t *testing.T) {
	rows, err := b.db.Query("SELECT id FROM ledger")
	require.NoError(t, err)
	defer rows.Close()
	there := make(map[int64]bool)
	for rows.Next() {
		var id int64
		require.NoError(t, rows.Scan(&id))
		there[id] = true
	}
	require.NoError(t, rows.Err())
	assert.Equal(t, b.receipts, there)
	assert.Zero(t, value[int](t, b.db, `SELECT count(*) FROM account WHERE balance<>1000
		-(SELECT coalesce(sum(amount), 0) FROM ledger WHERE debit=account.id)+(SELECT coalesce(sum(amount), 0) FROM ledger WHERE credit=account.id)`))
	assert.NotZero(t, b.unlucky)
	assert.Greater(t, len(b.receipts), 400)
	t.Logf("%d transfers, %d that failed", len(b.receipts), b.unlucky)
}
