package pool_test

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ping asks the other side for an answer, until ctx ends.
func ping(ctx context.Context, conn net.Conn) error {
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("ping\n")); err != nil {
		return err
	}
	_, err := conn.Read(make([]byte, 5))
	return err
}

// dialer is what a service does to pool its connections to s; dials counts them.
func (s *tcpServer) dialer(dials *atomic.Int64) resource.Hooks[net.Conn] {
	return resource.Hooks[net.Conn]{
		Construct: func(ctx context.Context) (net.Conn, error) {
			dials.Add(1)
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.address)
			if err == nil {
				if err = ping(ctx, conn); err != nil {
					_ = conn.Close()
				}
			}
			return conn, err
		},
		Check:   ping,
		Destroy: func(_ context.Context, conn net.Conn) error { return conn.Close() },
	}
}

// TestOutage_ARealServerGoesAndComesBack has 16 callers use 4 connections while the server is in trouble:
// within 2 s of its return all connections are back, it was hardly dialed in between, and everyone comes home.
// Answers brettwooldridge/HikariCP#1819, djc/bb8#122, apache/commons-pool#346.
func TestOutage_ARealServerGoesAndComesBack(t *testing.T) {
	for _, trouble := range []struct {
		name       string
		begin, end func(s *tcpServer)
	}{
		{"it is killed and restarted", (*tcpServer).kill, (*tcpServer).start},
		{"it accepts and hangs up", func(s *tcpServer) { s.trouble(0, true) }, func(s *tcpServer) { s.trouble(0, false) }},
		{"it accepts and never answers", func(s *tcpServer) { s.trouble(3*time.Second, false) }, func(s *tcpServer) { s.trouble(0, false) }},
		{"it answers too late", func(s *tcpServer) { s.trouble(700*time.Millisecond, false) }, func(s *tcpServer) { s.trouble(0, false) }},
	} {
		t.Run(trouble.name, func(t *testing.T) {
			t.Parallel()
			lasts, times := 1500*time.Millisecond, 1
			if *long {
				lasts, times = 5*time.Second, 10
			}
			for range times {
				comesBack(t, lasts, trouble.begin, trouble.end)
			}
		})
	}
}

func comesBack(t *testing.T, lasts time.Duration, begin, end func(s *tcpServer)) {
	const size = 4
	s := serveTCP(t)
	var dials atomic.Int64
	p, err := pool.New(s.dialer(&dials), pool.Options{MaxSize: size, AcquireTimeout: time.Minute, Policy: resource.Policy{
		CheckAfterIdle: 10 * time.Millisecond, ConstructTimeout: 400 * time.Millisecond, CheckTimeout: 200 * time.Millisecond,
	}})
	require.NoError(t, err)
	over := make(chan struct{})
	var callers sync.WaitGroup
	var served, failed atomic.Int64
	for range 16 {
		callers.Go(func() {
			for {
				select {
				case <-over:
					return
				case <-time.After(time.Millisecond):
				}
				if useOnce(p) == nil {
					served.Add(1)
				} else {
					failed.Add(1)
				}
			}
		})
	}
	back := func() bool { return s.well() == size && p.Stats().Live() == size }
	require.Eventually(t, back, 10*time.Second, time.Millisecond)

	dials.Store(0)
	begin(s)
	<-time.After(lasts)
	dialed, before := dials.Load(), served.Load()
	end(s)
	began := time.Now()
	require.Eventually(t, back, 2*time.Second, time.Millisecond, "full capacity")
	took := time.Since(began)
	close(over)
	home := make(chan struct{})
	go func() {
		callers.Wait()
		close(home)
	}()
	select {
	case <-home:
	case <-time.After(10 * time.Second):
		require.Fail(t, "callers are stranded", "%+v", p.Stats())
	}
	assert.LessOrEqual(t, dialed, mostDials(size, lasts))
	assert.NotZero(t, failed.Load())
	assert.Greater(t, served.Load(), before)
	stats := p.Stats()
	assert.Zero(t, stats.Waiting)
	assert.Zero(t, stats.Held)
	require.NoError(t, p.Close(t.Context()))
	t.Logf("%d dials in %v, back after %v; %d calls served, %d failed", dialed, lasts, took, served.Load(), failed.Load())
}

// useOnce is what a caller does: if the connection does not answer, it is no good any more.
func useOnce(p *pool.Pool[net.Conn]) error {
	lease, err := p.Acquire(context.Background())
	if err != nil {
		return err
	}
	defer lease.Release()
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if err = ping(ctx, lease.Value()); err != nil {
		lease.Discard()
	}
	return err
}

// mostDials is what the backoff allows: those of the first moment, twice, since one that succeeds
// as the trouble begins lets all begin anew, and one after each rest, of which the jitter takes away half at most.
func mostDials(size int, lasts time.Duration) int64 {
	dials, rest := 2*int64(size), 25*time.Millisecond
	for at := time.Duration(0); at < lasts; at += rest {
		dials++
		rest = min(2*rest, 500*time.Millisecond)
	}
	return dials
}

// TestOutage_ASlowServerCostsNoConnection has a server answer late, but in time.
func TestOutage_ASlowServerCostsNoConnection(t *testing.T) {
	s := serveTCP(t)
	var dials atomic.Int64
	p, err := pool.New(s.dialer(&dials), pool.Options{MaxSize: 4, Policy: resource.Policy{CheckAfterIdle: -1}})
	require.NoError(t, err)
	require.NoError(t, p.Warm(t.Context(), 4))
	s.trouble(20*time.Millisecond, false)
	var callers sync.WaitGroup
	for range 16 {
		callers.Go(func() {
			for range 3 {
				lease, err := p.Acquire(context.Background())
				if assert.NoError(t, err) {
					lease.Release()
				}
			}
		})
	}
	callers.Wait()
	assert.EqualValues(t, 4, dials.Load())
	assert.Equal(t, 4, p.Stats().Idle)
	require.NoError(t, p.Close(t.Context()))
}
