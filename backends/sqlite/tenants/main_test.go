package tenants_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var long = flag.Bool("long", false, "run the long versions of tests")

// children are what the test binary does as another process: see child.
var children = map[string]func(args []string) error{}

// TestMain runs the tests, or if the environment asks for it, one of the children.
func TestMain(m *testing.M) {
	name := os.Getenv("HEADPOND_TEST_CHILD")
	if name == "" {
		os.Exit(m.Run())
	}
	if err := children[name](os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// child is the command that runs a child in another process.
func child(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	binary, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = append(os.Environ(), "HEADPOND_TEST_CHILD="+name)
	return cmd
}

// descriptors is how many descriptors of this process are open on files below directory, which is without links.
// false: this system does not say.
func descriptors(directory string) (count int, known bool) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil || runtime.GOOS != "linux" { // wine shows its own
		return 0, false
	}
	for _, entry := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + entry.Name()); err == nil && strings.HasPrefix(target, directory) {
			count++
		}
	}
	return count, true
}
