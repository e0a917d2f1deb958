package sqlite

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"zombiezen.com/go/sqlite"
)

// This file has what the name and the flags that a Pool is made with stand for, as those of sqlitex.NewPool do.

// poolName is what a name and flags stand for.
type poolName struct {
	path     string // of a file; if memory is set, what names the database among those that are shared
	memory   bool
	shared   bool // with every Pool of this process that has the same path in memory
	readOnly bool
	noCreate bool // the file has to be there
}

// defaultFlags are those of sqlitex.NewPool.
const defaultFlags = sqlite.OpenReadWrite | sqlite.OpenCreate | sqlite.OpenURI | sqlite.OpenWAL

// ignoredFlags change nothing here: the journal mode is WAL, each connection has a cache of its own, and one user at a time.
//
//lint:ignore SA1019 programs that move here still pass OpenNoMutex and OpenFullMutex
const ignoredFlags = sqlite.OpenWAL | sqlite.OpenNoMutex | sqlite.OpenFullMutex | sqlite.OpenPrivateCache

// parsePoolName returns what name and flags stand for. The error says which part of them can't be had.
func parsePoolName(name string, flags sqlite.OpenFlags) (p poolName, err error) {
	if flags == 0 {
		flags = defaultFlags
	}
	known := ignoredFlags | defaultFlags | sqlite.OpenReadOnly | sqlite.OpenMemory | sqlite.OpenSharedCache
	readOnly, readWrite := flags&sqlite.OpenReadOnly != 0, flags&sqlite.OpenReadWrite != 0
	switch {
	case flags&^known != 0:
		return p, fmt.Errorf("Options.Flags has %#x: NewPool does not know it", uint(flags&^known))
	case readOnly == readWrite:
		return p, fmt.Errorf("Options.Flags is %#x: it must have either OpenReadOnly or OpenReadWrite", uint(flags))
	case readOnly && flags&sqlite.OpenCreate != 0:
		return p, errors.New("Options.Flags has OpenCreate: that needs OpenReadWrite")
	}
	p = poolName{path: name, memory: flags&sqlite.OpenMemory != 0, shared: flags&sqlite.OpenSharedCache != 0, readOnly: readOnly,
		noCreate: flags&sqlite.OpenCreate == 0}
	if flags&sqlite.OpenURI != 0 && strings.HasPrefix(name, "file:") {
		err = p.parseURI(name)
	}
	p.memory = p.memory || p.path == ":memory:"
	return p, err
}

// parseURI reads a name as https://www.sqlite.org/uri.html says. What SQLite would ignore is an error.
func (p *poolName) parseURI(name string) error {
	rest, _, _ := strings.Cut(strings.TrimPrefix(name, "file:"), "#")
	rest, query, _ := strings.Cut(rest, "?")
	if authority, found := strings.CutPrefix(rest, "//"); found {
		host, path, _ := strings.Cut(authority, "/")
		if host != "" && host != "localhost" {
			return fmt.Errorf("its authority is %q: it must be empty or localhost", host)
		}
		rest = "/" + path
	}
	path, err := url.PathUnescape(rest)
	if err != nil {
		return err
	}
	p.path = path
	values, err := url.ParseQuery(query)
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(values)) { // in one order: vfs, the last, has a say in what cache says
		if err := p.set(key, values[key][len(values[key])-1]); err != nil {
			return err
		}
	}
	return nil
}

// set sets a parameter of a URI.
func (p *poolName) set(key, value string) error {
	refused := fmt.Errorf("its parameter %s is %q: NewPool does not know that", key, value)
	switch key {
	case "mode":
		modes := []string{"ro", "rw", "rwc", "memory"}
		if !slices.Contains(modes, value) {
			return refused
		}
		if p.readOnly && value != "ro" && value != "memory" {
			return fmt.Errorf("its parameter mode is %s, and Options.Flags has OpenReadOnly", value)
		}
		p.readOnly, p.noCreate = p.readOnly || value == "ro", p.noCreate || value == "rw"
		p.memory = p.memory || value == "memory"
	case "cache":
		if value != "shared" && value != "private" {
			return refused
		}
		p.shared = value == "shared"
	case "vfs":
		if value != "memdb" {
			return refused
		}
		p.memory, p.shared = true, p.shared || strings.HasPrefix(p.path, "/")
	default:
		return refused
	}
	return nil
}

// uri is that of the database in memory.
func (p *poolName) uri() string {
	if p.shared {
		return "file:/headpond-shared/" + url.PathEscape(p.path) + "?vfs=memdb"
	}
	return newMemoryURI()
}
