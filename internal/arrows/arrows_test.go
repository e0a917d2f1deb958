// Package arrows holds the picture of which package may import which, as a test.
package arrows

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "github.com/headpond/headpond/"

// The arrows: what a package may reach outside the standard library, directly or through others.
// A name that ends in / stands for everything below it.
var (
	resource = []string{"resource"}
	catch    = []string{"internal/catch"}
	queue    = []string{"internal/queue"}
	agent    = []string{"internal/agent"}
	ctxerr   = []string{"internal/ctxerr"}
	gate     = join(resource, queue, []string{"internal/gate"})
	puddle   = []string{"github.com/jackc/puddle/v2", "github.com/jackc/puddle/v2/", "golang.org/x/sync/"}
	pool     = join(gate, catch, ctxerr, agent, puddle, []string{"pool"})
	sqlite   = []string{"zombiezen.com/go/sqlite", "zombiezen.com/go/sqlite/", "modernc.org/", "golang.org/x/sys/",
		"github.com/dustin/go-humanize", "github.com/google/uuid", "github.com/mattn/go-isatty", "github.com/ncruces/go-strftime", "github.com/remyoudompheng/bigfft"}
	raw  = []string{"backends/sqlite/internal/raw"}
	door = []string{"backends/sqlite/internal/door"}
	otel = []string{"go.opentelemetry.io/otel", "go.opentelemetry.io/otel/", "go.opentelemetry.io/auto/sdk", "go.opentelemetry.io/auto/sdk/",
		"github.com/go-logr/", "github.com/cespare/xxhash/v2"}

	arrows = map[string][]string{
		"resource":                      resource,
		"internal/gate":                 gate,
		"internal/queue":                queue,
		"internal/agent":                agent,
		"internal/catch":                catch,
		"internal/ctxerr":               ctxerr,
		"internal/fake":                 join(resource, []string{"internal/fake"}),
		"internal/arrows":               {"internal/arrows"},
		"internal/compatibility":        {"internal/compatibility"},
		"internal/mutants":              {"internal/mutants"},
		"pool":                          pool,
		"pool/poolz":                    join(pool, []string{"pool/poolz"}),
		"pool/poollog":                  join(pool, []string{"pool/poollog"}),
		"pool/pooltest":                 join(pool, []string{"pool/pooltest"}),
		"backends/sqlite":               join(pool, sqlite, raw, door, []string{"backends/sqlite"}),
		"backends/sqlite/stdlib":        join(pool, sqlite, raw, door, []string{"backends/sqlite", "backends/sqlite/stdlib"}),
		"backends/sqlite/internal/door": join(pool, sqlite, raw, door),
		"backends/sqlite/internal/raw":  join(sqlite, raw),
		"backends/sqlite/tenants":       join(pool, sqlite, raw, door, []string{"backends/sqlite", "backends/sqlite/stdlib", "backends/sqlite/tenants"}),
		"backends/sqlite/sqlitetest":    join(pool, sqlite, raw, door, []string{"pool/pooltest", "backends/sqlite", "backends/sqlite/sqlitetest"}),
		"internal/powerloss":            join(pool, sqlite, raw, door, []string{"backends/sqlite", "internal/powerloss"}),
		"tracing":                       join(pool, otel, []string{"tracing"}),
	}

	// What otel may be is its API: the SDK is for tests.
	never = map[string][]string{"tracing": {"go.opentelemetry.io/otel/sdk"}}

	// unsafely is the only package that imports what can corrupt memory, and what lies below zombiezen's Conn.
	unsafely   = "backends/sqlite/internal/raw"
	unsafeOnes = []string{"unsafe", "C", "modernc.org/"}
)

func join(all ...[]string) (joined []string) {
	for _, some := range all {
		joined = append(joined, some...)
	}
	return joined
}

func TestArrows(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Standard,Imports,Deps", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	require.NoError(t, err)
	standard := map[string]bool{"C": true}
	deps := map[string][]string{}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); decoder.More(); {
		var listed struct {
			ImportPath string
			Standard   bool
			Imports    []string // of its own files that are no tests
			Deps       []string
		}
		require.NoError(t, decoder.Decode(&listed))
		standard[listed.ImportPath] = listed.Standard
		if name, ours := strings.CutPrefix(listed.ImportPath, module); ours {
			deps[name] = listed.Deps
			for _, imported := range listed.Imports {
				assert.False(t, name != unsafely && matches(unsafeOnes, imported), "%s imports %s: only %s may", name, imported, unsafely)
			}
		}
	}
	require.Contains(t, deps, "pool")
	for name, reached := range deps {
		allowed, drawn := arrows[name]
		if !assert.True(t, drawn, "package %s is not in the picture", name) {
			continue
		}
		for _, dep := range reached {
			if dep = strings.TrimPrefix(dep, module); standard[dep] {
				continue
			}
			assert.True(t, matches(allowed, dep), "%s reaches %s: no arrow goes there", name, dep)
			assert.False(t, matches(never[name], dep), "%s reaches %s", name, dep)
		}
	}
}

func matches(allowed []string, name string) bool {
	for _, one := range allowed {
		if name == one || strings.HasSuffix(one, "/") && strings.HasPrefix(name, one) {
			return true
		}
	}
	return false
}
