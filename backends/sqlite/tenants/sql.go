package tenants

import (
	"context"
	"database/sql"
	"database/sql/driver"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/backends/sqlite/stdlib"
)

// SQL returns a *sql.DB over the database of a tenant, for code and libraries that are written on database/sql:
// the same one at each call, until it is closed, by [Pool.Close] or by its own Close. Package stdlib says what it does.
//
// It does no I/O, and the *sql.DB holds nothing while it is not in use: the tenant's database is opened when a statement needs it,
// may be evicted between statements, and stays open while a transaction, rows or a *sql.Conn that has run a statement is open.
// What a statement waits for a place and an opening is bounded by Options.AcquireTimeout, and then what it waits for its turn.
// A name that is not that of a tenant is an error of each statement. Once the *sql.DB is closed, its calls return an error
// of database/sql, "sql: database is closed", after Pool.Close as well: it does not wrap [pool.ErrClosed].
//
// database/sql keeps a goroutine for each *sql.DB until it is closed: if there are many tenants, close those that are not needed.
func (p *Pool) SQL(tenant string) *sql.DB {
	db, ended := p.sqlOf(tenant)
	if ended {
		_ = db.Close() // its calls say that it is closed
	}
	return db
}

func (p *Pool) sqlOf(tenant string) (db *sql.DB, ended bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if db := p.sqls[tenant]; db != nil {
		return db, false
	}
	c := &sqlConnector{pool: p, tenant: tenant}
	c.Connector = stdlib.NewPinConnector(c.pin, p.options.SQL)
	c.db = sql.OpenDB(c)
	if !p.admission.ended {
		p.sqls[tenant] = c.db
	}
	return c.db, p.admission.ended
}

// sqlConnector is the connector of a tenant's *sql.DB.
type sqlConnector struct {
	driver.Connector
	pool   *Pool
	tenant string
	db     *sql.DB
}

// pin keeps the database of the tenant open for a session, until done.
func (c *sqlConnector) pin(ctx context.Context) (db *sqlite.DB, done func(), err error) {
	h, err := c.pool.acquire(ctx, c.tenant, kindUse)
	if err != nil {
		return nil, nil, err
	}
	db = h.db.(*sqlite.DB)
	return db, func() {
		c.pool.look(h, db)
		c.pool.release(h)
	}, nil
}

// Close forgets the *sql.DB. Its Close calls it, once.
func (c *sqlConnector) Close() error {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	if c.pool.sqls[c.tenant] == c.db {
		delete(c.pool.sqls, c.tenant)
	}
	return nil
}
