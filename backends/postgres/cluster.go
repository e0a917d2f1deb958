package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// member is one of the servers that a url names.
type member struct {
	host   string
	config *pgx.ConnConfig // to it alone

	// generation is that of new connections. Those of earlier ones are retired.
	generation atomic.Uint64

	// replayed is a position in the write-ahead log up to which it has replayed for certain, while it is a replica.
	replayed atomic.Uint64
}

// view is what a look at a member has seen.
type view struct {
	err      error // why there was nothing to see
	replica  bool
	readOnly bool // a primary on which default_transaction_read_only is on
	timeline uint32
	position uint64        // in the write-ahead log: written; of a replica: replayed
	lag      time.Duration // of a replica behind the primary, at least
	fit      bool          // a replica that reads may go to
}

func (v view) writable() bool { return v.err == nil && !v.replica && !v.readOnly }

// cluster is what a url names: one server, or a primary and its replicas.
type cluster struct {
	connector *connector
	members   []*member
	reads     target // what readers are for
	maxLag    time.Duration

	readers, writer *pool.Pool[*Conn] // whose connections are retired; writer may be nil

	// written is the position of the write-ahead log that a Read has to see: the last Write of this DB ended there.
	written atomic.Uint64
	// lost counts the Writes of which that is not known; settled is how many of them the primary has been looked at since.
	lost, settled atomic.Uint64

	behind, conflicts atomic.Uint64 // Reads that went to the primary: since a replica had not replayed enough, since it failed

	wake chan struct{} // a look is due at once

	mu      sync.Mutex // protects the following
	views   map[*member]view
	primary *member // the last one seen; nil: none yet
	highest uint32  // timeline: a primary of an earlier one was replaced
	past    history // of the primary's positions
	turn    int     // of the replicas, for the next reader
}

// target is what target_session_attrs says of readers.
type target uint8

const (
	preferReplicas target = iota
	onlyReplicas
	onlyPrimary
)

func newCluster(c *connector) *cluster {
	cl := &cluster{connector: c, maxLag: c.options.MaxLag, wake: make(chan struct{}, 1), views: make(map[*member]view)}
	cl.past.keep = 2 * max(cl.maxLag, time.Minute)
	hosts := append([]*pgconn.FallbackConfig{{Host: c.config.Host, Port: c.config.Port, TLSConfig: c.config.TLSConfig}}, c.config.Fallbacks...)
	for _, host := range hosts {
		name := hostOf(host.Host, host.Port)
		if i := slices.IndexFunc(cl.members, func(m *member) bool { return m.host == name }); i >= 0 {
			m := cl.members[i] // another way to the same one, such as without TLS
			m.config.Fallbacks = append(m.config.Fallbacks, host)
			continue
		}
		config := c.config.Copy()
		config.Host, config.Port, config.TLSConfig, config.Fallbacks = host.Host, host.Port, host.TLSConfig, nil
		cl.members = append(cl.members, &member{host: name, config: config})
	}
	if cl.several() {
		cl.reads = targetOf(c.config)
		for _, m := range cl.members {
			m.config.ValidateConnect = nil
			if m.config.ConnectTimeout == 0 {
				m.config.ConnectTimeout = connectTimeout
			}
		}
	}
	return cl
}

// connectTimeout is what connecting to one of several hosts may take if connect_timeout is not set: another one is tried then.
const connectTimeout = 5 * time.Second

// several reports whether there is more than one server.
func (c *cluster) several() bool { return len(c.members) > 1 }

// openReader opens a connection to read with: to a replica that is fit, each in turn, or to the primary.
func (c *cluster) openReader(ctx context.Context) (*session, error) {
	return c.openFirst(ctx, c.forReading(), func(config *pgx.ConnConfig) {
		config.RuntimeParams["default_transaction_read_only"] = "on"
	}, func(_ context.Context, s *session) error {
		if s.replica && c.reads == onlyPrimary {
			return errors.New("it is a replica")
		}
		if !s.replica && c.reads == onlyReplicas {
			return errors.New("it is a primary")
		}
		return nil
	})
}

