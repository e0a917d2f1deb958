package powerloss

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hex is a string as strace -xx writes it.
func hex(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		fmt.Fprintf(&b, `\x%02x`, c)
	}
	return `"` + b.String() + `"`
}

func parsed(t *testing.T, lines ...string) []Event {
	t.Helper()
	events, err := ParseTrace(strings.NewReader(strings.Join(lines, "\n") + "\n"))
	require.NoError(t, err)
	require.Equal(t, Exited, events[len(events)-1].Op)
	return events[:len(events)-1]
}

func TestParseTrace(t *testing.T) {
	events := parsed(t,
		`12 open(`+hex("/d/app.db")+`, O_RDWR|O_CREAT|O_CLOEXEC, 0600) = 5`,
		`12 open(`+hex("/d/none")+`, O_RDWR) = -1 ENOENT (No such file or directory)`,
		`12 openat(AT_FDCWD, `+hex("/d")+`, O_RDONLY|O_CLOEXEC) = 6`,
		`12 --- SIGURG {si_signo=SIGURG} ---`,
		`12 pwrite64(5, `+hex("a), b")+`, 5, 4096) = 5`,
		`12 pwrite64(5, `+hex("abc")+`, 3, 0) = 2`,
		`12 pwrite64(5, `+hex("abc")+`, 3, 0) = -1 EIO (Input/output error) (INJECTED)`,
		`12 ftruncate(5, 512)           = 0`,
		`12 write(9, `+hex("ack 1\n")+`, 6) = 6`,
		`12 link(`+hex("/d/a")+`, `+hex("/d/b")+`) = 0`,
		`12 linkat(AT_FDCWD, `+hex("/d/a")+`, AT_FDCWD, `+hex("/d/c")+`, 0) = 0`,
		`12 renameat(AT_FDCWD, `+hex("/d/a")+`, AT_FDCWD, `+hex("/d/e")+`) = 0`,
		`12 unlink(`+hex("/d/b")+`)    = 0`,
		`12 fsync(6)                    = 0`,
		`12 fdatasync(5)                = -1 EIO (Input/output error) (INJECTED)`,
		`12 close(5)                    = 0`,
		`12 +++ exited with 0 +++`,
	)
	for i, want := range []Event{
		{Op: Opened, FD: 5, Path: "/d/app.db", Create: true},
		{Op: Opened, FD: 6, Path: "/d"},
		{Op: Wrote, FD: 5, Data: []byte("a), b"), Offset: 4096},
		{Op: Wrote, FD: 5, Data: []byte("ab")},
		{Op: Truncated, FD: 5, Size: 512},
		{Op: Said, FD: 9, Data: []byte("ack 1\n")},
		{Op: Linked, Path: "/d/a", To: "/d/b"},
		{Op: Linked, Path: "/d/a", To: "/d/c"},
		{Op: Renamed, Path: "/d/a", To: "/d/e"},
		{Op: Unlinked, Path: "/d/b"},
		{Op: SyncBegan, FD: 6},
		{Op: SyncEnded, FD: 6},
		{Op: SyncBegan, FD: 5},
		{Op: SyncEnded, FD: 5, Failed: true},
		{Op: Closed, FD: 5},
	} {
		want.Call, want.Line = events[i].Call, events[i].Line
		assert.Equal(t, want, events[i])
	}
	assert.Len(t, events, 15)
	assert.Equal(t, events[10].Call, events[11].Call)
	assert.NotEqual(t, events[10].Call, events[12].Call)
}

// What two threads do at the same time: a sync counts from its beginning, a write from its end, and what is said from its beginning.
func TestParseTraceOfThreads(t *testing.T) {
	events := parsed(t,
		`1 pwrite64(5, `+hex("w")+`, 1, 0 <unfinished ...>`,
		`2 fsync(5 <unfinished ...>`,
		`3 close(7 <unfinished ...>`,
		`1 <... pwrite64 resumed>)      = 1`,
		`1 write(9, `+hex("ack 1\n")+`, 6 <unfinished ...>`,
		`2 <... fsync resumed>)         = 0`,
		`1 <... write resumed>)         = 6`,
		`3 <... close resumed>)         = 0`,
	)
	var ops []Op
	for _, event := range events {
		ops = append(ops, event.Op)
	}
	assert.Equal(t, []Op{SyncBegan, Closed, Wrote, Said, SyncEnded}, ops)
}

// A process that is killed in a call: whether it took effect the trace does not say.
func TestParseTraceOfAKill(t *testing.T) {
	events := parsed(t,
		`1 pwrite64(5, `+hex("w")+`, 1, 0 <unfinished ...>`,
		`2 unlink(`+hex("/d/b")+` <unfinished ...>) = ?`,
		`3 fsync(5 <unfinished ...>`,
		`4 ftruncate(5, 0)              = ?`,
		`5 pwrite64(5, `+hex("w")+`, 1, 0 <unfinished ...>`,
		`5 <... pwrite64 resumed>)      = 0`,
		`3 <... fsync resumed>)         = ?`,
		`1 +++ killed by SIGKILL +++`,
	)
	var ops []Op
	for _, event := range events {
		ops = append(ops, event.Op)
		assert.Equal(t, event.Op != SyncBegan, event.Maybe)
	}
	assert.ElementsMatch(t, []Op{Unlinked, SyncBegan, Truncated, Wrote, Wrote}, ops)
}

// What it can't replay it does not pass over.
func TestParseTraceOfWhatIsNotKnown(t *testing.T) {
	for _, line := range []string{
		`1 pwritev(5, [{iov_base="\x61", iov_len=1}], 1, 0) = 1`,
		`1 fallocate(5, 0, 0, 4096) = 0`,
		`1 pwrite64(5, "\x61"..., 5000, 0) = 5000`,
		`1 pwrite64(5, "abc", 3, 0) = 3`,
		`1 <... fsync resumed>) = 0`,
		`1 gibberish`,
	} {
		_, err := ParseTrace(strings.NewReader(line + "\n"))
		assert.ErrorContains(t, err, "trace, line 1", line)
	}
}
