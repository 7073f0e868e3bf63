// Command usher shows every conversation to the right seat: it ingests outcomes
// from Kafka into ClickHouse, refits routing models from them, and answers bots
// over gRPC and REST.
//
// Exit codes: 0 done, 1 it failed, 2 the command line or the input is wrong;
// policy simulate has 3 and explain 4 for answers that a pipeline may act on.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal the default handling is back: a second one ends the
	// process at once.
	context.AfterFunc(ctx, stop)
	std := streams{in: os.Stdin, out: os.Stdout, err: os.Stderr}
	os.Exit(exitCode(run(ctx, os.Args[1:], os.Environ(), std), std.err))
}
