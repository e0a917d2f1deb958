package tracing_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/headpond/headpond/tracing"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// coded is an error as a backend's: it has a code's name, and a text that is nobody's business.
type coded string

func (coded) Error() string       { return "open /home/secret.db: unable to open database file" }
func (c coded) ErrorType() string { return string(c) }

type named struct{ error }

// TestErrorTypes drives the tap by hand, with the errors that a pool can give it.
func TestErrorTypes(t *testing.T) {
	for _, c := range []struct {
		err    error
		want   string
		status codes.Code
	}{
		{context.Canceled, "canceled", codes.Unset},
		{fmt.Errorf("%w: %w", context.Canceled, errors.New("the caller's cause")), "canceled", codes.Unset},
		{fmt.Errorf("%w: %w", context.Canceled, context.DeadlineExceeded), "canceled", codes.Unset},
		{context.DeadlineExceeded, "timeout", codes.Error},
		{pool.ErrAcquireTimeout, "timeout", codes.Error},
		{fmt.Errorf("%w; the last Construct failed: %w", pool.ErrAcquireTimeout, coded("SQLITE_CANTOPEN")), "timeout", codes.Error},
		{fmt.Errorf("%w; the last Construct failed: %w", pool.ErrAcquireTimeout, context.Canceled), "timeout", codes.Error},
		{pool.ErrClosed, "pool_closed", codes.Error},
		{pool.ErrUnavailable, "unavailable", codes.Unset},
		{pool.ErrSaturated, "saturated", codes.Error},
		{pool.ErrNested, "nested", codes.Error},
		{coded("SQLITE_CANTOPEN"), "SQLITE_CANTOPEN", codes.Error},
		{fmt.Errorf("%w: %w", errors.New("open"), coded("SQLITE_CANTOPEN")), "SQLITE_CANTOPEN", codes.Error},
		{coded("not a name: /home/secret.db"), "tracing_test.coded", codes.Error},
		{coded(strings.Repeat("A", 65)), "tracing_test.coded", codes.Error},
		{coded(""), "tracing_test.coded", codes.Error},
		{&fs.PathError{Op: "open", Path: "/home/secret.db", Err: syscall.ENOENT}, "syscall.Errno", codes.Error},
		{errors.Join(&named{errors.New("first")}, syscall.ENOENT), "*tracing_test.named", codes.Error},
		{&pool.PanicError{Op: pool.Construct, Value: "boom"}, "panicked", codes.Error},
		{errors.New("text"), "_OTHER", codes.Error},
		{fmt.Errorf("text"), "_OTHER", codes.Error},
		{fmt.Errorf("text: %w", errors.New("text")), "_OTHER", codes.Error},
		{struct{ error }{errors.New("text")}, "_OTHER", codes.Error},
	} {
		r := record(t)
		tap := r.observer(tracing.Options{})(newPool(t, pool.Options{}))
		failed := &pool.Error{Pool: "pool", Op: pool.Acquire, Err: c.err}
		ctx := tap.Begin(t.Context(), pool.Event{Op: pool.Acquire})
		build := tap.Begin(context.WithoutCancel(ctx), pool.Event{Op: pool.Construct, ID: 1})
		tap.End(build, pool.Event{Op: pool.Construct, ID: 1, Took: time.Second, Err: c.err})
		tap.End(ctx, pool.Event{Op: pool.Acquire, Took: time.Second, Err: failed})
		for _, span := range []sdktrace.ReadOnlySpan{r.one("acquire pool"), r.one("create pool")} {
			assert.Equal(t, c.want, attributes(span)["error.type"], "%T %v", c.err, c.err)
			assert.Equal(t, sdktrace.Status{Code: c.status}, span.Status(), "%T %v", c.err, c.err)
			assert.Empty(t, span.Events())
		}
		for _, name := range []string{"headpond.resource.wait_time", "headpond.resource.create_time"} {
			assert.Equal(t, map[string]float64{"error.type=" + c.want: 1}, points(t, r.collect()[name]))
		}
	}
}

