package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestQuickstart(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "run", ".")
	var stderr strings.Builder // where the go command says what it downloads
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, &stderr)
	// A connection is checked if the machine took a second to hand it on.
	assert.Regexp(t, `(?s)^16 goroutines insert 500 rows each.*
db\.Write: .*
    insert +\S+s
      write quickstart\.db +\S+s
        acquire quickstart\.writer +\S+s
(?:          check quickstart\.writer +\S+s
)*        commit +\S+s
        release quickstart\.writer +\S+s
.*
    read +\S+s
      read quickstart\.db +\S+s
        acquire quickstart\.readers +\S+s
          create quickstart\.readers +\S+s
        release quickstart\.readers +\S+s
.*
db\.Batch: .*
  its 8000 calls shared \d+ commits

16000 rows, integrity_check: ok
$`, string(out))
}

func TestABadPath(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "run", ".", "-db", "no/such/directory/file.db").CombinedOutput()
	assert.Error(t, err)
	assert.Contains(t, string(out), "directory does not exist")
}
