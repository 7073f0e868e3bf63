package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/usherhq/usher/analytics/clickhouse"
	"github.com/usherhq/usher/analytics/clickhouse/embedded"
	"github.com/usherhq/usher/internal/run"
	"github.com/usherhq/usher/pipeline/kafka"
	broker "github.com/usherhq/usher/pipeline/kafka/embedded"
)

// engines are the servers that this process keeps for itself, and the
// connections to them or to real ones.
type engines struct {
	embedded  *embedded.Server // nil when a real server is used
	brokers   []string
	client    *kafka.Client
	publisher *kafka.Writer
	store     *clickhouse.DB // nil in a process that only decides
	warehouse *warehouse     // for reading, opened when it is needed
}

// prepareEngines makes the embedded warehouse, which settles its addresses, and
// starts nothing.
func (n *node) prepareEngines() error {
	n.engines.brokers = n.cfg.Kafka.Brokers
	if !n.embedsStore() {
		return nil
	}
	c := embedded.DefaultConfig()
	c.DataDir = n.path(storeFolder)
	c.NativeAddr, c.HTTPAddr = n.cfg.ClickHouse.Addr, n.cfg.ClickHouse.HTTPAddr
	c.LibraryPath, c.MemoryRatio = n.cfg.ClickHouse.Lib, n.cfg.ClickHouse.MemoryRatio
	c.MaxBackoff = n.cfg.ClickHouse.MaxBackoff
	server, err := embedded.New(c, embedded.Deps{Log: n.log, Registerer: n.reg})
	if err != nil {
		return fmt.Errorf("prepare the embedded warehouse: %w", err)
	}
	n.engines.embedded = server
	n.addr.ClickHouse, n.addr.ClickHouseHTTP = server.NativeAddr(), server.HTTPAddr()
	return nil
}

// enginePhase runs the embedded servers.
func (n *node) enginePhase() run.Phase {
	p := run.Phase{Name: "engines", Drain: n.cfg.StopAfter}
	if s := n.engines.embedded; s != nil {
		p.Parts = append(p.Parts, run.Part{Name: "ClickHouse", Run: s.Run, Ready: s.Ready()})
	}
	if n.embedsLog() {
		p.Parts = append(p.Parts, setup("embedded broker", func(ctx context.Context) (func() error, error) {
			b, err := broker.Open(ctx, broker.Config{Dir: n.path(logFolder), Addr: n.cfg.Kafka.Addr}, n.log)
			if err != nil {
				return nil, err
			}
			n.addr.Kafka = b.Addr()
			n.engines.brokers = []string{b.Addr()}
			return b.Close, nil
		}))
	}
	return p
}

// connectTimeout bounds how long a start waits for a real engine that is away.
const connectTimeout = time.Minute

// connectionPhase opens the connections and brings topics and schema up to date.
// Roles start in any order beside engines that start too, so it waits for them.
func (n *node) connectionPhase() run.Phase {
	log := setup("connect to the log", func(ctx context.Context) (func() error, error) {
		client, err := kafka.NewClient(logConfig(n.cfg, n.engines.brokers), n.log, kafka.NewMetrics(n.reg))
		if err != nil {
			return nil, err
		}
		n.engines.client, n.engines.publisher = client, client.NewWriter()
		closeBoth := func() error { return errors.Join(n.engines.publisher.Close(), client.Close()) }
		if err := n.patiently(ctx, "the log", func(ctx context.Context) error {
			return client.EnsureTopics(ctx, kafka.Topics(n.cfg.Kafka.Partitions))
		}); err != nil {
			return nil, errors.Join(err, closeBoth())
		}
		return closeBoth, nil
	})
	return run.Phase{Name: "connections", Parts: []run.Part{log, setup("connect to the warehouse", n.connectStore)}}
}

// connectStore opens the warehouse and brings its schema up. A process that only
// decides waits for neither: it can answer without.
func (n *node) connectStore(ctx context.Context) (func() error, error) {
	c := storeConfig(n.cfg)
	if e := n.engines.embedded; e != nil {
		c.Addr, c.User, c.Password = []string{e.NativeAddr()}, e.Writer().Name, e.Writer().Password
	}
	n.engines.warehouse = &warehouse{cfg: c}
	if n.role == Decide {
		return n.engines.warehouse.Close, nil
	}
	if err := n.patiently(ctx, "the warehouse", func(ctx context.Context) (err error) {
		n.engines.store, err = n.engines.warehouse.get(ctx)
		return err
	}); err != nil {
		return nil, err
	}
	if err := n.engines.store.Migrate(ctx, 0); err != nil {
		return nil, errors.Join(err, n.engines.warehouse.Close())
	}
	return n.engines.warehouse.Close, nil
}

// patiently repeats do until it succeeds, an error says that trying again cannot
// help, or connectTimeout has passed.
func (n *node) patiently(ctx context.Context, what string, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	pause := time.NewTicker(250 * time.Millisecond)
	defer pause.Stop()
	for told := false; ; {
		err := do(ctx)
		if err == nil || permanent(err) {
			return err
		}
		if !told {
			n.log.WarnContext(ctx, "an engine cannot be reached yet, waiting", "engine", what, "error", err)
			told = true
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("reach %s: %w", what, err)
		case <-pause.C:
		}
	}
}
