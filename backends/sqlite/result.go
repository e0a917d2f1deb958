package sqlite

import (
	"context"
	"reflect"
)

// This file has the ways to read and write that return what a function made of the rows.

// Read is [DB.Read] for a function that returns a result: no variable outside of the function is needed for it.
// If the error is not nil, the result is the zero R, whatever use returned.
func Read[R any](ctx context.Context, db *DB, use func(ctx context.Context, conn *Conn) (R, error)) (R, error) {
	return withResult(ctx, db.Read, use)
}

// Write is [DB.Write] for a function that returns a result.
// If the error is not nil, that of COMMIT included, the result is the zero R: nobody goes on with what was not committed.
func Write[R any](ctx context.Context, db *DB, use func(ctx context.Context, conn *Conn) (R, error)) (R, error) {
	return withResult(ctx, db.Write, use)
}

// Batch is [DB.Batch] for a function that returns a result: that of its last run, which is the one that was committed.
// If the error is not nil, the result is the zero R. Use may run twice, as there.
func Batch[R any](ctx context.Context, db *DB, use func(ctx context.Context, conn *Conn) (R, error)) (R, error) {
	batch := func(ctx context.Context, withoutResult func(context.Context, *Conn) error) error {
		return db.batch(ctx, withoutResult, reflect.ValueOf(use).Pointer())
	}
	return withResult(ctx, batch, use)
}

// withResult calls method with use, and returns the result of a use that counts.
func withResult[R any](ctx context.Context, method func(context.Context, func(context.Context, *Conn) error) error, use func(ctx context.Context, conn *Conn) (R, error)) (R, error) {
	var result, none R
	err := method(ctx, func(ctx context.Context, conn *Conn) (err error) {
		result, err = use(ctx, conn)
		return err
	})
	if err != nil {
		return none, err
	}
	return result, nil
}
