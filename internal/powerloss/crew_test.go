package powerloss

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// fault is what fails in each of the processes, as strace counts it.
type fault [3]string

// crew is a workload of three processes, one after the other, of which the first is killed, and the second mostly.
type crew struct {
	Workload
	faults []fault // one in each round
	few    bool
}

var (
	full   = crew{Workload: Workload{Full: true}}
	normal = crew{}

	// Of each thread, every so manieth sync fails, or some in a row, or from one on all; or writes and cuts as well.
	// An Open that makes a file has ten syncs.
	fullFails = crew{Workload: Workload{Full: true, Faulty: true}, faults: []fault{
		{syncs + "23+29", syncs + "13+17", syncs + "7+9"},
		{syncs + "13+17", syncs + "5+7", syncs + "6+5"},
		{syncs + "23+29", syncs + "9..15", syncs + "9..15"},
		{writes + "301+207", syncs + "9+11 " + writes + "101+107", writes + "201+99"},
		{"", syncs + "8+", ""},
		{syncs + "11+13", syncs + "6+4", syncs + "7+4"},
		{"", "", syncs + "8+"},
		{syncs + "23+29 " + cuts + "9+6", cuts + "5+5", syncs + "9..21+2"},
		{"", syncs + "7+ " + writes + "150+", syncs + "5+7"},
	}}
	// If a commit does not wait for the disk there are fewer.
	normalFails = crew{Workload: Workload{Faulty: true}, faults: []fault{
		{syncs + "5+11", syncs + "5+7", syncs + "6+5"},
		{syncs + "9+13", syncs + "5+4", syncs + "6+3"},
		{"", syncs + "7..12", syncs + "7..12"},
		{writes + "301+207", syncs + "5+6 " + writes + "101+107", writes + "201+99"},
		{"", syncs + "7+", ""},
		{syncs + "3+10", syncs + "4+4", syncs + "5+4"},
		{"", "", syncs + "7+"},
		{syncs + "7+12 " + cuts + "9+6", cuts + "5+5", syncs + "5..21+2"},
		{"", syncs + "6+ " + writes + "150+", syncs + "5+6"},
	}}
	kinds = map[string]crew{"full": full, "normal": normal, "full, syncs fail": fullFails, "normal, syncs fail": normalFails}
)

const (
	syncs  = "fsync,fdatasync:error=EIO:when="
	writes = "pwrite64:error=EIO:when="
	cuts   = "ftruncate:error=EIO:when="
)

// young is a crew that does little but make the database and open it: with its first commits, or to be killed before any.
func (c crew) young() crew {
	c.few = true
	return c
}

func (c crew) peer() crew {
	c.Peer = true
	return c
}

// recorded are the first recordings of each crew, which several tests use.
var recorded = map[string]*Recording{}

// record records the crew. Each round differs.
func (c crew) record(t *testing.T, round int) *Recording {
	t.Helper()
	name := fmt.Sprint(c, round)
	if recorded[name] != nil {
		return recorded[name]
	}
	recording := c.recordAnew(t, round)
	if round < 2 {
		recorded[name] = recording
	}
	return recording
}

func (c crew) recordAnew(t *testing.T, round int) *Recording {
	t.Helper()
	c.Goroutines = []int{8, 16, 32}[round%3]
	first, second, third := c.Workload, c.Workload, c.Workload
	first.From, first.To, first.Opens, first.Kill = 1, 120, 1, true
	second.From, second.To, second.Opens, second.Kill = 1000, 1150, 2, round%3 != 2
	third.From, third.To, third.Opens = 2000, 2120, 2
	if round%4 == 1 { // before anything is committed
		first.To = 2
	}
	if c.few {
		first.To = 4 - int64(round%3)
		second.To, second.Opens, second.Kill, second.Bare = 1001, 1, true, true
		third.To, third.Opens, third.Bare = 2003, 1, true
	}
	processes := []Workload{first, second, third}
	for i := range processes {
		if c.Faulty {
			processes[i].Inject = strings.Fields(c.faults[round%len(c.faults)][i])
		}
		if round%4 == 2 { // a file system without hard links
			processes[i].Inject = append(processes[i].Inject, "link,linkat:error=EPERM")
		}
	}
	return take(t, processes, round%5 == 3)
}

func take(t *testing.T, workloads []Workload, linked bool) *Recording {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("strace is a program of Linux")
	}
	if strconv.IntSize < 64 {
		t.Skip("the system calls of a program of 32 bits have other names")
	}
	recording, err := Take(t.Context(), t.TempDir(), workloads, linked)
	if errors.Is(err, ErrMismatch) {
		t.Logf("recorded once more: %v", err)
		recording, err = Take(t.Context(), t.TempDir(), workloads, linked)
	}
	if errors.Is(err, ErrNoTrace) {
		t.Skip(err)
	}
	require.NoError(t, err)
	return recording
}
