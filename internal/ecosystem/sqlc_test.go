package ecosystem

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/headpond/headpond/backends/sqlite/stdlib"
	"github.com/headpond/headpond/internal/ecosystem/ledger"
)

// ledgers are generated code, as it is and with prepared statements.
func ledgers(t *testing.T, use func(t *testing.T, db *sql.DB, queries *ledger.Queries)) {
	for name, create := range map[string]func(t *testing.T, db *sql.DB) *ledger.Queries{
		"plain": func(_ *testing.T, db *sql.DB) *ledger.Queries { return ledger.New(db) },
		"prepared": func(t *testing.T, db *sql.DB) *ledger.Queries {
			queries, err := ledger.Prepare(t.Context(), db)
			require.NoError(t, err)
			t.Cleanup(func() { assert.NoError(t, queries.Close()) })
			return queries
		},
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t)
			_, err := db.Exec(ledger.Schema)
			require.NoError(t, err)
			use(t, db, create(t, db))
		})
	}
}

func TestSqlc(t *testing.T) {
	ledgers(t, func(t *testing.T, _ *sql.DB, queries *ledger.Queries) {
		ctx := t.Context()
		ada, err := queries.OpenAccount(ctx, ledger.OpenAccountParams{Owner: "Ada", Balance: 100, Note: sql.NullString{String: "first", Valid: true}})
		require.NoError(t, err)
		assert.WithinDuration(t, time.Now(), ada.Opened, time.Minute, "by CURRENT_TIMESTAMP")
		bob, err := queries.OpenAccount(ctx, ledger.OpenAccountParams{Owner: "Bob"})
		require.NoError(t, err)
		got, err := queries.GetAccount(ctx, ada.ID)
		require.NoError(t, err)
		assert.Equal(t, ada, got)
		_, err = queries.GetAccount(ctx, 99)
		require.ErrorIs(t, err, sql.ErrNoRows)
		for n := range 3 {
			list, err := queries.ListAccounts(ctx, ledger.ListAccountsParams{Owners: []string{"Bob", "Ada", "nobody"}[:n]})
			require.NoError(t, err)
			assert.Len(t, list, n)
		}
		_, err = queries.OpenAccount(ctx, ledger.OpenAccountParams{Owner: "Ada"})
		var failed *stdlib.Error
		require.ErrorAs(t, err, &failed)
		assert.Equal(t, 2067, failed.ExtendedCode)

		changed, err := queries.Withdraw(ctx, ledger.WithdrawParams{Amount: 101, ID: ada.ID})
		require.NoError(t, err)
		assert.Zero(t, changed)
		made := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
		id, err := queries.AddTransfer(ctx, ledger.AddTransferParams{Sender: ada.ID, Receiver: bob.ID, Amount: 7, Made: made, Proof: []byte{}})
		require.NoError(t, err)
		assert.EqualValues(t, 1, id)
		last, err := queries.LastTransfer(ctx, ada.ID)
		require.NoError(t, err)
		assert.Equal(t, ledger.LastTransferRow{Made: last.Made, Count: 1, Total: int64(7)}, last)
		at, ok := last.Made.(time.Time)
		require.True(t, ok, "max(made) is a %T", last.Made)
		assert.True(t, made.Equal(at))
		all, err := queries.Transfers(ctx)
		require.NoError(t, err)
		require.Len(t, all, 1)
		assert.Equal(t, []byte{}, all[0].Proof, "empty, and not NULL")
	})
}

// transfer moves money in a transaction that reads, then writes.
func transfer(ctx context.Context, db *sql.DB, queries *ledger.Queries, from, to, amount int64) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	inside := queries.WithTx(tx)
	sender, err := inside.GetAccount(ctx, from)
	if err != nil {
		return err
	}
	amount = min(amount, sender.Balance)
	if changed, err := inside.Withdraw(ctx, ledger.WithdrawParams{Amount: amount, ID: from}); err != nil || changed != 1 {
		return fmt.Errorf("withdrew %d times: %w", changed, err)
	}
	if err := inside.Deposit(ctx, ledger.DepositParams{Balance: amount, ID: to}); err != nil {
		return err
	}
	if _, err := inside.AddTransfer(ctx, ledger.AddTransferParams{Sender: from, Receiver: to, Amount: amount, Made: time.Now()}); err != nil {
		return err
	}
	return tx.Commit()
}

func TestSqlc_Bank(t *testing.T) {
	const accounts, each = 10, 1000
	ledgers(t, func(t *testing.T, db *sql.DB, queries *ledger.Queries) {
		for n := range accounts {
			_, err := queries.OpenAccount(t.Context(), ledger.OpenAccountParams{Owner: fmt.Sprint(n), Balance: each})
			require.NoError(t, err)
		}
		var group sync.WaitGroup
		failed := make(chan error, 2*stormers*storming)
		for range stormers {
			group.Go(func() {
				for n := range storming {
					ctx, cancel := context.WithCancel(context.Background())
					if n%3 == 0 {
						ctx, cancel = context.WithTimeout(ctx, time.Duration(rand.IntN(3000))*time.Microsecond)
					}
					err := transfer(ctx, db, queries, 1+rand.Int64N(accounts), 1+rand.Int64N(accounts), rand.Int64N(100))
					if err != nil && ctx.Err() == nil {
						failed <- err
					}
					cancel()
					if total, err := queries.Total(context.Background()); err != nil || total != accounts*each {
						failed <- fmt.Errorf("the total is %d, %w", total, err)
					}
				}
			})
		}
		group.Wait()
		close(failed)
		for err := range failed {
			assert.NoError(t, err)
		}
		all, err := queries.Transfers(t.Context())
		require.NoError(t, err)
		balance := make(map[int64]int64)
		for _, one := range all {
			balance[one.Sender] -= one.Amount
			balance[one.Receiver] += one.Amount
		}
		for id := range int64(accounts) {
			account, err := queries.GetAccount(t.Context(), 1+id)
			require.NoError(t, err)
			assert.Equal(t, each+balance[1+id], account.Balance)
		}
	})
}
