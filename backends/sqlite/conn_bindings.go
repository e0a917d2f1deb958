package sqlite

// A cached statement keeps what was bound to it until it is prepared again: a blob of 100 MB on each connection, for ever.

// largeBinding is from how many bytes on a value that is bound to a cached statement is let go.
const largeBinding = 16 << 10

// bindingsPerRelease is how many statements a release looks at, on average: each is a read of memory that may be cold.
const bindingsPerRelease = 8

// letBindingsGo clears large values that are bound to cached statements: at each release if few statements are cached,
// else at one of so many that a release costs the same on average. No statement may be in the middle of its rows.
func (c *connection) letBindingsGo() {
	if c.bindingsDue += bindingsPerRelease; c.bindingsDue >= c.CachedStatements() {
		c.bindingsDue = 0
		c.ClearLargeBindings(largeBinding)
	}
}
