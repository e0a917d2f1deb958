package tenants_test

import (
	"testing"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/backends/sqlite/stdlib"
	"github.com/headpond/headpond/backends/sqlite/tenants"
	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNew_Options(t *testing.T) {
	path := tenants.Directory(t.TempDir())
	for want, options := range map[string]tenants.Options{
		"Options.Path is nil":                                             {},
		`Options.Database.Name is "x"`:                                    {Path: path, Database: sqlite.Options{Name: "x"}},
		"Options.Database.Observer is set":                                {Path: path, Database: sqlite.Options{Observer: pool.Observers()}},
		"Options.MaxOpen is -1":                                           {Path: path, MaxOpen: -1},
		"Options.MaxOpening is -2":                                        {Path: path, MaxOpening: -2},
		"Options.MaxOpening is 9: it must not exceed MaxOpen, which is 3": {Path: path, MaxOpen: 3, MaxOpening: 9},
		"Options.MaxWaiters is -1":                                        {Path: path, MaxWaiters: -1},
		"Options.IdleAfter is -1s":                                        {Path: path, IdleAfter: -time.Second},
		`headpond/tenants "accounts": `:                                   {Name: "accounts", Path: path, MaxOpen: -1},
	} {
		_, err := tenants.New(options)
		assert.ErrorContains(t, err, want)
	}
	for _, maxOpen := range []int{1, 2, 3, 0} {
		p, err := tenants.New(tenants.Options{Path: path, MaxOpen: maxOpen})
		require.NoError(t, err, maxOpen)
		require.NoError(t, sign(t.Context(), open(t, tenants.Options{MaxOpen: maxOpen}), "a"))
		assert.NoError(t, p.Close(t.Context()))
	}
}

func TestNew_DatabaseOptions(t *testing.T) {
	for want, database := range map[string]sqlite.Options{
		"Options.Database: Options.CacheSize is -1": {CacheSize: -1},
		"Options.Database: Options.Readers is -1":   {Readers: -1},
	} {
		_, err := tenants.New(tenants.Options{Path: tenants.Directory(t.TempDir()), Database: database})
		assert.ErrorContains(t, err, want)
	}
	p := open(t, tenants.Options{SQL: stdlib.Options{TimeFormat: 99}})
	assert.ErrorContains(t, p.SQL("a").Ping(), "Options.TimeFormat is 99")
}

func TestHit_Allocations(t *testing.T) {
	p := open(t, tenants.Options{})
	require.NoError(t, sign(t.Context(), p, "a"))
	assert.LessOrEqual(t, testing.AllocsPerRun(100, func() {
		_ = p.Do(t.Context(), "a", nothing)
	}), 1.0, "the ctx that knows of the call")
}
