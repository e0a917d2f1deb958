package powerloss

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// State is what a loss of power left.
type State struct {
	files map[string][]byte // by the path below the root
	lost  []string
}

// Lose returns what a loss of power may leave at this moment. The disk goes on as if there were none.
func (d *Disk) Lose(random *rand.Rand) State {
	s := State{files: map[string][]byte{}}
	for _, sync := range d.failed {
		s.lost = append(s.lost, "a sync of "+filepath.Base(sync)+" had failed")
	}
	names := []NameLoss{NoNames, NoNames, AllNames, AllNames, PrefixOfNames, SomeNames, NamesOfTheSynced}
	data := []DataLoss{NoData, NoData, AllData, AllData, PrefixOfData, PrefixOfData, SomeSectors, SomeSectors, SomeSectors, SomePages, AllButOne, AllButOne, LatestData}
	contents := map[*file][]byte{} // a file with two names is the same under both
	for _, path := range slices.Sorted(maps.Keys(d.directories)) {
		how := names[random.IntN(len(names))]
		left, lost := d.directories[path].lose(how, random)
		for _, change := range lost {
			s.lost = append(s.lost, fmt.Sprintf("names in %s (%v): %v", path, how, change))
		}
		for _, name := range slices.Sorted(maps.Keys(left)) {
			f := left[name]
			if _, ok := contents[f]; !ok {
				how := data[random.IntN(len(data))]
				contents[f] = f.lose(how, random)
				if len(f.pending) > 0 || len(f.lost) > 0 {
					s.lost = append(s.lost, fmt.Sprintf("%s: %v of %d changes; failed syncs lost pages %v", name, how, len(f.pending), slices.Sorted(maps.Keys(f.lost))))
				}
			}
			relative, err := filepath.Rel(d.root, filepath.Join(path, name))
			if err != nil {
				panic(err) // all directories are below the root
			}
			content := contents[f]
			if volatile(name) {
				if content = sharedMemory(random); content == nil {
					continue
				}
			}
			s.files[relative] = content
		}
	}
	return s
}

// sharedMemory is what may be left of it: nothing, zeros, or anything.
func sharedMemory(random *rand.Rand) []byte {
	size := 32768
	switch random.IntN(3) {
	case 0:
		return nil
	case 1:
		return make([]byte, size)
	}
	junk := make([]byte, size)
	for i := range junk {
		junk[i] = byte(random.Uint32())
	}
	return junk
}

// Hash is of all files but the shared memory.
func (s State) Hash() [32]byte {
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		if !volatile(name) {
			fmt.Fprintf(sum, "%q %d ", name, len(s.files[name]))
			sum.Write(s.files[name])
		}
	}
	return [32]byte(sum.Sum(nil))
}

// Make puts the state into an empty directory.
func (s State) Make(directory string, below ...string) error {
	for _, name := range below {
		if err := os.MkdirAll(filepath.Join(directory, name), 0o700); err != nil {
			return err
		}
	}
	for name, content := range s.files {
		if err := os.WriteFile(filepath.Join(directory, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Lost says what the loss of power took, a line each.
func (s State) Lost() string { return strings.Join(s.lost, "\n") + "\n" }

func (n naming) String() string {
	parts := []string{}
	if n.removed != "" {
		parts = append(parts, "without "+n.removed)
	}
	if n.added != "" {
		parts = append(parts, fmt.Sprintf("%s is file %d", n.added, n.file.id))
	}
	return strings.Join(parts, ", ")
}

func (l NameLoss) String() string {
	return [...]string{"all changes lost", "none lost", "the later ones lost", "some lost", "all lost but those of files that were synced since"}[l]
}

func (l DataLoss) String() string {
	return [...]string{"nothing", "all", "those before a moment", "each sector up to some moment", "each page up to some moment", "all but one", "the latest"}[l]
}

// empty takes away what is in a directory.
func empty(directory string) error {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := os.RemoveAll(filepath.Join(directory, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}
