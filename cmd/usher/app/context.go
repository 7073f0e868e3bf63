package app

import (
	"context"
	"errors"
	"time"

	"github.com/usherhq/usher/decision/contextstore"
	"github.com/usherhq/usher/decision/contextstore/pebble"
	"github.com/usherhq/usher/decision/contextstore/redis"
	"github.com/usherhq/usher/internal/run"
)

// pingTimeout bounds how long a start looks for Redis.
const pingTimeout = 5 * time.Second

// contextPhase opens the context store, in Redis or in the data folder. It stops
// after the doors.
func (n *node) contextPhase() run.Phase {
	return run.Phase{Name: "context", Parts: []run.Part{late("context store", func(ctx context.Context) (worker, error) {
		engine, closeIt, err := n.contextEngine(ctx)
		if err != nil {
			return worker{}, err
		}
		c := contextstore.DefaultConfig()
		c.MaxCharacters, c.SweepEvery = n.cfg.Context.MaxCharacters, n.cfg.Context.SweepEvery
		store, err := contextstore.New(c, contextstore.Deps{
			Engine: engine, Now: n.opts.Now, Log: n.log, Metrics: contextstore.NewMetrics(n.reg),
		})
		if err != nil {
			return worker{}, errors.Join(err, closeIt())
		}
		n.serving.contexts = store
		return worker{run: store.Run, closeIt: closeIt}, nil
	})}}
}

// contextEngine opens what the configuration names.
func (n *node) contextEngine(ctx context.Context) (contextstore.Engine, func() error, error) {
	c := n.cfg.Context
	if len(c.RedisAddrs) == 0 {
		if n.role == Decide {
			n.log.WarnContext(ctx, "context documents stay in this process's data folder; give --redis-addrs to share them")
		}
		engine, err := pebble.Open(n.path(contextFolder), n.log)
		if err != nil {
			return nil, nil, err
		}
		return engine, engine.Close, nil
	}
	engine, err := redis.New(redis.Config{
		Addrs: c.RedisAddrs, Cluster: c.RedisCluster, TLS: c.RedisTLS, Username: c.RedisUsername, Password: c.RedisPassword,
	})
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	switch err := engine.Ping(ctx); {
	case err != nil && permanent(err):
		return nil, nil, errors.Join(err, engine.Close())
	case err != nil:
		// Decisions are answered without context, too.
		n.log.WarnContext(ctx, "Redis cannot be reached yet, going on without", "error", err)
	}
	return engine, engine.Close, nil
}
