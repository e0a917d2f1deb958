// Package migrate holds programs before and after they moved to headpond. docs/moving shows how they differ.
package migrate

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aymanbagabas/go-udiff"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the diffs in docs/moving anew")

// diffBlock is a diff in a guide, of two files that are named from the root of the repository.
var diffBlock = regexp.MustCompile("(?s)```diff\n--- (\\S+)\n\\+\\+\\+ (\\S+)\n.*?```\n")

// TestGuides compares the diffs in docs/moving with the programs.
// After a change of these: go test ./migrate -run Guides -update.
func TestGuides(t *testing.T) {
	const root = "../.."
	guides, err := filepath.Glob(root + "/docs/moving/*.md")
	require.NoError(t, err)
	shown := make(map[string]bool)
	for _, guide := range guides {
		text, err := os.ReadFile(guide)
		require.NoError(t, err)
		want := diffBlock.ReplaceAllStringFunc(string(text), func(block string) string {
			names := diffBlock.FindStringSubmatch(block)[1:]
			var contents [2]string
			for i, name := range names {
				content, err := os.ReadFile(filepath.Join(root, name))
				require.NoError(t, err)
				contents[i], shown[name] = string(content), true
			}
			return "```diff\n" + udiff.Unified(names[0], names[1], contents[0], contents[1]) + "```\n"
		})
		if *update {
			require.NoError(t, os.WriteFile(guide, []byte(want), 0o644))
			continue
		}
		assert.Equal(t, want, string(text), "%s shows an old program: go test ./migrate -run Guides -update", guide)
	}
	for _, program := range programs(t) {
		assert.True(t, shown["examples/migrate/"+program+"/main.go"], "%s is in no guide", program)
	}
}

// TestPrograms runs every program: it does the same before and after.
func TestPrograms(t *testing.T) {
	output := map[string]string{
		"databasesql": "100 seats sold to 100 of 120 buyers\n",
		"puddle":      "hall visitors 21\n",
		"sqlitexpool": "100 seats sold to 100 of 120 buyers\n",
	}
	for _, program := range programs(t) {
		t.Run(program, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), "go", "run", "./"+program)
			var stderr strings.Builder // where the go command says what it downloads
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			require.NoError(t, err, &stderr)
			assert.Equal(t, output[filepath.Dir(program)], string(out))
		})
	}
}

// programs are the directories of this one that hold a program.
func programs(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*/*/main.go")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for i := range files {
		files[i] = filepath.ToSlash(filepath.Dir(files[i]))
	}
	return files
}
