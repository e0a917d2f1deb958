package main

import (
	"fmt"
	"regexp"
	"strings"
)

// A result is what came of a suite. Tests within tests count, too.
type result struct {
	suite
	passed          int
	failed, skipped []outcome
	opened          int    // databases
	other           string // what was said outside of tests
}

type outcome struct{ pack, test, said string }

func (r result) summary(verbose bool) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s %v: %d passed, %d failed, %d skipped; %d databases opened\n", r.module, r.version, r.packages, r.passed, len(r.failed), len(r.skipped), r.opened)
	for _, one := range r.failed {
		fmt.Fprintf(&text, "  failed: %s %s\n", one.pack, one.test)
		if verbose {
			text.WriteString(one.said)
		}
	}
	for _, one := range r.skipped {
		fmt.Fprintf(&text, "  skipped: %s %s: %s\n", one.pack, one.test, one.reason())
	}
	return text.String()
}

var skipLine = regexp.MustCompile(`(?m)^\s+\w+_test\.go:\d+: (.*)$`)

// reason is what a test said when it skipped itself.
func (o outcome) reason() string {
	if match := skipLine.FindStringSubmatch(o.said); match != nil && match[1] != "" {
		return match[1]
	}
	return "it skips itself, and does not say why"
}

// notRun is the end of results.md.
const notRun = `
## Not run

- github.com/riverqueue/river: its tests need PostgreSQL, and those of its drivers are not in a module. riversqlite's own use no database.
- entgo.io/ent, github.com/uptrace/bun: their tests with a database are in modules that are not published.
- gorm.io/gorm: most of its tests with a database are in such a module, too; what ran opened one.
`

// report is results.md.
func report(all []result) string {
	var text strings.Builder
	text.WriteString(`# Suites of others

Tests that libraries ship in their modules, unmodified, with the driver of backends/sqlite/stdlib in the place of theirs.
Written by ` + "`go -C internal/ecosystem run ./suites`" + `. Tests within tests are counted. Foreign keys are off, as in the drivers that these tests were written for,
unless a data source name says otherwise.

| module | version | packages | passed | failed | skipped | databases opened |
|---|---|---|---|---|---|---|
`)
	for _, r := range all {
		fmt.Fprintf(&text, "| %s | %s | %s | %d | %d | %d | %d |\n", r.module, r.version, strings.Join(r.packages, " "), r.passed, len(r.failed), len(r.skipped)+len(r.skip), r.opened)
	}
	text.WriteString("\n## Skipped\n\n")
	for _, r := range all {
		for _, skip := range r.skip {
			fmt.Fprintf(&text, "- %s `%s`: %s\n", r.module, skip.test, skip.reason)
		}
		for _, one := range r.skipped {
			fmt.Fprintf(&text, "- %s `%s`: %s\n", r.module, one.test, one.reason())
		}
	}
	text.WriteString(notRun)
	for _, r := range all {
		for _, one := range r.failed {
			fmt.Fprintf(&text, "\nFAILED: %s `%s`\n", r.module, one.test)
		}
	}
	return text.String()
}
