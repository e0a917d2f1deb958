package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/headpond/headpond/backends/sqlite/internal/raw"
)

// open opens a connection. If it fails, it leaves nothing open.
func (d *database) open(ctx context.Context, mode Mode) (*connection, error) {
	if d.invalid != nil {
		return nil, d.openError(mode, "options", d.invalid)
	}
	if err := supported(); err != nil {
		return nil, d.openError(mode, "look", err)
	}
	if d.options.ReadOnly && mode == Writer {
		return nil, d.openError(mode, "options", ErrReadOnly)
	}
	if d.memory {
		return d.connect(ctx, d.path, mode, nil)
	}
	file, err := d.look(ctx, mode)
	if errors.Is(err, ErrNoFile) && mode == Writer && !d.wasOpened() && !d.noCreate {
		if err := d.create(ctx); err != nil {
			return nil, err // an OpenError
		}
		file, err = d.look(ctx, mode)
	}
	if err != nil {
		return nil, d.openError(mode, "look", err)
	}
	return d.connect(ctx, d.path, mode, file)
}

// supported returns an error if this zombiezen is not known.
func supported() error {
	if err := raw.Supported(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnknownVersion, err)
	}
	return nil
}
