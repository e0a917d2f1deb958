package resource

import "strconv"

// Reason is why a value ended.
type Reason uint8

const (
	None          Reason = iota // it goes on
	MaxLifetime                 // Policy.MaxLifetime, less its jitter
	MaxIdleTime                 // Policy.MaxIdleTime
	MaxUses                     // Policy.MaxUses
	CheckFailed                 // Check returned an error
	PrepareFailed               // Prepare returned an error
	ResetFailed                 // Reset returned an error
	Discarded                   // its holder discarded it
	Evicted                     // the pool was told to evict what was live
	Shrunk                      // the pool was made smaller
	Closed                      // the pool was closed
	Panicked                    // a hook, or the function given to Do, panicked or called runtime.Goexit
	Surplus                     // it came back while as many were idle as are kept

	Reasons // how many there are, None included
)

var reasons = [Reasons]string{
	"none", "max_lifetime", "max_idle_time", "max_uses", "check_failed", "prepare_failed",
	"reset_failed", "discarded", "evicted", "shrunk", "closed", "panicked", "surplus",
}

// String returns r in snake_case, as in the attribute of a metric.
func (r Reason) String() string {
	if r < Reasons {
		return reasons[r]
	}
	return "Reason(" + strconv.Itoa(int(r)) + ")"
}
