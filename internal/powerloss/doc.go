// Package powerloss simulates losses of power, to see what of a database survives them.
//
// A process that is killed leaves the page cache as it was; a loss of power does not. So no test that kills processes
// sees a sync that is missing, or that failed. This package does:
//
//   - a workload writes, checkpoints, backs up, closes and opens again under strace ([Record]), and says what it
//     was told: each acknowledgement is a system call too, and so has its place among the others;
//   - a model of the disk ([Disk]) replays the trace, and knows at each moment what syncs have made last;
//   - a loss of power at any moment ([Disk.Lose]) leaves some of the rest: of data, sectors of 512 bytes, in any order;
//     of names in a directory, some or none. Where a sync failed, Linux takes the pages for clean:
//     they stay readable, and no later sync writes them;
//   - what is left is put into a directory, opened, and judged against what was acknowledged ([Judge]).
//
// All of it is a function of the trace and a seed.
package powerloss
