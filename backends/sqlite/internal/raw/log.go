package raw

import (
	"fmt"
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
	"zombiezen.com/go/sqlite"
)

// Log is the write-ahead log of one database of a connection, as the index of it (-shm) has it.
type Log struct {
	Path      string
	Frames    int       // up to the end of the last transaction that was committed
	PageSize  int       // in bytes; a frame is 24 bytes longer
	Salt      [2]uint32 // as it stands in the file
	Checksum  [2]uint32 // of all bytes before the end of Frames
	BigEndian bool      // the checksums are computed of big-endian words
	Recovered bool      // the index was made of the log's file, and nothing was committed since then

	database int // index in sqlite3.aDb
}

// wal returns SQLite's own object for the log of a database, nil if that has none.
func (h *Handle) wal(database int) *lib.TWal {
	db := h.sqlite3()
	tree := (*lib.TDb)(pointer(db.FaDb + uintptr(database)*unsafe.Sizeof(lib.TDb{}))).FpBt
	if tree == 0 {
		return nil
	}
	shared := (*lib.TBtShared)(pointer((*lib.TBtree)(pointer(tree)).FpBt))
	return (*lib.TWal)(pointer((*lib.TPager)(pointer(shared.FpPager)).FpWal))
}

// Logs returns the logs of the databases that the connection can write: that of main, and of what was attached.
// They are right inside a transaction of BEGIN IMMEDIATE only, which has written nothing yet.
func (h *Handle) Logs() (all []Log) {
	for database := range int(h.sqlite3().FnDb) {
		wal := h.wal(database)
		if wal == nil || wal.FreadOnly != 0 || lib.Xsqlite3_db_readonly(h.tls, h.db, lib.Xsqlite3_db_name(h.tls, h.db, int32(database))) != 0 {
			continue
		}
		header := &wal.Fhdr
		all = append(all, Log{
			Path: libc.GoString(wal.FzWalName), Frames: int(header.FmxFrame), PageSize: int(header.FszPage&0xfe00) + int(header.FszPage&1)<<16,
			Salt: header.FaSalt, Checksum: header.FaFrameCksum, BigEndian: header.FbigEndCksum != 0,
			Recovered: header.FiChange == 0 && header.FmxFrame > 0,
			database:  database,
		})
	}
	return all
}

// MoveAgain makes checkpoints move every page of the log into the database file again, those that were moved before as well.
// It fails with BUSY while another connection makes a checkpoint.
//
// It does what recovery does: it notes in the index that nothing was moved (nBackfill in https://www.sqlite.org/walformat.html),
// under the lock of checkpoints. That can only make SQLite do more.
func (h *Handle) MoveAgain(log Log) error {
	wal := h.wal(log.database)
	if wal == nil || wal.FnWiData == 0 {
		return nil
	}
	first := *(*uintptr)(pointer(wal.FapWiData)) // the first region of the index
	if first == 0 {
		return nil
	}
	lock := (*lib.Tsqlite3_io_methods)(pointer((*lib.Tsqlite3_file)(pointer(wal.FpDbFd)).FpMethods)).FxShmLock
	call := func(flags int32) sqlite.ResultCode {
		f := *(*func(tls *libc.TLS, file uintptr, offset, n, flags int32) int32)(unsafe.Pointer(&struct{ uintptr }{lock}))
		return sqlite.ResultCode(f(h.tls, wal.FpDbFd, lib.WAL_CKPT_LOCK, 1, flags))
	}
	if code := call(lib.SQLITE_SHM_LOCK | lib.SQLITE_SHM_EXCLUSIVE); !code.IsSuccess() {
		return fmt.Errorf("the lock of checkpoints: %w", code.ToError())
	}
	info := (*lib.TWalCkptInfo)(pointer(first + 2*unsafe.Sizeof(lib.TWalIndexHdr{})))
	libc.AtomicStoreNUint32(uintptr(unsafe.Pointer(&info.FnBackfill)), 0, 0)
	call(lib.SQLITE_SHM_UNLOCK | lib.SQLITE_SHM_EXCLUSIVE)
	return nil
}
