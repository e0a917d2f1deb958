// Package fake is a resource for tests that records what was done to it.
package fake

import (
	"context"
	"fmt"
	"sync"

	"github.com/headpond/headpond/resource"
)

// Maker makes fakes, and watches over all of them.
type Maker struct {
	mu     sync.Mutex // protects the following
	values []*Value
	live   int
	most   int
	misuse []string
	script Script
}

// Value is a fake resource. Its fields are written by the hooks, which own it while they run.
type Value struct {
	ID                                     int
	Checked, Prepared, WasReset, Destroyed int

	mu sync.Mutex // protects the counts: Destroyed may be read by the test
}

// Hooks returns hooks that only record.
func (m *Maker) Hooks() resource.Hooks[*Value] {
	count := func(of func(*Value) *int) func(context.Context, *Value) error {
		return func(_ context.Context, v *Value) error {
			v.mu.Lock()
			defer v.mu.Unlock()
			if v.Destroyed > 0 {
				m.misused(v)
			}
			*of(v)++
			return nil
		}
	}
	return resource.Hooks[*Value]{
		Construct: func(context.Context) (*Value, error) { return m.Make(), nil },
		Check:     count(func(v *Value) *int { return &v.Checked }),
		Prepare:   count(func(v *Value) *int { return &v.Prepared }),
		Reset:     count(func(v *Value) *int { return &v.WasReset }),
		Destroy: func(_ context.Context, v *Value) error {
			m.Destroy(v)
			return nil
		},
	}
}

// Make makes a fake.
func (m *Maker) Make() *Value {
	m.count(1)
	return m.add()
}

// add records a fake that counts as live already.
func (m *Maker) add() *Value {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := &Value{ID: len(m.values) + 1}
	m.values = append(m.values, v)
	return v
}

// Destroy ends a fake.
func (m *Maker) Destroy(v *Value) {
	v.end()
	m.count(-1)
}

func (v *Value) end() {
	v.mu.Lock()
	v.Destroyed++
	v.mu.Unlock()
}

// count counts how many live.
func (m *Maker) count(more int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.live += more
	m.most = max(m.most, m.live)
}

func (m *Maker) misused(v *Value) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.misuse = append(m.misuse, fmt.Sprintf("value %d was used after its end", v.ID))
}

// Made returns how many fakes were made.
func (m *Maker) Made() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.values)
}

// Live returns how many fakes live, and how many did at the most.
func (m *Maker) Live() (now, most int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.live, m.most
}

// Finished fails the test if a fake was not destroyed, or not once, or used after that.
func (m *Maker) Finished(t interface {
	Errorf(format string, args ...any)
}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, misuse := range m.misuse {
		t.Errorf("%s", misuse)
	}
	for _, v := range m.values {
		v.mu.Lock()
		if v.Destroyed != 1 {
			t.Errorf("value %d was destroyed %d times", v.ID, v.Destroyed)
		}
		v.mu.Unlock()
	}
}
