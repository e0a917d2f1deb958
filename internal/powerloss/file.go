package powerloss

import (
	"iter"
	"math/rand/v2"
	"slices"
)

const (
	sectorSize = 512  // what a disk writes whole or not at all
	pageSize   = 4096 // what the page cache has, clean or dirty
)

// file is what one inode has, in the page cache and on the disk.
type file struct {
	id      int
	cache   []byte // what reads see
	durable []byte // what the disk has for certain
	pending []change
	changes int // made so far
	synced  int // when its last sync that succeeded began; 0: there was none

	// lost are the pages that a sync failed to write: clean to the page cache, and stale on the disk.
	lost map[int64]bool
}

// change is a write, or a cut to a size, that may be on the disk or not.
type change struct {
	number int
	cut    bool // to offset
	offset int64
	data   []byte
	size   int64 // of the file after it
}

func (c change) end() int64 { return c.offset + int64(len(c.data)) }

// write changes the page cache. A page that was lost becomes dirty as a whole.
func (f *file) write(offset int64, data []byte) {
	f.grow(offset + int64(len(data)))
	copy(f.cache[offset:], data)
	first, last := offset, offset+int64(len(data))
	for page := first / pageSize; page*pageSize < last; page++ {
		if f.lost[page] {
			delete(f.lost, page)
			first, last = min(first, page*pageSize), max(last, min((page+1)*pageSize, int64(len(f.cache))))
		}
	}
	f.change(change{offset: first, data: slices.Clone(f.cache[first:last])})
}

func (f *file) grow(size int64) {
	if more := size - int64(len(f.cache)); more > 0 {
		f.cache = append(f.cache, make([]byte, more)...)
	}
}

// truncate cuts the file, or has it grow.
func (f *file) truncate(size int64) {
	f.grow(size)
	f.cache = f.cache[:size]
	for page := range f.lost {
		if page*pageSize >= size {
			delete(f.lost, page)
		}
	}
	f.change(change{cut: true, offset: size})
}

func (f *file) change(c change) {
	f.changes++
	c.number, c.size = f.changes, int64(len(f.cache))
	f.pending = append(f.pending, c)
}

// sync makes the changes up to that number last.
func (f *file) sync(upTo int) {
	n := f.upTo(upTo)
	for _, c := range f.pending[:n] {
		f.durable = c.apply(f.durable)
	}
	f.pending = slices.Clone(f.pending[n:])
}

func (f *file) upTo(number int) int {
	n := 0
	for n < len(f.pending) && f.pending[n].number <= number {
		n++
	}
	return n
}

// apply changes what is on the disk.
func (c change) apply(disk []byte) []byte {
	if c.cut && c.offset < int64(len(disk)) {
		return disk[:c.offset]
	}
	if more := c.size - int64(len(disk)); more > 0 {
		disk = append(disk, make([]byte, more)...)
	}
	copy(disk[c.offset:], c.data)
	return disk
}

// failSync takes the pages with changes up to that number for clean. Those that are lost get to the disk no more.
// A page that was changed again since the sync began stays dirty, and a change of the size is not data: both stay pending.
func (f *file) failSync(upTo int, isLost func() bool) {
	n := f.upTo(upTo)
	lost := map[int64]bool{}
	pages := func(c change) iter.Seq[int64] {
		return func(yield func(page int64) bool) {
			for page := c.offset / pageSize; page*pageSize < c.end() && yield(page); page++ {
			}
		}
	}
	for _, c := range f.pending[n:] {
		for page := range pages(c) {
			lost[page] = false
		}
	}
	var left []change
	for _, c := range f.pending[:n] {
		if len(c.data) == 0 {
			left = append(left, c)
			continue
		}
		for page := range pages(c) {
			if _, decided := lost[page]; !decided {
				lost[page] = isLost()
			}
			part := c.part(page*pageSize, (page+1)*pageSize)
			if lost[page] {
				part.data = nil // its size is left
				if page*pageSize < int64(len(f.cache)) {
					f.lost[page] = true
				}
			}
			left = append(left, part)
		}
	}
	f.pending = append(left, f.pending[n:]...)
}

