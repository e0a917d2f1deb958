package sqlite

import (
	"strings"

	"zombiezen.com/go/sqlite"
)

// Authorize is what SQLite asks when a statement is prepared. It marks what taints the connection,
// and allows everything but what would reach further than the connection.
func (c *connection) Authorize(op sqlite.OpType, name string, argument bool, database string) bool {
	if op == sqlite.OpPragma && argument && processWidePragmas[strings.ToLower(name)] {
		return false
	}
	if kind, tainted := taintOf(op, name, argument, database); tainted && !c.exempt {
		c.taint |= 1 << kind
		c.tainted[kind] = name
	}
	return true
}

// taintOf reports whether a statement that does op, which changes more than rows of the file, leaves something on the connection
// that a release can't undo, and of which kind.
// name and argument are the first two of op's arguments as sqlite3_set_authorizer lists them.
func taintOf(op sqlite.OpType, name string, argument bool, database string) (FindingKind, bool) {
	switch op {
	case sqlite.OpCreateTempIndex, sqlite.OpCreateTempTable, sqlite.OpCreateTempTrigger, sqlite.OpCreateTempView,
		sqlite.OpDropTempIndex, sqlite.OpDropTempTable, sqlite.OpDropTempTrigger, sqlite.OpDropTempView:
		return FoundTemp, true
	case sqlite.OpAttach, sqlite.OpDetach:
		return FoundAttach, true
	case sqlite.OpPragma:
		return FoundPragma, argument && !harmlessPragmas[strings.ToLower(name)]
	case sqlite.OpAlterTable:
		return FoundTemp, strings.EqualFold(name, "temp")
	}
	return FoundTemp, strings.EqualFold(database, "temp") // CREATE TABLE temp.t is no OpCreateTempTable; so are rows of Setup's tables
}

// harmlessPragmas are those whose argument is no setting of the connection:
// it names what they tell about, belongs to the database, or ends with the transaction.
var harmlessPragmas = map[string]bool{
	"application_id": true, "collation_list": true, "compile_options": true, "data_version": true,
	"database_list": true, "defer_foreign_keys": true, "foreign_key_check": true, "foreign_key_list": true,
	"freelist_count": true, "function_list": true, "incremental_vacuum": true, "index_info": true,
	"index_list": true, "index_xinfo": true, "integrity_check": true, "module_list": true,
	"optimize": true, "page_count": true, "pragma_list": true, "quick_check": true,
	"schema_version": true, "shrink_memory": true, "stats": true, "table_info": true,
	"table_list": true, "table_xinfo": true, "user_version": true, "wal_checkpoint": true,
}

// processWidePragmas are those that set something for every connection of the process, of other databases as well.
// They are refused; Options.Pragmas and Options.Setup may set them.
var processWidePragmas = map[string]bool{
	"data_store_directory": true, "hard_heap_limit": true, "soft_heap_limit": true, "temp_store_directory": true,
}
