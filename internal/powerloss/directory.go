package powerloss

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// directory is what names a directory has, to those who look and on the disk.
type directory struct {
	names   map[string]*file
	durable map[string]*file
	pending []naming
	changes int
}

// naming is a change of names that may be on the disk or not.
type naming struct {
	number  int
	at      int // when
	removed string
	added   string
	file    *file // what is added
}

func newDirectory() *directory {
	return &directory{names: map[string]*file{}, durable: map[string]*file{}}
}

func (d *directory) change(n naming) {
	d.changes++
	n.number = d.changes
	n.apply(d.names)
	d.pending = append(d.pending, n)
}

func (n naming) apply(names map[string]*file) {
	if n.removed != "" {
		delete(names, n.removed)
	}
	if n.added != "" {
		names[n.added] = n.file
	}
}

// sync makes the changes up to that number last.
func (d *directory) sync(upTo int) {
	n := 0
	for n < len(d.pending) && d.pending[n].number <= upTo {
		d.pending[n].apply(d.durable)
		n++
	}
	d.pending = slices.Clone(d.pending[n:])
}

// NameLoss is what becomes of the names in a directory that no sync of it covered.
type NameLoss uint8

const (
	NoNames          NameLoss = iota // all changes are lost
	AllNames                         // none is
	PrefixOfNames                    // those that came first are there
	SomeNames                        // any of them are
	NamesOfTheSynced                 // those of files that were synced since are, and no others
)

// lose returns the names that may be left, and the changes that are lost.
func (d *directory) lose(loss NameLoss, random *rand.Rand) (left map[string]*file, lost []naming) {
	left = maps.Clone(d.durable)
	first := random.IntN(len(d.pending) + 1)
	for i, n := range d.pending {
		var there bool
		switch loss {
		case AllNames:
			there = true
		case PrefixOfNames:
			there = i < first
		case SomeNames:
			there = random.IntN(2) == 0
		case NamesOfTheSynced:
			there = n.file != nil && n.file.synced > n.at
		}
		if there {
			n.apply(left)
		} else {
			lost = append(lost, n)
		}
	}
	return left, lost
}
