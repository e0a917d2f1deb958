package main

import (
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// figures are those of one second.
type figures struct {
	goroutines, files int
	resident, wal     int64
	p99, yard         time.Duration
}

func relative(f figures) float64 { return float64(f.p99) / float64(max(f.yard, 1)) }

func p99(took []time.Duration) time.Duration {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

func mean(samples []figures, of func(figures) float64) (sum float64) {
	for _, f := range samples {
		sum += of(f) / float64(len(samples))
	}
	return sum
}

func median(samples []figures, of func(figures) float64) float64 {
	var all []float64
	for _, f := range samples {
		all = append(all, of(f))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// openFiles counts the file descriptors of this process, resident its bytes in memory; 0 if there is no /proc.
func openFiles(t *testing.T) int {
	all, err := os.ReadDir("/proc/self/fd")
	if runtime.GOOS == "linux" {
		require.NoError(t, err)
	}
	return len(all)
}

func resident(t *testing.T) int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if runtime.GOOS != "linux" {
		return 0
	}
	require.NoError(t, err)
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	require.NoError(t, err)
	return pages * int64(os.Getpagesize())
}
