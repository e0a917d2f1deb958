// Package compatibility holds what importing a package of this module does to the modules of a program, as a test.
package compatibility

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// program is the go.mod of a program that uses what this module is made of, in releases of 2024 and 2025.
const program = `module example.com/program

go 1.25.0

require (
	github.com/jackc/puddle/v2 v2.2.2
	github.com/stretchr/testify v1.9.0
	go.opentelemetry.io/otel v1.32.0
	go.opentelemetry.io/otel/metric v1.32.0
	go.opentelemetry.io/otel/sdk v1.32.0
	go.opentelemetry.io/otel/sdk/metric v1.32.0
	go.opentelemetry.io/otel/trace v1.32.0
	golang.org/x/sync v0.16.0
	modernc.org/sqlite v1.40.0
)

require (
	github.com/davecgh/go-spew v1.1.1 // indirect
	github.com/dustin/go-humanize v1.0.1 // indirect
	github.com/go-logr/logr v1.4.2 // indirect
	github.com/go-logr/stdr v1.2.2 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/mattn/go-isatty v0.0.20 // indirect
	github.com/ncruces/go-strftime v0.1.9 // indirect
	github.com/pmezard/go-difflib v1.0.0 // indirect
	github.com/remyoudompheng/bigfft v0.0.0-20230129092748-24d4a6f8daec // indirect
	golang.org/x/exp v0.0.0-20250620022241-b7579e27df2b // indirect
	golang.org/x/sys v0.36.0 // indirect
	gopkg.in/yaml.v3 v3.0.1 // indirect
	modernc.org/libc v1.66.10 // indirect
	modernc.org/mathutil v1.7.1 // indirect
	modernc.org/memory v1.11.0 // indirect
)
`

// raised are those of its modules that get a newer version: a modernc.org/sqlite whose SQLite
// does not corrupt its write-ahead log, and what that one asks for.
var raised = map[string]string{
	"modernc.org/sqlite":             "v1.46.2",
	"modernc.org/libc":               "v1.70.0",
	"golang.org/x/sys":               "v0.42.0",
	"golang.org/x/sync":              "v0.19.0",
	"golang.org/x/exp":               "v0.0.0-20251023183803-a4bb9ffd2546",
	"github.com/ncruces/go-strftime": "v1.0.0",
}

// TestRaised says by name which modules of a program are raised by an import, and to what;
// what README says of it is what this test prints.
func TestRaised(t *testing.T) {
	before, err := modules(t, "")
	if err != nil {
		t.Skipf("needs the go.mod files of the program's modules, from a module proxy: %v", err)
	}
	imports := []string{"pool", "backends/sqlite", "tracing"}
	for _, imported := range imports {
		after, err := modules(t, imported)
		require.NoError(t, err)
		got := map[string]string{}
		for name, version := range before {
			if after[name] != version {
				got[name] = after[name]
			}
		}
		assert.Equal(t, raised, got, "%s is imported", imported)
	}

	var table strings.Builder
	fmt.Fprintf(&table, "| module of a program | before | importing `%s` |\n|---|---|---|\n", strings.Join(imports, "`, `"))
	for _, name := range slices.Sorted(maps.Keys(before)) {
		now, higher := raised[name]
		if higher {
			now = "**" + now + "**"
		} else if now = "the same"; strings.Contains(program, name+" "+before[name]+" // indirect") {
			continue
		}
		fmt.Fprintf(&table, "| %s | %s | %s |\n", name, before[name], now)
	}
	t.Logf("what README.md says:\n%s", &table)
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	if !strings.Contains(strings.ReplaceAll(string(readme), "\r\n", "\n"), table.String()) {
		t.Error("README.md, Compatibility, has another table")
	}
}

// modules returns the versions of the modules that the program names, if it imports a package of this module, or none of them;
// under "go" the Go release that it asks for.
func modules(t *testing.T, imported string) (map[string]string, error) {
	dir := t.TempDir()
	source, requirements := "package main\n\nfunc main() {}\n", program
	if imported != "" {
		root, err := filepath.Abs("../..")
		require.NoError(t, err)
		source = fmt.Sprintf("package main\n\nimport _ %q\n\nfunc main() {}\n", "github.com/headpond/headpond/"+imported)
		requirements += fmt.Sprintf("require github.com/headpond/headpond v0.0.0\nreplace github.com/headpond/headpond => %q\n", filepath.ToSlash(root))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte(requirements), 0o600))
	list := exec.Command("go", "list", "-m", "-json=Path,Version,GoVersion,Main", "all")
	list.Dir = dir
	list.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	var said strings.Builder
	list.Stderr = &said
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, &said)
	}
	versions := map[string]string{}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); decoder.More(); {
		var module struct {
			Path, Version, GoVersion string
			Main                     bool
		}
		require.NoError(t, decoder.Decode(&module))
		switch {
		case module.Main:
			versions["go"] = module.GoVersion
		case strings.Contains(program, "\t"+module.Path+" "):
			versions[module.Path] = module.Version
		}
	}
	return versions, nil
}
