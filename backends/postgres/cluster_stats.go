package postgres

import (
	"time"

	"github.com/headpond/headpond/pool"
)

// ClusterStats are the figures of several servers. They are zero if there is one.
type ClusterStats struct {
	Servers []ServerStats // in the order of the url, as they were seen last

	// Behind is how many Reads went to the primary, since a replica had not replayed yet what a Write had written.
	Behind uint64
	// Conflicts is how many Reads were repeated on the primary, since they failed on a replica.
	Conflicts uint64
}

// ServerStats is what is known of a server.
type ServerStats struct {
	Host string // as Error.Host
	Role Role
	Fit  bool          // a replica that Reads go to
	Lag  time.Duration // of a replica: for how long the primary has been seen to have more than it has replayed
	Err  error         // why nothing is known
}

// Role is what a server is.
type Role uint8

const (
	Unknown Role = iota // it does not answer
	Primary
	Replica
)

// String returns r in lower case.
func (r Role) String() string { return [...]string{"unknown", "primary", "replica"}[min(r, Replica)] }

// stats returns the figures.
func (c *cluster) stats() ClusterStats {
	stats := ClusterStats{Behind: c.behind.Load(), Conflicts: c.conflicts.Load()}
	if !c.several() {
		return stats
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.members {
		seen := c.views[m]
		server := ServerStats{Host: m.host, Fit: seen.fit, Lag: seen.lag, Err: seen.err}
		switch {
		case seen.err != nil:
		case seen.replica:
			server.Role = Replica
		default:
			server.Role = Primary
		}
		stats.Servers = append(stats.Servers, server)
	}
	return stats
}

// figures are those of the stats.
func (c *cluster) figures() []pool.Figure {
	if !c.several() {
		return nil
	}
	stats := c.stats()
	fit, lag := 0, time.Duration(0)
	for _, server := range stats.Servers {
		if server.Fit {
			fit++
		}
		lag = max(lag, server.Lag)
	}
	return []pool.Figure{
		{Name: "headpond.postgres.replicas", Unit: "{server}", Help: "Replicas that reads go to.", Value: float64(fit)},
		{Name: "headpond.postgres.replicas.lag", Unit: "s", Help: "For how long the primary has been seen to have more than the slowest replica.", Value: lag.Seconds()},
		{Name: "headpond.postgres.reads.behind", Unit: "{read}", Help: "Reads that went to the primary, since a replica had not replayed yet what was written.", Kind: pool.Counter, Value: float64(stats.Behind)},
		{Name: "headpond.postgres.reads.conflicts", Unit: "{read}", Help: "Reads that were repeated on the primary, since they failed on a replica.", Kind: pool.Counter, Value: float64(stats.Conflicts)},
	}
}
