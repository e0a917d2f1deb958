package pooltest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/headpond/headpond/pool"
)

// grace is how long Check waits for leases that are about to end.
const grace = time.Second

// Check fails the test if leases of the pool are out when it ends, and names them:
// with pool.Options.LeakAfter also by the file and line that acquired them.
// Goroutines of the test that are still at work have a second to release.
//
// Call it early: what t.Cleanup is given later, and what the test defers, runs before it looks.
func Check(t testing.TB, p pool.Inspector) {
	t.Helper()
	t.Cleanup(func() {
		t.Helper()
		if holders := stay(p); len(holders) > 0 {
			t.Errorf("%s", report(p, holders))
		}
	})
}

// stay returns the leases that do not end within grace.
func stay(p pool.Inspector) []pool.Holder {
	ticker := time.NewTicker(grace / 100)
	defer ticker.Stop()
	for range 100 {
		if len(p.Holders()) == 0 {
			return nil
		}
		<-ticker.C
	}
	return p.Holders()
}

// report says who holds what.
func report(p pool.Inspector, holders []pool.Holder) string {
	var text strings.Builder
	fmt.Fprintf(&text, "headpond/pooltest: pool %q: %d of %d leases did not end with the test", p.Name(), len(holders), p.Stats().Acquired)
	for _, holder := range holders {
		fmt.Fprintf(&text, "\n\t%v", holder)
	}
	if holders[0].Stack.Caller() == "" {
		text.WriteString("\n\tset LeakAfter in the pool's Options to learn where they were acquired")
	}
	return text.String()
}
