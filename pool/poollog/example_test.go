package poollog_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/pool/poollog"
	"github.com/headpond/headpond/resource"
)

// newLogger returns a logger that leaves out what differs from run to run.
func newLogger() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			switch a.Key {
			case slog.TimeKey, "took":
				return slog.Attr{}
			}
			return a
		},
	}))
}

// At Debug the log says of every value why it was destroyed.
func Example() {
	ctx := context.Background()
	hooks := resource.Hooks[int]{
		Construct: func(context.Context) (int, error) { return 42, nil },
		Reset:     func(context.Context, int) error { return errors.New("broken pipe") },
	}
	p, err := pool.New(hooks, pool.Options{Name: "orders", Observer: poollog.Observer(newLogger())})
	if err != nil {
		log.Fatal(err)
	}
	if err := p.Do(ctx, func(context.Context, int) error { return nil }); err != nil {
		log.Fatal(err)
	}
	if err := p.Close(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// level=DEBUG msg="headpond: reset failed" pool=orders id=1 error="broken pipe"
	// level=DEBUG msg="headpond: value retired" pool=orders id=1 reason=reset_failed
}

func ExampleObserver() {
	hooks := resource.Hooks[int]{
		Construct: func(context.Context) (int, error) { return 0, errors.New("connection refused") },
	}
	p, err := pool.New(hooks, pool.Options{Name: "orders", Observer: poollog.Observer(newLogger())})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close(context.Background())
	_, err = p.Acquire(context.Background())
	fmt.Println(err)
	// Output:
	// level=WARN msg="headpond: construct failed" pool=orders id=1 error="connection refused"
	// headpond/pool "orders": construct: connection refused
}
