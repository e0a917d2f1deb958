//go:build race

package powerloss

// few states, for the race detector slows SQLite down by a factor of ten, and there is little for it to see here.
const few = 20
