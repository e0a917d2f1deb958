// Command suites runs the tests that libraries ship in their modules, unmodified, on backends/sqlite/stdlib.
//
//	go -C internal/ecosystem run ./suites            every suite; writes results.md
//	go -C internal/ecosystem run ./suites -only scs  those whose module matches; prints what came of them
//	go -C internal/ecosystem run ./suites -peer      with the driver that they were written for, to compare; prints
//
// Each module is copied out of the module cache, since tests write into their directory. Its go.mod gets headpond;
// an overlay lets the other driver register under another name, and adds shim.go.txt to the package
// under test, which registers under that one. It exits with 1 if a test failed, or if none opened a database.
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
)

func main() {
	only := flag.String("only", "", "run only the suites whose module matches this regular `expression`")
	peer := flag.Bool("peer", false, "run them with the driver that they were written for")
	verbose := flag.Bool("v", false, "print what failed tests print")
	flag.Parse()
	wanted, err := regexp.Compile(*only)
	check(err)
	root, err := rootOf()
	check(err)
	var all []result
	failed := false
	for _, s := range suites {
		if !wanted.MatchString(s.module) {
			continue
		}
		r, err := s.run(root, *peer)
		check(err)
		fmt.Print(r.summary(*verbose))
		failed = failed || len(r.failed) > 0 || !*peer && r.opened == 0
		all = append(all, r)
	}
	if *only == "" && !*peer {
		check(os.WriteFile("results.md", []byte(report(all)), 0o644))
	}
	if failed {
		os.Exit(1)
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "suites:", err)
		os.Exit(1)
	}
}
