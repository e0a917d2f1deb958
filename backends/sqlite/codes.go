package sqlite

import "zombiezen.com/go/sqlite"

// This file has the names of zombiezen's sqlite package that its callers need beside this one,
// so that a program imports one package named sqlite.

// ResultCode is a result code of SQLite: zombiezen's own type. See https://www.sqlite.org/rescode.html.
type ResultCode = sqlite.ResultCode

// ErrCode returns the result code of an error that this package or zombiezen's returned, whatever wraps it:
// [ResultOK] of nil, [ResultError] of an error without one. It is the extended code;
// [ResultCode.ToPrimary] makes the primary one of it, to compare with those that are primary.
func ErrCode(err error) ResultCode { return sqlite.ErrCode(err) }

// Primary result codes.
const (
	ResultOK         = sqlite.ResultOK
	ResultError      = sqlite.ResultError
	ResultInternal   = sqlite.ResultInternal
	ResultPerm       = sqlite.ResultPerm
	ResultAbort      = sqlite.ResultAbort
	ResultBusy       = sqlite.ResultBusy
	ResultLocked     = sqlite.ResultLocked
	ResultNoMem      = sqlite.ResultNoMem
	ResultReadOnly   = sqlite.ResultReadOnly
	ResultInterrupt  = sqlite.ResultInterrupt
	ResultIOErr      = sqlite.ResultIOErr
	ResultCorrupt    = sqlite.ResultCorrupt
	ResultNotFound   = sqlite.ResultNotFound
	ResultFull       = sqlite.ResultFull
	ResultCantOpen   = sqlite.ResultCantOpen
	ResultProtocol   = sqlite.ResultProtocol
	ResultEmpty      = sqlite.ResultEmpty
	ResultSchema     = sqlite.ResultSchema
	ResultTooBig     = sqlite.ResultTooBig
	ResultConstraint = sqlite.ResultConstraint
	ResultMismatch   = sqlite.ResultMismatch
	ResultMisuse     = sqlite.ResultMisuse
	ResultNoLFS      = sqlite.ResultNoLFS
	ResultAuth       = sqlite.ResultAuth
	ResultFormat     = sqlite.ResultFormat
	ResultRange      = sqlite.ResultRange
	ResultNotADB     = sqlite.ResultNotADB
	ResultNotice     = sqlite.ResultNotice
	ResultWarning    = sqlite.ResultWarning
	ResultRow        = sqlite.ResultRow
	ResultDone       = sqlite.ResultDone
)

