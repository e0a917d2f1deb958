package sqlite

import (
	"context"
	"fmt"
	"strconv"

	"zombiezen.com/go/sqlite/sqlitemigration"
)

// migrate brings the schema up to date, and reports whether it had to. It takes the write lock only then:
// another process may have it for longer than anybody waits.
//
// Each migration is a call of sqlitemigration of its own: if another process makes one first, sqlitemigration
// goes on to the next one with foreign keys off, if they were to be for that one.
func (d *database) migrate(ctx context.Context, c *connection) (migrated bool, err error) {
	if d.options.Schema == nil {
		return false, nil
	}
	returned := false
	defer func() {
		if !returned { // an SQL function has panicked
			_ = c.closeUnused(ctx)
		}
	}()
	migrated, err = c.migrateTo(ctx, *d.options.Schema)
	returned = true
	if err != nil {
		err = d.openError(Writer, "migrate", err)
	}
	return migrated, err
}

// migrateTo applies what is missing of the schema.
func (c *connection) migrateTo(ctx context.Context, schema sqlitemigration.Schema) (migrated bool, err error) {
	c.watch(ctx)
	defer c.unwatch()
	c.borrower = nil // its statements are no caller's
	if migrated, err = c.adopt(ctx, schema); err != nil {
		return migrated, asContextError(ctx, c.afterCommit(err))
	}
	for {
		next, err := c.nextMigration(ctx, schema)
		if err == nil && next == nil {
			return migrated, nil
		}
		migrated = true
		if err == nil {
			err = c.makeNameLast()
		}
		if err == nil {
			err = sqlitemigration.Migrate(ctx, c.conn, *next)
		}
		if err == nil {
			err = c.restoreForeignKeys(ctx)
		}
		if err != nil {
			return migrated, c.explain(ctx, c.afterCommit(err))
		}
	}
}

// adopt notes how many of the migrations another tool has made, if the database has tables and no version, and Options.Baseline is set.
func (c *connection) adopt(ctx context.Context, schema sqlitemigration.Schema) (adopted bool, err error) {
	baseline := c.database.options.Baseline
	if baseline == nil {
		return false, nil
	}
	const foreign = "SELECT 1 FROM pragma_user_version, pragma_application_id WHERE user_version=0 AND application_id=0 AND EXISTS (SELECT 1 FROM sqlite_schema)"
	if _, found, err := c.query(ctx, foreign); err != nil || !found {
		return false, err
	}
	if _, _, err := c.query(ctx, "BEGIN IMMEDIATE"); err != nil {
		return false, err
	}
	defer func() {
		if !c.Closed() && !c.Autocommit() {
			_, _, _ = c.query(ctx, "ROLLBACK") // otherwise the connection ends, and the transaction with it
		}
	}()
	if _, found, err := c.query(ctx, foreign); err != nil || !found { // another process has adopted it
		return false, err
	}
	applied, err := baseline(ctx, c.conn)
	switch {
	case err != nil:
		return true, fmt.Errorf("Options.Baseline: %w", err)
	case c.Closed():
		return true, errClosed
	case c.Autocommit():
		return true, fmt.Errorf("Options.Baseline: it has ended the transaction: %w", ErrRolledBack)
	case applied < 0 || applied > len(schema.Migrations):
		return true, fmt.Errorf("Options.Baseline returned %d: it must be from 0 to %d, the number of Schema.Migrations", applied, len(schema.Migrations))
	case applied == 0:
		return true, nil
	}
	c.resetLeftOpen(ctx)
	for _, sql := range []string{fmt.Sprintf("PRAGMA user_version=%d", applied), fmt.Sprintf("PRAGMA application_id=%d", schema.AppID), "COMMIT"} {
		if _, _, err := c.query(ctx, sql); err != nil {
			return true, err
		}
	}
	return true, nil
}

// nextMigration returns what of the schema ends with the next migration; nil if the database is up to date.
// It fails for a database of another application, and for one that has more migrations than the schema, if that has any: see ErrNewerSchema.
func (c *connection) nextMigration(ctx context.Context, all sqlitemigration.Schema) (next *sqlitemigration.Schema, err error) {
	number := func(sql string) (number int64) {
		var value string
		if err == nil {
			value, _, err = c.query(ctx, sql)
		}
		if err == nil {
			number, err = strconv.ParseInt(value, 10, 64)
		}
		return number
	}
	version := number("PRAGMA user_version")
	application, objects := number("PRAGMA application_id"), number("SELECT count(*) FROM sqlite_schema")
	switch {
	case err != nil:
		return nil, err
	case application != int64(all.AppID) && (application != 0 || objects > 0):
		return nil, fmt.Errorf("its application_id is %#x, not %#x: it is another application's", application, all.AppID)
	case version < 0:
		return nil, fmt.Errorf("its user_version is %d: migrations are counted from 0", version)
	case version > int64(len(all.Migrations)) && len(all.Migrations) > 0:
		return nil, fmt.Errorf("its user_version is %d, and Options.Schema has %d migrations: %w", version, len(all.Migrations), ErrNewerSchema)
	case version >= int64(len(all.Migrations)):
		if application == int64(all.AppID) {
			return nil, nil
		}
		return &all, nil // which sets the application_id
	}
	if last := version + 1; last < int64(len(all.Migrations)) {
		all.Migrations, all.RepeatableMigration = all.Migrations[:last], ""
	}
	return &all, nil
}

// restoreForeignKeys makes foreign keys what they are to be: sqlitemigration may leave them off.
func (c *connection) restoreForeignKeys(ctx context.Context) error {
	for _, pragma := range c.database.options.pragmas() {
		if pragma.Name != "foreign_keys" {
			continue
		}
		if err := c.setPragma(ctx, pragma); err != nil {
			return err
		}
		return c.verifyPragma(ctx, pragma)
	}
	return nil
}
