package resource_test

import (
	"context"
	"testing"

	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
)

func TestHooksNeedConstructAlone(t *testing.T) {
	assert.EqualError(t, resource.Hooks[int]{
		Check: func(context.Context, int) error { return nil },
	}.Validate(), "Hooks.Construct is nil: a pool needs a way to make a value")
	assert.NoError(t, resource.Hooks[int]{
		Construct: func(context.Context) (int, error) { return 1, nil },
	}.Validate())
}
