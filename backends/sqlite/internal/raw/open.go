package raw

import (
	"sync"

	lib "modernc.org/sqlite/lib"
	"zombiezen.com/go/sqlite"
)

// opening is held by Open for reading and by Close for writing, and never around a wait:
// zombiezen's global maps are keyed by the address of the sqlite3*,
// and Conn.Close frees that address before it clears them.
var opening sync.RWMutex

// Open is sqlite.OpenConn, and never runs while Close does.
func Open(path string, flags sqlite.OpenFlags) (*sqlite.Conn, error) {
	opening.RLock()
	defer opening.RUnlock()
	return sqlite.OpenConn(path, flags)
}

// Close is Conn.Close, of a Conn without a Handle that is attached, and never runs while Open or another Close does.
func Close(conn *sqlite.Conn) error {
	opening.Lock()
	defer opening.Unlock()
	return conn.Close()
}

// WithoutOpening calls do while no connection is being opened.
func WithoutOpening(do func() error) error {
	opening.Lock()
	defer opening.Unlock()
	return do()
}

// Moved reports whether the file that the connection has open is no longer the one of its name: it was deleted, renamed or replaced.
// It asks the file system by the number of the file, which no other file gets while this one is open.
// Where a file that is open can't be deleted, as on Windows, it is false.
func (h *Handle) Moved() bool {
	at := lib.Xsqlite3_malloc(h.tls, 4)
	if at == 0 {
		return true
	}
	defer lib.Xsqlite3_free(h.tls, at)
	moved := (*int32)(pointer(at))
	*moved = 0
	lib.Xsqlite3_file_control(h.tls, h.db, lib.Xsqlite3_db_name(h.tls, h.db, 0), lib.SQLITE_FCNTL_HAS_MOVED, at)
	return *moved != 0
}
