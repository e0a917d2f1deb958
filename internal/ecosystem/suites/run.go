package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	_ "embed"
)

//go:embed shim.go.txt
var shim string

// registered is added to database/sql: a driver registers under another name if the shim is to have its own.
const registered = `package sql

import (
	"database/sql/driver"
	"reflect"
	"strings"
)

func headpondName(name string, d driver.Driver) string {
	if (name == "sqlite" || name == "sqlite3") && !strings.HasSuffix(reflect.TypeOf(d).String(), ".headpondShim") {
		return "the real " + name
	}
	return name
}
`

// rootOf returns the directory of headpond's root module, from that of this one.
func rootOf() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/headpond/headpond").Output()
	if err != nil {
		return "", fmt.Errorf("run it in internal/ecosystem: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// run runs the suite in a directory of its own.
func (s suite) run(root string, peers bool) (result, error) {
	r := result{suite: s}
	scratch, err := os.MkdirTemp("", "suite")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(scratch)
	module := &copied{directory: filepath.Join(scratch, s.module), count: filepath.Join(scratch, "count")}
	if err := module.create(s, root); err != nil {
		return r, err
	}
	arguments := []string{"test", "-json", "-count=1", "-vet=off", "-timeout=20m"}
	if !peers {
		overlay, err := module.overlay(s, scratch)
		if err != nil {
			return r, err
		}
		arguments = append(arguments, "-overlay="+overlay)
	}
	var skipped []string
	for _, skip := range s.skip {
		skipped = append(skipped, "^"+strings.ReplaceAll(skip.test, "/", "$/^")+"$")
	}
	if len(skipped) > 0 {
		arguments = append(arguments, "-skip="+strings.Join(skipped, "|"))
	}
	out, runErr := module.goTool(s, append(arguments, s.packages...)...)
	if err := r.read(out); err != nil {
		return r, err
	}
	if exit := new(exec.ExitError); runErr != nil && !errors.As(runErr, &exit) {
		return r, runErr
	}
	if runErr != nil && len(r.failed) == 0 {
		return r, fmt.Errorf("%s: %w: %s", s.module, runErr, r.other)
	}
	if opened, err := os.ReadFile(module.count); err == nil {
		r.opened = len(opened)
	}
	return r, nil
}

// copied is a copy of a module.
type copied struct{ directory, count string }

// goTool runs the go command in it.
func (m *copied) goTool(s suite, arguments ...string) ([]byte, error) {
	command := exec.Command("go", arguments...)
	command.Dir = m.directory
	command.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off", "HEADPOND_SUITE_COUNT="+m.count)
	command.Env = append(command.Env, s.environment...)
	var failed bytes.Buffer
	command.Stderr = &failed
	out, err := command.Output()
	if err != nil {
		err = fmt.Errorf("go %s: %w: %s", strings.Join(arguments, " "), err, failed.Bytes())
	}
	return out, err
}

// create copies the module out of the cache, and lets it need headpond, with the versions that this module has.
func (m *copied) create(s suite, root string) error {
	out, err := exec.Command("go", "mod", "download", "-json", s.module+"@"+s.version).Output()
	var downloaded struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &downloaded); err != nil || jsonErr != nil {
		return fmt.Errorf("download %s: %w: %s", s.module, errors.Join(err, jsonErr), downloaded.Error)
	}
	if err := os.MkdirAll(filepath.Dir(m.directory), 0o755); err != nil {
		return err
	}
	if err := os.CopyFS(m.directory, os.DirFS(downloaded.Dir)); err != nil {
		return err
	}
	if err := filepath.WalkDir(m.directory, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.Chmod(path, 0o755)
		}
		return os.Chmod(path, 0o644)
	}); err != nil {
		return err
	}
	edits := []string{"mod", "edit", "-require=github.com/headpond/headpond@v0.0.0", "-replace=github.com/headpond/headpond=" + root}
	for _, module := range []string{"modernc.org/sqlite", "modernc.org/libc", "zombiezen.com/go/sqlite", "github.com/mattn/go-sqlite3"} {
		version, err := exec.Command("go", "list", "-m", "-f", "{{with .Replace}}{{.Version}}{{else}}{{.Version}}{{end}}", module).Output()
		if err != nil {
			return fmt.Errorf("the version of %s: %w", module, err)
		}
		edits = append(edits, "-replace="+module+"="+module+"@"+strings.TrimSpace(string(version)))
		if module == "modernc.org/sqlite" || module == "zombiezen.com/go/sqlite" {
			edits = append(edits, "-require="+module+"@"+strings.TrimSpace(string(version)))
		}
	}
	_, err = m.goTool(s, edits...)
	return err
}

// overlay writes a file for the compiler's -overlay: other drivers register under another name,
// and the packages under test have the shim.
func (m *copied) overlay(s suite, scratch string) (string, error) {
	replace := make(map[string]string)
	write := func(path, text string) error {
		file := filepath.Join(scratch, fmt.Sprintf("overlay%d.go", len(replace)))
		replace[path] = file
		return os.WriteFile(file, []byte(text), 0o600)
	}
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", err
	}
	library := filepath.Join(strings.TrimSpace(string(goroot)), "src/database/sql")
	register, err := os.ReadFile(filepath.Join(library, "sql.go"))
	if err != nil {
		return "", err
	}
	const head = "func Register(name string, driver driver.Driver) {\n"
	if strings.Count(string(register), head) != 1 {
		return "", fmt.Errorf("database/sql has no %q", head)
	}
	err = errors.Join(
		write(filepath.Join(library, "sql.go"), strings.Replace(string(register), head, head+"\tname = headpondName(name, driver)\n", 1)),
		write(filepath.Join(library, "zz_headpond.go"), registered))
	if err != nil {
		return "", err
	}
	out, err := m.goTool(s, append([]string{"list", "-test=false", "-f", "{{.Dir}} {{.Name}} {{len .TestGoFiles}} {{len .XTestGoFiles}}"}, s.packages...)...)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if slices.Equal(fields[2:], []string{"0", "0"}) {
			continue
		}
		text := strings.NewReplacer("PACKAGE", fields[1], "DRIVERS", s.drivers).Replace(shim)
		if err := write(filepath.Join(fields[0], "0_headpond_test.go"), text); err != nil {
			return "", err
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(scratch, "overlay.json")
	return path, os.WriteFile(path, text, 0o600)
}

// read reads what go test -json writes.
func (r *result) read(out []byte) error {
	said := make(map[string]string)
	scanner := bufio.NewScanner(bytes.NewReader(out))
	scanner.Buffer(nil, 16<<20)
	for scanner.Scan() {
		var event struct{ Action, Package, Test, Output string }
		if err := json.Unmarshal(scanner.Bytes(), &event); err != nil {
			return fmt.Errorf("%s: %w", scanner.Bytes(), err)
		}
		name := event.Test
		switch {
		case name == "":
			r.other += event.Output
			if event.Action == "fail" && !slices.ContainsFunc(r.failed, func(one outcome) bool { return one.pack == event.Package }) {
				r.failed = append(r.failed, outcome{event.Package, "(the package)", r.other})
			}
		case event.Action == "output":
			said[event.Package+name] += event.Output
		case event.Action == "pass":
			r.passed++
		case event.Action == "fail":
			r.failed = append(r.failed, outcome{event.Package, name, said[event.Package+name]})
		case event.Action == "skip":
			r.skipped = append(r.skipped, outcome{event.Package, name, said[event.Package+name]})
		}
	}
	return scanner.Err()
}
