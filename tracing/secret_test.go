package tracing_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/headpond/headpond/tracing"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// The secrets: a path, SQL and an argument, none of which may be in anything exported.
const secret = "s3cr3t"

var errSecret error = &fs.PathError{
	Op: "SELECT " + secret + " FROM users WHERE password = ?", Path: "/home/" + secret + "/app.db",
	Err: coded("no name, but /home/" + secret + "/app.db"),
}

// TestNoSecretIsExported feeds secrets through everything that a pool hands to its observer,
// and looks for them in everything that comes out.
func TestNoSecretIsExported(t *testing.T) {
	for _, system := range []string{"", "sqlite"} {
		synctest.Test(t, func(t *testing.T) {
			r := record(t)
			fail := map[pool.Op]error{}
			hook := func(op pool.Op) func(context.Context, int) error {
				return func(context.Context, int) error {
					if err := fail[op]; err == errPanic {
						panic(errSecret.Error())
					}
					return fail[op]
				}
			}
			construct := hook(pool.Construct)
			p, err := pool.New(resource.Hooks[int]{
				Construct: func(ctx context.Context) (int, error) { return 1, construct(ctx, 1) },
				Check:     hook(pool.Check), Prepare: hook(pool.Prepare), Reset: hook(pool.Reset), Destroy: hook(pool.Destroy),
			}, pool.Options{
				Name: "orders", MaxSize: 1, AcquireTimeout: time.Second, LeakAfter: time.Millisecond, MaintainEvery: time.Second / 2,
				Policy: resource.Policy{CheckAfterIdle: -1},
				Observer: r.observer(tracing.Options{System: system, Attributes: []attribute.KeyValue{
					attribute.String("db.namespace", `file:/home/`+secret+`/app.db?key=`+secret),
				}}),
				Figures: func() []pool.Figure { return []pool.Figure{{Name: "wal", Unit: "By", Value: 1}} },
			})
			require.NoError(t, err)
			use := func(ctx context.Context) {
				if acquired, err := p.Acquire(ctx); err == nil {
					<-time.After(time.Second)
					acquired.Release()
				}
				synctest.Wait()
			}
			type argument struct{}
			ctx := context.WithValue(t.Context(), argument{}, secret)
			for _, op := range []pool.Op{pool.Construct, pool.Check, pool.Prepare, pool.Reset, pool.Destroy} {
				for _, err := range []error{errSecret, errPanic, errors.Join(errSecret, errSecret), fmt.Errorf("%s: %w", secret, context.DeadlineExceeded)} {
					use(ctx)
					fail[op] = err
					use(ctx)
					<-time.After(time.Minute) // past the rest that follows a failed Construct
					use(ctx)
					delete(fail, op)
					<-time.After(time.Minute)
				}
			}
			fail[pool.Construct] = errSecret
			p.Evict()
			synctest.Wait()
			for range 3 { // the last error is part of the timeout
				use(ctx)
			}
			cancelled, cancel := context.WithCancelCause(ctx)
			cancel(errSecret)
			use(cancelled)
			require.NoError(t, p.Close(t.Context()))
			use(ctx)

			spans, err := json.Marshal(tracetest.SpanStubsFromReadOnlySpans(r.spans.Ended()))
			require.NoError(t, err)
			var collected metricdata.ResourceMetrics
			require.NoError(t, r.reader.Collect(t.Context(), &collected))
			metrics, err := json.Marshal(collected)
			require.NoError(t, err)
			for _, exported := range []string{string(spans), string(metrics), fmt.Sprintf("%+v", collected)} {
				assert.Contains(t, exported, "orders")
				assert.Contains(t, exported, "app.db")
				assert.Contains(t, exported, "tracing_test.coded", "the errors were there")
				assert.Contains(t, exported, "panicked")
				assert.NotContains(t, exported, secret)
				assert.NotContains(t, exported, "/home")
				assert.NotContains(t, exported, "SELECT")
				assert.NotContains(t, exported, "_test.go", "nor is a stack")
			}
		})
	}
}

var errPanic = errors.New("panic")
