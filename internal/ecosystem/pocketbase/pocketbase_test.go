//go:build long

package pocketbase

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/pocketbase/dbx"
	"github.com/pocketbase/pocketbase/apis"
	"github.com/pocketbase/pocketbase/core"
	_ "github.com/pocketbase/pocketbase/migrations"
	"github.com/pocketbase/pocketbase/tools/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "github.com/headpond/headpond/backends/sqlite/stdlib"
)

// connect is what Config.DBConnect is given. PocketBase opens each file twice, which share one DB.
func connect(path string) (*dbx.DB, error) {
	db, err := sql.Open("headpond", path+"?acquire_timeout=60s")
	if err != nil {
		return nil, err
	}
	return dbx.NewFromDB(db, "sqlite"), nil
}

// start starts PocketBase on a directory, with a collection that everybody may read and write.
func start(t *testing.T, directory string) *core.BaseApp {
	app := core.NewBaseApp(core.BaseAppConfig{DataDir: directory, DBConnect: connect})
	require.NoError(t, app.Bootstrap())
	require.NoError(t, app.RunAllMigrations())
	return app
}

func notes(t *testing.T, app *core.BaseApp) *core.Collection {
	collection := core.NewBaseCollection("notes")
	collection.Fields.Add(
		&core.NumberField{Name: "number", Required: true},
		&core.TextField{Name: "text"},
		&core.JSONField{Name: "extra"},
		&core.AutodateField{Name: "created", OnCreate: true},
	)
	collection.AddIndex("notes_number", true, "number", "")
	everybody := types.Pointer("")
	collection.ListRule, collection.ViewRule, collection.CreateRule, collection.UpdateRule = everybody, everybody, everybody, everybody
	require.NoError(t, app.Save(collection))
	return collection
}

func TestPocketBase(t *testing.T) {
	directory := t.TempDir()
	app := start(t, directory)
	collection := notes(t, app)

	record := core.NewRecord(collection)
	record.Load(map[string]any{"number": 1, "text": "first", "extra": []int{1, 2}})
	require.NoError(t, app.Save(record))
	double := core.NewRecord(collection)
	double.Load(map[string]any{"number": 1})
	require.ErrorContains(t, app.Save(double), "number")
	refused := errors.New("refused")
	require.ErrorIs(t, app.RunInTransaction(func(inside core.App) error {
		record.Set("text", "gone")
		require.NoError(t, inside.Save(record))
		return refused
	}), refused)
	got, err := app.FindFirstRecordByFilter("notes", "number = {:n} && created <= @now", dbx.Params{"n": 1})
	require.NoError(t, err)
	assert.Equal(t, "first", got.GetString("text"))

	collection.Fields.GetByName("text").SetName("words") // migrates the table
	collection.Fields.RemoveByName("extra")
	collection.Fields.Add(&core.BoolField{Name: "done"})
	require.NoError(t, app.Save(collection))
	view := core.NewViewCollection("few")
	view.ViewQuery = "SELECT id, words, number FROM notes WHERE number < 10"
	require.NoError(t, app.Save(view))
	got, err = app.FindFirstRecordByData("few", "words", "first")
	require.NoError(t, err)
	assert.EqualValues(t, 1, got.GetInt("number"))

	require.NoError(t, app.CreateBackup(t.Context(), "backup.zip"))
	require.NoError(t, app.ResetBootstrapState())
	app = start(t, directory)
	defer func() { assert.NoError(t, app.ResetBootstrapState()) }()
	count, err := app.CountRecords("notes")
	require.NoError(t, err)
	assert.EqualValues(t, 1, count)
}

const clients, each = 16, 25

func TestPocketBase_ManyClients(t *testing.T) {
	app := start(t, t.TempDir())
	defer func() { assert.NoError(t, app.ResetBootstrapState()) }()
	notes(t, app)
	router, err := apis.NewRouter(app)
	require.NoError(t, err)
	handler, err := router.BuildMux()
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	defer server.Close()

	var (
		mu      sync.Mutex
		written []float64
		group   sync.WaitGroup
	)
	for n := range clients {
		group.Go(func() {
			for i := range each {
				number := float64(1 + n*each + i)
				ctx, cancel := context.WithCancel(context.Background())
				if i%3 == 0 {
					ctx, cancel = context.WithTimeout(ctx, time.Duration(rand.IntN(20))*time.Millisecond)
				}
				err := post(ctx, server.URL, number)
				mu.Lock()
				if err == nil {
					written = append(written, number)
				} else if ctx.Err() == nil {
					assert.NoError(t, err)
				}
				mu.Unlock()
				cancel()
				response, err := http.Get(server.URL + "/api/collections/notes/records?sort=-number&perPage=5&filter=number>0")
				if assert.NoError(t, err) {
					assert.Equal(t, http.StatusOK, response.StatusCode)
					response.Body.Close()
				}
			}
		})
	}
	group.Wait()
	var stored []float64
	require.NoError(t, app.DB().Select("number").From("notes").Column(&stored))
	assert.Subset(t, stored, written)
	assert.GreaterOrEqual(t, len(written), clients*each/2)
}

func post(ctx context.Context, url string, number float64) error {
	body, err := json.Marshal(map[string]any{"number": number, "text": "x"})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/api/collections/notes/records", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s, %w", response.Status, answer, err)
	}
	return nil
}
