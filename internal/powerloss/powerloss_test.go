package powerloss

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	states = flag.Int("powerloss.states", few, "how many different states to judge for each kind of workload")
	seed   = flag.Uint64("powerloss.seed", 1, "what the states are drawn with")
	replay = flag.String("powerloss.replay", "", "a recording that was kept: judge it again")
)

func TestMain(m *testing.M) {
	if does, err := RunChild(context.Background()); does {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// scratch is a directory in memory, if there is one.
func scratch(t *testing.T) string {
	if directory, err := os.MkdirTemp("/dev/shm", "powerloss-"); err == nil {
		t.Cleanup(func() { assert.NoError(t, os.RemoveAll(directory)) })
		return directory
	}
	return t.TempDir()
}

// keep is a directory for what fails, which is there after the test.
func keep(t *testing.T) string {
	directory, err := os.MkdirTemp("", strings.NewReplacer("/", "-", " ", "-", ",", "").Replace(t.Name())+"-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.Remove(directory) }) // if it is empty
	return directory
}

// lose loses power in that many recordings of a crew, until it has judged as many states as it should.
func lose(t *testing.T, c crew, rounds int, trial Trial) Report {
	t.Helper()
	began := time.Now()
	var report Report
	syncs, failed, told := 0, 0, [3]int{}
	trial.Scratch, trial.States = scratch(t), (trial.States+rounds-1)/rounds
	for round := range rounds {
		trial.Recording, trial.Seed = c.record(t, round), *seed+uint64(round)
		require.NoError(t, trial.Run(t.Context(), &report))
		ledger := trial.Recording.Ledger
		told[0], told[1], told[2] = told[0]+len(ledger.Acknowledged), told[1]+len(ledger.Failed), told[2]+len(ledger.Unknown)
		for _, event := range trial.Recording.Events {
			if event.Op == SyncEnded {
				syncs++
				if event.Failed {
					failed++
				}
			}
		}
	}
	t.Logf("%d states of %d recordings with %d syncs, %d of which failed, and calls of which %d were acknowledged, %d failed, and %d are unknown: %d failures %v, %d of them after a sync of the log that was wrong to succeed, %.0f s",
		report.States, rounds, syncs, failed, told[0], told[1], told[2], report.Failures, report.Kinds, report.Falsely, time.Since(began).Seconds())
	if c.Faulty {
		require.NotZero(t, failed)
	}
	return report
}

func TestPowerLoss(t *testing.T) {
	for name, c := range kinds {
		t.Run(name, func(t *testing.T) {
			report := lose(t, c, min(10, max(2, *states/200)), Trial{Full: c.Full, States: *states, Keep: keep(t)})
			assert.Zero(t, report.Failures, report.First)
		})
	}
}

// TestPowerLossOfANewFile loses power while databases are made, and opened by processes that are killed at once.
func TestPowerLossOfANewFile(t *testing.T) {
	for name, c := range map[string]crew{"full": full, "normal": normal} {
		t.Run(name, func(t *testing.T) {
			report := lose(t, c.young(), 4, Trial{Full: c.Full, States: min(*states, 400), Keep: keep(t)})
			assert.Zero(t, report.Failures, report.First)
		})
	}
}

// TestPowerLossOfANameThatNeverLasted loses power when a database is opened that a process has made that synced no directory.
func TestPowerLossOfANameThatNeverLasted(t *testing.T) {
	made := Workload{Full: true, Goroutines: 8, From: 1, To: 2, Opens: 1, Kill: true}
	used := Workload{Full: true, Goroutines: 8, From: 10, To: 13, Opens: 1, Bare: true}
	recording := take(t, []Workload{made, used}, false)
	opened := 0
	for i, event := range recording.Events {
		if event.Op == Said && string(event.Data) == "opened\n" {
			opened++
		}
		if opened < 2 { // not while it is made, or opened
			recording.Weights[i] = 0
		}
	}
	trial := Trial{
		Recording: recording, Seed: *seed, States: min(*states, 400), Full: true, Scratch: scratch(t), Keep: keep(t),
		Change: func(disk *Disk, event *Event) bool {
			return disk.Exits() > 0 || event.Op != SyncBegan || !disk.IsDirectory(event.FD)
		},
	}
	var report Report
	require.NoError(t, trial.Run(t.Context(), &report))
	assert.Zero(t, report.Failures, report.First)
}

// TestPowerLossOfAPeer is the control: sqlitex.Pool, which leaves all to SQLite.
// If syncs fail, SQLite by itself is not without faults, which are counted: what failed is there until the next commit overwrites it,
// so also for the process that finds it after a kill; and where a commit does not wait for the disk, the checkpoint after a failed sync
// of the log is wrong to succeed, since Linux takes the pages for clean.
func TestPowerLossOfAPeer(t *testing.T) {
	for name, c := range kinds {
		t.Run(name, func(t *testing.T) {
			trial := Trial{Full: c.Full, States: *states}
			if !c.Faulty {
				trial.Keep = keep(t)
			} else if *states <= 100 {
				t.Skip("it is only counted, in a long run")
			}
			report := lose(t, c.peer(), min(10, max(1, *states/200)), trial)
			assert.True(t, report.Failures == 0 || c.Faulty, report.First)
		})
	}
}

// What the simulation must see: each of these is as if something had been left out.
func TestPowerLossIsSeen(t *testing.T) {
	for name, test := range map[string]struct {
		crew
		judgedFull bool
		change     func(disk *Disk, event *Event) bool
	}{
		"without the sync of the directory": {full, true, func(disk *Disk, event *Event) bool {
			return event.Op != SyncBegan || !disk.IsDirectory(event.FD)
		}},
		"without the sync of the file": {full, true, func(disk *Disk, event *Event) bool {
			return event.Op != SyncBegan || disk.IsDirectory(event.FD)
		}},
		"failed syncs that are taken for sound": {full, true, func(disk *Disk, event *Event) bool {
			event.Failed = event.Failed || event.Op == SyncEnded && event.Call%10 == 0
			return true
		}},
		"normal, judged as full": {normal, true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var report Report
			for recordings := 1; report.Failures < 10 && recordings <= 8; recordings *= 2 { // how many one of them shows is chance
				report = lose(t, test.crew, recordings, Trial{Full: test.judgedFull, States: 100 * recordings, Change: test.change})
			}
			assert.GreaterOrEqual(t, report.Failures, 10)
			t.Log(report.First)
		})
	}
}

// TestReplay judges a recording that was kept.
func TestReplay(t *testing.T) {
	if *replay == "" {
		t.Skip("-powerloss.replay names none")
	}
	recording, err := Load(*replay)
	require.NoError(t, err)
	var report Report
	trial := Trial{Recording: recording, Seed: *seed, States: *states, Full: recording.Workload.Full, Scratch: scratch(t), Keep: filepath.Join(t.TempDir(), "kept")}
	require.NoError(t, trial.Run(t.Context(), &report))
	t.Logf("%d states: %d failures %v", report.States, report.Failures, report.Kinds)
	assert.Zero(t, report.Failures, report.First)
}
