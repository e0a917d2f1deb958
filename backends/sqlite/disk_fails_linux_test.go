package sqlite

import (
	"bytes"
	"context"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite/sqlitemigration"
)

// failing runs a child in which system calls fail, and judges it.
func failing(t *testing.T, synchronous, way string, rows int, inject ...string) (r *diskRun, failed, unknown int) {
	t.Helper()
	file := path(t)
	worktable(t, file)
	r = &diskRun{file: file, synchronous: synchronous, way: way, rows: rows, inject: inject}
	r.run(t)
	failed, unknown = r.judge(t)
	return r, failed, unknown
}

const syncs = "fsync,fdatasync:error=EIO:when="

// A sync that fails now and then.
func TestDisk_NothingThatFailedIsThere(t *testing.T) {
	needStrace(t)
	for _, synchronous := range []string{"full", "normal"} {
		for _, way := range []string{"write", "batch", "batches", "checkpoint", "backup", "borrow", "pool"} {
			t.Run(synchronous+"/"+way, func(t *testing.T) {
				failures := 0
				injects := [][]string{
					{syncs + "3+4"}, {syncs + "3+5", "pwrite64:error=EIO:when=13+17", "ftruncate:error=EIO:when=2+2"},
				}
				if *long {
					injects = append(injects, []string{syncs + "2"}, []string{syncs + "5..7"},
						[]string{"pwrite64:error=EIO:when=20+13"}, []string{"pwrite64:error=EIO:when=17..21"})
				}
				for _, inject := range injects {
					r, failed, unknown := failing(t, synchronous, way, 40, inject...)
					failures += failed + unknown
					t.Logf("%v: %d failed, %d unknown; %q", inject, failed, unknown, r.other)
				}
				if synchronous == "full" {
					assert.NotZero(t, failures)
				}
			})
		}
	}
}

// calls counts the system calls of a name in the trace of a child, up to the first line that has all of the words.
func (r *diskRun) calls(t *testing.T, name string, until ...string) (count int) {
	t.Helper()
	trace, err := os.ReadFile(r.trace)
	require.NoError(t, err)
lines:
	for line := range strings.Lines(string(trace)) {
		if strings.Contains(line, " "+name+"(") {
			count++
		}
		for _, word := range until {
			if !strings.Contains(line, word) {
				continue lines
			}
		}
		return count
	}
	require.Fail(t, "no such line", "%v in %s", until, trace)
	return 0
}

// The process is killed at each write that follows a sync that failed, and before the caller is told of it: what it was not told
// may be there or not; what it was told of is as it was told. The file is opened, written by another process, and opened again.
func TestDisk_KilledAfterASyncThatFailed(t *testing.T) {
	needStrace(t)
	for _, way := range []string{"write", "batch", "checkpoint"} {
		t.Run(way, func(t *testing.T) {
			syncsThatFail := []string{"6"}
			if *long {
				syncsThatFail = []string{"3", "4", "5", "6", "7", "8"}
			}
			for _, sync := range syncsThatFail {
				r, failed, _ := failing(t, "full", way, 12, syncs+sync)
				require.LessOrEqual(t, failed, 1)
				first := r.calls(t, "pwrite64", "EIO") + 1
				for _, kill := range []string{
					"pwrite64:signal=KILL:when=" + strconv.Itoa(first), "pwrite64:signal=KILL:when=" + strconv.Itoa(first+1),
					"pwrite64:signal=KILL:when=" + strconv.Itoa(first+2), "pwrite64:signal=KILL:when=" + strconv.Itoa(first+3),
					"write:signal=KILL:when=" + strconv.Itoa(r.calls(t, "write", "EIO")+1), "write:signal=KILL:when=" + strconv.Itoa(r.calls(t, "write", "EIO")+2),
				} {
					file := path(t)
					worktable(t, file)
					r := &diskRun{file: file, synchronous: "full", way: way, rows: 12, killed: true, inject: []string{syncs + sync, kill}}
					r.run(t)
					assert.Less(t, len(r.told), 12, "it was killed")
					r.judge(t)
					t.Log(kill, r.told)
				}
			}
		})
	}
}

// Every sync and write fails from some moment on, so that nothing can be overwritten. Killed or not, the next open decides.
func TestDisk_NothingCanBeWrittenAnyMore(t *testing.T) {
	needStrace(t)
	for _, synchronous := range []string{"full", "normal"} {
		for _, way := range []string{"write", "batches", "borrow", "pool"} {
			froms := []string{"3"}
			if *long {
				froms = []string{"2", "3", "5"}
			}
			for _, from := range froms {
				sync, write := syncs+from+"+", "pwrite64:error=EIO:when=2"+from+"+"
				for _, inject := range [][]string{{sync}, {write}, {sync, write}} {
					_, failed, unknown := failing(t, synchronous, way, 12, inject...)
					t.Logf("%s %s %v: %d failed, %d unknown", synchronous, way, inject, failed, unknown)
				}
			}
		}
	}
}

// Open fails at each of its system calls, where it makes a database and where it migrates one: it leaves a database with a part
// of the migrations, whole ones, and the next Open makes the rest.
func TestDisk_OpenFailsAtEachCall(t *testing.T) {
	needStrace(t)
	for _, name := range []string{"a new file", "a file to migrate"} {
		t.Run(name, func(t *testing.T) {
			opened, failed := 0, 0
			for _, call := range []string{"fsync,fdatasync", "pwrite64", "ftruncate"} {
				step := 3
				if *long {
					step = 1
				}
				for at := 1; at <= 40; at += step {
					file := path(t)
					if name != "a new file" {
						db, err := Open(t.Context(), file, Options{Schema: &sqlitemigration.Schema{Migrations: diskSchema.Migrations[:1]}})
						require.NoError(t, err)
						require.NoError(t, db.Close(context.Background()))
					}
					r := &diskRun{file: file, synchronous: "full", way: "open", inject: []string{call + ":error=EIO:when=" + strconv.Itoa(at)}}
					r.run(t)
					require.NotEmpty(t, r.other, "%+v", r)
					if strings.HasPrefix(r.other[0], "open "+toldDone) {
						opened++
					} else {
						failed++
					}
					if trace, err := os.ReadFile(r.trace); assert.NoError(t, err) && !bytes.Contains(trace, []byte("INJECTED")) {
						break // it makes no more such calls
					}
					db, err := Open(t.Context(), file, Options{Schema: &diskSchema})
					require.NoError(t, err, "%+v", r)
					require.NoError(t, db.Read(t.Context(), func(_ context.Context, conn *Conn) error {
						assert.Equal(t, "ok", get(t, conn, "PRAGMA integrity_check"))
						assert.Equal(t, "0,1", get(t, conn, "SELECT group_concat(id) FROM work"), "%+v", r)
						return nil
					}))
					require.NoError(t, db.Close(context.Background()))
				}
			}
			t.Logf("%d opened, %d failed", opened, failed)
			assert.NotZero(t, opened)
			assert.NotZero(t, failed)
		})
	}
}