// openWriter opens a connection to the primary.
func (c *cluster) openWriter(ctx context.Context) (*session, error) {
	s, err := c.openFirst(ctx, c.forWriting(), func(*pgx.ConnConfig) {}, func(ctx context.Context, s *session) error {
		if !c.several() {
			return nil
		}
		seen := look(ctx, s.conn.PgConn())
		switch {
		case seen.err != nil:
			return seen.err
		case seen.replica:
			return fmt.Errorf("%w: it is a replica", ErrReadOnly)
		case seen.readOnly:
			return ErrReadOnly
		case c.outdated(seen.timeline):
			return fmt.Errorf("%w: it was replaced by another primary", ErrReadOnly)
		}
		return nil
	})
	if err != nil && c.several() {
		err = fmt.Errorf("%w: %w", ErrNoPrimary, err)
	}
	return s, err
}

// openFirst opens a connection to the first member that suits.
func (c *cluster) openFirst(ctx context.Context, members []*member, configure func(*pgx.ConnConfig), suits func(context.Context, *session) error) (*session, error) {
	var failed []error
	for _, m := range members {
		config := m.config.Copy()
		configure(config)
		s, err := c.connector.open(ctx, config, m)
		if err == nil {
			s.replica, s.bornReadOnly = s.isReplica() || c.seen(m).replica, s.isReadOnly()
			if err = s.fail("look", suits(ctx, s)); err == nil {
				return s, nil
			}
			_ = s.end(ctx)
		}
		if !c.several() {
			return nil, err
		}
		failed = append(failed, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, severalErrors(failed)
}

// severalErrors are those of several servers, on one line.
type severalErrors []error

func (e severalErrors) Error() string {
	texts := make([]string, len(e))
	for i, err := range e {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (e severalErrors) Unwrap() []error { return e }

// forWriting returns the members in the order in which a primary is looked for.
func (c *cluster) forWriting() []*member {
	c.mu.Lock()
	defer c.mu.Unlock()
	members := slices.Clone(c.members)
	slices.SortStableFunc(members, func(a, b *member) int { return c.rank(a) - c.rank(b) })
	return members
}

func (c *cluster) rank(m *member) int {
	switch seen, known := c.views[m]; {
	case m == c.primary && seen.writable():
		return 0
	case !known, seen.writable():
		return 1
	case seen.err == nil: // a replica, which may have been promoted since
		return 2
	}
	return 3
}

// forReading returns the members in the order in which a reader is opened.
func (c *cluster) forReading() []*member {
	if !c.several() {
		return c.members
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var fit, rest []*member
	for _, m := range c.members {
		if c.views[m].fit && c.reads != onlyPrimary {
			fit = append(fit, m)
		} else {
			rest = append(rest, m)
		}
	}
	slices.SortStableFunc(rest, func(a, b *member) int { return c.rank(a) - c.rank(b) })
	if len(fit) > 0 {
		c.turn++
		first := c.turn % len(fit)
		fit = append(slices.Clone(fit[first:]), fit[:first]...)
	}
	if c.reads == onlyReplicas && len(fit) > 0 {
		return fit
	}
	return append(fit, rest...)
}

// outdated reports whether a primary of that timeline was replaced by another.
func (c *cluster) outdated(timeline uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.highest = max(c.highest, timeline)
	return timeline < c.highest
}

// retire retires the connections of a session's member that are as old as it or older: those that are idle at once,
// those that are held when they come back. Only the first session of a generation to fail does.
func (c *cluster) retire(s *session) {
	if s.member.generation.CompareAndSwap(s.generation, s.generation+1) {
		c.evict()
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// evict evicts from both pools what is idle there and retired.
func (c *cluster) evict() {
	for _, p := range []*pool.Pool[*Conn]{c.readers, c.writer} {
		if p != nil {
			p.EvictIf(func(conn *Conn, _ resource.Info) bool {
				s, ok := sessionOf(conn)
				return ok && s.retired()
			})
		}
	}
}

// retired reports whether the session is of a generation that was retired.
func (s *session) retired() bool {
	return s.member != nil && s.generation != s.member.generation.Load()
}

// isReplica reports whether the server of the session is a replica now. PostgreSQL 14 and newer says so by itself.
func (s *session) isReplica() bool { return s.conn.PgConn().ParameterStatus("in_hot_standby") == "on" }

// isReadOnly reports whether the server lets new transactions of the session only read, as a replica does.
func (s *session) isReadOnly() bool {
	return s.isReplica() || s.conn.PgConn().ParameterStatus("default_transaction_read_only") == "on"
}
