package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var long = flag.Bool("long", false, "run the long versions of tests, and Litestream's own command")

// TestMain runs the tests, or is this program, if a test has started it for that.
func TestMain(m *testing.M) {
	if os.Getenv("HEADPOND_LITESTREAM_CHILD") == "" {
		os.Exit(m.Run())
	}
	main()
}

func TestDemonstrate(t *testing.T) {
	t.Setenv("HEADPOND_LITESTREAM_CHILD", "1")
	for _, library := range []bool{false, true} {
		var out strings.Builder
		require.NoError(t, run(t.Context(), settings{every: 50 * time.Millisecond, writes: 200 * time.Millisecond, library: library}, nil, &out))
		assert.Regexp(t, `^killed at row \d+, .*
restored on another: rows 1 to \d+
stopped in order at row \d+, and all of them are in the replica
$`, out.String())
	}
}

// TestKill kills the service and Litestream at random, and takes their machine away now and then. After each time:
//
//   - what is restored are the rows 1 to n, without a gap, in a sound file
//   - n is at least the last row of which Litestream had said that it is copied, and at most the last that was begun
//   - on a machine that was not lost, every row that was acknowledged is there
//
// In the end both stop in order, and every acknowledged row is in the replica.
func TestKill(t *testing.T) {
	t.Setenv("HEADPOND_LITESTREAM_CHILD", "1")
	t.Run("a part of the service", func(t *testing.T) { killAtRandom(t, true, nil) })
	t.Run("a process", func(t *testing.T) { killAtRandom(t, false, startCopier) })
	t.Run("its own command", func(t *testing.T) {
		if !*long {
			t.Skip("to build Litestream's command takes minutes: -long does")
		}
		binary := filepath.Join(t.TempDir(), "litestream")
		out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "github.com/benbjohnson/litestream/cmd/litestream").CombinedOutput()
		require.NoError(t, err, string(out))
		killAtRandom(t, false, func(ctx context.Context, s settings) (copier, error) { return startCommand(ctx, binary, s) })
	})
}

// kills is what TestKill knows of one series.
type kills struct {
	t        *testing.T
	random   *rand.Rand
	settings settings
	beside   func(ctx context.Context, s settings) (copier, error)

	least, most int64 // how many rows the next service must find
	lost, kept  int   // machines, at the end of a round
	copied      int64 // of them, those that Litestream had said it has copied
}

func killAtRandom(t *testing.T, library bool, beside func(ctx context.Context, s settings) (copier, error)) {
	rounds, seed := 3, rand.Uint64()
	if *long {
		rounds = 40
	}
	t.Log("seed", seed)
	k := &kills{t: t, random: rand.New(rand.NewPCG(seed, 0)), beside: beside,
		settings: settings{replica: filepath.Join(t.TempDir(), "replica"), every: 20 * time.Millisecond, library: library}}
	for i := range rounds {
		if k.settings.database == "" {
			k.settings.database = filepath.Join(t.TempDir(), "app.db")
		}
		k.round(i%2 == 1) // each series has both
	}
	if k.settings.database == "" {
		k.settings.database = filepath.Join(t.TempDir(), "app.db")
	}
	h := k.start()
	wait(t.Context(), 200*time.Millisecond)
	require.NoError(t, h.stop(t.Context()))
	n, err := restoreBeside(t.Context(), k.settings)
	require.NoError(t, err)
	assert.Equal(t, h.service.row.Load(), int64(n), "every acknowledged row")
	t.Logf("%d machines lost, %d kept; %d rows in the end", k.lost, k.kept, n)
}

func (k *kills) start() *host {
	h, err := startHost(k.t.Context(), k.settings, k.beside)
	require.NoError(k.t, err)
	k.t.Cleanup(h.kill)
	require.GreaterOrEqual(k.t, h.opened, k.least, "rows that were there are gone")
	require.LessOrEqual(k.t, h.opened, k.most)
	h.service.row.CompareAndSwap(0, h.opened)
	return h
}

