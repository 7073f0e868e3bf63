// Command learneval measures how well Usher learns, beside published references, and
// writes docs/learning-results.md with its figures. `make eval` runs it. Everything
// but the speeds, which stand in a file of their own, comes out the same in every
// run.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"
)

// options say what to measure and where everything is.
type options struct {
	root, usher, engine string
	logs, seeds         int
	refits, product     bool
}

func main() {
	var o options
	flag.StringVar(&o.root, "root", ".", "root of the repository")
	flag.StringVar(&o.usher, "usher", "bin/usher", "the built program")
	flag.StringVar(&o.engine, "engine", "deploy/engine", "folder with the ClickHouse engine")
	flag.IntVar(&o.logs, "logs", 300, "fresh logs for the coverage of intervals")
	flag.IntVar(&o.seeds, "seeds", 3, "seeds of each table")
	flag.BoolVar(&o.refits, "refits", true, "measure periodic refits")
	flag.BoolVar(&o.product, "product", true, "measure what needs a running product")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "learneval:", err)
		os.Exit(1) //nolint:gocritic // the signal handler dies with the process
	}
}

func run(ctx context.Context, o options) error {
	begin := time.Now()
	for _, f := range []string{"usher", "engine"} {
		p := map[string]*string{"usher": &o.usher, "engine": &o.engine}[f]
		path, err := filepath.Abs(inRoot(o.root, *p))
		if err != nil {
			return err
		}
		*p = path
	}
	res, err := measure(ctx, o, func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "%5.0f s  %s\n", time.Since(begin).Seconds(), fmt.Sprintf(format, args...))
	})
	if err != nil {
		return err
	}
	return res.write(o.root, os.Stdout)
}

func inRoot(root, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(root, path)
}
