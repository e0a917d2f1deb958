package stdlib

import (
	"context"
	"database/sql/driver"
	"io"
	"reflect"
	"slices"
)

// rows are a driver.Rows: what was read ahead, and a cursor with the rest.
type rows struct {
	s      *session
	ctx    context.Context
	shape  *shape
	values []driver.Value // from at on, those of the rows that were read
	at     int
	more   *cursor // nil: there is no rest
	own    bool    // the connection of more belongs to the rows
	sets   []resultSet
}

var (
	_ driver.RowsNextResultSet              = (*rows)(nil)
	_ driver.RowsColumnTypeDatabaseTypeName = (*rows)(nil)
	_ driver.RowsColumnTypeScanType         = (*rows)(nil)
	_ driver.RowsColumnTypeLength           = (*rows)(nil)
	_ driver.RowsColumnTypeNullable         = (*rows)(nil)
)

func (o *outcome) rows(ctx context.Context, s *session) *rows {
	shape := o.shape
	if shape == nil {
		shape = noColumns
	}
	return &rows{s: s, ctx: ctx, shape: shape, values: o.values, more: o.more, own: o.own, sets: o.sets}
}

// Columns returns the names of the columns, which are the caller's to change.
func (r *rows) Columns() []string { return slices.Clone(r.shape.names) }

// Next puts the next row into values.
func (r *rows) Next(values []driver.Value) error {
	if r.at == len(r.values) {
		if r.more == nil {
			return io.EOF
		}
		if err := r.read(); err != nil {
			return typed(err)
		}
		if len(r.values) == 0 {
			return io.EOF
		}
	}
	r.at += copy(values, r.values[r.at:r.at+len(r.shape.columns)])
	return nil
}

// read reads ahead. It gives a connection of its own back when there is nothing more to read.
func (r *rows) read() (err error) {
	c := r.more
	if !r.own {
		r.s.mu.Lock()
		defer r.s.mu.Unlock()
	}
	r.at = 0
	if c.stmt == nil { // it ended with its transaction
		r.values, r.more = nil, nil
		return c.err
	}
	if !r.own {
		if _, err := r.s.use(r.ctx); err != nil {
			return err
		}
		defer r.s.used(r.ctx, &err)
	}
	var more bool
	r.values, more, err = c.fill(r.values[:0], false)
	if r.own && err != nil {
		err = c.h.below.Finish(r.ctx, err)
	}
	if !more || err != nil {
		r.end()
	}
	return err
}

// end ends the rest.
func (r *rows) end() {
	c := r.more
	r.more = nil
	c.close()
	if r.own {
		c.h.release()
		r.s.readers.Add(-1)
	}
}

// Close ends the rows. A second Close does nothing.
func (r *rows) Close() error {
	r.values, r.at, r.sets = nil, 0, nil
	if r.more == nil {
		return nil
	}
	if !r.own {
		r.s.mu.Lock()
		defer r.s.mu.Unlock()
	}
	r.end()
	return nil
}

// HasNextResultSet reports whether a script has more rows.
func (r *rows) HasNextResultSet() bool { return len(r.sets) > 0 }

// NextResultSet goes on to the rows of the next statement of a script that has any.
func (r *rows) NextResultSet() error {
	if len(r.sets) == 0 {
		return io.EOF
	}
	r.shape, r.values, r.at, r.sets = r.sets[0].shape, r.sets[0].values, 0, r.sets[1:]
	return nil
}

// ColumnTypeDatabaseTypeName returns the type with which the column was declared; empty for an expression.
func (r *rows) ColumnTypeDatabaseTypeName(i int) string { return r.shape.columns[i].declared }

// ColumnTypeScanType returns a type that takes any value of the column.
func (r *rows) ColumnTypeScanType(i int) reflect.Type { return r.shape.columns[i].scanType() }

// ColumnTypeLength returns the length with which a column of text or bytes was declared. SQLite does not enforce it.
func (r *rows) ColumnTypeLength(i int) (length int64, ok bool) { return r.shape.columns[i].size() }

// ColumnTypeNullable says that nothing is known: SQLite does not tell it of a result.
func (r *rows) ColumnTypeNullable(int) (nullable, ok bool) { return true, false }
