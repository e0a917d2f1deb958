package resource_test

import (
	"testing"
	"time"

	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
)

func TestRetire(t *testing.T) {
	all := resource.Policy{MaxLifetime: time.Hour, MaxIdleTime: time.Minute, MaxUses: 10}
	for _, test := range []struct {
		name   string
		policy resource.Policy
		info   resource.Info
		want   resource.Reason
	}{
		{"no limits", resource.Policy{}, resource.Info{Age: 1 << 30, Idle: 1 << 30, Uses: 1 << 30}, resource.None},
		{"a new value", all, resource.Info{}, resource.None},
		{"just below every limit", all, resource.Info{Age: time.Hour - 1, Idle: time.Minute - 1, Uses: 9}, resource.None},

		{"lifetime touched", all, resource.Info{Age: time.Hour}, resource.MaxLifetime},
		{"lifetime passed", all, resource.Info{Age: time.Hour + 1}, resource.MaxLifetime},
		{"lifetime touched by its jitter", all, resource.Info{Age: time.Hour - 7, Jitter: 7}, resource.MaxLifetime},
		{"lifetime a nanosecond before its jitter", all, resource.Info{Age: time.Hour - 8, Jitter: 7}, resource.None},
		{"jitter without a lifetime", resource.Policy{MaxUses: 10}, resource.Info{Age: time.Hour, Jitter: time.Hour}, resource.None},

		{"idle time touched", all, resource.Info{Idle: time.Minute}, resource.MaxIdleTime},
		{"idle time passed", all, resource.Info{Idle: time.Minute + 1}, resource.MaxIdleTime},
		{"jitter does not count as idle", all, resource.Info{Idle: time.Minute - 1, Jitter: time.Minute}, resource.None},

		{"uses touched", all, resource.Info{Uses: 10}, resource.MaxUses},
		{"uses passed", all, resource.Info{Uses: 11}, resource.MaxUses},

		{"lifetime before idle time and uses", all, resource.Info{Age: time.Hour, Idle: time.Minute, Uses: 10}, resource.MaxLifetime},
		{"idle time before uses", all, resource.Info{Idle: time.Minute, Uses: 10}, resource.MaxIdleTime},

		{"only a lifetime", resource.Policy{MaxLifetime: 1}, resource.Info{Age: 1, Idle: 1, Uses: 1}, resource.MaxLifetime},
		{"only an idle time", resource.Policy{MaxIdleTime: 1}, resource.Info{Age: 1, Idle: 1, Uses: 1}, resource.MaxIdleTime},
		{"only uses", resource.Policy{MaxUses: 1}, resource.Info{Age: 1, Idle: 1, Uses: 1}, resource.MaxUses},
		{"timeouts and checks limit nothing", resource.Policy{}.WithDefaults(), resource.Info{Age: time.Hour, Idle: time.Hour, Uses: 100}, resource.None},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.want, test.policy.Retire(test.info))
		})
	}
}

func TestValidateNamesTheFieldAndItsValue(t *testing.T) {
	for _, test := range []struct {
		policy resource.Policy
		want   string // "": it is valid
	}{
		{resource.Policy{}, ""},
		{resource.Policy{}.WithDefaults(), ""},
		{resource.Policy{MaxLifetime: time.Hour, LifetimeJitter: time.Hour - 1, MaxIdleTime: 1, MaxUses: 1}, ""},
		{resource.Policy{CheckAfterIdle: -1, ConstructTimeout: -1}, ""},

		{resource.Policy{MaxLifetime: -time.Second}, "Policy.MaxLifetime is -1s: it must not be negative"},
		{resource.Policy{LifetimeJitter: -time.Minute}, "Policy.LifetimeJitter is -1m0s: it must not be negative"},
		{resource.Policy{MaxIdleTime: -time.Hour}, "Policy.MaxIdleTime is -1h0m0s: it must not be negative"},
		{resource.Policy{CheckTimeout: -1}, "Policy.CheckTimeout is -1ns: it must not be negative"},
		{resource.Policy{ResetTimeout: -2}, "Policy.ResetTimeout is -2ns: it must not be negative"},
		{resource.Policy{DestroyTimeout: -3}, "Policy.DestroyTimeout is -3ns: it must not be negative"},
		{resource.Policy{MaxUses: -4}, "Policy.MaxUses is -4: it must not be negative"},
		{resource.Policy{MaxLifetime: time.Hour, LifetimeJitter: time.Hour}, "Policy.LifetimeJitter is 1h0m0s: it must be less than MaxLifetime, which is 1h0m0s"},
		{resource.Policy{LifetimeJitter: time.Second}, "Policy.LifetimeJitter is 1s: it must be less than MaxLifetime, which is 0s"},
		{resource.Policy{MaxLifetime: -1, MaxUses: -1}, "Policy.MaxLifetime is -1ns: it must not be negative"},
	} {
		t.Run(test.want, func(t *testing.T) {
			if err := test.policy.Validate(); test.want == "" {
				assert.NoError(t, err)
			} else {
				assert.EqualError(t, err, test.want)
			}
		})
	}
}

func TestWithDefaultsSetsOnlyWhatIsZero(t *testing.T) {
	assert.Equal(t, resource.Policy{
		CheckAfterIdle: time.Second, ConstructTimeout: 30 * time.Second, CheckTimeout: time.Second,
		ResetTimeout: 5 * time.Second, DestroyTimeout: 15 * time.Second,
	}, resource.Policy{}.WithDefaults())

	set := resource.Policy{
		MaxLifetime: 1, LifetimeJitter: 2, MaxIdleTime: 3, MaxUses: 4, CheckAfterIdle: -5,
		ConstructTimeout: -6, CheckTimeout: 7, ResetTimeout: 8, DestroyTimeout: 9,
	}
	assert.Equal(t, set, set.WithDefaults())
}
