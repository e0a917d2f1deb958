package arrows

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// climbing is the most arrows between the files of a package that may climb, if the files are read in the best order:
// each file uses those that come after it, but for so many. A package that is not listed has no limit.
var climbing = map[string]int{
	"backends/sqlite": 8,
}

// TestFiles holds that the files of a package can be read from top to bottom.
func TestFiles(t *testing.T) {
	for name, most := range climbing {
		t.Run(name, func(t *testing.T) {
			uses := fileUses(t, name)
			order, climbs := bestOrder(uses)
			t.Logf("%d files, %d arrows, %d climb:\n%s", len(order), arrowCount(uses), climbs, picture(order, uses))
			assert.LessOrEqual(t, climbs, most, "more arrows climb than before; see the picture with -v")
		})
	}
}

// uses says what of which file a file uses: functions, methods, types, fields, variables and constants.
type uses map[string]map[string][]string

func arrowCount(all uses) (count int) {
	for _, used := range all {
		count += len(used)
	}
	return count
}

// fileUses type-checks the package in a directory, without its tests.
func fileUses(t *testing.T, directory string) uses {
	t.Helper()
	cmd := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Export,GoFiles", "./"+directory)
	cmd.Dir = "../.."
	out, err := cmd.Output()
	require.NoError(t, err)
	exports := map[string]string{}
	var names []string // in the end, those of the package itself: it comes last
	for decoder := json.NewDecoder(bytes.NewReader(out)); decoder.More(); {
		var listed struct {
			ImportPath, Export string
			GoFiles            []string
		}
		require.NoError(t, decoder.Decode(&listed))
		exports[listed.ImportPath], names = listed.Export, listed.GoFiles
	}
	set := token.NewFileSet()
	all := uses{}
	var files []*ast.File
	for _, name := range names {
		file, err := parser.ParseFile(set, filepath.Join("../..", directory, name), nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		files = append(files, file)
		all[name] = map[string][]string{}
	}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: importer.ForCompiler(set, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })}
	pkg, err := config.Check(module+directory, set, files, info)
	require.NoError(t, err)
	for use, object := range info.Uses {
		if object.Pkg() != pkg || !shared(object, pkg) {
			continue
		}
		from, to := filepath.Base(set.Position(use.Pos()).Filename), filepath.Base(set.Position(object.Pos()).Filename)
		if from != to && !slices.Contains(all[from][to], object.Name()) {
			all[from][to] = append(all[from][to], object.Name())
		}
	}
	return all
}

// shared reports whether an object can be used by another file than its own.
func shared(object types.Object, pkg *types.Package) bool {
	if object.Parent() == pkg.Scope() {
		return true
	}
	switch object := object.(type) {
	case *types.Func: // a method
		return true
	case *types.Var:
		return object.IsField()
	}
	return false
}

// bestOrder returns an order of the files in which as few arrows climb as can be found, and how many do.
// It moves one file at a time for as long as that helps, from some orders to begin with. The same files give the same order.
func bestOrder(all uses) (best []string, fewest int) {
	random := rand.New(rand.NewPCG(1, 2))
	files := slices.Sorted(maps.Keys(all))
	fewest = -1
	for range 200 {
		order := slices.Clone(files)
		random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for moved := true; moved; {
			moved = false
			for i := range order {
				moved = place(order, i, all) || moved
			}
		}
		if climbs := climbsOf(order, all); fewest < 0 || climbs < fewest {
			best, fewest = order, climbs
		}
	}
	return best, fewest
}

// place moves the i-th file to where the fewest of its arrows climb, and reports whether that is better than where it was.
func place(order []string, i int, all uses) bool {
	file, cost, best, to := order[i], 0, 0, i
	for _, step := range []int{-1, 1} {
		cost = 0
		for j := i + step; j >= 0 && j < len(order); j += step {
			_, uses := all[file][order[j]]
			_, used := all[order[j]][file]
			if uses {
				cost += step // an arrow down, if file stands before it
			}
			if used {
				cost -= step
			}
			if -cost > best {
				best, to = -cost, j
			}
		}
	}
	copy(order, slices.Insert(slices.Delete(slices.Clone(order), i, i+1), to, file))
	return best > 0
}

func climbsOf(order []string, all uses) (count int) {
	for i, file := range order {
		for _, above := range order[:i] {
			if _, climbs := all[file][above]; climbs {
				count++
			}
		}
	}
	return count
}

// picture lists the files from top to bottom, and what they use of files above them.
func picture(order []string, all uses) string {
	var lines strings.Builder
	for i, file := range order {
		fmt.Fprintf(&lines, "\t%s", file)
		for _, above := range order[:i] {
			if names := all[file][above]; len(names) > 0 {
				slices.Sort(names)
				fmt.Fprintf(&lines, " ^%s(%s)", above, strings.Join(names, " "))
			}
		}
		lines.WriteByte('\n')
	}
	return lines.String()
}
