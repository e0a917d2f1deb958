package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// demonstrate kills a service, takes its machine away, and lets it begin again from the replica.
func demonstrate(ctx context.Context, s settings, out io.Writer) (err error) {
	elsewhere, err := os.MkdirTemp("", "headpond-replica-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(elsewhere)
	s.replica = filepath.Join(elsewhere, "replica")

	first, lose, err := machine(ctx, s)
	if err != nil {
		return err
	}
	wait(ctx, s.writes)
	known := first.service.row.Load()
	err = first.litestream.sync(ctx)
	if err == nil {
		wait(ctx, s.every/2)
	}
	first.kill()
	lose()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "killed at row %d, and its machine is lost; up to row %d Litestream had said that it is copied\n", first.service.row.Load(), known)

	second, lose, err := machine(ctx, s)
	if err != nil {
		return err
	}
	defer lose()
	restored := second.opened
	if restored < known {
		err = fmt.Errorf("row %d was copied, and is not there", known)
	}
	fmt.Fprintf(out, "restored on another: rows 1 to %d\n", restored)
	wait(ctx, s.writes)
	if err := errors.Join(err, second.stop(ctx)); err != nil {
		return err
	}
	n, err := restoreBeside(ctx, s)
	if err == nil && int64(n) != second.service.row.Load() {
		err = fmt.Errorf("it has %d rows", n)
	}
	if err != nil {
		return fmt.Errorf("the replica of a service that stopped in order at row %d: %w", second.service.row.Load(), err)
	}
	fmt.Fprintf(out, "stopped in order at row %d, and all of them are in the replica\n", n)
	return nil
}

// host is what runs on one machine: the service, and Litestream beside it or inside.
type host struct {
	service    *process
	litestream copier
	opened     int64 // the last row that the service found
}

// copier is Litestream as a host sees it.
type copier interface {
	sync(ctx context.Context) error // returns when all that was committed before is in the replica
	stop(ctx context.Context) error
	kill()
}

// machine starts a host with a directory of its own, which lose takes away.
func machine(ctx context.Context, s settings) (h *host, lose func(), err error) {
	directory, err := os.MkdirTemp("", "headpond-machine-")
	if err != nil {
		return nil, nil, err
	}
	lose = func() { _ = os.RemoveAll(directory) }
	s.database = filepath.Join(directory, "app.db")
	if h, err = startHost(ctx, s, startCopier); err != nil {
		lose()
	}
	return h, lose, err
}

// startHost starts the service, and with beside Litestream, unless that is inside.
func startHost(ctx context.Context, s settings, beside func(ctx context.Context, s settings) (copier, error)) (h *host, err error) {
	h = &host{}
	if h.service, err = child(ctx, s, "-serve", fmt.Sprintf("-library=%t", s.library)); err != nil {
		return nil, err
	}
	opened, err := h.service.expect(ctx, "open")
	if err == nil {
		h.opened, err = strconv.ParseInt(opened, 10, 64)
	}
	h.litestream = h.service
	if err == nil && !s.library {
		h.litestream, err = beside(ctx, s)
	}
	if err != nil {
		h.service.kill()
		return nil, err
	}
	return h, nil
}

// startCopier starts Litestream in a process of its own.
func startCopier(ctx context.Context, s settings) (copier, error) {
	p, err := child(ctx, s, "-replicate")
	if err != nil {
		return nil, err
	}
	if _, err := p.expect(ctx, "replicates"); err != nil {
		p.kill()
		return nil, err
	}
	return p, nil
}

// child starts this program once more.
func child(ctx context.Context, s settings, arguments ...string) (*process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	arguments = append([]string{"-db", s.database, "-replica", s.replica, "-every", s.every.String()}, arguments...)
	return start(ctx, exec.CommandContext(ctx, program, arguments...))
}

func (h *host) kill() {
	h.service.kill()
	h.litestream.kill() // once more, if it is inside
}

// stop stops both in order: the service first.
func (h *host) stop(ctx context.Context) error {
	err := h.service.stop(ctx)
	if h.litestream != copier(h.service) {
		err = errors.Join(err, h.litestream.stop(ctx))
	}
	return err
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
