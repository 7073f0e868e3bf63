// Command learneval measures how well Usher learns, beside published references, and
// writes docs/learning-results.md with its figures. `make eval` runs it. Everything
// but the speeds, which stand in a file of their own, comes out the same in every
// run.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"time"
)

// does says whether a part is to be measured.
func (o *options) does(part string) bool {
	return o.only == "" || o.only == part || o.only == quality && part != product
}

// The parts whose files are written: what is learned, and how fast.
const (
	quality = "quality"
	product = "product"
	// burst is the part of product that sends as fast as it can.
	burst = "burst"
)

// options say what to measure and where everything is.
type options struct {
	root, usher, engine string
	logs, seeds         int
	only                string
}

func main() {
	var o options
	flag.StringVar(&o.root, "root", ".", "root of the repository")
	flag.StringVar(&o.usher, "usher", "bin/usher", "the built program")
	flag.StringVar(&o.engine, "engine", "deploy/engine", "folder with the ClickHouse engine")
	flag.IntVar(&o.logs, "logs", 300, "fresh logs for the coverage of intervals: of digits, a third of it of satellite, a fifteenth of letter")
	flag.IntVar(&o.seeds, "seeds", 3, "seeds of each table")
	flag.StringVar(&o.only, "only", "", "measure one part: quality (all that has no clock) or product (speeds), or, without writing files, online, refits, offpolicy or burst")
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
	if o.only != "" && o.only != quality && o.only != product {
		_, err := io.WriteString(os.Stdout, res.page()+res.speedPage())
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
