package app

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/usherhq/usher/cmd/usher/config"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/internal/run"
	"github.com/usherhq/usher/internal/telemetry"
)

// orphanGrace is how long a start waits for the engine of a killed run.
const orphanGrace = 30 * time.Second

// node is one process under construction and in operation. Its phases fill its
// fields from the first to the last; a field is read only by later phases, and
// the phase group orders the two.
type node struct {
	cfg  *config.Config
	role Role
	opts Options
	log  *slog.Logger
	reg  *prometheus.Registry

	addr       Addresses
	adminToken string
	ready      chan struct{} // closes when the last phase is up
	open       atomic.Bool   // ready and not yet stopping

	engines engines
	state   controlState
	serving serving
}

// newNode takes the data folder and looks for trouble before anything starts.
func newNode(ctx context.Context, cfg *config.Config, role Role, opts Options) (*node, func(), error) {
	n := &node{
		cfg: cfg, role: role, opts: opts, log: opts.Log,
		reg: telemetry.Registry(opts.Version), ready: make(chan struct{}),
	}
	if err := checkReal(cfg, role); err != nil {
		return nil, nil, err
	}
	unlock, err := lockFolder(cfg.DataDir, string(role), opts.Now())
	if err != nil {
		return nil, nil, err
	}
	if err := n.preflight(ctx); err != nil {
		unlock()
		return nil, nil, err
	}
	return n, unlock, nil
}

func (n *node) preflight(ctx context.Context) error {
	if err := awaitOrphan(ctx, n.cfg.DataDir, orphanGrace); err != nil {
		return err
	}
	if err := checkPorts(ctx, n.doors()); err != nil {
		return err
	}
	return n.prepareEngines()
}

// doors are the addresses that this role listens on.
func (n *node) doors() []door {
	doors := []door{{"metrics and health", "--admin-addr", n.cfg.Admin.Addr}}
	if n.decides() {
		doors = append(doors, door{"the REST API", "--http-addr", n.cfg.HTTP.Addr}, door{"the gRPC API", "--grpc-addr", n.cfg.GRPC.Addr})
	}
	if n.embedsLog() {
		doors = append(doors, door{"the embedded broker", "--kafka-addr", n.cfg.Kafka.Addr})
	}
	if n.embedsStore() {
		doors = append(doors,
			door{"ClickHouse", "--clickhouse-addr", n.cfg.ClickHouse.Addr},
			door{"ClickHouse over HTTP", "--clickhouse-http-addr", n.cfg.ClickHouse.HTTPAddr})
	}
	return doors
}

func (n *node) embedsLog() bool   { return n.role == Up && len(n.cfg.Kafka.Brokers) == 0 }
func (n *node) embedsStore() bool { return n.role == Up && n.cfg.ClickHouse.DSN == "" }

// phases lists the role's parts, first to start first. The order upward is the
// order of a stop read backward.
func (n *node) phases() []run.Phase {
	phases := []run.Phase{n.adminPhase()}
	if p := n.enginePhase(); len(p.Parts) > 0 {
		phases = append(phases, p)
	}
	phases = append(phases, n.connectionPhase())
	if n.role != Ingest {
		phases = append(phases, n.controlPhase())
	}
	if n.decides() {
		phases = append(phases, n.bootstrapPhase())
	}
	if n.role == Up || n.role == Ingest {
		phases = append(phases, n.pipelinePhase())
	}
	if n.role == Up || n.role == Train {
		phases = append(phases, n.trainerPhase())
	}
	if n.decides() {
		phases = append(phases, n.spoolPhase(), n.contextPhase(), n.factPhase(), n.modelPhase(), n.forgetLocalPhase(), n.doorPhase())
	}
	return append(phases, n.readyPhase())
}

// decides tells whether the role answers bots.
func (n *node) decides() bool { return n.role == Up || n.role == Decide }

// readyPhase is the last: it tells the world, and is the first to end.
func (n *node) readyPhase() run.Phase {
	return run.Phase{Name: "ready", Parts: []run.Part{setup("announce", func(context.Context) (func() error, error) {
		r := Running{PID: os.Getpid(), Role: string(n.role), Since: n.opts.Now(), Address: n.addr}
		if err := announce(n.cfg.DataDir, r); err != nil {
			return nil, err
		}
		n.open.Store(true)
		close(n.ready)
		return func() error {
			n.open.Store(false)
			return nil
		}, nil
	})}}
}

// adminPhase opens the operators' door, which is there from first to last.
func (n *node) adminPhase() run.Phase {
	return run.Phase{Name: "admin", Parts: []run.Part{setup("admin door", func(ctx context.Context) (func() error, error) {
		admin := telemetry.Admin{Gatherer: n.reg, Profiles: n.cfg.Admin.Pprof, Checks: n.checks()}
		server := &http.Server{Handler: admin.Handler(), ReadHeaderTimeout: 5 * time.Second}
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", n.cfg.Admin.Addr)
		if err != nil {
			return nil, err
		}
		n.addr.Admin = l.Addr().String()
		done := make(chan error, 1)
		go func() { done <- server.Serve(l) }()
		return func() error {
			err := server.Close() // scrapes need no farewell
			if served := <-done; !errors.Is(served, http.ErrServerClosed) {
				err = errors.Join(err, served)
			}
			return err
		}, nil
	})}}
}

// checks decide /readyz. All but the first look only at a process that is open,
// when nothing of the node changes any more.
func (n *node) checks() []telemetry.Check {
	guarded := func(name string, probe func(context.Context) error) telemetry.Check {
		return telemetry.Check{Name: name, Probe: func(ctx context.Context) error {
			if !n.open.Load() {
				return errors.New("starting or stopping")
			}
			return probe(ctx)
		}}
	}
	checks := []telemetry.Check{guarded("started", func(context.Context) error { return nil })}
	if n.role != Decide { // which answers without the warehouse
		checks = append(checks, guarded("warehouse", func(ctx context.Context) error { return n.engines.store.Ping(ctx) }))
	}
	return checks
}

func (n *node) path(parts ...string) string {
	return filepath.Join(append([]string{n.cfg.DataDir}, parts...)...)
}

// permanent tells whether an error is about the configuration or the state of an
// engine, not about its being away.
func permanent(err error) bool {
	switch fault.KindOf(err) {
	case fault.Invalid, fault.Precondition, fault.Denied, fault.NoIdentity:
		return true
	default:
		return false
	}
}
