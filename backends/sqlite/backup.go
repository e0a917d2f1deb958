package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"zombiezen.com/go/sqlite"
)

// Backup copies the database to a new file at path, while readers and writers go on.
// The copy is the database as it was at one moment after the call, and whole by itself.
//
// Backup blocks until the copy is on the disk. It holds one reader while it copies, in one read transaction:
// writers can't make it begin again, but what they write meanwhile stays in the write-ahead log, past its limit.
// In memory it holds the one connection, so that Read and Write wait for it.
//
// The file appears complete and synced, with the mode of the database file (in memory, Options.FileMode), or not at all:
// until then it has a temporary name in the same directory, which a failure or the end of ctx takes away again.
// progress, which may be nil, is called after each megabyte with the pages that are copied and all that there are,
// on the goroutine of Backup. It must not use the DB, which it could wait for in vain.
//
// The error names path. Backup overwrites nothing: it is fs.ErrExist where there is something at path,
// even a link that leads nowhere, or the -wal or -journal file of a database that was there;
// and fs.ErrInvalid for a name that is the database's own.
// It is that of ctx within milliseconds of its end; pool.ErrClosed where Close interrupts it;
// those of Read, also inside Read, Write or Batch; or SQLite's or the file system's, as of a full disk.
func (db *DB) Backup(ctx context.Context, path string, progress func(done, total int)) error {
	if err := db.backup(ctx, path, progress); err != nil {
		return fmt.Errorf("headpond/sqlite %q: backup to %s: %w", db.name(), path, err)
	}
	return nil
}

func (db *DB) backup(ctx context.Context, path string, progress func(done, total int)) (err error) {
	if err := db.mayBackupTo(path); err != nil {
		return err
	}
	directory := filepath.Dir(path)
	temporary, err := os.CreateTemp(directory, ".headpond-*")
	if err != nil {
		return err
	}
	name := temporary.Name()
	defer func() {
		for _, suffix := range suffixes {
			discard(ctx, name+suffix) // most are not there
		}
	}()
	if err := errors.Join(os.Chmod(name, db.mode()), temporary.Close()); err != nil {
		return err
	}
	if err := db.copyTo(ctx, name, progress); err != nil {
		return err
	}
	if err := syncFile(ctx, name); err != nil {
		return err
	}
	if err := publish(name, path); err != nil {
		return err
	}
	if err := syncDirectory(directory); err != nil {
		return errors.Join(err, os.Remove(path)) // the name may not last
	}
	return nil
}

// suffixes are those of the files that make up a database.
var suffixes = []string{"", "-wal", "-shm", "-journal"}

// mayBackupTo returns why there can't be a new database at path.
func (db *DB) mayBackupTo(path string) error {
	if err := validPath(path); err != nil {
		return err
	}
	if !db.files.memory {
		own, at := strings.TrimSuffix(db.log.path(), "-wal"), path
		if directory, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
			at = filepath.Join(directory, filepath.Base(path))
		}
		if at, err := filepath.Abs(at); err != nil {
			return err
		} else if slices.ContainsFunc(suffixes, func(suffix string) bool { return at == own+suffix }) {
			return fmt.Errorf("the name belongs to the database itself: %w", fs.ErrInvalid)
		}
	}
	for _, suffix := range []string{"", "-wal", "-journal"} { // SQLite would take the latter for the copy's
		switch _, err := os.Lstat(path + suffix); {
		case err == nil:
			return fmt.Errorf("%s: %w", filepath.Base(path)+suffix, fs.ErrExist)
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	return nil
}

// mode is that of the database file.
func (db *DB) mode() fs.FileMode {
	if !db.files.memory {
		if file, err := os.Stat(db.files.path); err == nil {
			return file.Mode().Perm()
		}
	}
	return db.files.options.FileMode
}

// copyTo copies one snapshot to the empty file of that name.
func (db *DB) copyTo(ctx context.Context, name string, progress func(done, total int)) error {
	return db.Read(ctx, func(ctx context.Context, conn *Conn) (err error) {
		db.log.backups.Add(1)
		defer db.log.backups.Add(-1)
		s, ok := stateOf(conn)
		if !ok {
			return errClosed
		}
		// The snapshot begins, and the backup finds it open.
		if _, _, err := s.query(ctx, "SELECT 1 FROM sqlite_schema LIMIT 1"); err != nil {
			return err
		}
		copied, err := openConn(name, sqlite.OpenReadWrite)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, closeConn(copied)) }()
		// The file is nobody's until it is complete, and synced as a whole.
		for _, pragma := range []string{"PRAGMA journal_mode=OFF", "PRAGMA synchronous=OFF"} {
			stmt, _, err := copied.PrepareTransient(pragma)
			if err != nil {
				return err
			}
			_, err = stmt.Step()
			if err = errors.Join(err, stmt.Finalize()); err != nil {
				return err
			}
		}
		return s.copyTo(copied, progress)
	})
}

// backupBytes is how much is copied between two looks at ctx: about a millisecond's.
const backupBytes = 1 << 20

// copyTo copies the snapshot of s. It ends as a statement does where s is interrupted.
func (s *state) copyTo(copied *Conn, progress func(done, total int)) error {
	backup, err := sqlite.NewBackup(copied, "main", s.conn, "main")
	if err != nil {
		return err
	}
	defer backup.Close()
	pages := max(1, int(backupBytes/s.pageSize()))
	for more := true; more; {
		if s.interrupted() {
			return sqlite.ResultInterrupt.ToError()
		}
		if more, err = backup.Step(pages); err != nil {
			return err
		}
		if progress != nil {
			progress(backup.PageCount()-backup.Remaining(), backup.PageCount())
		}
	}
	return nil
}

// syncFile syncs a file that no connection of this process has open: closing it would drop the locks of those.
// Where ctx ends before, the file is gone as soon as the disk is done with it.
func syncFile(ctx context.Context, name string) error {
	file, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	synced := make(chan error, 1)
	go func() { synced <- errors.Join(file.Sync(), file.Close()) }()
	select {
	case err := <-synced:
		return err
	case <-ctx.Done():
		go func() {
			<-synced
			_ = os.Remove(name) // where an open file can't be removed
		}()
		return ended(ctx)
	}
}

// discard removes a file, if it is there. To free the blocks of 400 MB takes 60 ms:
// where ctx has ended that is left to a goroutine, which closes the file.
func discard(ctx context.Context, name string) {
	if ctx.Err() == nil {
		_ = os.Remove(name)
		return
	}
	file, err := os.Open(name)
	if err != nil {
		return
	}
	err = os.Remove(name)
	go func() {
		_ = file.Close()
		if err != nil { // where an open file can't be removed
			_ = os.Remove(name)
		}
	}()
}

// publish gives the file its name, unless there is something of that name.
func publish(name, path string) error {
	err := os.Link(name, path)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	if _, err := os.Lstat(path); err == nil { // a file system without links
		return fs.ErrExist
	}
	return os.Rename(name, path)
}
