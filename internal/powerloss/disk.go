package powerloss

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// Disk is a model of the directories below a root, in the page cache and on the disk, and of what was said.
type Disk struct {
	// Ledger is what the processes have said so far.
	Ledger Ledger

	root   string
	said   string // the path of the file that takes what is said
	random *rand.Rand

	clock       int
	exits       int
	files       int
	directories map[string]*directory // by path
	open        map[int]*handle       // of the present process
	syncs       map[int]syncing       // that have begun, by call
	lossRate    int                   // of 8 pages whose sync fails, how many are lost
	failed      []string              // the syncs that did, by path
	failedAt    int                   // when the last one did
	falsely     int                   // how many syncs of a log succeeded, though a page of it was lost in one before
}

// handle is an open descriptor; of these three one is set.
type handle struct {
	file      *file
	directory *directory
	said      bool
	path      string
}

type syncing struct {
	handle *handle
	upTo   int
	began  int
}

// NewDisk returns a disk with the directories root and those below it that are named, which last.
// random decides which pages are lost in a sync that fails.
func NewDisk(root, said string, random *rand.Rand, below ...string) *Disk {
	d := &Disk{
		root: root, said: said, random: random, directories: map[string]*directory{root: newDirectory()},
		open: map[int]*handle{}, syncs: map[int]syncing{}, lossRate: [...]int{8, 8, 8, 4, 1}[random.IntN(5)],
	}
	for _, name := range below {
		d.directories[filepath.Join(root, name)] = newDirectory()
	}
	return d
}

// place is where a path is: its directory, which is nil where it is none of the disk's, and the name in it.
func (d *Disk) place(path string) (*directory, string) {
	return d.directories[filepath.Dir(path)], filepath.Base(path)
}

// volatile are files that nobody syncs, and that are made anew: the shared memory, whose writes are no system calls.
func volatile(path string) bool { return strings.HasSuffix(path, "-shm") }

// Apply replays one event.
func (d *Disk) Apply(e Event) error {
	d.clock++
	if err := d.apply(e); err != nil {
		return fmt.Errorf("line %d of the trace: %w", e.Line, err)
	}
	return nil
}

func (d *Disk) apply(e Event) error {
	switch e.Op {
	case Opened:
		return d.opened(e)
	case Closed:
		delete(d.open, e.FD)
	case Exited:
		d.exits++
		clear(d.open)
		clear(d.syncs)
	case Said:
		if h := d.open[e.FD]; h != nil && h.said {
			return d.Ledger.hear(string(e.Data))
		} else if h != nil && h.file != nil {
			return fmt.Errorf("a write to %s at no offset is not modelled", h.path)
		}
	case Wrote:
		if h := d.open[e.FD]; h != nil && h.file != nil {
			h.file.write(e.Offset, e.Data)
		}
	case Truncated:
		if h := d.open[e.FD]; h != nil && h.file != nil {
			h.file.truncate(e.Size)
		}
	case SyncBegan:
		if h := d.open[e.FD]; h != nil {
			began := syncing{handle: h, began: d.clock}
			if h.file != nil {
				began.upTo = h.file.changes
			} else if h.directory != nil {
				began.upTo = h.directory.changes
			}
			d.syncs[e.Call] = began
		}
	case SyncEnded:
		if s, ok := d.syncs[e.Call]; ok {
			delete(d.syncs, e.Call)
			d.synced(s, e)
		}
	case Linked, Renamed:
		return d.renamed(e)
	case Unlinked:
		if at, name := d.place(e.Path); at != nil && at.names[name] != nil {
			at.change(naming{removed: name, at: d.clock})
		}
	}
	return nil
}

func (d *Disk) opened(e Event) error {
	if e.Path == d.said {
		d.open[e.FD] = &handle{said: true, path: e.Path}
		return nil
	}
	if directory := d.directories[e.Path]; directory != nil {
		d.open[e.FD] = &handle{directory: directory, path: e.Path}
		return nil
	}
	at, name := d.place(e.Path)
	if at == nil {
		if strings.HasPrefix(e.Path, d.root+string(filepath.Separator)) {
			return fmt.Errorf("%s is in a directory that is not known", e.Path)
		}
		delete(d.open, e.FD)
		return nil
	}
	f := at.names[name]
	if f == nil && !e.Create {
		return fmt.Errorf("%s was opened, and is not there", e.Path)
	}
	if f == nil {
		d.files++
		f = &file{id: d.files, lost: map[int64]bool{}}
		at.change(naming{added: name, file: f, at: d.clock})
	}
	if e.Empty && len(f.cache) > 0 {
		f.truncate(0)
	}
	d.open[e.FD] = &handle{file: f, path: e.Path}
	return nil
}

