package powerloss

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Recording is what several processes did one after the other to one directory.
type Recording struct {
	Workload Workload // the last one
	Events   []Event
	Weights  []float64 // how much a loss of power after each is of interest
	Order    []int64   // of the calls that are there at the end, as they were committed
	Ledger   Ledger    // what was said
}

// ErrMismatch is the error of [Take] where the files are not what the trace says.
// That is so now and then after a kill: strace may not tell of a call that was under way.
var ErrMismatch = errors.New("replayed, it is not what the files are")

// Take records workloads one after the other. directory gets the traces, and a directory of the database.
// It replays them at once, and fails if in the end the model is not what the files are.
// With linked, the processes open the database through a symbolic link from elsewhere.
func Take(ctx context.Context, directory string, workloads []Workload, linked bool) (*Recording, error) {
	directory, err := filepath.EvalSymlinks(directory) // as SQLite names it
	if err != nil {
		return nil, err
	}
	root, said := filepath.Join(directory, "root"), filepath.Join(directory, "said")
	if err := os.MkdirAll(filepath.Join(root, backups), 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(root, database)
	if linked {
		link := filepath.Join(directory, "link.db")
		if err := os.Symlink(path, link); err != nil {
			return nil, err
		}
		path = link
	}
	r := &Recording{}
	disk := NewDisk(root, said, newRandom(0), backups)
	for i, w := range workloads {
		w.Root, w.Path, w.Said = root, path, said
		r.Workload = w
		r.Workload.Bare = false // a judge may find no file
		trace := filepath.Join(directory, fmt.Sprintf("trace.%d", i))
		if err := w.Record(ctx, trace); err != nil {
			return nil, err
		}
		if err := r.read(trace, disk); err != nil {
			return nil, err
		}
	}
	r.Ledger = disk.Ledger
	r.Order, err = r.committed(ctx, directory)
	return r, err
}

// read adds the events of a trace, and replays them.
func (r *Recording) read(trace string, disk *Disk) error {
	file, err := os.Open(trace)
	if err != nil {
		return err
	}
	defer file.Close()
	events, err := ParseTrace(file)
	if err != nil {
		return err
	}
	for _, event := range events {
		if event.Maybe {
			there := false
			if event, there = disk.Resolve(event); !there {
				continue
			}
		}
		if err := disk.Apply(event); err != nil {
			return err
		}
		r.Events = append(r.Events, event)
		r.Weights = append(r.Weights, disk.weight(event))
	}
	if err := disk.Compare(); err != nil {
		return fmt.Errorf("%s: %w: %w", trace, ErrMismatch, err)
	}
	return nil
}

// weight is how much a loss of power after the event is of interest: more if few events are of a kind.
func (d *Disk) weight(e Event) float64 {
	names := 0 // that do not last yet
	for _, directory := range d.directories {
		names += len(directory.pending)
	}
	h, weight := d.open[e.FD], 1.0
	switch {
	case e.Op == Closed:
		return 0
	case e.Op == Linked, e.Op == Renamed, e.Op == Unlinked:
		return 4
	case e.Op == Opened && names > 0 && h != nil: // it may be a new one
		return 4
	case e.Op == Opened, h == nil, volatile(h.path):
		return 0
	case e.Op == SyncEnded && h.file != nil && names > 0: // what lasts may have no name
		return 40
	case h.file != nil && !strings.HasSuffix(h.path, "-wal"): // a checkpoint, most likely
		weight = 4
	}
	if d.failedAt > 0 && d.clock-d.failedAt < 60 { // a sync has failed just now
		weight *= 3
	}
	return weight
}

// committed returns the order in which the calls were committed, by a copy of what is there.
func (r *Recording) committed(ctx context.Context, directory string) ([]int64, error) {
	copied, err := os.MkdirTemp(directory, "order")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(copied)
	for _, name := range []string{database, database + "-wal"} {
		content, err := os.ReadFile(filepath.Join(r.Workload.Root, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(copied, name), content, 0o600); err != nil {
			return nil, err
		}
	}
	found, _, err := examine(ctx, filepath.Join(copied, database), r.Workload) // what is wrong with it, states show
	return found, err
}

// Save writes the recording to a file, for [Load].
func (r *Recording) Save(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(gob.NewEncoder(file).Encode(r), file.Close())
}

// Load reads a recording.
func Load(path string) (*Recording, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	r := new(Recording)
	return r, gob.NewDecoder(file).Decode(r)
}
