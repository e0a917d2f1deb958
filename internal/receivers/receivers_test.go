package receivers

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/headpond/headpond/tracing"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
)

// wanted skips a test unless somebody wants it.
func wanted(t *testing.T) {
	if os.Getenv("HEADPOND_RECEIVERS") == "" {
		t.Skip("set HEADPOND_RECEIVERS=1 to run it")
	}
}

// options are those of an observer for a database.
func options() tracing.Options {
	return tracing.Options{System: "sqlite", Attributes: []attribute.KeyValue{attribute.String("db.namespace", "/home/s3cr3t/orders.db")}}
}

// newPool returns a pool of two values that take a moment to build.
func newPool(t *testing.T, observer pool.Observer, acquireTimeout time.Duration) *pool.Pool[int] {
	p, err := pool.New(resource.Hooks[int]{
		Construct: func(context.Context) (int, error) { <-time.After(20 * time.Millisecond); return 1, nil },
	}, pool.Options{
		Name: "orders", MaxSize: 2, AcquireTimeout: acquireTimeout, Observer: observer,
		Figures: func() []pool.Figure {
			return []pool.Figure{{Name: "headpond.sqlite.wal.size", Unit: "By", Value: 4096}}
		},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close(context.Background())) })
	return p
}

// output keeps what a program writes.
type output struct {
	mu   sync.Mutex // protects the following
	text bytes.Buffer
}

func (o *output) Write(text []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(text)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// start runs a program until the test ends, with more variables in its environment.
func start(t *testing.T, environment []string, name string, args ...string) *output {
	t.Helper()
	out := &output{}
	program := exec.Command(name, args...)
	program.Env = append(os.Environ(), environment...)
	program.Stdout, program.Stderr = out, out
	require.NoError(t, program.Start())
	t.Cleanup(func() {
		_ = program.Process.Signal(os.Interrupt)
		_ = program.Wait()
		if t.Failed() {
			t.Log(out.String())
		}
	})
	return out
}

// freeAddress returns an address of this machine on which nothing listens.
func freeAddress(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	return listener.Addr().String()
}

// write writes a file for one test, and returns its path.
func write(t *testing.T, name, text string) string {
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}
