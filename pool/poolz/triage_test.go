package poolz

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/headpond/headpond/pool"
)

func TestTriage(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	held := []group{
		{Count: 2, Longest: seconds(41200 * time.Millisecond), Caller: "/src/report.go:88 orders.Report", Short: "report.go:88 orders.Report", Leaked: 2},
		{Count: 8, Longest: seconds(3 * time.Second), Caller: "/src/cart.go:12 orders.Cart", Short: "cart.go:12 orders.Cart"},
	}
	refused := failing{since: now.Add(-41 * time.Second), count: 12, text: "connection refused"}
	timeouts := []sample{{timedOut: 5}, {timedOut: 6}, {timedOut: 8}}
	for _, c := range []struct {
		name string
		condition
		want severity
		says string
	}{
		{name: "idle", condition: condition{stats: pool.Stats{MaxSize: 10}}},
		{name: "busy", condition: condition{stats: pool.Stats{MaxSize: 10, Held: 10, Waiting: 3, OldestWait: time.Millisecond}, waitedBy: time.Second}},
		{name: "wait", condition: condition{stats: pool.Stats{MaxSize: 10, Held: 10, Waiting: 3, OldestWait: 4 * time.Second}, groups: held, waitedBy: time.Second},
			want: needsIt, says: "3 callers wait, the longest for 4 s: all 10 are held, 8 by cart.go:12 orders.Cart, one for 3 s."},
		{name: "wait, and time out", condition: condition{stats: pool.Stats{MaxSize: 10, Held: 10, Waiting: 1, OldestWait: time.Millisecond}, samples: timeouts, waitedBy: time.Second},
			want: needsIt, says: "1 caller waits, the longest for 1 ms, and 3 timed out in the last minute: all 10 are held."},
		{name: "timed out", condition: condition{stats: pool.Stats{MaxSize: 10, Held: 4, Destroying: 6}, samples: timeouts},
			want: needsIt, says: "3 acquires timed out in the last minute: 4 of 10 are held and 6 being destroyed."},
		{name: "holders unknown", condition: condition{stats: pool.Stats{MaxSize: 1, Held: 1, Waiting: 1, OldestWait: time.Second}, groups: []group{{Count: 1, Longest: seconds(time.Minute)}}},
			want: needsIt, says: "1 caller waits, the longest for 1 s: the only one is held, one of them for 1m0s (LeakAfter shows by whom)."},
		{name: "nothing can be built", condition: condition{stats: pool.Stats{MaxSize: 10}, failing: refused},
			want: needsIt, says: "It has nothing: 12 Constructs failed in the last 41 s, none succeeded, and the last error was: connection refused."},
		{name: "nothing, and the next try runs", condition: condition{stats: pool.Stats{MaxSize: 10, Constructing: 1}, failing: refused},
			want: needsIt, says: "It has nothing: 12 Constructs failed in the last 41 s, none succeeded, and the last error was: connection refused."},
		{name: "some, and no more can be built", condition: condition{stats: pool.Stats{MaxSize: 10, Held: 2, Waiting: 1, OldestWait: time.Second}, failing: refused},
			want: needsIt, says: "1 caller waits, the longest for 1 s: 12 Constructs failed in the last 41 s, none succeeded, and the last error was: connection refused."},
		{name: "no more can be built, and nobody waits", condition: condition{stats: pool.Stats{MaxSize: 10, Idle: 2}, failing: refused},
			want: look, says: "12 Constructs failed in the last 41 s, none succeeded, and the last error was: connection refused."},
		{name: "leaks", condition: condition{stats: pool.Stats{MaxSize: 20, Held: 10}, groups: held, leaks: 2, options: pool.Options{LeakAfter: 10 * time.Second}},
			want: needsIt, says: "2 leases are held for longer than LeakAfter, 10s, 2 by report.go:88 orders.Report, one for 41.2 s."},
		{name: "suspended", condition: condition{stats: pool.Stats{MaxSize: 10, Suspended: true}}, want: look, says: "It is suspended: every Acquire waits for Resume."},
		{name: "suspended, and callers wait", condition: condition{stats: pool.Stats{MaxSize: 10, Suspended: true, Waiting: 2, OldestWait: time.Second}},
			want: needsIt, says: "It is suspended, and 2 callers wait, the longest for 1 s: call Resume."},
		{name: "closed", condition: condition{stats: pool.Stats{MaxSize: 10, Closed: true, Destroying: 1}}},
		{name: "closed, and leases are out", condition: condition{stats: pool.Stats{MaxSize: 10, Closed: true, Held: 2}},
			want: needsIt, says: "It is closed, and 2 leases have not ended."},
		{name: "a figure is far past its limit", condition: condition{stats: pool.Stats{MaxSize: 2}, meters: []meter{{Name: "a", Times: 1.9}, {Name: "wal.size", Shown: "192 MiB", Limit: "64 MiB", Times: 3}}},
			want: look, says: "wal.size is 192 MiB, and its limit is 64 MiB."},
		{name: "all are being destroyed", condition: condition{stats: pool.Stats{MaxSize: 2, Destroying: 2}},
			want: look, says: "All 2 values are being destroyed, and each keeps its slot until Destroy has returned."},
	} {
		got, says := c.triage(now)
		assert.Equal(t, c.want, got, c.name)
		assert.Equal(t, c.says, says, c.name)
	}
}

