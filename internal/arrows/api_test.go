package arrows

import (
	"bytes"
	"flag"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write testdata/api.txt anew")

// public are the packages on which other code is written.
var public = []string{"resource", "pool", "pool/poollog", "pool/pooltest", "pool/poolz", "backends/postgres", "backends/sqlite", "backends/sqlite/sqlitetest", "backends/sqlite/stdlib", "backends/sqlite/tenants", "tracing"}

// TestAPI compares what is exported with testdata/api.txt, so that a change of it shows in a diff.
// After a change that is meant: go test ./internal/arrows -run API -update.
func TestAPI(t *testing.T) {
	var listing strings.Builder
	for _, name := range public {
		listing.WriteString("package " + name + "\n\n" + strings.Join(exported(t, filepath.Join("../..", name)), "\n") + "\n\n")
	}
	const golden = "testdata/api.txt"
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(golden, []byte(listing.String()), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, string(want), listing.String(), "what is exported has changed; if that is meant: go test ./internal/arrows -run API -update")
}

// exported lists the exported declarations of the package in a directory, without comments.
func exported(t *testing.T, directory string) (all []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(directory, "*.go"))
	require.NoError(t, err)
	set := token.NewFileSet()
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.FileExports(file)
		for _, decl := range file.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				if ofUnexported(decl) {
					continue
				}
				decl.Body = nil
			case *ast.GenDecl:
				if decl.Tok == token.IMPORT {
					continue
				}
			}
			var text bytes.Buffer
			require.NoError(t, printer.Fprint(&text, set, decl))
			all = append(all, text.String())
		}
	}
	slices.Sort(all)
	return all
}

// ofUnexported reports whether decl is a method of a type that is not exported: FileExports keeps those.
func ofUnexported(decl *ast.FuncDecl) bool {
	if decl.Recv == nil {
		return false
	}
	receiver := decl.Recv.List[0].Type
	if pointer, ok := receiver.(*ast.StarExpr); ok {
		receiver = pointer.X
	}
	if generic, ok := receiver.(*ast.IndexExpr); ok {
		receiver = generic.X
	}
	name, ok := receiver.(*ast.Ident)
	return ok && !name.IsExported()
}
