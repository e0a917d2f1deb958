package main

import (
	"database/sql"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A report is results.md as it grows.
type report struct {
	out      string // directory; "": standard output, without charts
	text     strings.Builder
	settings []string            // in the order of appearance
	named    map[string][]string // the entrants with these settings
}

func newReport(out string, rounds int, about []string) *report {
	r := &report{out: out, named: map[string][]string{}}
	fmt.Fprintf(&r.text, "# headpond beside its peers\n\n"+
		"Made by `go -C internal/benchmarks run .`; its main.go says how it measures. Every figure is the median of %d rounds in which all take turns, "+
		"in brackets the least and the greatest; × is the median of the ratios to the entrant marked ×1, each within one round.\n\n", rounds)
	for _, line := range about {
		fmt.Fprintln(&r.text, "-", line)
	}
	return r
}

// add appends the section of a group, and writes its chart.
func (r *report) add(g group, results []result) {
	fmt.Fprintf(&r.text, "\n## %s\n\n%s\n\n", g.title, g.about)
	if g.chart != nil && r.out != "" {
		file := g.name + ".svg"
		check(os.WriteFile(filepath.Join(r.out, file), []byte(g.chart(g, results)), 0o644))
		fmt.Fprintf(&r.text, "![%s](%s)\n\n", g.title, file)
	}
	if len(results) > 1 {
		r.overview(g, results)
		r.text.WriteString("<details><summary>All figures</summary>\n\n")
		defer r.text.WriteString("\n</details>\n")
	}
	r.table(g, results)
}

// overview is a table of the main figure: a row for each entrant, a column for each contest.
func (r *report) overview(g group, results []result) {
	var names []string
	header, rule := "| |", "|---|"
	for _, held := range results {
		header += " " + held.name + " |"
		rule += "---:|"
		for _, e := range held.entrants {
			if !slices.Contains(names, e.name) {
				names = append(names, e.name)
			}
		}
	}
	fmt.Fprintf(&r.text, "%s\n%s\n", header, rule)
	for _, name := range names {
		fmt.Fprintf(&r.text, "| %s |", name)
		for _, held := range results {
			cell := ""
			if i := slices.IndexFunc(held.entrants, func(e entrant) bool { return e.name == name }); i >= 0 {
				cell = g.columns[0].show(held.value(i, g.columns[0])) + " " + held.times(i, g)
			}
			fmt.Fprintf(&r.text, " %s |", cell)
		}
		r.text.WriteString("\n")
	}
	r.text.WriteString("\n")
}

// table has all figures: a row for each entrant of each contest.
func (r *report) table(g group, results []result) {
	header, rule := "| | |", "|---|---|"
	for i, c := range g.columns {
		header += " " + c.name + " |"
		rule += "---:|"
		if i == 0 {
			header += " × |"
			rule += "---:|"
		}
	}
	fmt.Fprintf(&r.text, "%s\n%s\n", header, rule)
	for _, held := range results {
		for i, e := range held.entrants {
			fmt.Fprintf(&r.text, "| %s | %s |", held.name, e.name)
			for k, c := range g.columns {
				fmt.Fprintf(&r.text, " %s", c.show(held.value(i, c)))
				if k == 0 {
					all := held.values(i, c)
					fmt.Fprintf(&r.text, " (%s to %s) | %s", c.show(slices.Min(all)), c.show(slices.Max(all)), held.times(i, g))
				}
				r.text.WriteString(" |")
			}
			r.text.WriteString("\n")
			if !slices.Contains(r.settings, e.settings) {
				r.settings = append(r.settings, e.settings)
			}
			if !slices.Contains(r.named[e.settings], e.name) {
				r.named[e.settings] = append(r.named[e.settings], e.name)
			}
		}
	}
}

// times returns the ratio of entrant i to the group's base, as text.
func (r result) times(i int, g group) string {
	ratio := r.ratio(i, g.columns[0], g.base)
	if math.IsNaN(ratio) {
		return ""
	}
	return "×" + strconv.FormatFloat(ratio, 'g', 3, 64)
}

// finish appends everybody's settings, and writes the report.
func (r *report) finish(took time.Duration) {
	r.text.WriteString("\n## Settings\n\n")
	for _, settings := range r.settings {
		fmt.Fprintf(&r.text, "- %s: %s.\n", strings.Join(r.named[settings], "; "), settings)
	}
	fmt.Fprintf(&r.text, "\nThe run took %v.\n", took.Round(time.Second))
	if r.out == "" {
		fmt.Print(r.text.String())
		return
	}
	check(os.WriteFile(filepath.Join(r.out, "results.md"), []byte(r.text.String()), 0o644))
}

// environment says where and with what the figures are made.
func environment(in directory) []string {
	fsync := in.fsync()
	about := []string{
		time.Now().UTC().Format("2006-01-02") + fmt.Sprintf(", on a %d-core %s/%s machine, with %s", runtime.GOMAXPROCS(0), runtime.GOOS, runtime.GOARCH, runtime.Version()),
		fmt.Sprintf("databases on %s, where to write 4 KiB and fsync takes %s (median of 100)", in.filesystem(), duration(float64(fsync))),
	}
	if fsync < 20*time.Microsecond {
		about = append(about, "**that is no disk: writing with synchronous=FULL costs nothing here, and its figures mean nothing**")
	}
	var versions []string
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, module := range build.Deps {
			if slices.Contains(modules, module.Path) {
				versions = append(versions, module.Path+" "+module.Version)
			}
		}
	}
	return append(about, strings.Join(versions, ", "),
		fmt.Sprintf("SQLite %s in modernc and zombiezen, %s in mattn", sqliteVersion("sqlite"), sqliteVersion("sqlite3")))
}