func TestTriage_LeaksNameTheirOwnHolders(t *testing.T) {
	c := condition{stats: pool.Stats{MaxSize: 20, Held: 10}, options: pool.Options{LeakAfter: 10 * time.Second}, leaks: 1, groups: []group{
		{Count: 1, Longest: seconds(time.Minute), Caller: "a", Short: "leaky.go:1 f", Leaked: 1},
		{Count: 9, Longest: seconds(time.Second), Caller: "b", Short: "busy.go:1 f"},
	}}
	_, says := c.triage(time.Now())
	assert.Equal(t, "1 lease is held for longer than LeakAfter, 10s, 1 by leaky.go:1 f, one for 1m0s.", says)
}

func TestHistory(t *testing.T) {
	var h history
	assert.Empty(t, h.last())
	for n := range 100 {
		h.add(sample{held: n, acquired: uint64(2 * n)})
	}
	all := h.last()
	assert.Len(t, all, minute+1)
	assert.Equal(t, 39, all[0].held)
	assert.Equal(t, 99, all[minute].held)
	assert.Equal(t, 2.0, rate(all, func(s sample) uint64 { return s.acquired }))
	assert.Empty(t, charts(all[:1]))
	drawn := charts(all[:3])
	assert.Equal(t, []float64{40, 41}, drawn[0].Values[0].Values)
	assert.Equal(t, "58.0,1.4 59.0,1.0", drawn[0].Values[0].Points)
	assert.Equal(t, "in the last minute: held now 41, at most 41; waiting now 0, at most 0", drawn[0].Label)
	assert.Equal(t, []float64{2, 2}, drawn[1].Values[0].Values)
}

func TestMeters(t *testing.T) {
	all := meters([]figureView{{Name: "wal.size", Value: 50, Shown: "50 B"}, {Name: "wal.size.limit", Value: 200, Shown: "200 B"},
		{Name: "other", Value: 1}, {Name: "past", Value: 3, Shown: "3"}, {Name: "past.limit", Value: 2, Shown: "2"}, {Name: "none", Value: 3}, {Name: "none.limit"}})
	assert.Equal(t, []meter{{Name: "wal.size", Shown: "50 B", Limit: "200 B", Times: .25, Percent: 25}, {Name: "past", Shown: "3", Limit: "2", Times: 1.5, Percent: 100, Class: "bad"}}, all)
}

func TestRepeats(t *testing.T) {
	all := repeats([]incidentView{{What: "slow acquire", Shown: "slow acquire #7"}, {What: "acquire failed", Text: "waited 5.1s, 3 of 3"}, {What: "slow acquire"}, {What: "acquire failed", Text: "waited 12s, 2 of 3"}, {What: "acquire failed", Text: "refused"}})
	assert.Equal(t, []repeat{{"slow acquire #7", "", 2}, {"", "waited 5.1s, 3 of 3", 2}, {"", "refused", 1}}, all)
}

func TestShorten_CutsNoRune(t *testing.T) {
	text := "x"
	for range 1000 {
		text += "é"
	}
	short := shorten(text)
	assert.NotContains(t, short, "\uFFFD")
	assert.LessOrEqual(t, len(short), mostText+len("…"))
}
