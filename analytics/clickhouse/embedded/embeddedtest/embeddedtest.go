// Package embeddedtest gives the tests of a package one shared engine.
package embeddedtest

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/usherhq/usher/analytics/clickhouse/embedded"
)

// Main is the whole body of a TestMain: it becomes the engine when this process
// was started as one, and else starts an engine on free ports in a temporary
// folder, passes it to use, runs the tests, stops the engine and looks for leaked
// goroutines. It returns the exit code.
func Main(m *testing.M, use func(*embedded.Server)) int {
	if len(os.Args) > 1 && os.Args[1] == "clickhouse" {
		if err := embedded.RunChild(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
	code, err := run(m, use)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func run(m *testing.M, use func(*embedded.Server)) (code int, err error) {
	dir, err := os.MkdirTemp("", "usher-engine-*")
	if err != nil {
		return 1, fmt.Errorf("make the engine's folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	cfg := embedded.DefaultConfig()
	cfg.DataDir = dir
	cfg.NativeAddr, cfg.HTTPAddr = "127.0.0.1:0", "127.0.0.1:0"
	cfg.MemoryRatio = 0.2
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	server, err := embedded.New(cfg, embedded.Deps{Log: log})
	if err != nil {
		return 1, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	select {
	case <-server.Ready():
	case err := <-ended:
		return 1, fmt.Errorf("start the engine for tests: %w", err)
	}
	use(server)
	code = m.Run()
	if n := server.Deaths(); n > 0 && code == 0 {
		fmt.Fprintf(os.Stderr, "the engine died %d times under the tests\n", n)
		code = 1
	}
	cancel()
	if err := <-ended; err != nil {
		return 1, fmt.Errorf("stop the engine for tests: %w", err)
	}
	if err := goleak.Find(); err != nil {
		return 1, err
	}
	return code, nil
}
