package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMutantsFit sees to it that what the mutants replace is there still. It does not run them.
func TestMutantsFit(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range mutants {
		text, err := os.ReadFile(filepath.Join("../..", m.file))
		require.NoError(t, err)
		assert.Equal(t, 1, strings.Count(string(text), m.old), "%s: %q must be in %s once: change the mutant with the code", m.what, m.old, m.file)
		assert.NotEqual(t, m.old, m.new, m.what)
		assert.NotEmpty(t, m.tests, m.what)
		assert.False(t, seen[m.what], m.what)
		seen[m.what] = true
	}
}
