package resource

import (
	"fmt"
	"time"
)

// Policy says how long a value may live, and how long its hooks may take.
// The zero Policy limits nothing but the hooks.
// A negative value is an error unless the field says otherwise.
type Policy struct {
	// MaxLifetime is the longest time from Construct on
	// after which a value is still handed out. 0: no limit.
	MaxLifetime time.Duration

	// LifetimeJitter is the most that is subtracted from MaxLifetime,
	// so that values made together do not end together.
	// How much is drawn once for a value, when it is constructed.
	// 0: none. Less than MaxLifetime.
	LifetimeJitter time.Duration

	// MaxIdleTime is the longest time since the last release
	// after which a value is still handed out. 0: no limit. In a pool with MinIdle it ends what is idle beyond that;
	// what MinIdle keeps may be idle for longer.
	MaxIdleTime time.Duration

	// MaxUses is how often a value is handed out. 0: no limit.
	MaxUses int

	// CheckAfterIdle is how long a value may have been idle before Check is called when it is handed out:
	// since it was released, or checked by the pool itself.
	// Defaults to 1s; negative: on every acquire, of a value that was just built, too.
	CheckAfterIdle time.Duration

	// CheckEvery is how long a value may be idle before the pool checks it by itself, in the background: one at a time,
	// the longest idle ones first. It counts no use, and the value stays idle since its release. 0: off.
	CheckEvery time.Duration

	// ConstructTimeout ends Construct's ctx; a Construct that has not returned
	// 100 ms later is abandoned. Defaults to 30s; negative: none.
	ConstructTimeout time.Duration

	// CheckTimeout ends Check's ctx. Defaults to 1s.
	CheckTimeout time.Duration

	// ResetTimeout ends Reset's ctx. Defaults to 5s.
	ResetTimeout time.Duration

	// DestroyTimeout ends Destroy's ctx; a Destroy that has not returned
	// 100 ms later is abandoned. Defaults to 15s.
	DestroyTimeout time.Duration
}

// WithDefaults returns p with every zero field that has a default set to it.
func (p Policy) WithDefaults() Policy {
	set := func(field *time.Duration, value time.Duration) {
		if *field == 0 {
			*field = value
		}
	}
	set(&p.CheckAfterIdle, time.Second)
	set(&p.ConstructTimeout, 30*time.Second)
	set(&p.CheckTimeout, time.Second)
	set(&p.ResetTimeout, 5*time.Second)
	set(&p.DestroyTimeout, 15*time.Second)
	return p
}

// Validate returns an error that names the first field that is out of range,
// and its value.
func (p Policy) Validate() error {
	for _, field := range []struct {
		name  string
		value time.Duration
	}{
		{"Policy.MaxLifetime", p.MaxLifetime},
		{"Policy.LifetimeJitter", p.LifetimeJitter},
		{"Policy.MaxIdleTime", p.MaxIdleTime},
		{"Policy.CheckEvery", p.CheckEvery},
		{"Policy.CheckTimeout", p.CheckTimeout},
		{"Policy.ResetTimeout", p.ResetTimeout},
		{"Policy.DestroyTimeout", p.DestroyTimeout},
	} {
		if field.value < 0 {
			return fmt.Errorf("%s is %v: it must not be negative", field.name, field.value)
		}
	}
	if p.MaxUses < 0 {
		return fmt.Errorf("Policy.MaxUses is %d: it must not be negative", p.MaxUses)
	}
	if p.LifetimeJitter > 0 && p.LifetimeJitter >= p.MaxLifetime {
		return fmt.Errorf("Policy.LifetimeJitter is %v: it must be less than MaxLifetime, which is %v", p.LifetimeJitter, p.MaxLifetime)
	}
	return nil
}

// Info is what is known of one value when the pool asks whether it may go on.
type Info struct {
	Age    time.Duration // since Construct returned
	Idle   time.Duration // since the last release; 0 while held
	Jitter time.Duration // drawn at Construct, of Policy.LifetimeJitter
	Uses   int           // how often it was handed out and came back
}

// Retire says whether a value has reached one of p's limits, and which:
// None if it may go on.
// A limit is reached when it is touched, not only when it is passed.
func (p Policy) Retire(i Info) Reason {
	switch {
	case p.MaxLifetime > 0 && i.Age >= p.MaxLifetime-i.Jitter:
		return MaxLifetime
	case p.MaxIdleTime > 0 && i.Idle >= p.MaxIdleTime:
		return MaxIdleTime
	case p.MaxUses > 0 && i.Uses >= p.MaxUses:
		return MaxUses
	}
	return None
}
