package postgres

import (
	"context"
	"fmt"
	"reflect"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// looking asks a server who it is: a replica? read-only? position, and of a primary its timeline.
const looking = `SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('default_transaction_read_only'),
CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_insert_lsn() END,
CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()) END`

// look asks a server who it is.
func look(ctx context.Context, conn *pgconn.PgConn) (seen view) {
	results, err := conn.Exec(ctx, looking).ReadAll()
	if err != nil {
		return view{err: err}
	}
	row := results[0].Rows[0]
	seen.replica, seen.readOnly = string(row[0]) == "t", string(row[1]) == "on"
	if seen.position, err = position(string(row[2])); err != nil {
		return view{err: err}
	}
	if file := string(row[3]); len(file) >= 8 { // the timeline, in hexadecimal, is what the name begins with
		timeline, err := strconv.ParseUint(file[:8], 16, 32)
		if err != nil {
			return view{err: err}
		}
		seen.timeline = uint32(timeline)
	}
	return seen
}

// position is that which PostgreSQL writes as two numbers: "16/B374D848". A replica that has replayed nothing yet has none.
func position(text string) (uint64, error) {
	if text == "" {
		return 0, nil
	}
	var high, low uint32
	if _, err := fmt.Sscanf(text, "%X/%X", &high, &low); err != nil {
		return 0, fmt.Errorf("%q is no position in the write-ahead log: %w", text, err)
	}
	return uint64(high)<<32 | uint64(low), nil
}

// watcher looks at the members of a cluster, again and again, each over a connection of its own.
type watcher struct {
	cluster *cluster
	every   time.Duration
	cancel  context.CancelFunc
	done    sync.WaitGroup
}

// watch looks at every member once, and goes on to do so in the background until stop.
func (c *cluster) watch(ctx context.Context, every time.Duration) *watcher {
	w := &watcher{cluster: c, every: every}
	conns := make([]*pgconn.PgConn, len(c.members))
	w.round(ctx, conns)
	background, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	w.done.Go(func() {
		defer func() {
			for _, conn := range conns {
				w.drop(conn)
			}
		}()
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
			case <-c.wake:
			case <-background.Done():
				return
			}
			w.round(background, conns)
		}
	})
	return w
}

// stop ends the watching, and waits until it has ended.
func (w *watcher) stop() {
	w.cancel()
	w.done.Wait()
}

// round looks at every member, at the same time.
func (w *watcher) round(ctx context.Context, conns []*pgconn.PgConn) {
	lost := w.cluster.lost.Load()
	views := make([]view, len(conns))
	var looked sync.WaitGroup
	for i, m := range w.cluster.members {
		looked.Go(func() { views[i], conns[i] = w.look(ctx, m, conns[i]) })
	}
	looked.Wait()
	if ctx.Err() == nil {
		w.cluster.update(views, time.Now(), lost)
	}
}

// look looks at a member over conn, or a new connection if that is nil.
func (w *watcher) look(ctx context.Context, m *member, conn *pgconn.PgConn) (view, *pgconn.PgConn) {
	if conn == nil {
		var err error
		limited, cancel := context.WithTimeout(ctx, min(m.config.ConnectTimeout, connectTimeout))
		defer cancel()
		if conn, err = pgconn.ConnectConfig(limited, &m.config.Copy().Config); err != nil {
			return view{err: causeOf(err)}, nil
		}
	}
	limited, cancel := context.WithTimeout(ctx, max(w.every, time.Second))
	defer cancel()
	seen := look(limited, conn)
	if seen.err != nil {
		w.drop(conn)
		conn = nil
	}
	return seen, conn
}

// drop closes a connection without waiting for its server.
func (w *watcher) drop(conn *pgconn.PgConn) {
	if conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		_ = conn.Close(ctx)
	}
}

