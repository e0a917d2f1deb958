package tenants

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestDirectory_Names(t *testing.T) {
	path := Directory("databases")
	for name, file := range map[string]string{
		"acme": "acme.db", "a_b-9": "a_b-9.db", "Acme": "=41cme.db", "Ü/1": "=c3=9c=2f1.db", "a.db-wal": "a=2edb-wal.db",
		"..": "=2e=2e.db", ".": "=2e.db", "a=41": "a=3d41.db", " ": "=20.db", "a\x00": "a=00.db", "a\n": "a=0a.db",
		"con": "=63on.db", "nul": "=6eul.db", "aux": "=61ux.db", "prn": "=70rn.db", "com1": "=63om1.db", "lpt0": "=6cpt0.db",
		"con1": "con1.db", "com10": "com10.db", "Con": "=43on.db", "com": "com.db", "compost": "compost.db",
	} {
		at, err := path(name)
		require.NoError(t, err, "%q", name)
		assert.Equal(t, file, filepath.Base(at), "%q", name)
		assert.True(t, filepath.IsAbs(at))
		back, ok := decode(file)
		assert.True(t, ok, "%q", name)
		assert.Equal(t, name, back)
	}
	_, err := path("")
	assert.ErrorContains(t, err, "empty")
	_, err = path(strings.Repeat("a", longestName-len(extension)))
	assert.NoError(t, err)
	_, err = path(strings.Repeat("a", longestName-len(extension)+1))
	assert.ErrorContains(t, err, "248 bytes, and may have 247")
	_, err = path(strings.Repeat("Ü", 41))
	assert.ErrorContains(t, err, "bytes")
	_, err = Directory("")("acme")
	assert.ErrorContains(t, err, "the directory is empty")
}

// TestDirectory_NoTwoNamesMeet compares names as a file system would that does not tell capitals apart.
func TestDirectory_NoTwoNamesMeet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.OneOf(rapid.StringMatching(`[a-cA-C=.0-9]{1,4}`), rapid.StringN(1, 8, 20), rapid.SampledFrom([]string{"con", "CON", "=63on", "com1", "COM1"}))
		one, other := names.Draw(t, "one"), names.Draw(t, "other")
		a, err := encode(one)
		require.NoError(t, err)
		b, err := encode(other)
		require.NoError(t, err)
		assert.Equal(t, one == other, strings.EqualFold(a, b))
		assert.Equal(t, strings.ToLower(a), a)
		assert.NotContains(t, a, "/")
		assert.NotContains(t, a, `\`)
		back, ok := decode(a)
		assert.True(t, ok)
		assert.Equal(t, one, back)
	})
}

func TestList(t *testing.T) {
	directory := t.TempDir()
	names := []string{"acme.db", "acme.db-wal", "acme.db-shm", "=41cme.db", "=4.db", "=4G.db", "=61cme.db", "Acme.db", "=63on.db", ".db", ".headpond-123", "notes.txt"}
	if runtime.GOOS != "windows" { // where it is the console
		names = append(names, "con.db")
	}
	for _, name := range names {
		require.NoError(t, os.WriteFile(filepath.Join(directory, name), nil, 0o600))
	}
	require.NoError(t, os.Mkdir(filepath.Join(directory, "folder.db"), 0o700))
	tenants, err := List(directory)
	require.NoError(t, err)
	assert.Equal(t, []string{"Acme", "acme", "con"}, tenants)
	_, err = List(filepath.Join(directory, "none"))
	assert.ErrorIs(t, err, os.ErrNotExist)
}
