package sqlite

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestErrorTypeIsTheCodeWithoutThePath(t *testing.T) {
	file := path(t)
	require.NoError(t, os.WriteFile(file, []byte("this is no database, but long enough to be looked at as if it were one: it has more than a hundred bytes"), 0o600))
	var failed *OpenError
	_, err := Open(t.Context(), file, Options{})
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, "SQLITE_NOTADB", failed.ErrorType())
	_, err = Open(t.Context(), t.TempDir(), Options{})
	require.ErrorAs(t, err, &failed)
	assert.Empty(t, failed.ErrorType(), "SQLite was not asked")
}
