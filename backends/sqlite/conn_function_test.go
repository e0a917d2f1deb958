package sqlite

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
)

var errOfFunction = errors.New("the function's own error")

// failingAggregate is an aggregate and window function that fails in one of its methods.
type failingAggregate struct{ in string }

func (f failingAggregate) fail(in string) error {
	if in == f.in {
		return errOfFunction
	}
	return nil
}

func (f failingAggregate) Step(sqlite.Context, []sqlite.Value) error { return f.fail("step") }
func (f failingAggregate) WindowInverse(sqlite.Context, []sqlite.Value) error {
	return f.fail("inverse")
}
func (f failingAggregate) WindowValue(sqlite.Context) (sqlite.Value, error) {
	return sqlite.IntegerValue(1), f.fail("value")
}
func (f failingAggregate) Finalize(sqlite.Context) {}

// registerFailing registers functions that fail: f(), g(x) if x is not 0, and aggregates, each in another method.
func registerFailing(_ context.Context, conn *Conn) error {
	all := []error{
		conn.CreateFunction("f", &sqlite.FunctionImpl{NArgs: 0, AllowIndirect: true, Scalar: func(sqlite.Context, []sqlite.Value) (sqlite.Value, error) {
			return sqlite.Value{}, errOfFunction
		}}),
		conn.CreateFunction("g", &sqlite.FunctionImpl{NArgs: -1, AllowIndirect: true, Deterministic: true, Scalar: func(_ sqlite.Context, args []sqlite.Value) (sqlite.Value, error) {
			if args[0].Int64() != 0 {
				return sqlite.IntegerValue(5), errOfFunction
			}
			return sqlite.IntegerValue(5), nil
		}}),
		conn.CreateFunction("make_fails", &sqlite.FunctionImpl{NArgs: 1, MakeAggregate: func(sqlite.Context) (sqlite.AggregateFunction, error) {
			return nil, errOfFunction
		}}),
	}
	for _, in := range []string{"step", "inverse", "value"} {
		all = append(all, conn.CreateFunction(in+"_fails", &sqlite.FunctionImpl{NArgs: 1, MakeAggregate: func(sqlite.Context) (sqlite.AggregateFunction, error) {
			return failingAggregate{in}, nil
		}}))
	}
	return errors.Join(all...)
}

// An SQL function's error fails the statement, wherever the function stands; what the statement did is undone.
func TestAnSQLFunctionsErrorFailsTheStatement(t *testing.T) {
	both(t, func(t *testing.T, memory bool) {
		db := open(t, memory, Options{Setup: registerFailing, TrustedSchema: true})
		const rows = "(SELECT 1 AS x UNION ALL SELECT 2 UNION ALL SELECT 3)"
		require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
			return run(conn, `CREATE TABLE plain (x); INSERT INTO plain VALUES ('kept'), ('kept');
				CREATE TABLE checked (x CHECK (g(x) = 5));
				CREATE TABLE indexed (x); CREATE INDEX i ON indexed (g(x));
				CREATE TABLE generated (x, y AS (g(x)) STORED);
				CREATE TABLE triggered (x); CREATE TRIGGER tr AFTER INSERT ON triggered BEGIN INSERT INTO plain VALUES (g(new.x)); END;
				CREATE VIEW v AS SELECT f() AS x`)
		}))
		for _, sql := range []string{
			"INSERT INTO plain VALUES (f())",
			"INSERT INTO plain VALUES (g(0)), (g(1))",
			"INSERT INTO plain SELECT f() RETURNING x",
			"DELETE FROM plain WHERE NOT f()",
			"UPDATE plain SET x=f()",
			"INSERT INTO checked VALUES (1)",
			"INSERT INTO indexed VALUES (1)",
			"INSERT INTO generated VALUES (1)",
			"INSERT INTO triggered VALUES (1)",
			"SELECT f()",
			"SELECT * FROM v",
			"SELECT x FROM " + rows + " ORDER BY f()",
			"SELECT make_fails(x) FROM " + rows,
			"SELECT step_fails(x) FROM " + rows,
			"SELECT value_fails(x) FROM " + rows,
			"SELECT make_fails(x) FROM " + rows + " WHERE 0",
			"SELECT x, value_fails(x) FROM " + rows + " GROUP BY x",
			"SELECT step_fails(x) OVER (ORDER BY x) FROM " + rows,
			"SELECT value_fails(x) OVER (ORDER BY x) FROM " + rows,
			"SELECT inverse_fails(x) OVER (ORDER BY x ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM " + rows,
		} {
			for name, call := range map[string]func(context.Context, func(context.Context, *Conn) error) error{
				"Write": db.Write, "Batch": db.Batch, "by hand": db.Writer().Do,
			} {
				err := call(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, sql) })
				assert.ErrorContains(t, err, errOfFunction.Error(), "%s: %s", name, sql)
				assert.Equal(t, sqlite.ResultError, sqlite.ErrCode(err), "%s: %s", name, sql)
			}
		}
		require.NoError(t, db.Read(t.Context(), func(_ context.Context, conn *Conn) error {
			assert.Equal(t, "2", get(t, conn, "SELECT count(*) FROM plain WHERE x='kept'"))
			for _, table := range []string{"checked", "indexed", "generated", "triggered"} {
				assert.Equal(t, "0", get(t, conn, "SELECT count(*) FROM "+table), table)
			}
			assert.Equal(t, "5", get(t, conn, "SELECT g(0)"), "it works after it has failed")
			_, err := first(conn, "SELECT f()")
			assert.ErrorContains(t, err, errOfFunction.Error())
			return nil
		}))
		require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
			return run(conn, "INSERT INTO checked VALUES (0); INSERT INTO indexed VALUES (0); INSERT INTO generated VALUES (0); INSERT INTO triggered VALUES (0)")
		}))
		assert.Equal(t, Found{}, db.Stats().Found)
	})
}

