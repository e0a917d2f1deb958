package tenants

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLimit(t *testing.T) {
	limited := limit(2)
	first, ok := limited()
	require.True(t, ok)
	second, ok := limited()
	require.True(t, ok)
	_, ok = limited()
	assert.False(t, ok)
	first()
	third, ok := limited()
	assert.True(t, ok)
	second()
	third()

	p, err := New(Options{Path: Directory(t.TempDir()), MaxOpening: 1})
	require.NoError(t, err)
	done, ok := p.options.Database.LimitCheckpoints()
	require.True(t, ok)
	_, ok = p.store.(*files).options.LimitCheckpoints()
	assert.False(t, ok, "all databases share it")
	done()
	require.NoError(t, p.Close(t.Context()))
}
