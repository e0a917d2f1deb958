// Command mutants breaks the library on purpose, one place at a time, and sees a test fail.
//
//	go run ./internal/mutants             # all of them, as a table
//	go run ./internal/mutants -only LIFO  # those whose description contains the text
//
// It works in a temporary copy of the tree that it is run in, and changes nothing else.
// A mutant that no test kills is an error: the test for it is missing.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// mutant is one change, in which everything compiles and something is wrong.
type mutant struct {
	what     string // what it breaks
	file     string
	old, new string   // old stands in the file once
	race     bool     // only seen by the race detector, or by what it does to the order of things
	tests    []string // the packages whose tests should see it; a later one is asked if those before it saw nothing
}

func main() {
	only := flag.String("only", "", "run those whose description contains this")
	flag.Parse()
	if err := run(*only); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(only string) error {
	if _, err := os.Stat("go.mod"); err != nil {
		return fmt.Errorf("run it where go.mod is: %w", err)
	}
	parent, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(parent)
	dir := filepath.Join(parent, "headpond")
	if only == "" {
		if err := unbroken(dir); err != nil {
			return err
		}
	}
	survivors := 0
	var errs []error
	fmt.Println("| file | mutant | killed by | s |")
	fmt.Println("|---|---|---|---|")
	for _, m := range mutants {
		if !strings.Contains(m.what, only) {
			continue
		}
		began := time.Now()
		killers, err := m.killers(dir)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", m.what, err))
			continue
		}
		killed := "**no test**"
		if len(killers) > 0 {
			killed = "`" + strings.Join(killers, "`, `") + "`"
		} else {
			survivors++
		}
		fmt.Printf("| %s | %s | %s | %.0f |\n", m.file, m.what, killed, time.Since(began).Seconds())
	}
	if survivors > 0 {
		errs = append(errs, fmt.Errorf("%d survived", survivors))
	}
	return errors.Join(errs...)
}

// killers returns the tests that see the mutant. The error is that of a mutant that fits nowhere, or does not compile.
func (m mutant) killers(dir string) (killers []string, err error) {
	if err := m.apply(dir); err != nil {
		return nil, err
	}
	for i := 0; i < len(m.tests) && len(killers) == 0 && err == nil; i++ {
		killers, err = test(dir, m.race, m.tests[i])
	}
	return killers, err
}

// unbroken sees to it that no test fails without a mutant.
func unbroken(dir string) error {
	if err := copyTree(dir); err != nil {
		return err
	}
	var packages []string
	for _, m := range mutants {
		packages = append(packages, m.tests...)
	}
	slices.Sort(packages)
	killers, err := test(dir, false, slices.Compact(packages)...)
	if err == nil && len(killers) > 0 {
		err = fmt.Errorf("these tests fail without a mutant: %v", killers)
	}
	return err
}

// apply makes a fresh copy of the tree with the mutant in it.
func (m mutant) apply(dir string) error {
	if err := copyTree(dir); err != nil {
		return err
	}
	name := filepath.Join(dir, m.file)
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if n := strings.Count(string(text), m.old); n != 1 {
		return fmt.Errorf("%s has its old text %d times; it must be there once", m.file, n)
	}
	return os.WriteFile(name, []byte(strings.Replace(string(text), m.old, m.new, 1)), 0o600)
}

// copyTree copies the working directory to dir, anew.
func copyTree(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return fs.WalkDir(os.DirFS("."), ".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path != "." && strings.HasPrefix(entry.Name(), "."):
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case entry.IsDir():
			return os.MkdirAll(filepath.Join(dir, path), 0o700)
		case !entry.Type().IsRegular():
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, path), text, 0o600)
	})
}
