package resource_test

import (
	"testing"

	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
)

func TestReasonsHaveTheirNames(t *testing.T) {
	want := map[resource.Reason]string{
		resource.None:          "none",
		resource.MaxLifetime:   "max_lifetime",
		resource.MaxIdleTime:   "max_idle_time",
		resource.MaxUses:       "max_uses",
		resource.CheckFailed:   "check_failed",
		resource.PrepareFailed: "prepare_failed",
		resource.ResetFailed:   "reset_failed",
		resource.Discarded:     "discarded",
		resource.Evicted:       "evicted",
		resource.Shrunk:        "shrunk",
		resource.Closed:        "closed",
		resource.Panicked:      "panicked",
		resource.Surplus:       "surplus",
	}
	assert.Len(t, want, int(resource.Reasons), "a reason without a name here")
	for reason, name := range want {
		assert.Equal(t, name, reason.String())
	}
	assert.Equal(t, "Reason(13)", resource.Reasons.String())
	assert.Equal(t, "Reason(255)", resource.Reason(255).String())
}