// part is what of c lies between two offsets.
func (c change) part(from, to int64) change {
	from, to = max(from, c.offset), min(to, c.end())
	if from >= to {
		c.data = nil
		return c
	}
	c.data = c.data[from-c.offset : to-c.offset]
	c.offset = from
	return c
}

// DataLoss is what becomes of the data of a file that no sync covered.
type DataLoss uint8

const (
	NoData       DataLoss = iota // all of it is lost
	AllData                      // nothing is
	PrefixOfData                 // what was written first is there, and the last of it in part
	SomeSectors                  // each sector is as it was at some moment
	SomePages                    // each page is
	AllButOne                    // one write is lost, or a sector of it
	LatestData                   // what was written last is there, and what was written before is not
)

// lose returns what may be left of the file, with no more than what keeps to that loss.
func (f *file) lose(loss DataLoss, random *rand.Rand) []byte {
	n := len(f.pending)
	disk := slices.Clone(f.durable)
	if n == 0 || loss == NoData {
		return disk
	}
	cut := func(unit int64) func(at int64) int { // how many of the changes each unit has, chosen once
		chosen := map[int64]int{}
		return func(at int64) int {
			at /= unit
			if _, ok := chosen[at]; !ok {
				chosen[at] = n
				if random.IntN(2) == 0 {
					chosen[at] = random.IntN(n + 1)
				}
			}
			return chosen[at]
		}
	}
	size := f.pending[n-1].size
	if loss != AllData && random.IntN(2) == 0 {
		size = f.pending[random.IntN(n)].size
	}
	var has func(i int, at int64) bool // whether the disk has change i of the sector at an offset
	switch loss {
	case AllData:
		has = func(int, int64) bool { return true }
	case PrefixOfData:
		last := random.IntN(n)
		torn := f.pending[last].offset + int64(random.IntN(1+len(f.pending[last].data)/sectorSize+1))*sectorSize
		size = f.pending[last].size
		has = func(i int, at int64) bool { return i < last || i == last && at < torn }
	case SomeSectors:
		upTo := cut(sectorSize)
		has = func(i int, at int64) bool { return i < upTo(at) }
	case SomePages:
		upTo := cut(pageSize)
		has = func(i int, at int64) bool { return i < upTo(at) }
	case AllButOne:
		// The sector has nothing of that change, nor what came later.
		lost := random.IntN(n)
		c := f.pending[lost]
		from, to := c.offset, c.end()
		if random.IntN(2) == 0 && to > from {
			from += random.Int64N(to - from)
			to = from + 1
		}
		has = func(i int, at int64) bool { return i < lost || at/sectorSize < from/sectorSize || at >= to }
		size = f.pending[n-1].size
	case LatestData:
		from := random.IntN(n)
		touched := map[int64]bool{}
		for _, c := range f.pending[from:] {
			for at := c.offset / sectorSize; at*sectorSize < c.end(); at++ {
				touched[at] = true
			}
		}
		has = func(i int, at int64) bool { return i >= from || touched[at/sectorSize] }
	}
	for i, c := range f.pending {
		if c.cut {
			if has(i, c.offset) {
				disk = c.apply(disk)
			}
			continue
		}
		for at := c.offset; at < c.end(); at = (at/sectorSize + 1) * sectorSize {
			if part := c.part(at, (at/sectorSize+1)*sectorSize); has(i, at) {
				part.size = part.end()
				disk = part.apply(disk)
			}
		}
	}
	return fit(disk, size)
}

// fit cuts data to a size, or fills it with zeros.
func fit(data []byte, size int64) []byte {
	if size <= int64(len(data)) {
		return data[:size]
	}
	return append(data, make([]byte, size-int64(len(data)))...)
}