// modules are those whose versions the report states.
var modules = []string{
	"github.com/jackc/puddle/v2", "github.com/jolestar/go-commons-pool/v2", "github.com/mattn/go-sqlite3",
	"modernc.org/sqlite", "zombiezen.com/go/sqlite", "go.opentelemetry.io/otel/sdk",
}

func sqliteVersion(driver string) (version string) {
	db, err := sql.Open(driver, ":memory:")
	check(err)
	defer db.Close()
	check(db.QueryRow("SELECT sqlite_version()").Scan(&version))
	return version
}

// fsync returns how long it takes to add a page to a file and to see it on the disk.
func (in directory) fsync() time.Duration {
	file, err := os.CreateTemp(string(in), "headpond-benchmarks-")
	check(err)
	defer os.Remove(file.Name())
	defer file.Close()
	all := make([]float64, 100)
	for i := range all {
		began := time.Now()
		_, err := file.Write(make([]byte, 4096))
		check(err)
		check(file.Sync())
		all[i] = float64(time.Since(began))
	}
	return time.Duration(median(all))
}

// filesystem returns the type of the file system that in lies on, if the system tells.
func (in directory) filesystem() string {
	path, err := filepath.Abs(string(in))
	check(err)
	mounts, _ := os.ReadFile("/proc/mounts") // of Linux: device, directory, type, ...
	longest, found := -1, "an unknown file system"
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		inside, err := filepath.Rel(fields[1], path)
		if err == nil && filepath.IsLocal(inside) && len(fields[1]) >= longest {
			longest, found = len(fields[1]), fields[2]
		}
	}
	return found
}

// How figures are shown.

// duration shows nanoseconds.
func duration(ns float64) string { return scaled(ns, 1000, "ns", "µs", "ms", "s") }

// bytes shows bytes.
func bytes(n float64) string { return scaled(n, 1024, "B", "KiB", "MiB") }

// scaled shows a figure with three digits in the unit that suits it.
func scaled(n, step float64, units ...string) string {
	for len(units) > 1 && math.Abs(n) >= step*0.9995 {
		n, units = n/step, units[1:]
	}
	return digits(n) + " " + units[0]
}

// digits shows three digits, or all before the point.
func digits(n float64) string {
	switch {
	case math.Abs(n) < 10:
		return strings.TrimSuffix(strconv.FormatFloat(n, 'f', 2, 64), ".00")
	case math.Abs(n) < 100:
		return strconv.FormatFloat(n, 'f', 1, 64)
	}
	return strconv.FormatFloat(n, 'f', 0, 64)
}

// few shows a small count for each operation.
func few(n float64) string { return strings.TrimSuffix(strconv.FormatFloat(n, 'f', 1, 64), ".0") }

// commas shows a whole number.
func commas(n float64) string {
	text := strconv.FormatFloat(n, 'f', 0, 64)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func sum(all []float64) (total float64) {
	for _, n := range all {
		total += n
	}
	return total
}