// The same holds in Setup itself, and for a function that a borrower registers, new or in the place of another.
func TestAFunctionsErrorFailsTheStatementWhereverItIsRegistered(t *testing.T) {
	file := path(t)
	_, err := Open(t.Context(), file, Options{Setup: func(ctx context.Context, conn *Conn) error {
		return errors.Join(registerFailing(ctx, conn), run(conn, "SELECT f()"))
	}})
	require.ErrorContains(t, err, errOfFunction.Error())

	db := open(t, false, Options{Setup: func(_ context.Context, conn *Conn) error { return register(conn, "f", 0) }})
	require.NoError(t, db.Writer().Do(t.Context(), func(ctx context.Context, conn *Conn) error {
		assert.NoError(t, run(conn, "CREATE TABLE t (x); INSERT INTO t VALUES (f())"))
		cached := conn.Prep("SELECT f()")
		require.NoError(t, registerFailing(ctx, conn))
		_, err := cached.Step()
		assert.ErrorContains(t, err, errOfFunction.Error())
		assert.ErrorContains(t, run(conn, "INSERT INTO t VALUES (g(1))"), errOfFunction.Error())
		assert.Equal(t, "1", get(t, conn, "SELECT count(*) FROM t"))
		return nil
	}))
	assert.EqualValues(t, 1, db.Stats().Found[FoundFunction])
}

// What a function keeps with SetAuxData is kept as SQLite says: for a constant argument, and dropped for others.
func TestAuxiliaryDataOfAFunction(t *testing.T) {
	var seen []any
	db := open(t, false, Options{Setup: func(_ context.Context, conn *Conn) error {
		return conn.CreateFunction("remember", &sqlite.FunctionImpl{NArgs: 2, Scalar: func(ctx sqlite.Context, args []sqlite.Value) (sqlite.Value, error) {
			seen = append(seen, ctx.AuxData(0), ctx.AuxData(1))
			ctx.SetAuxData(0, "constant")
			ctx.SetAuxData(1, "other")
			return args[1], nil
		}})
	}})
	require.NoError(t, db.Read(t.Context(), func(_ context.Context, conn *Conn) error {
		return run(conn, "SELECT remember('x', n) FROM (SELECT 1 AS n UNION ALL SELECT 2 UNION ALL SELECT 3)")
	}))
	assert.Equal(t, []any{nil, nil, "constant", nil, "constant", nil}, seen)
}
