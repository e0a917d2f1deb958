package raw

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
)

// Command is a statement that begins or ends a transaction, or a part of one. A connection has prepared all of them for good.
type Command uint8

// The commands.
const (
	Begin Command = iota
	BeginImmediate
	Commit
	Rollback
	Savepoint
	Release
	RollbackTo
	SavepointInside // of another name, as is what releases it: the savepoint around it is found whether this one was released or not
	ReleaseInside
	schemaVersion // for SchemaMoved: it returns a row
	commands
)

// SavepointName is the name of our savepoint, another one in every process: a savepoint or RELEASE of a borrower's can't hit it.
var SavepointName = fmt.Sprintf(`"headpond unit of work %016x"`, rand.Uint64())

// insideName is that of the savepoint that is set inside one of SavepointName.
var insideName = strings.Replace(SavepointName, "unit", "part", 1)

var commandTexts = [commands]string{
	"BEGIN", "BEGIN IMMEDIATE", "COMMIT", "ROLLBACK",
	"SAVEPOINT " + SavepointName, "RELEASE " + SavepointName, "ROLLBACK TO " + SavepointName,
	"SAVEPOINT " + insideName, "RELEASE " + insideName,
	"PRAGMA schema_version",
}

// Run runs a command to its end. It runs on a connection that is interrupted, too.
func (h *Handle) Run(which Command) error {
	code := lib.Xsqlite3_step(h.tls, h.commands[which])
	if code == lib.SQLITE_DONE {
		return nil // the next step resets it; it holds nothing until then
	}
	err := fmt.Errorf("%s: %w", commandTexts[which], h.error(code))
	lib.Xsqlite3_reset(h.tls, h.commands[which])
	return err
}

// WithCommands calls do with the commands of a connection without Install, which has none.
func (h *Handle) WithCommands(do func() error) error {
	defer h.finalizeCommands(h.tls)
	if err := h.prepareCommands(); err != nil {
		return err
	}
	return do()
}

func (h *Handle) prepareCommands() error {
	h.finalizeCommands(h.tls) // that of Attach
	for i := range h.commands {
		stmt, err := h.prepare(commandTexts[i])
		if err != nil {
			return err
		}
		h.commands[i] = stmt
	}
	return nil
}

func (h *Handle) finalizeCommands(tls *libc.TLS) {
	for i, stmt := range h.commands {
		lib.Xsqlite3_finalize(tls, stmt)
		h.commands[i] = 0
	}
}

func (h *Handle) prepare(sql string) (stmt uintptr, err error) {
	text, err := libc.CString(sql)
	if err != nil {
		return 0, err
	}
	defer libc.Xfree(h.tls, text)
	size := int(unsafe.Sizeof(stmt))
	out := h.tls.Alloc(size)
	defer h.tls.Free(size)
	if code := lib.Xsqlite3_prepare_v3(h.tls, h.db, text, -1, lib.SQLITE_PREPARE_PERSISTENT, out, 0); code != lib.SQLITE_OK {
		return 0, fmt.Errorf("prepare %s: %w", sql, h.error(code))
	}
	return *(*uintptr)(pointer(out)), nil
}
