package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
)

// process is a child of this program, which says what it does in lines.
type process struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	said chan string  // its lines, but for those of rows; closed when it has ended
	row  atomic.Int64 // the last that it said is committed
	err  func() error // waits for its end
	ends sync.WaitGroup
}

// start starts a child. It ends with ctx, with kill or with stop.
func start(ctx context.Context, cmd *exec.Cmd) (p *process, err error) {
	p = &process{cmd: cmd, said: make(chan string, 100)}
	cmd.Stderr = os.Stderr
	if p.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p.ends.Go(func() {
		defer close(p.said)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			p.hear(ctx, lines.Text())
		}
	})
	p.err = sync.OnceValue(func() error {
		p.ends.Wait() // before Wait, which closes the pipe
		return cmd.Wait()
	})
	return p, nil
}

func (p *process) hear(ctx context.Context, line string) {
	var n int64
	if _, err := fmt.Sscanf(line, "row %d", &n); err == nil {
		p.row.Store(n)
		return
	}
	select {
	case p.said <- line:
	case <-ctx.Done():
	}
}

// expect waits for a line that begins with that word, and returns the rest of it.
func (p *process) expect(ctx context.Context, word string) (rest string, err error) {
	for {
		select {
		case line, more := <-p.said:
			if !more {
				return "", fmt.Errorf("it ended before it said %q: %w", word, p.ended())
			}
			if rest, found := strings.CutPrefix(line, word); found {
				return strings.TrimSpace(rest), nil
			}
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// sync asks Litestream in the child to copy, and returns when it has.
func (p *process) sync(ctx context.Context) error {
	if _, err := fmt.Fprintln(p.in, "sync"); err != nil {
		return err
	}
	_, err := p.expect(ctx, "synced")
	return err
}

// ended is why the child has ended.
func (p *process) ended() error {
	if err := p.err(); err != nil {
		return err
	}
	return errors.New("it had nothing more to do")
}

// stop lets the child end in order.
func (p *process) stop(ctx context.Context) error {
	_ = p.in.Close()
	for { // so that it can say what it has to
		select {
		case _, more := <-p.said:
			if !more {
				return p.err()
			}
		case <-ctx.Done():
			p.kill()
			return ctx.Err()
		}
	}
}

// kill ends the child at once, and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	for range p.said {
	}
	_ = p.err()
}
