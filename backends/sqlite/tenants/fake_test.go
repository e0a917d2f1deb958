package tenants

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/internal/ctxerr"
	"github.com/stretchr/testify/assert"
)

// fakeStore has databases that only take time, and finds out if the pool breaks a promise.
type fakeStore struct {
	t         testing.TB
	maxOpen   int
	openFor   time.Duration // what an open takes
	closeFor  time.Duration
	fail      func(tenant string) error                // the result of an open; nil: it succeeds
	onClosing func(tenant string) error                // the result of a close
	inside    func(ctx context.Context, tenant string) // called while it opens

	mu     sync.Mutex        // protects the following
	places map[string]string // what each tenant's database does: "opening", "open" or "closing"
	opened map[string]int
	most   int
}

// fake makes a pool of them.
func fake(t testing.TB, options Options) (*Pool, *fakeStore) {
	options.Path = func(tenant string) (string, error) {
		if tenant == "" {
			return "", errors.New("the name is empty")
		}
		return tenant, nil
	}
	options = options.withDefaults()
	s := &fakeStore{t: t, maxOpen: options.MaxOpen, openFor: 4 * time.Millisecond, closeFor: 3 * time.Millisecond,
		places: map[string]string{}, opened: map[string]int{}}
	return newPool(options, s), s
}

func (s *fakeStore) claim(_, _ string, _ bool) error { return nil }
func (s *fakeStore) release(string)                  {}

// now returns what each tenant's database does, once nothing moves any more.
func (s *fakeStore) now() map[string]string {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.places)
}

// set notes what a tenant's database does now; "": nothing.
func (s *fakeStore) set(tenant, from, to string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	assert.Equal(s.t, from, s.places[tenant], "%s: before it is %s", tenant, to)
	if s.places[tenant] = to; to == "" {
		delete(s.places, tenant)
	}
	s.most = max(s.most, len(s.places))
	assert.LessOrEqual(s.t, len(s.places), s.maxOpen)
}

func (s *fakeStore) open(ctx context.Context, tenant, path string) (database, error) {
	assert.Equal(s.t, tenant, path)
	s.set(tenant, "", "opening")
	if s.inside != nil {
		s.inside(ctx, tenant)
	}
	timer := time.NewTimer(s.openFor)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		s.set(tenant, "opening", "")
		return nil, ctxerr.Ended(ctx)
	}
	if s.fail != nil {
		if err := s.fail(tenant); err != nil {
			s.set(tenant, "opening", "")
			return nil, err
		}
	}
	s.set(tenant, "opening", "open")
	s.mu.Lock()
	s.opened[tenant]++
	s.mu.Unlock()
	return &fakeOpen{store: s, tenant: tenant, over: make(chan struct{})}, nil
}

// fakeOpen is a database that is open.
type fakeOpen struct {
	store  *fakeStore
	tenant string
	once   sync.Once
	over   chan struct{}
	stuck  chan struct{} // a connection that was not released; nil: none

	mu          sync.Mutex // protects the following
	interrupted bool
}

// Stats has one call of Batch for each database that was opened.
func (d *fakeOpen) Stats() sqlite.Stats {
	return sqlite.Stats{Batch: sqlite.BatchStats{Calls: 1, Waiting: 1}}
}

// Close takes its time, and is deaf to ctx unless something is stuck, as that of a *sqlite.DB.
func (d *fakeOpen) Close(ctx context.Context) error {
	if ctx.Err() != nil {
		d.mu.Lock()
		d.interrupted = true
		d.mu.Unlock()
		return ctx.Err()
	}
	if d.stuck != nil {
		select {
		case <-d.stuck:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	var err error
	d.once.Do(func() {
		d.store.set(d.tenant, "open", "closing")
		time.Sleep(d.store.closeFor)
		if d.store.onClosing != nil {
			err = d.store.onClosing(d.tenant)
		}
		d.store.set(d.tenant, "closing", "")
		close(d.over)
	})
	<-d.over
	return err
}
