package ecosystem

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/headpond/headpond/backends/sqlite"
)

// letter is a job: to write a row, in the transaction that completes it.
type letter struct {
	Number int64 `json:"number" river:"unique"`
}

func (letter) Kind() string { return "letter" }

// postman works letters. The first try of every seventh fails.
type postman struct {
	river.WorkerDefaults[letter]
	db *sql.DB
}

func (p *postman) Work(ctx context.Context, job *river.Job[letter]) error {
	if job.Args.Number%7 == 0 && job.Attempt == 1 {
		return errors.New("nobody at home")
	}
	tx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	var count int
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM delivered").Scan(&count); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO delivered (number) VALUES (?)", job.Args.Number); err != nil {
		return err
	}
	if _, err := river.JobCompleteTx[*riversqlite.Driver](ctx, tx, job); err != nil {
		return err
	}
	return tx.Commit()
}

// NextRetry lets what failed be tried again at once.
func (p *postman) NextRetry(*river.Job[letter]) time.Time { return time.Now() }

// River's driver for SQLite tells its users to call SetMaxOpenConns(1). Here nobody does.
func TestRiver(t *testing.T) {
	db := open(t, sqlite.FoundTemp) // its migrations create temporary tables
	driver := riversqlite.New(db)
	logger := slog.New(slog.NewTextHandler(io.Discard, nil))
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: logger})
	require.NoError(t, err)
	for _, direction := range []rivermigrate.Direction{rivermigrate.DirectionUp, rivermigrate.DirectionDown, rivermigrate.DirectionUp} {
		_, err = migrator.Migrate(t.Context(), direction, &rivermigrate.MigrateOpts{TargetVersion: map[rivermigrate.Direction]int{rivermigrate.DirectionDown: -1}[direction]})
		require.NoError(t, err)
	}
	_, err = db.Exec("CREATE TABLE delivered (number INTEGER PRIMARY KEY)")
	require.NoError(t, err)

	workers := river.NewWorkers()
	river.AddWorker(workers, &postman{db: db})
	client, err := river.NewClient(driver, &river.Config{
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 20}}, Workers: workers, Logger: logger,
		FetchCooldown: time.Millisecond, FetchPollInterval: 10 * time.Millisecond,
	})
	require.NoError(t, err)
	completed, stop := client.Subscribe(river.EventKindJobCompleted)
	defer stop()
	go func() {
		for range completed { // which else fills
		}
	}()
	require.NoError(t, client.Start(t.Context()))
	post(t, db, client)

	var jobs int64
	require.Eventually(t, func() bool {
		var open int64
		err := db.QueryRow("SELECT count(*) FILTER (WHERE state <> 'completed'), count(*) FROM river_job WHERE kind='letter'").Scan(&open, &jobs)
		return err == nil && open == 0
	}, time.Minute, 10*time.Millisecond)
	stopping, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	require.NoError(t, client.Stop(stopping))
	var delivered int64
	require.NoError(t, db.QueryRow("SELECT count(*) FROM delivered").Scan(&delivered))
	assert.Equal(t, jobs, delivered, "each job was worked once")
	list, err := client.JobList(t.Context(), river.NewJobListParams().States(rivertype.JobStateCompleted).First(5))
	require.NoError(t, err)
	assert.Len(t, list.Jobs, 5)
}

// post inserts letters from many goroutines, in transactions and without, a few at a time and one by one. Some give up.
func post(t *testing.T, db *sql.DB, client *river.Client[*sql.Tx]) {
	var group sync.WaitGroup
	failed := make(chan error, stormers*storming)
	for n := range int64(stormers) {
		group.Go(func() {
			for i := range int64(storming) {
				number := 1 + n*storming + i
				ctx, cancel := context.WithCancel(context.Background())
				if i%4 == 0 {
					ctx, cancel = context.WithTimeout(ctx, time.Duration(rand.IntN(3000))*time.Microsecond)
				}
				if err := postOne(ctx, db, client, number); err != nil && ctx.Err() == nil {
					failed <- fmt.Errorf("%d: %w", number, err)
				}
				cancel()
			}
		})
	}
	group.Wait()
	close(failed)
	for err := range failed {
		assert.NoError(t, err)
	}
}

func postOne(ctx context.Context, db *sql.DB, client *river.Client[*sql.Tx], number int64) error {
	switch number % 3 {
	case 0:
		_, err := client.Insert(ctx, letter{number}, nil)
		return err
	case 1:
		_, err := client.InsertMany(ctx, []river.InsertManyParams{{Args: letter{number}}, {Args: letter{-number}}})
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := client.InsertTx(ctx, tx, letter{number}, &river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true}}); err != nil {
		return err
	}
	return tx.Commit()
}