// round lets a host live until it is killed, and looks at what is left.
func (k *kills) round(lose bool) {
	t := k.t
	h := k.start()
	copied := k.live(h)
	acknowledged := max(h.service.row.Load(), h.opened)

	n, err := restoreBeside(t.Context(), k.settings)
	require.NoError(t, err)
	t.Logf("killed at row %d, lost: %t; restored %d rows, %d were copied", acknowledged, lose, n, copied)
	require.GreaterOrEqual(t, int64(n), copied, "rows that were copied are not in the replica")
	require.LessOrEqual(t, int64(n), acknowledged+1)
	if !lose {
		k.kept++
		k.least, k.most = acknowledged, acknowledged+1
		return
	}
	k.lost++
	require.NoError(t, os.RemoveAll(filepath.Dir(k.settings.database)))
	k.settings.database = ""
	k.least, k.most = int64(n), int64(n)
}

// live asks Litestream to copy again and again, until both were killed. It returns the last row that was copied for sure.
// Now and then Litestream is killed first, and another one is started.
func (k *kills) live(h *host) (copied int64) {
	ctx, cancel := context.WithCancel(k.t.Context())
	defer cancel()
	first := k.random.Uint32()%3 == 0 && !k.settings.library
	long := 200*time.Millisecond + time.Duration(k.random.Int64N(int64(600*time.Millisecond)))
	gap := time.Duration(k.random.Int64N(int64(30 * time.Millisecond)))
	pause := time.Duration(k.random.Int64N(int64(50 * time.Millisecond)))
	copied = k.copied
	if h.opened < copied {
		copied = h.opened
	}
	syncing := func(ctx context.Context) {
		for ctx.Err() == nil {
			known := h.service.row.Load()
			if h.litestream.sync(ctx) != nil {
				return
			}
			copied = max(copied, known)
			wait(ctx, pause)
		}
	}
	if first {
		timer := time.AfterFunc(long/2, h.litestream.kill)
		syncing(ctx)
		timer.Stop()
		h.litestream.kill()
		another, err := k.beside(k.t.Context(), k.settings)
		require.NoError(k.t, err)
		k.t.Cleanup(another.kill)
		h.litestream = another
	}
	time.AfterFunc(long, func() {
		if k.settings.library || gap%2 == 0 {
			h.service.kill()
			wait(ctx, gap)
			h.litestream.kill()
		} else {
			h.litestream.kill()
			wait(ctx, gap)
			h.service.kill()
		}
		cancel()
	})
	syncing(ctx)
	<-ctx.Done()
	h.kill()
	k.copied = copied
	return copied
}

// command is Litestream's own, as litestream.yml configures it.
type command struct {
	binary, socket, database string
	cmd                      *exec.Cmd
	ended                    chan error
	over                     atomic.Bool
}

func startCommand(ctx context.Context, binary string, s settings) (*command, error) {
	directory, err := os.MkdirTemp("", "ls") // a socket's path is short
	if err != nil {
		return nil, err
	}
	c := &command{binary: binary, socket: filepath.Join(directory, "s"), database: s.database, ended: make(chan error, 1)}
	c.cmd = exec.CommandContext(ctx, binary, "replicate", "-config", "litestream.yml")
	c.cmd.Env = append(os.Environ(), "DATABASE="+s.database, "REPLICA="+s.replica, "SOCKET="+c.socket)
	c.cmd.Stdout, c.cmd.Stderr = os.Stderr, os.Stderr
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		c.ended <- errors.Join(c.cmd.Wait(), os.RemoveAll(directory))
	}()
	for { // until it listens
		conn, err := net.Dial("unix", c.socket)
		if err == nil {
			return c, conn.Close()
		}
		select {
		case err := <-c.ended:
			return nil, fmt.Errorf("litestream has ended: %w", err)
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (c *command) sync(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, c.binary, "sync", "-wait", "-socket", c.socket, c.database).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// stop asks for a copy first: at SIGTERM Litestream makes none of a database that it has not looked at yet.
func (c *command) stop(ctx context.Context) error {
	err := c.sync(ctx)
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	c.over.Store(true)
	return errors.Join(err, <-c.ended)
}

func (c *command) kill() {
	if !c.over.Swap(true) {
		_ = c.cmd.Process.Kill()
		<-c.ended
	}
}