// TestFailuresOfAPool checks what a real pool gives, where a table can't say.
func TestFailuresOfAPool(t *testing.T) {
	for _, c := range []struct {
		name    string
		options pool.Options
		fail    func(t *testing.T, p *pool.Pool[int])
		want    string
		status  codes.Code
	}{
		{"its own timeout", pool.Options{AcquireTimeout: time.Second}, func(t *testing.T, p *pool.Pool[int]) {
			_, err := p.Acquire(t.Context())
			assert.ErrorIs(t, err, pool.ErrAcquireTimeout)
		}, "timeout", codes.Error},
		{"the caller's deadline", pool.Options{}, func(t *testing.T, p *pool.Pool[int]) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := p.Acquire(ctx)
			assert.ErrorIs(t, err, context.DeadlineExceeded)
		}, "timeout", codes.Error},
		{"a cancel with a cause", pool.Options{}, func(t *testing.T, p *pool.Pool[int]) {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(errors.New("the user left")) })
			_, err := p.Acquire(ctx)
			assert.ErrorIs(t, err, context.Canceled)
		}, "canceled", codes.Unset},
		{"TryAcquire", pool.Options{}, func(t *testing.T, p *pool.Pool[int]) {
			_, err := p.TryAcquire(t.Context())
			assert.ErrorIs(t, err, pool.ErrUnavailable)
		}, "unavailable", codes.Unset},
		{"MaxWaiters", pool.Options{MaxWaiters: 1, AcquireTimeout: -1}, func(t *testing.T, p *pool.Pool[int]) {
			ctx, cancel := context.WithCancel(unsampled())
			defer cancel()
			go func() {
				if waiter, err := p.Acquire(ctx); err == nil {
					waiter.Release()
				}
			}()
			synctest.Wait()
			_, err := p.Acquire(t.Context())
			assert.ErrorIs(t, err, pool.ErrSaturated)
		}, "saturated", codes.Error},
		{"Close", pool.Options{}, func(t *testing.T, p *pool.Pool[int]) {
			go func() { _ = p.Close(context.Background()) }()
			synctest.Wait()
			_, err := p.Acquire(t.Context())
			assert.ErrorIs(t, err, pool.ErrClosed)
		}, "pool_closed", codes.Error},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := record(t)
				c.options.MaxSize, c.options.Observer = 1, r.observer(tracing.Options{})
				p := newPool(t, c.options)
				holder, err := p.Acquire(unsampled())
				require.NoError(t, err)
				c.fail(t, p)
				holder.Release()
				synctest.Wait()
				span := r.one("acquire pool")
				assert.Equal(t, c.want, attributes(span)["error.type"])
				assert.NotContains(t, attributes(span), "headpond.resource.id")
				assert.Equal(t, sdktrace.Status{Code: c.status}, span.Status())
			})
		})
	}
}

func TestAFailedResetIsAnErrorOfTheRelease(t *testing.T) {
	r := record(t)
	p, err := pool.New(resource.Hooks[int]{
		Construct: func(context.Context) (int, error) { return 1, nil },
		Reset:     func(context.Context, int) error { return fmt.Errorf("reset: %w", coded("SQLITE_IOERR")) },
	}, pool.Options{Observer: r.observer(tracing.Options{})})
	require.NoError(t, err)
	lease(t, p, t.Context())
	require.NoError(t, p.Close(t.Context()))
	release := r.one("release pool")
	assert.Equal(t, sdktrace.Status{Code: codes.Error}, release.Status())
	assert.Equal(t, "SQLITE_IOERR", attributes(release)["error.type"])
	assert.Equal(t, "destroyed", attributes(release)["headpond.release.outcome"])
	assert.Equal(t, "reset_failed", attributes(release)["headpond.destroy.reason"])
	assert.Equal(t, codes.Unset, r.one("acquire pool").Status().Code)
}
