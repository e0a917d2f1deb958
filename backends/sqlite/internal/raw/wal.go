package raw

import (
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
)

// LogPages is how many pages are in the write-ahead log, as of the last commit of this connection or LogEmptied.
func (h *Handle) LogPages() int { return int(h.cell.logPages) }

// AttachedLogPages is how many pages are in the write-ahead log of the attached database that the connection has last committed to, as of then.
func (h *Handle) AttachedLogPages() int { return int(h.cell.attached) }

// LogEmptied notes that the logs are empty.
func (h *Handle) LogEmptied() { h.cell.logPages, h.cell.attached = 0, 0 }

// LogNow returns how many pages the write-ahead log of main has, whichever connection wrote them, and how many of them are in the database file.
// It reads the index (-shm) without a lock, so that the two may be of different instants. Both are 0 before the connection has read anything.
func (h *Handle) LogNow() (pages, moved int) {
	wal := h.wal(0)
	if wal == nil || wal.FnWiData == 0 {
		return 0, 0
	}
	first := *(*uintptr)(pointer(wal.FapWiData)) // the first region of the index
	if first == 0 {
		return 0, 0
	}
	header := (*lib.TWalIndexHdr)(pointer(first))
	info := (*lib.TWalCkptInfo)(pointer(first + 2*unsafe.Sizeof(lib.TWalIndexHdr{})))
	pages = int(libc.AtomicLoadNUint32(uintptr(unsafe.Pointer(&header.FmxFrame)), 0))
	moved = int(libc.AtomicLoadNUint32(uintptr(unsafe.Pointer(&info.FnBackfill)), 0))
	return pages, min(moved, pages)
}

// CheckpointWrites reports whether the checkpoint that the connection is making has the write lock by now.
// It is for Events.Busy, whose caller does not say which lock is taken.
func (h *Handle) CheckpointWrites() bool {
	for database := range int(h.sqlite3().FnDb) {
		if wal := h.wal(database); wal != nil && wal.FckptLock != 0 {
			return wal.FwriteLock != 0
		}
	}
	return false
}
