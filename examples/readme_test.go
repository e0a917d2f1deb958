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

// around is what the snippets of the README leave to the reader.
const around = `package readme

import (
	"context"
	"log/slog"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/pool/poollog"
	"github.com/headpond/headpond/pool/poolz"
	"github.com/headpond/headpond/resource"
	"github.com/headpond/headpond/tracing"
	"zombiezen.com/go/sqlite/sqlitex"
)

type Session struct{}

func Dial(context.Context) (*Session, error)     { return nil, nil }
func (*Session) Ping(context.Context) error  { return nil }
func (*Session) Reset(context.Context) error { return nil }
func (*Session) Call(context.Context) error  { return nil }
func (*Session) Close() error                { return nil }
`

var goBlock = regexp.MustCompile("(?s)```go\n(.*?)```\n")

// TestSnippets compiles the Go of the README: a whole program as it is, what is less as the body of a function.
func TestSnippets(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	blocks := goBlock.FindAllStringSubmatch(string(readme), -1)
	require.NotEmpty(t, blocks)
	bodies := around
	for i, block := range blocks {
		code := block[1]
		if strings.HasPrefix(code, "package ") {
			vet(t, code)
			continue
		}
		bodies += fmt.Sprintf("\nfunc snippet%d(ctx context.Context, options pool.Options, logger *slog.Logger, page *poolz.Page) (err error) {\n%s\nreturn err\n}\n", i+1, code)
	}
	vet(t, bodies)
}

func vet(t *testing.T, code string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "readme.go")
	require.NoError(t, os.WriteFile(file, []byte(code), 0o644))
	out, err := exec.CommandContext(t.Context(), "go", "vet", file).CombinedOutput()
	assert.NoError(t, err, "%s", out)
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestLinks looks for every file that the pages link to.
func TestLinks(t *testing.T) {
	for _, pattern := range []string{"../*.md", "../docs/*.md", "../docs/moving/*.md"} {
		pages, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, pages)
		for _, page := range pages {
			text, err := os.ReadFile(page)
			require.NoError(t, err)
			for _, match := range link.FindAllStringSubmatch(string(text), -1) {
				if path, _, _ := strings.Cut(match[1], "#"); path != "" && !strings.Contains(path, "://") {
					_, err := os.Stat(filepath.Join(filepath.Dir(page), path))
					assert.NoError(t, err, "%s links to %s", page, path)
				}
			}
		}
	}
}
