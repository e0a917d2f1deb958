package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/stdlib"
)

// connector opens connections, and counts what borrowers leave behind on them.
type connector struct {
	config   *pgx.ConnConfig
	options  Options
	invalid  error // what is wrong with them
	found    counts
	sessions sessions
	cluster  *cluster // nil: of Hooks

	interrupted atomic.Bool // Close has cancelled what runs
}

func newConnector(config *pgx.ConnConfig, options Options) *connector {
	c := &connector{config: config, options: options.withDefaults()}
	if config == nil {
		c.config, c.invalid = &pgx.ConnConfig{}, errors.New("config is nil: make it with pgx.ParseConfig")
	} else if c.invalid = c.options.validate(); c.invalid == nil {
		c.config = config.Copy()
	}
	return c
}

// open opens a connection to where config says, which is a variant of c.config: to m, or where that is nil to any.
func (c *connector) open(ctx context.Context, config *pgx.ConnConfig, m *member) (*session, error) {
	host := hostOf(config.Host, config.Port)
	fail := func(step string, err error) error {
		return &Error{Host: host, Database: config.Database, Step: step, Err: withKind(err)}
	}
	if c.invalid != nil {
		return nil, fail("options", c.invalid)
	}
	var generation uint64
	if m != nil {
		generation = m.generation.Load()
	}
	attempt := &attempt{}
	driverConn, err := stdlib.GetConnector(*attempt.watch(c.cancelling(config))).Connect(ctx)
	attempt.over.Store(true)
	if err != nil {
		step, err := attempt.step, causeOf(err)
		if code := state(err); code != "" && !strings.HasPrefix(code, "28") { // not an invalid authorization
			step = "start"
		}
		return nil, fail(step, err)
	}
	sql := driverConn.(*stdlib.Conn)
	s := &session{connector: c, host: host, conn: sql.Conn(), sql: sql, wire: attempt.wire, member: m, generation: generation}
	s.conn.PgConn().CustomData()[sessionKey] = s
	if err := s.settle(ctx); err != nil {
		_ = s.end(ctx)
		return nil, err
	}
	c.sessions.add(s)
	return s, nil
}

// cancelling returns config with a way to cancel statements whose ctx has ended.
func (c *connector) cancelling(config *pgx.ConnConfig) *pgx.ConnConfig {
	config = config.Copy()
	if c.options.CancelTimeout > 0 {
		config.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
			return &canceller{conn: conn, timeout: c.options.CancelTimeout}
		}
	}
	return config
}

// attempt is an attempt to connect, and how far it came.
type attempt struct {
	step string
	wire *wire
	over atomic.Bool // pgx dials again later on, to cancel
}

func (a *attempt) reach(step string) {
	if !a.over.Load() {
		a.step = step
	}
}

// watch returns config with functions that note how far the attempt comes.
func (a *attempt) watch(config *pgx.ConnConfig) *pgx.ConnConfig {
	a.reach("dial") // with a Unix socket, there is nothing to resolve
	lookup, dial, connected, build := config.LookupFunc, config.DialFunc, config.AfterNetConnect, config.BuildFrontend
	config.LookupFunc = func(ctx context.Context, host string) ([]string, error) {
		a.reach("resolve")
		return lookup(ctx, host)
	}
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		a.reach("dial")
		conn, err := dial(ctx, network, address)
		if err == nil {
			a.reach("tls")
		}
		return conn, err
	}
	config.AfterNetConnect = func(ctx context.Context, config *pgconn.Config, conn net.Conn) (net.Conn, error) {
		if secure, ok := conn.(*tls.Conn); ok { // else it would only be seen when the first message is sent
			if err := secure.HandshakeContext(ctx); err != nil {
				return conn, err
			}
		}
		a.reach("log in")
		if connected == nil {
			return conn, nil
		}
		return connected(ctx, config, conn)
	}
	config.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		a.wire = &wire{}
		return build(a.wire.attach(r, w))
	}
	return config
}

// causeOf returns what pgx wraps in its errors of connecting, which carry the whole config, password and all.
func causeOf(err error) error {
	var failed *pgconn.ConnectError
	if !errors.As(err, &failed) {
		return err
	}
	err = failed.Unwrap()
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		return answer
	}
	for { // the last of several addresses, without what pgx says of it: that is in Error
		switch wrapper := err.(type) {
		case interface{ Unwrap() []error }:
			all := wrapper.Unwrap()
			err = all[len(all)-1]
		case interface{ Unwrap() error }:
			inner := wrapper.Unwrap()
			var timeout net.Error
			if _, ok := err.(net.Error); ok || inner == nil || errors.As(err, &timeout) && !errors.As(inner, &timeout) {
				return err
			}
			err = inner
		default:
			return err
		}
	}
}
