package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run() error {
	as := flag.String("as", "", "run as a server of the comparison (internal)")
	usher := flag.String("usher", "../../bin/usher", "the built program")
	only := flag.String("only", "", "parts to run, comma separated: policies,explain,scoring,training,refit,serving,ingest")
	python := flag.String("python", "../../.cache/peers/bin/python", "Python with Vowpal Wabbit, see learners/README.md")
	rounds := flag.Int("rounds", 7, "interleaved rounds of the comparisons in memory")
	slice := flag.Duration("slice", 60*time.Millisecond, "time of one side in one round")
	runs := flag.Int("runs", 5, "interleaved rounds of the comparisons over processes")
	events := flag.Int("events", 300_000, "events of the ingest comparison")
	flag.Parse()
	switch *as {
	case "broker":
		return serveBroker(flag.Arg(0))
	case "echo":
		return serveEcho(flag.Arg(0))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var rows []row
	for _, part := range []struct {
		name string
		run  func() ([]row, error)
	}{
		{"policies", func() ([]row, error) { return benchPolicies(*rounds, *slice) }},
		{"explain", func() ([]row, error) { return benchExplain(*rounds, *slice) }},
		{"scoring", func() ([]row, error) { return benchScoring(*rounds, *slice) }},
		{"training", func() ([]row, error) { return benchTraining(*rounds) }},
		{"refit", func() ([]row, error) { return benchRefit(*python, *rounds) }},
		{"serving", func() ([]row, error) { return benchServing(ctx, *usher, *runs) }},
		{"ingest", func() ([]row, error) { return benchIngest(ctx, *usher, *runs, *events) }},
	} {
		if *only != "" && !slices.Contains(strings.Split(*only, ","), part.name) {
			continue
		}
		more, err := part.run()
		if err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
		rows = append(rows, more...)
	}
	return table(os.Stdout, rows)
}
