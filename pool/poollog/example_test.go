package poollog_test

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/pool/poollog"
	"github.com/headpond/headpond/resource"
)

func ExampleObserver() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == "took" {
				return slog.Attr{} // which differ from run to run
			}
			return a
		},
	}))
	hooks := resource.Hooks[int]{Construct: func(context.Context) (int, error) { return 0, errors.New("connection refused") }}
	p, err := pool.New(hooks, pool.Options{Name: "orders", Observer: poollog.Observer(logger)})
	if err != nil {
		panic(err)
	}
	_, _ = p.Acquire(context.Background())
	// Output:
	// level=WARN msg="headpond: construct failed" pool=orders id=1 error="connection refused"
}
