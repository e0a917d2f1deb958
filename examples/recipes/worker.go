package recipes

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
)

// Worker is a process that answers each line of its input with a line.
type Worker struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	ended chan struct{} // closed when the process has
}

// Workers pools processes. A process that ends is noticed when it is acquired next, and replaced.
func Workers(command string, args ...string) (*pool.Pool[*Worker], error) {
	return pool.New(resource.Hooks[*Worker]{
		Construct: func(context.Context) (*Worker, error) { return start(exec.Command(command, args...)) }, // not CommandContext: it outlives this ctx
		Check:     func(_ context.Context, w *Worker) error { return w.alive() },
		Destroy:   func(ctx context.Context, w *Worker) error { return w.stop(ctx) },
	}, pool.Options{Name: "workers", Policy: resource.Policy{CheckAfterIdle: -1, MaxUses: 1000, DestroyTimeout: 5 * time.Second}})
}

func start(cmd *exec.Cmd) (*Worker, error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	w := &Worker{cmd: cmd, in: in, out: bufio.NewReader(out), ended: make(chan struct{})}
	go func() {
		_, _ = cmd.Process.Wait() // not cmd.Wait, which would close the output under Ask
		close(w.ended)
	}()
	return w, nil
}

func (w *Worker) alive() error {
	select {
	case <-w.ended:
		return errors.New("the worker has ended")
	default:
		return nil
	}
}

// stop lets the process end by itself, until ctx ends.
func (w *Worker) stop(ctx context.Context) error {
	err := w.in.Close()
	select {
	case <-w.ended:
	case <-ctx.Done():
		err = errors.Join(ctx.Err(), w.cmd.Process.Kill())
		<-w.ended
	}
	return err
}

// Ask sends a line to a worker, and returns its answer. A worker that does not answer before ctx ends is killed.
func Ask(ctx context.Context, workers *pool.Pool[*Worker], question string) (string, error) {
	return pool.Do(ctx, workers, func(ctx context.Context, w *Worker) (string, error) {
		stop := context.AfterFunc(ctx, func() { _ = w.cmd.Process.Kill() })
		_, err := fmt.Fprintln(w.in, question)
		var answer string
		if err == nil {
			answer, err = w.out.ReadString('\n')
		}
		if !stop() {
			err = errors.Join(context.Cause(ctx), err)
		}
		if err != nil {
			return "", pool.Discard(err)
		}
		return strings.TrimSuffix(answer, "\n"), nil
	})
}
