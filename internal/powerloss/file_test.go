package powerloss

import (
	"bytes"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func newFile() *file { return &file{lost: map[int64]bool{}} }

// pageOf is a page of one letter.
func pageOf(letter byte) []byte { return bytes.Repeat([]byte{letter}, pageSize) }

var always = func() bool { return true }

// lossesOf are those that were seen in many losses of power.
func lossesOf(f *file) (seen map[string]int) {
	seen = map[string]int{}
	random := newRandom(1)
	for i := range 2000 {
		seen[string(f.lose(DataLoss(i)%(LatestData+1), random))]++
	}
	return seen
}

func TestFileThatWasNotSynced(t *testing.T) {
	f := newFile()
	f.write(0, []byte("a"))
	f.sync(f.changes)
	f.write(0, []byte("b"))
	f.write(600, []byte("c"))
	first := "b" + string(make([]byte, 599))
	seen := lossesOf(f)
	for _, want := range []string{
		"a", first + "\x00", "a" + string(make([]byte, 599)) + "c", first + "c", "b",
	} {
		assert.Contains(t, seen, want)
	}
	assert.NotContains(t, seen, "")
	f.sync(f.changes)
	assert.Equal(t, map[string]int{first + "c": 2000}, lossesOf(f))
}

// A sync covers what was written before it began.
func TestFileThatIsWrittenDuringASync(t *testing.T) {
	f := newFile()
	f.write(0, []byte("a"))
	began := f.changes
	f.write(0, []byte("b"))
	f.sync(began)
	seen := lossesOf(f)
	assert.Len(t, seen, 2)
	assert.Contains(t, seen, "a")
	assert.Contains(t, seen, "b")
}

func TestFileWhoseSyncFailed(t *testing.T) {
	f := newFile()
	f.write(0, append(pageOf('a'), pageOf('a')...))
	f.sync(f.changes)
	f.write(0, append(pageOf('b'), pageOf('b')...))
	f.failSync(f.changes, always)
	want := append(pageOf('a'), pageOf('a')...)
	assert.Equal(t, map[string]int{string(want): 2000}, lossesOf(f), "they are lost")
	f.sync(f.changes)
	assert.Equal(t, map[string]int{string(want): 2000}, lossesOf(f), "and no later sync has them")
	assert.Equal(t, append(pageOf('b'), pageOf('b')...), f.cache, "though reads do")

	f.write(pageSize+5, []byte("c")) // which makes the whole page dirty
	f.sync(f.changes)
	want = append(pageOf('a'), pageOf('b')...)
	want[pageSize+5] = 'c'
	assert.Equal(t, map[string]int{string(want): 2000}, lossesOf(f))
	assert.Equal(t, map[int64]bool{0: true}, f.lost)
}

// A page that was written again since a sync began is dirty, though the sync failed.
func TestFileThatIsWrittenDuringASyncThatFails(t *testing.T) {
	f := newFile()
	f.write(0, pageOf('a'))
	began := f.changes
	f.write(5, []byte("b"))
	f.failSync(began, always)
	assert.Empty(t, f.lost)
	f.sync(f.changes)
	assert.Equal(t, f.cache, f.durable)
}

// The size of a file that grew is no data: a later sync has it, with zeros for what was lost.
func TestFileThatGrewAndWhoseSyncFailed(t *testing.T) {
	f := newFile()
	f.write(0, pageOf('a'))
	f.failSync(f.changes, always)
	f.sync(f.changes)
	assert.Equal(t, make([]byte, pageSize), f.durable)
	f.truncate(0)
	assert.Empty(t, f.lost)
	f.write(0, pageOf('b'))
	f.sync(f.changes)
	assert.Equal(t, pageOf('b'), f.durable)
}

// TestFileModel: whatever is written, cut and synced, a loss of power leaves in each sector what it had at some moment since the last sync,
// all that was synced, and what reads see if nothing is lost.
func TestFileModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := newFile()
		var cache, synced []byte
		var since [][]byte // what it has been since, and at the last sync
		random := newRandom(rapid.Uint64().Draw(t, "seed"))
		at := func(content []byte, i int) byte {
			if i < len(content) {
				return content[i]
			}
			return 0 // a hole
		}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0, 1, 2:
				offset := rapid.IntRange(0, 4*sectorSize).Draw(t, "offset")
				data := bytes.Repeat([]byte{byte(1 + f.changes)}, rapid.IntRange(1, 3*sectorSize).Draw(t, "length"))
				f.write(int64(offset), data)
				cache = fit(cache, max(int64(len(cache)), int64(offset+len(data))))
				copy(cache[offset:], data)
			case 3:
				size := rapid.IntRange(0, 6*sectorSize).Draw(t, "size")
				f.truncate(int64(size))
				cache = fit(cache, int64(size))
			case 4:
				f.sync(f.changes)
				synced, since = slices.Clone(cache), nil
			}
			since = append(since, slices.Clone(cache))
			require.True(t, bytes.Equal(cache, f.cache))
			require.True(t, bytes.Equal(synced, f.lose(NoData, random)))
			require.True(t, bytes.Equal(cache, f.lose(AllData, random)))
			for loss := range LatestData + 1 {
				left := f.lose(loss, random)
				was := append([][]byte{synced}, since...)
				for i := range left { // 0 is also what a file is filled with that is longer than what is there
					if left[i] != 0 && !slices.ContainsFunc(was, func(was []byte) bool { return at(was, i) == left[i] }) {
						t.Fatalf("%v: byte %d is %d", loss, i, left[i])
					}
				}
			}
		}
	})
}
