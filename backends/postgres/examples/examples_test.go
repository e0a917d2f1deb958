// Package examples tests the programs of the guides in docs/moving, which say what changes on the way to PostgreSQL.
package examples

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headpond/headpond/backends/postgres/internal/server"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestPrograms runs every program: it does the same before and after, and what was copied is what was there.
func TestPrograms(t *testing.T) {
	s, err := server.New(t.Context())
	if errors.Is(err, server.ErrMissing) {
		t.Skip(err)
	}
	require.NoError(t, err)
	defer func() {
		assert.NoError(t, s.Remove())
		assert.NoError(t, server.RemoveTemplate())
	}()
	require.NoError(t, s.Start(t.Context()))
	file := filepath.Join(t.TempDir(), "seats.db")
	run := func(program string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "go", "run", "./"+program)
		cmd.Env = append(os.Environ(), "DATABASE_URL="+s.URL("postgres"), "DATABASE_FILE="+file)
		var stderr strings.Builder // where the go command says what it downloads
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		require.NoError(t, err, &stderr)
		return string(out)
	}
	const sold = "100 seats sold to 100 of 120 buyers\n"
	assert.Equal(t, sold, run("pgxpool/before"))
	assert.Equal(t, sold, run("pgxpool/after"))
	assert.Equal(t, sold, run("sqlite/before"))
	assert.Equal(t, sold, run("sqlite/after"))

	admin, err := pgx.Connect(t.Context(), s.URL("postgres"))
	require.NoError(t, err)
	defer admin.Close(context.Background())
	_, err = admin.Exec(t.Context(), "DROP TABLE seats")
	require.NoError(t, err)
	assert.Equal(t, "100 seats copied\n", run("sqlite/copy"))
	var buyers int
	require.NoError(t, admin.QueryRow(t.Context(), "SELECT count(DISTINCT buyer) FROM seats").Scan(&buyers))
	assert.Equal(t, 100, buyers)
}
