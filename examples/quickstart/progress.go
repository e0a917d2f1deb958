package main

import (
	"fmt"
	"os"
	"time"
)

// progress shows line on standard output until the function that it returns is called:
// again and again in place on a terminal, a line a second elsewhere.
func progress(line func() string) (stop func()) {
	every, format := time.Second, "%s\n"
	if info, err := os.Stdout.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		every, format = 100*time.Millisecond, "\r\x1b[K%s"
	}
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				fmt.Printf(format, line())
			case <-done:
				fmt.Printf(format, line())
				if every < time.Second {
					fmt.Println()
				}
				return
			}
		}
	}()
	return func() {
		close(done)
		<-stopped
	}
}
