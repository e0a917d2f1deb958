package ecosystem

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type person struct {
	ID    int64
	Name  string
	Email sql.NullString
	Born  time.Time
}

func people(t *testing.T) *sqlx.DB {
	db := sqlx.NewDb(open(t), "sqlite3")
	db.MustExec(`
		CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT, born TIMESTAMP NOT NULL);
		CREATE INDEX person_name ON person (name);
	`)
	return db
}

func TestSqlx(t *testing.T) {
	db := people(t)
	ada := person{Name: "Ada", Email: sql.NullString{String: "ada@example.org", Valid: true}, Born: time.Date(1815, 12, 10, 0, 0, 0, 0, time.UTC)}
	result, err := db.NamedExec("INSERT INTO person (name, email, born) VALUES (:name, :email, :born)", ada)
	require.NoError(t, err)
	ada.ID, err = result.LastInsertId()
	require.NoError(t, err)
	_, err = db.NamedExec("INSERT INTO person (name, born) VALUES (:name, :born)", []map[string]any{
		{"name": "Grace", "born": time.Date(1906, 12, 9, 0, 0, 0, 0, time.UTC)},
		{"name": "Edsger", "born": time.Date(1930, 5, 11, 0, 0, 0, 0, time.UTC)},
	})
	require.NoError(t, err)

	var got person
	require.NoError(t, db.Get(&got, "SELECT * FROM person WHERE id=?", ada.ID))
	assert.Equal(t, ada, got)
	require.ErrorIs(t, db.Get(&got, "SELECT * FROM person WHERE id=?", 100), sql.ErrNoRows)

	query, args, err := sqlx.In("SELECT name FROM person WHERE name IN (?) AND born > ? ORDER BY born", []string{"Ada", "Grace", "Edsger"}, ada.Born)
	require.NoError(t, err)
	var names []string
	require.NoError(t, db.Select(&names, db.Rebind(query), args...))
	assert.Equal(t, []string{"Grace", "Edsger"}, names)

	rows, err := db.NamedQuery("SELECT * FROM person WHERE name=:name", ada)
	require.NoError(t, err)
	require.True(t, rows.Next())
	require.NoError(t, rows.StructScan(&got))
	assert.Equal(t, ada, got)
	require.NoError(t, rows.Close())

	row := make(map[string]any)
	require.NoError(t, db.QueryRowx("SELECT id, name, email FROM person WHERE name='Grace'").MapScan(row))
	assert.Equal(t, map[string]any{"id": int64(2), "name": "Grace", "email": nil}, row)

	stmt, err := db.PrepareNamed("SELECT * FROM person WHERE name=:name")
	require.NoError(t, err)
	require.NoError(t, stmt.Get(&got, ada))
	require.NoError(t, stmt.Close())
}

func TestSqlx_Tx(t *testing.T) {
	db := people(t)
	tx := db.MustBegin()
	tx.MustExec("INSERT INTO person (name, born) VALUES ('gone', '2000-01-01')")
	require.NoError(t, tx.Rollback())

	tx, err := db.BeginTxx(t.Context(), &sql.TxOptions{ReadOnly: true})
	require.NoError(t, err)
	var count int
	require.NoError(t, tx.Get(&count, "SELECT count(*) FROM person"))
	assert.Zero(t, count)
	_, err = tx.Exec("INSERT INTO person (name, born) VALUES ('refused', '2000-01-01')")
	require.ErrorContains(t, err, "readonly")
	require.NoError(t, tx.Rollback())

	tx = db.MustBegin()
	stmt, err := tx.Preparex("INSERT INTO person (name, born) VALUES (?, ?)")
	require.NoError(t, err)
	for _, name := range []string{"a", "b", "c"} {
		stmt.MustExec(name, time.Now())
	}
	require.NoError(t, tx.Commit())
	require.NoError(t, db.Get(&count, "SELECT count(*) FROM person"))
	assert.Equal(t, 3, count)
}

func TestSqlx_Storm(t *testing.T) {
	db := people(t)
	storm(t, func(ctx context.Context, id int64) error {
		if id%5 > 0 {
			_, err := db.NamedExecContext(ctx, "INSERT INTO person (id, name, born) VALUES (:id, 'x', :born)", person{ID: id, Born: time.Now()})
			return err
		}
		tx, err := db.BeginTxx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		var greatest int64
		if err := tx.GetContext(ctx, &greatest, "SELECT coalesce(max(id), 0) FROM person"); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO person (id, name, born) VALUES (?, ?, ?)", id, "y", time.Now()); err != nil {
			return err
		}
		return tx.Commit()
	}, func() (ids []int64) {
		require.NoError(t, db.Select(&ids, "SELECT id FROM person"))
		return ids
	})
}
