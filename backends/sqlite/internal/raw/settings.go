package raw

import (
	"fmt"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
	"zombiezen.com/go/sqlite"
)

// Limits are the values of Conn.Limit, by their id.
type Limits = [lib.SQLITE_N_LIMIT]int32

// Limits returns the limits of the connection.
func (h *Handle) Limits() Limits { return h.sqlite3().FaLimit }

// SetLimits sets them all.
func (h *Handle) SetLimits(all Limits) { h.sqlite3().FaLimit = all }

// Settings are what else a connection must have when it is released, in one comparison.
type Settings struct {
	Flags      uint64  // of db_config and the pragmas that are on or off
	Registered digest  // functions, collations and modules: to replace one leaves their number as it was
	Sessions   uintptr // the sessions that were not deleted; 0: there is none
	Temp       bool    // there is something in the temporary database
}

// Settings returns the settings of the connection.
func (h *Handle) Settings() Settings {
	db := h.sqlite3()
	s := Settings{Flags: db.Fflags, Sessions: db.FpPreUpdateArg}
	s.Temp = filled(&(*[2]lib.TDb)(pointer(db.FaDb))[1])
	for at := db.FaFunc.Ffirst; at != 0; {
		element := (*lib.THashElem)(pointer(at))
		for at := element.Fdata; at != 0; {
			f := (*lib.TFuncDef)(pointer(at))
			s.Registered.add(f.FpUserData, f.FxSFunc)
			at = f.FpNext
		}
		at = element.Fnext
	}
	for at := db.FaCollSeq.Ffirst; at != 0; {
		element := (*lib.THashElem)(pointer(at))
		c := (*lib.TCollSeq)(pointer(element.Fdata)) // that for UTF-8: the Conn knows no other
		s.Registered.add(c.FpUser, c.FxCmp)
		at = element.Fnext
	}
	for at := db.FaModule.Ffirst; at != 0; {
		element := (*lib.THashElem)(pointer(at))
		if m := (*lib.TModule)(pointer(element.Fdata)); !lazy(m) {
			s.Registered.add(m.FpModule, m.FpAux)
		}
		at = element.Fnext
	}
	return s
}

// filled reports whether there is something in the temporary database. ALTER TABLE ... RENAME leaves its first page with an empty schema,
// which VACUUM and a rollback unload; a view or a trigger needs no other page.
func filled(temp *lib.TDb) bool {
	if temp.FpBt == 0 {
		return false
	}
	pages := (*lib.TBtShared)(pointer((*lib.TBtree)(pointer(temp.FpBt)).FpBt)).FnPage
	schema := (*lib.TSchema)(pointer(temp.FpSchema))
	return pages > 1 || pages == 1 && (schema.FtblHash.Fcount > 1 || schema.FtrigHash.Fcount > 0) // one is sqlite_temp_schema
}

// lazy reports whether SQLite registered the module by itself, when it was first used.
func lazy(m *lib.TModule) bool {
	if m.FxDestroy != 0 {
		return false
	}
	begins := *(*[2]byte)(pointer(m.FzName))
	return begins == [2]byte{'p', 'r'} || begins == [2]byte{'j', 's'} // pragma_table_info, json_each
}

// digest tells one set of pairs from another. It is a sum, so that the processor need not wait for one to add the next.
type digest uint64

func (d *digest) add(one, other uintptr) {
	*d += (digest(one) + 1) * (digest(other) ^ 0x9e3779b97f4a7c15)
}

// SetQueryOnly makes every write fail, or not. PRAGMA query_only does the same, but the authorizer sees it.
func (h *Handle) SetQueryOnly(on bool) {
	if on {
		h.sqlite3().Fflags |= lib.SQLITE_QueryOnly
	} else {
		h.sqlite3().Fflags &^= lib.SQLITE_QueryOnly
	}
}

// Strings is whether text in double quotes that names nothing is a string, in queries and in the schema.
// SQLite's default is that it is; zombiezen's Conn makes it an error.
type Strings uint64

// BothStrings is SQLite's default.
const BothStrings Strings = lib.SQLITE_DqsDML | lib.SQLITE_DqsDDL

// SetStrings sets it, and returns what it was.
func (h *Handle) SetStrings(s Strings) (before Strings) {
	db := h.sqlite3()
	before = Strings(db.Fflags) & BothStrings
	db.Fflags = db.Fflags&^uint64(BothStrings) | uint64(s)
	return before
}

// SetNoCheckpointOnClose leaves the log as it is when the connection is closed, also if it is the last one.
func (h *Handle) SetNoCheckpointOnClose() { h.sqlite3().Fflags |= lib.SQLITE_NoCkptOnClose }

// SetDefensive is what Conn.SetDefensive should be: zombiezen v1.4.2 gives sqlite3_db_config one argument
// where it reads two, and it then writes to whatever address lies behind the first.
func (h *Handle) SetDefensive(on bool) error {
	var value int32
	if on {
		value = 1
	}
	list := libc.NewVaList(value, uintptr(0))
	if list == 0 {
		return sqlite.ResultNoMem.ToError()
	}
	defer libc.Xfree(h.tls, list)
	if code := lib.Xsqlite3_db_config(h.tls, h.db, lib.SQLITE_DBCONFIG_DEFENSIVE, list); code != lib.SQLITE_OK {
		return fmt.Errorf("set defensive: %w", h.error(code))
	}
	return nil
}
