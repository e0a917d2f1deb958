package arrows

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDocs_NameTestsThatExist holds that each test that a document names is there under that name,
// and that each report of docs/reports.md stands in the comment of its tests.
func TestDocs_NameTestsThatExist(t *testing.T) {
	function := regexp.MustCompile(`(?m)((?:^//.*\n)*)^func ((?:Test|Fuzz|Example|Benchmark)\w*)\(`)
	comments := map[string]string{}
	require.NoError(t, filepath.WalkDir("../..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, found := range function.FindAllStringSubmatch(string(text), -1) {
			comments[found[2]] += found[1]
		}
		return err
	}))
	require.Contains(t, comments, t.Name())

	documents, err := filepath.Glob("../../docs/*.md")
	require.NoError(t, err)
	name := regexp.MustCompile("`((?:Test|Fuzz)[A-Z]\\w*)`")
	report := regexp.MustCompile(`[\w.-]+/[\w.-]+#\d+`)
	for _, document := range documents {
		text, err := os.ReadFile(document)
		require.NoError(t, err)
		text, _, _ = bytes.Cut(text, []byte("\n## Mutants\n")) // those are of the day that it names
		for line := range strings.Lines(string(text)) {
			for _, found := range name.FindAllStringSubmatch(line, -1) {
				comment, exists := comments[found[1]]
				assert.True(t, exists, "%s names %s, which is not there", document, found[1])
				if filepath.Base(document) == "reports.md" {
					for _, report := range report.FindAllString(line, -1) {
						assert.Contains(t, comment, report, "the comment of %s", found[1])
					}
				}
			}
		}
	}
}
