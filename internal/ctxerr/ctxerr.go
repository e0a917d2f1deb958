// Package ctxerr makes an error of a ctx that has ended.
package ctxerr

import (
	"context"
	"fmt"
)

// Ended returns the error of a ctx that has ended: it wraps both ctx.Err() and context.Cause(ctx).
func Ended(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if cause == err {
		return err
	}
	return fmt.Errorf("%w: %w", err, cause)
}
