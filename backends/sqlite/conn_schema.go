package sqlite

// This file drops cached statements after a change of the schema: a Stmt keeps the names of its columns from when it was prepared.
//
//   - A commit of this database that changes the schema begins a new generation: a connection of an earlier one drops its statements
//     before it is handed out.
//   - A transaction of Read, Write or Batch compares the schema of its snapshot with the one that the connection has loaded:
//     another process may have changed it.
//   - For all others, one of the connections that are acquired looks once a second: see connection.spotCheck.

// SchemaChanged implements raw.Events.
func (c *connection) SchemaChanged() { c.database.schemaGeneration.Add(1) }

// freshenStatements drops the cached statements if the schema has changed since the connection was last handed out.
// It costs one load if it has not.
func (c *connection) freshenStatements() {
	if now := c.database.schemaGeneration.Load(); now != c.schemaGeneration {
		c.DropStatements()
		if c.LoadSchemas() == nil { // else what follows says why, and the next borrower is served
			c.schemaGeneration = now
		}
	}
}

// freshenSnapshot does so if the snapshot of the transaction, which has just begun, has another schema than the connection has loaded.
func (c *connection) freshenSnapshot() error {
	if c.database.memory {
		return nil // there is one connection, whose reset has looked
	}
	moved, err := c.SchemaMoved()
	if moved {
		c.DropStatements()
		err = c.LoadSchemas()
	}
	return err
}

// keepStatements ends what one borrower did: it drops the cached statements if that has changed the schema, or seen it change.
func (c *connection) keepStatements() {
	if c.SchemaStamp() == c.schemaStamp {
		return
	}
	c.DropStatements()
	waits := c.waitsForLocks
	c.waitsForLocks = false
	_ = c.LoadDropped() // else the next borrower does
	c.waitsForLocks = waits
	c.schemaStamp = c.SchemaStamp()
	if c.database.memory { // whose commits Events does not tell of
		c.SchemaChanged()
	}
}

// spotCheckSchema begins a new generation if another process has changed a schema since the last look.
func (c *connection) spotCheckSchema() {
	waits := c.waitsForLocks
	c.waitsForLocks = false
	now, err := c.SchemaVersions()
	c.waitsForLocks = waits
	if err == nil && c.database.schemaVersions.Swap(now) != now {
		c.SchemaChanged()
	}
}
