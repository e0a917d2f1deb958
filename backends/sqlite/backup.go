package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"zombiezen.com/go/sqlite"
)

// backupPages is how many pages are copied between two looks at ctx: 1 MiB of the usual pages, about a millisecond.
const backupPages = 256

// Backup copies the database to a new file at path, while readers and writers go on:
// the copy is the database as it was when the copying began. It holds one reader until it ends,
// and what is written meanwhile stays in the write-ahead log; in memory it holds the one connection.
//
// The file appears complete, synced to the disk, with the mode of Options.FileMode, or not at all:
// until then it has a temporary name in the same directory, which a failure or the end of ctx takes away again.
// progress, which may be nil, is called with the number of pages that are done and the number of all,
// on the goroutine of Backup; it must not use the DB.
//
// The error names path. It is fs.ErrExist where there is a file at path already: Backup overwrites nothing.
// Where ctx ends it is ctx's. Inside Read, Write or Batch it is as for Read.
func (db *DB) Backup(ctx context.Context, path string, progress func(done, total int)) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("headpond/sqlite %q: backup to %s: %w", db.name(), path, err)
		}
	}()
	if err := validPath(path); err != nil {
		return err
	}
	if _, err := os.Lstat(path); err == nil {
		return fs.ErrExist
	}
	directory := filepath.Dir(path)
	temporary, err := os.CreateTemp(directory, "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	name := temporary.Name()
	defer func() {
		for _, suffix := range []string{"", "-journal", "-wal", "-shm"} {
			_ = os.Remove(name + suffix)
		}
	}()
	if err := errors.Join(temporary.Chmod(db.files.options.FileMode), temporary.Close()); err != nil {
		return err
	}
	if err := db.copyTo(ctx, name, progress); err != nil {
		return err
	}
	if err := syncFile(name); err != nil {
		return err
	}
	if err := os.Link(name, path); errors.Is(err, fs.ErrExist) {
		return fs.ErrExist
	} else if err != nil { // a file system without links
		if err := os.Rename(name, path); err != nil {
			return err
		}
	}
	return syncDirectory(directory)
}

// copyTo copies one snapshot to the empty file of that name.
func (db *DB) copyTo(ctx context.Context, name string, progress func(done, total int)) error {
	return db.Read(ctx, func(ctx context.Context, conn *Conn) (err error) {
		s, _ := stateOf(conn)
		if _, _, err := s.query(ctx, "SELECT 1 FROM sqlite_schema"); err != nil { // the snapshot begins
			return err
		}
		destination, err := openConn(name, sqlite.OpenReadWrite)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, closeConn(destination)) }()
		unsafe, _, err := destination.PrepareTransient("PRAGMA synchronous=OFF") // the whole file is synced in the end
		if err != nil {
			return err
		}
		_, err = unsafe.Step()
		if err = errors.Join(err, unsafe.Finalize()); err != nil {
			return err
		}
		backup, err := sqlite.NewBackup(destination, "main", conn, "main")
		if err != nil {
			return err
		}
		defer backup.Close()
		for more := true; more; {
			if ctx.Err() != nil {
				return ended(ctx)
			}
			if more, err = backup.Step(backupPages); err != nil {
				return err
			}
			if progress != nil {
				progress(backup.PageCount()-backup.Remaining(), backup.PageCount())
			}
		}
		return nil
	})
}

// syncFile syncs a file that no connection of this process has open: closing it drops the locks of those.
func syncFile(name string) error {
	file, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}
