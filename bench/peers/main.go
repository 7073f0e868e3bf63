package main

import (
	"flag"
	"fmt"
	"os"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run() error {
	rounds := flag.Int("rounds", 7, "interleaved rounds of each comparison")
	slice := flag.Duration("slice", 60*time.Millisecond, "time of one side in one round")
	flag.Parse()
	var rows []row
	for _, part := range []func() ([]row, error){
		func() ([]row, error) { return benchPolicies(*rounds, *slice) },
		func() ([]row, error) { return benchScoring(*rounds, *slice) },
		func() ([]row, error) { return benchTraining(*rounds) },
	} {
		more, err := part()
		if err != nil {
			return err
		}
		rows = append(rows, more...)
	}
	return table(os.Stdout, rows)
}
