// Package examples tests that what the README and the guides say can be done.
package examples

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// around is what the snippets leave to the reader.
const around = `package readme

import (
	"context"
	"database/sql"
	"log"
	"log/slog"
	"time"

	headpond "github.com/headpond/headpond/backends/sqlite"
	_ "github.com/headpond/headpond/backends/sqlite/stdlib"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/pool/poollog"
	"github.com/headpond/headpond/pool/poolz"
	"github.com/headpond/headpond/resource"
	"github.com/headpond/headpond/tracing"
	"zombiezen.com/go/sqlite/sqlitemigration"
)

type Session struct{}

func Dial(context.Context) (*Session, error)     { return nil, nil }
func (*Session) Ping(context.Context) error  { return nil }
func (*Session) Reset(context.Context) error { return nil }
func (*Session) Call(context.Context) error  { return nil }
func (*Session) Close() error                { return nil }
`

var (
	goBlock = regexp.MustCompile("(?s)(?:<!-- (\\S+) -->\n)?```go\n(.*?)```\n")
	links   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
)

// pages are the README and the guides.
func pages(t *testing.T) (all []string) {
	for _, pattern := range []string{"../*.md", "../docs/*.md", "../docs/*/*.md"} {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, found)
		all = append(all, found...)
	}
	return all
}

// TestSnippets looks at the Go of the README and of the guides. What a comment says is from a file is there, word for word,
// in a program that its own test runs; the rest is compiled: a whole program as it is, what is less as the body of a function,
// whose import is among those of around.
func TestSnippets(t *testing.T) {
	bodies, shown := around, 0
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for i, block := range goBlock.FindAllStringSubmatch(string(text), -1) {
			file, code := block[1], block[2]
			switch {
			case file != "":
				content, err := os.ReadFile(filepath.Join("..", file))
				require.NoError(t, err, page)
				assert.Contains(t, "\n"+unindented(string(content)), "\n"+unindented(code), "%s shows what is not in %s", page, file)
				shown++
			case strings.HasPrefix(code, "package "):
				vet(t, code)
			default:
				if first, rest, found := strings.Cut(code, "\n\n"); found && strings.HasPrefix(first, "import ") {
					assert.Contains(t, around, strings.TrimPrefix(first, "import "), page)
					code = rest
				}
				bodies += fmt.Sprintf("\n// %s, %d\nfunc _(%s) (err error) {\n%s\nreturn err\n}\n", page, i+1, given, code)
			}
		}
	}
	vet(t, bodies)
	assert.NotZero(t, shown)
}

// given is what a snippet of less than a program may use.
const given = "ctx context.Context, options pool.Options, logger *slog.Logger, page *poolz.Page, schema sqlitemigration.Schema"

var indent = regexp.MustCompile(`(?m)^\t+`)

func unindented(code string) string { return indent.ReplaceAllString(code, "") }

func vet(t *testing.T, code string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "readme.go")
	require.NoError(t, os.WriteFile(file, []byte(code), 0o644))
	out, err := exec.CommandContext(t.Context(), "go", "vet", file).CombinedOutput()
	assert.NoError(t, err, "%s", out)
}

// TestLinks looks for every file that the pages link to.
func TestLinks(t *testing.T) {
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, match := range links.FindAllStringSubmatch(string(text), -1) {
			if path, _, _ := strings.Cut(match[1], "#"); path != "" && !strings.Contains(path, "://") {
				_, err := os.Stat(filepath.Join(filepath.Dir(page), path))
				assert.NoError(t, err, "%s links to %s", page, path)
			}
		}
	}
}
