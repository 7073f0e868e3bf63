package app

import (
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/usherhq/usher/cmd/usher/config"
	"github.com/usherhq/usher/decision/contextstore"
	"github.com/usherhq/usher/decision/contextstore/redistest"
	"github.com/usherhq/usher/internal/fault"
)

// contextNode is a node with nothing but what the context store needs.
func contextNode(t *testing.T, role Role, edit func(*config.Context)) *node {
	t.Helper()
	cfg := config.Default()
	cfg.DataDir = t.TempDir()
	edit(&cfg.Context)
	return &node{
		cfg: &cfg, role: role, log: slog.New(slog.DiscardHandler), reg: prometheus.NewRegistry(),
		opts: Options{Now: time.Now, Log: slog.New(slog.DiscardHandler)},
	}
}

// remember writes a document through one node and reads it through another.
func remember(t *testing.T, writer, reader *node) {
	t.Helper()
	key := contextstore.Key{Namespace: "n", Session: "s"}
	for i, n := range []*node{writer, reader} {
		engine, closeIt, err := n.contextEngine(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		store, err := contextstore.New(contextstore.DefaultConfig(), contextstore.Deps{Engine: engine, Now: time.Now, Log: n.log})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			_, err = store.Write(t.Context(), "default", contextstore.Change{Key: key, Set: map[string]any{"a": 1}})
		} else {
			_, err = store.Get(t.Context(), "default", key)
		}
		if err != nil {
			t.Error(err)
		}
		if err := closeIt(); err != nil {
			t.Error(err)
		}
	}
}

func TestContextStaysInTheDataFolder(t *testing.T) {
	n := contextNode(t, Up, func(*config.Context) {})
	remember(t, n, n)
}

func TestProcessesShareContextThroughRedis(t *testing.T) {
	s := redistest.StartTCP(t, "--requirepass", "hunter2")
	through := func(c *config.Context) { c.RedisAddrs, c.RedisPassword = []string{s.Addr()}, "hunter2" }
	remember(t, contextNode(t, Decide, through), contextNode(t, Up, through))

	wrong := contextNode(t, Decide, func(c *config.Context) { c.RedisAddrs = []string{s.Addr()} })
	if _, _, err := wrong.contextEngine(t.Context()); fault.KindOf(err) != fault.Precondition {
		t.Errorf("a start without the password answers %v", err)
	}
	// A server that is away does not keep decisions from being answered.
	s.Kill()
	_, closeIt, err := contextNode(t, Decide, through).contextEngine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := closeIt(); err != nil {
		t.Error(err)
	}
}
