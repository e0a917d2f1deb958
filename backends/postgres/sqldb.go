package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"

	"github.com/headpond/headpond/pool"
	"github.com/jackc/pgx/v5/stdlib"
)

// OpenDB returns a *sql.DB over a pool of connections that Hooks or Open made, such as db.Writer():
// for what is written against database/sql. It is pgx's package stdlib on connections that are leased from p for as long
// as a statement, its rows, a transaction or a *sql.Conn lasts. It keeps none idle: leave SetMaxIdleConns as it is.
// Closing it leaves p open. To get at the *pgx.Conn of a *sql.Conn use [Raw].
//
// Its errors are pgx's, and a *pool.Error where none could be acquired.
func OpenDB(p *pool.Pool[*Conn]) *sql.DB {
	db := sql.OpenDB(&leasing{p})
	db.SetMaxIdleConns(0)
	return db
}

// Raw calls use with the connection of conn, which a *sql.DB of OpenDB made. Use must not keep it.
func Raw(conn *sql.Conn, use func(conn *Conn) error) error {
	return conn.Raw(func(driverConn any) error {
		leased, ok := driverConn.(*leasedConn)
		if !ok {
			return errForeign
		}
		return use(leased.Conn.Conn())
	})
}

// leasing is a driver.Connector that leases connections.
type leasing struct{ pool *pool.Pool[*Conn] }

// Connect leases a connection.
func (l *leasing) Connect(ctx context.Context) (driver.Conn, error) {
	lease, err := l.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	s, ok := sessionOf(lease.Value())
	if !ok {
		lease.Discard()
		return nil, errForeign
	}
	return &leasedConn{s.sql, lease}, nil
}

// Driver is pgx's.
func (l *leasing) Driver() driver.Driver { return stdlib.GetDefaultDriver() }

// leasedConn is a connection whose end is that of its lease.
type leasedConn struct {
	*stdlib.Conn
	lease pool.Lease[*Conn]
}

// Close ends the lease.
func (c *leasedConn) Close() error {
	c.lease.Release()
	return nil
}

// IsValid is false once the connection is closed: database/sql does not use it again.
func (c *leasedConn) IsValid() bool { return !c.Conn.Conn().IsClosed() }