// update takes in what a round has seen. lost is how many Writes were of unknown outcome before it.
func (c *cluster) update(views []view, now time.Time, lost uint64) {
	c.mu.Lock()
	var primary *member
	for i, m := range c.members {
		if seen := views[i]; seen.writable() && (primary == nil || seen.timeline > c.highest) && seen.timeline >= c.highest {
			primary, c.highest = m, seen.timeline
		}
	}
	replaced := primary != nil && c.primary != nil && primary != c.primary
	before := c.fit()
	for i, m := range c.members {
		seen := views[i]
		if m == primary {
			c.past.add(seen.position, now, replaced)
			if replaced { // what the old one had, and this one has not, nobody will ever see
				c.written.Store(seen.position)
			}
			if c.settled.Load() < lost {
				c.settled.Store(lost)
				raise(&c.written, seen.position)
			}
		}
	}
	for i, m := range c.members {
		seen := views[i]
		switch was := c.views[m]; {
		case seen.err == nil && !seen.replica:
			m.replayed.Store(0)
		case seen.err == nil && (was.err != nil || !was.replica):
			m.replayed.Store(seen.position) // it may be another server than before
		}
		if seen.err == nil && seen.replica {
			raise(&m.replayed, seen.position)
			seen.lag = c.past.lag(seen.position, now)
			limit := c.maxLag
			if !c.views[m].fit && c.views[m].err == nil {
				limit = c.maxLag / 2 // one that was left out for its lag comes back when it has caught up well
			}
			seen.fit = c.maxLag < 0 || seen.lag <= limit
		}
		c.views[m] = seen
	}
	var gone []*member
	for _, m := range before {
		if !c.views[m].fit {
			gone = append(gone, m)
		}
	}
	changed := len(gone) > 0 || len(c.fit()) != len(before)
	old := c.primary
	if primary != nil {
		c.primary = primary
	}
	c.mu.Unlock()

	if replaced {
		old.generation.Add(1)
		c.connector.sessions.breakAll(old)
	}
	for _, m := range gone {
		if c.seen(m).err != nil { // it does not answer: neither will it answer those who wait for it
			m.generation.Add(1)
			c.connector.sessions.breakAll(m)
		}
	}
	if replaced || len(gone) > 0 {
		c.evict()
	}
	if replaced || changed {
		c.readers.Evict() // others may be nearer to what they are for
	}
}

// fit returns the replicas that reads may go to. c.mu is held.
func (c *cluster) fit() (fit []*member) {
	for _, m := range c.members {
		if c.views[m].fit {
			fit = append(fit, m)
		}
	}
	return fit
}

func (c *cluster) seen(m *member) view {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.views[m]
}

// history is which position a primary had when.
type history struct {
	keep    time.Duration
	samples []sample // the latest last
}

type sample struct {
	position uint64
	at       time.Time
}

// add takes in a position. anew: it is that of another primary.
func (h *history) add(position uint64, now time.Time, anew bool) {
	if anew {
		h.samples = nil
	}
	if len(h.samples) > 0 && h.samples[len(h.samples)-1].position == position {
		return // since then it had no more
	}
	for len(h.samples) > 1 && now.Sub(h.samples[0].at) > h.keep {
		h.samples = h.samples[1:]
	}
	h.samples = append(h.samples, sample{position, now})
}

// lag is how long ago the primary was seen to have more than position: 0 if it was not.
func (h *history) lag(position uint64, now time.Time) time.Duration {
	for _, s := range h.samples {
		if s.position > position {
			return now.Sub(s.at)
		}
	}
	return 0
}

// raise sets a number to value if it is less.
func raise(number interface {
	Load() uint64
	CompareAndSwap(old, new uint64) bool
}, value uint64) {
	for old := number.Load(); old < value; old = number.Load() {
		if number.CompareAndSwap(old, value) {
			return
		}
	}
}

// targetOf is what target_session_attrs said, of which pgx keeps no more than the function that checks it.
func targetOf(config *pgx.ConnConfig) target {
	if config.ValidateConnect == nil {
		return preferReplicas
	}
	same := func(f pgconn.ValidateConnectFunc) bool {
		return reflect.ValueOf(f).Pointer() == reflect.ValueOf(config.ValidateConnect).Pointer()
	}
	switch {
	case same(pgconn.ValidateConnectTargetSessionAttrsPrimary), same(pgconn.ValidateConnectTargetSessionAttrsReadWrite):
		return onlyPrimary
	case same(pgconn.ValidateConnectTargetSessionAttrsStandby), same(pgconn.ValidateConnectTargetSessionAttrsReadOnly):
		return onlyReplicas
	}
	return preferReplicas
}
