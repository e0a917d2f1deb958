package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Sentinel errors, wrapped in those that this package returns. Test for them with errors.Is.
// PostgreSQL's own error, if there is one, is wrapped as well: errors.As finds it as a *pgconn.PgError.
var (
	// ErrAuthentication: the server does not accept the user, the password, or the certificate that it was shown.
	ErrAuthentication = errors.New("the server refuses the login")
	// ErrNoDatabase: the server has no database of that name.
	ErrNoDatabase = errors.New("there is no such database")
	// ErrStarting: the server is starting up, shutting down or recovering, and accepts no connections.
	ErrStarting = errors.New("the server does not accept connections now")
	// ErrFull: the server has as many connections as it, the database or the user may have.
	ErrFull = errors.New("the server has too many connections")
	// ErrTerminated: the server ended the connection: an administrator did, or it shut down, or it crashed.
	ErrTerminated = errors.New("the server ended the connection")
	// ErrIdleInTransaction: the server ended the connection because a transaction was idle for too long.
	ErrIdleInTransaction = errors.New("the transaction was idle for longer than the server allows")
	// ErrLost: the connection broke, and the server did not say why.
	ErrLost = errors.New("the connection was lost")
	// ErrReadOnly: a write, to what is open for reading alone or to a server that is read-only.
	ErrReadOnly = errors.New("it is read-only")
	// ErrNoPrimary: none of the hosts is a server that can be written to.
	ErrNoPrimary = errors.New("no host is a primary")
	// ErrRolledBack: the transaction ended inside the function that Write was given, or could not be committed. Nothing of it was committed.
	ErrRolledBack = errors.New("the transaction was rolled back, and nothing of it was committed")
	// ErrOutcomeUnknown: COMMIT was sent, and its answer was lost. The transaction was committed, or it was not.
	ErrOutcomeUnknown = errors.New("COMMIT was sent, and whether it has succeeded is not known")
)

var (
	errClosed           = errors.New("headpond/postgres: the connection is closed")
	errRetired          = errors.New("headpond/postgres: connections to this server that are as old were retired")
	errForeign          = errors.New("headpond/postgres: headpond did not open this connection")
	errTransactionEnded = fmt.Errorf("%w: a statement of its own has ended it", ErrRolledBack)
	errCommitRefused    = fmt.Errorf("%w: it is for Write to commit it", ErrRolledBack)
)

// Error is the error of a connection: to which host and database, in which step, and why.
// It never contains a password.
type Error struct {
	Host     string // and port: "db.example.com:5432"; of a Unix socket its directory: "/run/postgresql:5432"
	Database string
	Step     string // what it was doing: "parse", "resolve", "dial", "tls", "log in", "start", "Setup"; "begin", "use", "commit"
	Err      error
}

// Error says all of that.
func (e *Error) Error() string {
	if e.Host == "" {
		return fmt.Sprintf("headpond/postgres: %s: %v", e.Step, e.Err)
	}
	return fmt.Sprintf("headpond/postgres: %s, database %q: %s: %v", e.Host, e.Database, e.Step, e.Err)
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// ErrorType names the error without its text, as telemetry may have it: the SQLSTATE, such as "53300";
// empty if the server did not say one.
func (e *Error) ErrorType() string { return state(e.Err) }

// state returns the SQLSTATE of err, "" if it has none.
func state(err error) string {
	var failed *pgconn.PgError
	if errors.As(err, &failed) {
		return failed.Code
	}
	return ""
}

// kinds are what a SQLSTATE means for a connection. See https://www.postgresql.org/docs/current/errcodes-appendix.html.
var kinds = map[string]error{
	"28000": ErrAuthentication, // invalid_authorization_specification
	"28P01": ErrAuthentication, // invalid_password
	"3D000": ErrNoDatabase,     // invalid_catalog_name
	"53300": ErrFull,           // too_many_connections
	"57P03": ErrStarting,       // cannot_connect_now
	"57P01": ErrTerminated,     // admin_shutdown
	"57P02": ErrTerminated,     // crash_shutdown
	"57P04": ErrTerminated,     // database_dropped
	"57P05": ErrTerminated,     // idle_session_timeout
	"25P03": ErrIdleInTransaction,
	"25006": ErrReadOnly, // read_only_sql_transaction
}

// withKind returns err as one of the errors above as well, if its SQLSTATE says so.
func withKind(err error) error {
	if kind := kinds[state(err)]; kind != nil && !errors.Is(err, kind) {
		return fmt.Errorf("%w: %w", kind, err)
	}
	return err
}

// ended is the error of a ctx that has ended: it wraps both ctx.Err() and context.Cause(ctx).
func ended(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if cause == err {
		return err
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// cancelled reports whether err says that a statement was cancelled, or its connection broken for that.
func cancelled(err error) bool {
	return state(err) == "57014" || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || pgconn.Timeout(err)
}

// hostOf is Error.Host.
func hostOf(host string, port uint16) string {
	if strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") {
		return host + ":" + strconv.Itoa(int(port))
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// parseError is the error for a url that pgx could not read. It says why without the url, in which a password may be anywhere.
func parseError(url string, err error) error {
	const end = "`: " // of the url in the text of pgx
	text := err.Error()
	if i := strings.LastIndex(text, end); i >= 0 {
		text = text[i+len(end):]
	}
	for _, secret := range secrets(url) {
		if strings.Contains(text, secret) {
			text = "it can't be parsed"
		}
	}
	return &Error{Step: "parse the url", Err: errors.New(text)}
}

// secrets are the parts of a url, or of a text of keywords and values, that may be of a password,
// however that is misspelt.
func secrets(url string) (all []string) {
	if _, after, ok := strings.Cut(url, "://"); ok {
		if i := strings.LastIndexByte(after, '@'); i >= 0 {
			_, password, _ := strings.Cut(after[:i], ":")
			all = append(all, password)
		}
	}
	for rest := url; ; {
		i := strings.Index(strings.ToLower(rest), "password")
		if i < 0 {
			break
		}
		rest = rest[i+len("password"):]
		value, ok := strings.CutPrefix(strings.TrimLeft(rest, " "), "=")
		if !ok {
			continue
		}
		value = strings.TrimLeft(value, " ")
		if end := strings.IndexAny(value, "& "); end >= 0 {
			value = value[:end]
		}
		all = append(all, value)
	}
	all = slices.DeleteFunc(all, func(secret string) bool { return secret == "" })
	for _, secret := range all {
		for part := range strings.FieldsFuncSeq(secret, func(r rune) bool { return strings.ContainsRune(":@/?&='", r) }) {
			if len(part) > 2 { // shorter ones are part of any word
				all = append(all, part)
			}
		}
	}
	return all
}
