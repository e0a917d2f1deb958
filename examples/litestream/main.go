// Litestream runs a service on one SQLite file whose machine may be lost: Litestream copies the file's log to a directory,
// which stands for a bucket elsewhere, and the service brings the file back from there.
//
//	go run .                        # writes, is killed, loses its machine, restores, goes on, stops in order
//	go run . -library               # the same, with Litestream inside the service
//	go run . -measure 10s           # how long writes take beside Litestream, with Options.ForeignCheckpoints and without
//
// With -serve and -replicate it is the two processes that the first of these starts. docs/litestream.md says what is promised.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"
)

// settings are the flags.
type settings struct {
	database, replica string
	every             time.Duration
	library           bool
	serve, replicate  bool
	writes, measure   time.Duration
}

func main() {
	var s settings
	flag.StringVar(&s.database, "db", "", "with -serve and -replicate: the database file")
	flag.StringVar(&s.replica, "replica", "", "with -serve and -replicate: the directory to copy it to")
	flag.DurationVar(&s.every, "every", time.Second, "how often Litestream copies")
	flag.BoolVar(&s.library, "library", false, "Litestream is a part of the service, not a process of its own")
	flag.BoolVar(&s.serve, "serve", false, "be the service, until standard input ends")
	flag.BoolVar(&s.replicate, "replicate", false, "be Litestream, until standard input ends")
	flag.DurationVar(&s.writes, "for", 2*time.Second, "how long the service writes before it is killed, and after it has restored")
	flag.DurationVar(&s.measure, "measure", 0, "measure for so long")
	flag.Parse()
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err := run(context.Background(), s, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "litestream:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings, in io.Reader, out io.Writer) error {
	switch {
	case s.serve:
		return serve(ctx, s, in, out)
	case s.replicate:
		return replicate(ctx, s, in, out)
	case s.measure > 0:
		return measure(ctx, s, out)
	}
	return demonstrate(ctx, s, out)
}