// Extended result codes.
const (
	ResultErrorMissingCollSeq    = sqlite.ResultErrorMissingCollSeq
	ResultErrorRetry             = sqlite.ResultErrorRetry
	ResultErrorSnapshot          = sqlite.ResultErrorSnapshot
	ResultIOErrRead              = sqlite.ResultIOErrRead
	ResultIOErrShortRead         = sqlite.ResultIOErrShortRead
	ResultIOErrWrite             = sqlite.ResultIOErrWrite
	ResultIOErrFsync             = sqlite.ResultIOErrFsync
	ResultIOErrDirFsync          = sqlite.ResultIOErrDirFsync
	ResultIOErrTruncate          = sqlite.ResultIOErrTruncate
	ResultIOErrFstat             = sqlite.ResultIOErrFstat
	ResultIOErrUnlock            = sqlite.ResultIOErrUnlock
	ResultIOErrReadLock          = sqlite.ResultIOErrReadLock
	ResultIOErrDelete            = sqlite.ResultIOErrDelete
	ResultIOErrBlocked           = sqlite.ResultIOErrBlocked
	ResultIOErrNoMem             = sqlite.ResultIOErrNoMem
	ResultIOErrAccess            = sqlite.ResultIOErrAccess
	ResultIOErrCheckReservedLock = sqlite.ResultIOErrCheckReservedLock
	ResultIOErrLock              = sqlite.ResultIOErrLock
	ResultIOErrClose             = sqlite.ResultIOErrClose
	ResultIOErrDirClose          = sqlite.ResultIOErrDirClose
	ResultIOErrSHMOpen           = sqlite.ResultIOErrSHMOpen
	ResultIOErrSHMSize           = sqlite.ResultIOErrSHMSize
	ResultIOErrSHMLock           = sqlite.ResultIOErrSHMLock
	ResultIOErrSHMMap            = sqlite.ResultIOErrSHMMap
	ResultIOErrSeek              = sqlite.ResultIOErrSeek
	ResultIOErrDeleteNoEnt       = sqlite.ResultIOErrDeleteNoEnt
	ResultIOErrMMap              = sqlite.ResultIOErrMMap
	ResultIOErrGetTempPath       = sqlite.ResultIOErrGetTempPath
	ResultIOErrConvPath          = sqlite.ResultIOErrConvPath
	ResultIOErrVNode             = sqlite.ResultIOErrVNode
	ResultIOErrAuth              = sqlite.ResultIOErrAuth
	ResultIOErrBeginAtomic       = sqlite.ResultIOErrBeginAtomic
	ResultIOErrCommitAtomic      = sqlite.ResultIOErrCommitAtomic
	ResultIOErrRollbackAtomic    = sqlite.ResultIOErrRollbackAtomic
	ResultLockedSharedCache      = sqlite.ResultLockedSharedCache
	ResultBusyRecovery           = sqlite.ResultBusyRecovery
	ResultBusySnapshot           = sqlite.ResultBusySnapshot
	ResultCantOpenNoTempDir      = sqlite.ResultCantOpenNoTempDir
	ResultCantOpenIsDir          = sqlite.ResultCantOpenIsDir
	ResultCantOpenFullPath       = sqlite.ResultCantOpenFullPath
	ResultCantOpenConvPath       = sqlite.ResultCantOpenConvPath
	ResultCorruptVTab            = sqlite.ResultCorruptVTab
	ResultReadOnlyRecovery       = sqlite.ResultReadOnlyRecovery
	ResultReadOnlyCantLock       = sqlite.ResultReadOnlyCantLock
	ResultReadOnlyRollback       = sqlite.ResultReadOnlyRollback
	ResultReadOnlyDBMoved        = sqlite.ResultReadOnlyDBMoved
	ResultReadOnlyCantInit       = sqlite.ResultReadOnlyCantInit
	ResultReadOnlyDirectory      = sqlite.ResultReadOnlyDirectory
	ResultAbortRollback          = sqlite.ResultAbortRollback
	ResultConstraintCheck        = sqlite.ResultConstraintCheck
	ResultConstraintCommitHook   = sqlite.ResultConstraintCommitHook
	ResultConstraintForeignKey   = sqlite.ResultConstraintForeignKey
	ResultConstraintFunction     = sqlite.ResultConstraintFunction
	ResultConstraintNotNull      = sqlite.ResultConstraintNotNull
	ResultConstraintPrimaryKey   = sqlite.ResultConstraintPrimaryKey
	ResultConstraintTrigger      = sqlite.ResultConstraintTrigger
	ResultConstraintUnique       = sqlite.ResultConstraintUnique
	ResultConstraintVTab         = sqlite.ResultConstraintVTab
	ResultConstraintRowID        = sqlite.ResultConstraintRowID
	ResultNoticeRecoverWAL       = sqlite.ResultNoticeRecoverWAL
	ResultNoticeRecoverRollback  = sqlite.ResultNoticeRecoverRollback
	ResultWarningAutoIndex       = sqlite.ResultWarningAutoIndex
	ResultAuthUser               = sqlite.ResultAuthUser
)

// ColumnType is the type of a value in a row: zombiezen's own type. Stmt.ColumnType returns it.
type ColumnType = sqlite.ColumnType

// Types of values.
const (
	TypeInteger = sqlite.TypeInteger
	TypeFloat   = sqlite.TypeFloat
	TypeText    = sqlite.TypeText
	TypeBlob    = sqlite.TypeBlob
	TypeNull    = sqlite.TypeNull
)
