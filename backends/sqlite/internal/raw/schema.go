package raw

import (
	"fmt"
	"strings"
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
	"zombiezen.com/go/sqlite"
)

// This file tells whether the schemas that a connection has loaded are those of before, and those of the file.
// A statement that was prepared before a change runs as if it were prepared anew, but its Stmt keeps the columns' names of before.

// SchemaCookie is a number of the schemas that the connection has loaded, those of attached databases and the temporary one included:
// each change of one of them changes it.
func (h *Handle) SchemaCookie() (all uint64) {
	db := h.sqlite3()
	for i := range int(db.FnDb) {
		one := (*lib.TDb)(pointer(db.FaDb + uintptr(i)*unsafe.Sizeof(lib.TDb{})))
		if one.FpSchema != 0 {
			all = all*1_000_003 + uint64(uint32((*lib.TSchema)(pointer(one.FpSchema)).Fschema_cookie))
		}
	}
	return all
}

// SharesSchemas reports whether what the schemas of the connection are is told by their SchemaCookie, on any connection to the file:
// none is temporary or attached, and no change of one is uncommitted.
func (h *Handle) SharesSchemas() bool {
	db := h.sqlite3()
	if db.FnDb > 2 || db.FmDbFlags&lib.DBFLAG_SchemaChange != 0 {
		return false
	}
	temp := (*lib.TDb)(pointer(db.FaDb + unsafe.Sizeof(lib.TDb{})))
	return temp.FpSchema == 0 || (*lib.TSchema)(pointer(temp.FpSchema)).Fschema_cookie == 0
}

// SchemaStamp is another number whenever SchemaCookie is, and until a schema that was dropped, as by ROLLBACK, is loaded again:
// the next change may give it the same cookie.
func (h *Handle) SchemaStamp() uint64 { return schemaStamp(h.db) }

func schemaStamp(at uintptr) (all uint64) {
	db := (*lib.Tsqlite3)(pointer(at))
	for i := range int(db.FnDb) {
		one := (*lib.TDb)(pointer(db.FaDb + uintptr(i)*unsafe.Sizeof(lib.TDb{})))
		if one.FpSchema != 0 {
			schema := (*lib.TSchema)(pointer(one.FpSchema))
			all = all*1_000_003 + uint64(uint32(schema.Fschema_cookie))<<1 + uint64(schema.FschemaFlags&lib.DB_SchemaLoaded)
		}
	}
	return all
}

// SchemaMoved reports whether the schema of main in the file is another one than the connection has loaded.
// In a transaction that has read nothing yet, it takes the snapshot.
func (h *Handle) SchemaMoved() (bool, error) {
	stmt := h.commands[schemaVersion]
	code := lib.Xsqlite3_step(h.tls, stmt)
	if code != lib.SQLITE_ROW {
		err := fmt.Errorf("%s: %w", commandTexts[schemaVersion], h.error(code))
		lib.Xsqlite3_reset(h.tls, stmt)
		return false, err
	}
	now := lib.Xsqlite3_column_int(h.tls, stmt, 0)
	lib.Xsqlite3_reset(h.tls, stmt)
	schema := (*lib.TSchema)(pointer((*lib.TDb)(pointer(h.sqlite3().FaDb)).FpSchema))
	return now != schema.Fschema_cookie, nil
}

// LoadSchemas makes the connection load the schemas anew that are others in the files: a statement that is prepared finds out
// only when it is stepped, and its Stmt has the names of before.
func (h *Handle) LoadSchemas() error {
	for i := range h.sqlite3().FnDb {
		if i == 1 {
			continue // the temporary one
		}
		if _, err := h.integer("SELECT 1 FROM " + h.quotedName(i) + ".sqlite_schema LIMIT 0"); err != nil {
			return err
		}
	}
	return nil
}

// LoadDropped makes the connection load those schemas that were dropped, as by ROLLBACK, the temporary one included.
func (h *Handle) LoadDropped() error {
	_, err := h.integer("SELECT 1 FROM temp.sqlite_schema LIMIT 0")
	return err
}

// quotedName is the name of a database as it can stand in SQL.
func (h *Handle) quotedName(database int32) string {
	name := libc.GoString(lib.Xsqlite3_db_name(h.tls, h.db, database))
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

// DropStatements finalizes all statements that the Conn has cached.
func (h *Handle) DropStatements() {
	for _, stmt := range *field[map[string]*sqlite.Stmt](h.conn, fields.stmts) {
		_ = stmt.Finalize() // repeats the error of its last step, and deletes it from the map
	}
}

// SchemaVersions is a number of the schemas in the files, those of attached databases included: each change of one of them changes it.
// It costs some microseconds for each database.
func (h *Handle) SchemaVersions() (all uint64, err error) {
	for i := range h.sqlite3().FnDb {
		if i == 1 {
			continue // the temporary one
		}
		version, err := h.integer("PRAGMA " + h.quotedName(i) + ".schema_version")
		if err != nil {
			return 0, err
		}
		all = all*1_000_003 + uint64(uint32(version))
	}
	return all, nil
}
