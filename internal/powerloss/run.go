package powerloss

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

func newRandom(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 13)) }

// Trial loses power again and again in a recording.
type Trial struct {
	Recording *Recording
	Seed      uint64
	States    int    // how many different ones to judge
	Full      bool   // what was acknowledged must be there
	Scratch   string // an empty directory, best in memory
	Keep      string // if it is set, a directory that gets what is left of the first state that fails, a list of what was lost, and the recording

	// Change may change an event that is about to happen to the disk, or leave it out if it returns false,
	// as if the process had done something else: to see that it is noticed.
	Change func(disk *Disk, event *Event) bool
}

// Report is what trials found.
type Report struct {
	States   int            // that differ in their files
	Judged   int            // with what had been said by then
	Failures int            // of those
	Kinds    map[string]int // of what is wrong with them, by the first word
	Falsely  int            // failures after a sync of the log that succeeded, though pages of it were lost in one before
	First    string         // what is wrong with the first one, and where it is kept
}

// Run judges states until it has as many as it was asked for, and adds to the report.
// The states are a function of the recording and the seed.
func (t Trial) Run(ctx context.Context, report *Report) error {
	if report.Kinds == nil {
		report.Kinds = map[string]int{}
	}
	seen := map[[32]byte]map[int]bool{}
	sum := 0.0
	for _, weight := range t.Recording.Weights {
		sum += weight
	}
	const passes = 8
	rate := float64(t.States) / sum / passes * 1.3
	for pass := uint64(0); len(seen) < t.States; pass++ {
		if pass > 20*passes {
			return fmt.Errorf("there are only %d different states in a recording of %d events", len(seen), len(t.Recording.Events))
		}
		if err := t.pass(ctx, t.Seed+pass*1_000_003, rate, seen, report); err != nil {
			return err
		}
	}
	report.States += len(seen)
	return nil
}

// pass is one over the whole recording: if syncs fail, each has its own pages that were lost.
func (t Trial) pass(ctx context.Context, seed uint64, rate float64, seen map[[32]byte]map[int]bool, report *Report) error {
	random := newRandom(seed)
	disk := NewDisk(t.Recording.Workload.Root, t.Recording.Workload.Said, newRandom(seed+1), backups)
	for at, event := range t.Recording.Events {
		if t.Change != nil && !t.Change(disk, &event) {
			continue
		}
		if err := disk.Apply(event); err != nil {
			return err
		}
		for chance := rate * t.Recording.Weights[at]; random.Float64() < chance; chance-- {
			if len(seen) >= t.States {
				return nil
			}
			state := disk.Lose(random)
			hash := state.Hash()
			said := disk.Ledger.Version()
			if seen[hash][said] {
				continue
			}
			if seen[hash] == nil {
				seen[hash] = map[int]bool{}
			}
			seen[hash][said] = true
			report.Judged++
			if err := t.judge(ctx, state, disk, seed, at, report); err != nil {
				return err
			}
		}
	}
	return nil
}

// judge looks at one state, and keeps it if it fails.
func (t Trial) judge(ctx context.Context, state State, disk *Disk, seed uint64, at int, report *Report) error {
	if err := empty(t.Scratch); err != nil {
		return err
	}
	if err := state.Make(t.Scratch, backups); err != nil {
		return err
	}
	verdict, err := Judge(ctx, t.Scratch, t.Recording.Workload, &disk.Ledger, t.Full, t.Recording.Order)
	if err != nil || len(verdict) == 0 {
		return err
	}
	report.Failures++
	kinds := map[string]bool{}
	for _, problem := range verdict {
		kind, _, _ := strings.Cut(problem, ":")
		kinds[kind] = true
	}
	for kind := range kinds {
		report.Kinds[kind]++
	}
	if disk.falsely > 0 {
		report.Falsely++
	}
	if report.First != "" {
		return nil
	}
	report.First = fmt.Sprintf("seed %d, after event %d", seed, at)
	if t.Keep != "" {
		report.First += ", kept in " + t.Keep
	}
	for i, problem := range verdict {
		if i == 10 {
			report.First += fmt.Sprintf("\n\tand %d more", len(verdict)-i)
			break
		}
		report.First += "\n\t" + problem
	}
	if t.Keep == "" {
		return nil
	}
	return t.keep(state, report.First, at)
}

// keep has the state, the list of what was lost, what is wrong, what had happened, and the recording.
func (t Trial) keep(state State, problem string, at int) error {
	left := filepath.Join(t.Keep, "left")
	if err := os.MkdirAll(left, 0o700); err != nil {
		return err
	}
	if err := state.Make(left, backups); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(t.Keep, "lost.txt"), []byte(problem+"\n\nlost:\n"+state.Lost()), 0o600); err != nil {
		return err
	}
	events, err := os.Create(filepath.Join(t.Keep, "events.txt"))
	if err != nil {
		return err
	}
	if err := errors.Join(t.Recording.Describe(events, at), events.Close()); err != nil {
		return err
	}
	return t.Recording.Save(filepath.Join(t.Keep, "recording"))
}
