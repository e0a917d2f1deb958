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

	"github.com/headpond/headpond/backends/sqlite/internal/raw"
	"zombiezen.com/go/sqlite"
)

// Backup copies the database to a new file at path, while readers and writers go on.
// The copy is the database as it was at one moment after the call, and whole by itself.
//
// Backup blocks until the copy is on the disk. It holds one reader while it copies, in one read transaction:
// writers can't make it begin again, but what they write meanwhile stays in the write-ahead log, past its limit.
// In memory it holds the one connection, so that Read and Write wait for it.
//
// The file appears complete and synced, with the mode of the database file (in memory, [Options.FileMode]), or not at all:
// until then it has a temporary name in the same directory, which a failure or the end of ctx takes away again.
// progress, which may be nil, is called after each megabyte with the pages that are copied and all that there are,
// on the goroutine of Backup. It must not use the DB, which it could wait for in vain.
//
// The error names path. Backup overwrites nothing: it returns fs.ErrExist if there is something at path,
// even a link that leads nowhere, or the -wal or -journal file of a database that was there;
// and fs.ErrInvalid for a name that is the database's own.
// When ctx ends it returns the error of ctx within milliseconds, and [pool.ErrClosed] if Close interrupts it.
// Other errors are those of Read, also inside Read, Write or Batch, SQLite's, and the file system's, as of a full disk.
func (db *DB) Backup(ctx context.Context, path string, progress func(done, total int)) error {
	return db.BackupWith(ctx, path, BackupOptions{Progress: progress})
}

// BackupOptions say how [DB.BackupWith] makes a copy. The zero value is right for most.
type BackupOptions struct {
	// Progress is called after each megabyte with the pages that are copied and all that there are, as Backup says. nil: nothing is called.
	Progress func(done, total int)

	// Verify reads the whole copy before it appears, with PRAGMA integrity_check: what it finds is an error, ResultCorrupt to ErrCode,
	// and there is no copy. It takes about as long as the copy does, or longer if there are many indexes, and holds no reader.
	Verify bool

	// ReadOnlyMedia makes a copy that opens where nothing can be written beside it, as on a disk that is mounted read-only:
	// its journal mode is DELETE. Otherwise it is WAL, as that of the database, whose index SQLite has to make. Open makes it WAL again.
	ReadOnlyMedia bool
}

// BackupWith is [DB.Backup], with options.
func (db *DB) BackupWith(ctx context.Context, path string, options BackupOptions) error {
	if err := db.backup(ctx, path, options); err != nil {
		return fmt.Errorf("headpond/sqlite %q: backup to %s: %w", db.database.name(), path, err)
	}
	return nil
}

func (db *DB) backup(ctx context.Context, path string, options BackupOptions) (err error) {
	if err := validPath(path); err != nil {
		return err
	}
	if path, err = withoutLinks(path); err != nil {
		return err
	}
	if err := db.mayBackupTo(path); err != nil {
		return err
	}
	mode := db.mode()
	name, remove, err := temporary(ctx, path, mode|0o600) // SQLite opens it to write it, whatever becomes of it
	if err != nil {
		return err
	}
	defer remove()
	if err := db.copyTo(ctx, name, options.Progress); err != nil {
		return err
	}
	if options.ReadOnlyMedia {
		if err := useNoWAL(name); err != nil {
			return err
		}
	}
	if options.Verify {
		if err := db.verifyCopy(ctx, name); err != nil {
			return err
		}
	}
	if err := syncFile(ctx, name, mode); err != nil {
		return err
	}
	if err := publish(name, path); err != nil {
		return err
	}
	if err := syncDirectory(filepath.Dir(path)); err != nil {
		return errors.Join(err, os.Remove(path)) // the name may not last
	}
	return nil
}