// renamed is a name more for a file, or another.
func (d *Disk) renamed(e Event) error {
	from, name := d.place(e.Path)
	to, other := d.place(e.To)
	if from == nil && to == nil {
		return nil
	}
	if from == nil || to == nil || from.names[name] == nil {
		return fmt.Errorf("%s became %s, which is not modelled", e.Path, e.To)
	}
	change := naming{added: other, file: from.names[name], at: d.clock}
	if e.Op == Renamed {
		if from != to {
			return fmt.Errorf("%s moved to another directory, which is not modelled", e.Path)
		}
		change.removed = name
	}
	to.change(change)
	return nil
}

func (d *Disk) synced(s syncing, e Event) {
	if e.Failed {
		d.failedAt = d.clock
	}
	switch h := s.handle; {
	case e.Failed && h.file != nil:
		d.failed = append(d.failed, h.path)
		h.file.failSync(s.upTo, func() bool { return d.random.IntN(8) < d.lossRate })
	case e.Failed: // what the names are is not data: a later sync has them
		d.failed = append(d.failed, h.path)
	case h.file != nil:
		if len(h.file.lost) > 0 && strings.HasSuffix(h.path, "-wal") {
			d.falsely++
		}
		h.file.sync(s.upTo)
		h.file.synced = s.began
	case h.directory != nil:
		h.directory.sync(s.upTo)
	}
}

// IsDirectory reports whether a descriptor is that of a directory.
func (d *Disk) IsDirectory(fd int) bool { return d.open[fd] != nil && d.open[fd].directory != nil }

// Exits is how many processes have ended.
func (d *Disk) Exits() int { return d.exits }

// Resolve decides by what the files are now how much of a call took effect in which the process was killed:
// it returns that, and whether there is any. A write that is killed ends between two pages.
func (d *Disk) Resolve(e Event) (Event, bool) {
	var err error
	switch e.Op {
	case Wrote, Truncated:
		h := d.open[e.FD]
		if h == nil || h.file == nil {
			return e, false
		}
		var now []byte
		if now, err = os.ReadFile(h.path); err != nil {
			return e, false
		}
		if e.Op == Truncated {
			return e, int64(len(now)) == e.Size
		}
		there := 0
		for there < len(e.Data) && e.Offset+int64(there) < int64(len(now)) && now[e.Offset+int64(there)] == e.Data[there] {
			there++
		}
		e.Data = e.Data[:there]
		return e, there > 0
	case Linked, Renamed:
		_, err = os.Lstat(e.To)
		return e, err == nil
	case Unlinked:
		_, err = os.Lstat(e.Path)
		return e, errors.Is(err, fs.ErrNotExist)
	}
	return e, false
}

// Compare returns an error if the directories are not, at this moment, as the model has them.
func (d *Disk) Compare() error {
	for path, directory := range d.directories {
		entries, err := os.ReadDir(path)
		if err != nil {
			return err
		}
		there := map[string]bool{}
		for _, entry := range entries {
			if entry.IsDir() || volatile(entry.Name()) {
				continue
			}
			there[entry.Name()] = true
			f := directory.names[entry.Name()]
			if f == nil {
				return fmt.Errorf("%s is in %s, and not in the model", entry.Name(), path)
			}
			now, err := os.ReadFile(filepath.Join(path, entry.Name()))
			if err != nil {
				return err
			}
			if !bytes.Equal(now, f.cache) {
				at := 0
				for at < min(len(now), len(f.cache)) && now[at] == f.cache[at] {
					at++
				}
				return fmt.Errorf("%s in %s has %d bytes, and in the model %d, which differ at %d", entry.Name(), path, len(now), len(f.cache), at)
			}
		}
		for name := range directory.names {
			if !there[name] && !volatile(name) {
				return fmt.Errorf("%s is in the model, and not in %s", name, path)
			}
		}
	}
	return nil
}
