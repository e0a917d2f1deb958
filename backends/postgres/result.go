package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Read is DB.Read with a result. If it returns an error, the result is the zero value.
func Read[R any](ctx context.Context, db *DB, use func(ctx context.Context, tx pgx.Tx) (R, error)) (R, error) {
	return resultOf(ctx, db.Read, use)
}

// Write is DB.Write with a result. If it returns an error, the result is the zero value.
func Write[R any](ctx context.Context, db *DB, use func(ctx context.Context, tx pgx.Tx) (R, error)) (R, error) {
	return resultOf(ctx, db.Write, use)
}

// WriteSerializable is DB.WriteSerializable with a result, that of the attempt that was committed.
// If it returns an error, the result is the zero value.
func WriteSerializable[R any](ctx context.Context, db *DB, use func(ctx context.Context, tx pgx.Tx) (R, error)) (R, error) {
	return resultOf(ctx, db.WriteSerializable, use)
}

func resultOf[R any](ctx context.Context, run func(context.Context, func(context.Context, pgx.Tx) error) error, use func(context.Context, pgx.Tx) (R, error)) (result R, err error) {
	err = run(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
		result, err = use(ctx, tx)
		return err
	})
	if err != nil {
		var zero R
		return zero, err
	}
	return result, nil
}