// mayBackupTo returns why there can't be a new database at path, whose directory is withoutLinks.
func (db *DB) mayBackupTo(path string) error {
	if !db.database.memory && belongsTo(db.database.resolved(), path) {
		return fmt.Errorf("the name belongs to the database itself: %w", fs.ErrInvalid)
	}
	for _, suffix := range append([]string{""}, logSuffixes...) {
		switch _, err := os.Lstat(path + suffix); {
		case err == nil:
			return fmt.Errorf("%s: %w", filepath.Base(path)+suffix, fs.ErrExist)
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	return nil
}

// belongsTo reports whether path is a name of the database file at own, or of one that SQLite makes beside it.
// The file system says whether two names are one: most of Windows and of macOS do not look at case.
func belongsTo(own, path string) bool {
	mine, err := os.Stat(own)
	return slices.ContainsFunc(suffixes, func(suffix string) bool {
		if path == own+suffix {
			return true
		}
		end := max(0, len(path)-len(suffix))
		if !strings.EqualFold(path[end:], suffix) {
			return false
		}
		file, fileErr := os.Stat(path[:end])
		return err == nil && fileErr == nil && os.SameFile(mine, file)
	})
}

// useNoWAL makes the journal mode of the database in the file DELETE: it is in two bytes of its header, of which SQLite reads the first
// to know what may write the file, and the second what may read it: https://www.sqlite.org/fileformat2.html#file_format_version_numbers.
// No connection has the file open.
func useNoWAL(name string) error {
	file, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteAt([]byte{1, 1}, 18)
	return errors.Join(err, file.Close())
}

// verifyCopy checks the copy as a reader, with what Options.Setup registers: an index may need its collation.
func (db *DB) verifyCopy(ctx context.Context, name string) error {
	file, err := os.Stat(name)
	if err != nil {
		return err
	}
	c, err := db.database.connect(ctx, name, Reader, file)
	var ofDatabase *OpenError // whose text names the database
	if errors.As(err, &ofDatabase) {
		err = fmt.Errorf("check the copy: %s: %w", ofDatabase.Step, ofDatabase.Err)
	}
	if err != nil {
		return err
	}
	c.watch(ctx)
	found, _, err := c.query(ctx, "PRAGMA main.integrity_check(1)")
	err = asContextError(ctx, err)
	if err == nil && found != "ok" {
		err = fmt.Errorf("integrity_check of the copy: %s: %w", found, sqlite.ResultCorrupt.ToError())
	}
	return errors.Join(err, c.close(ctx))
}

// mode is that of the database file.
func (db *DB) mode() fs.FileMode {
	if !db.database.memory {
		if file, err := os.Stat(db.database.path); err == nil {
			return file.Mode().Perm()
		}
	}
	return db.database.options.FileMode
}

// copyTo copies one snapshot to the empty file of that name.
func (db *DB) copyTo(ctx context.Context, name string, progress func(done, total int)) error {
	return db.Read(ctx, func(ctx context.Context, conn *Conn) (err error) {
		db.checkpointer.backups.Add(1)
		defer db.checkpointer.backups.Add(-1)
		c, ok := connectionOf(conn)
		if !ok {
			return errClosed
		}
		// The snapshot begins, and the backup finds it open.
		if _, _, err := c.query(ctx, "SELECT 1 FROM sqlite_schema LIMIT 1"); err != nil {
			return err
		}
		defer func() {
			if err != nil { // it has begun to read the database: what it can't write from here on is the copy
				err = errorElsewhere{err}
			}
		}()
		copied, err := raw.Open(name, sqlite.OpenReadWrite)
		if err != nil {
			return db.database.explainOpen(ctx, name, Writer, err)
		}
		defer func() { err = errors.Join(err, raw.Close(copied)) }()
		// The file is not in use until it is complete, and synced as a whole.
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
		return c.copyTo(copied, progress)
	})
}

// backupBytes is how much is copied between two looks at ctx: about a millisecond's.
const backupBytes = 1 << 20

// copyTo copies the snapshot of s. It ends as a statement does if s is interrupted.
func (c *connection) copyTo(copied *Conn, progress func(done, total int)) error {
	backup, err := sqlite.NewBackup(copied, "main", c.conn, "main")
	if err != nil {
		return err
	}
	defer backup.Close()
	pages := max(1, int(backupBytes/c.pageSize()))
	for more := true; more; {
		if c.interrupted() {
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
