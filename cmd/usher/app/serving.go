package app

import (
	"context"
	"errors"
	"net"

	"github.com/google/uuid"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/contextstore"
	"github.com/usherhq/usher/decision/control"
	"github.com/usherhq/usher/decision/decisionlog"
	"github.com/usherhq/usher/decision/liveperson"
	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/decision/server"
	"github.com/usherhq/usher/decision/skillstate"
	"github.com/usherhq/usher/internal/rpc"
	"github.com/usherhq/usher/internal/run"
	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/proto"
)

// serving is what answers bots.
type serving struct {
	models   model.Registry
	spool    *decisionlog.Log
	contexts *contextstore.Store
	skills   *skillstate.States
}

// newID makes ids of decisions and requests: UUIDv7 sorts by time.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

// spoolPhase opens the write-ahead spool, through which decisions and outcomes
// reach the log. It stops after the doors, and publishes what is left.
func (n *node) spoolPhase() run.Phase {
	return run.Phase{Name: "spool", Parts: []run.Part{late("spool", func(context.Context) (worker, error) {
		c := decisionlog.DefaultConfig()
		c.Dir = n.path(spoolFolder)
		spool, err := decisionlog.Open(c, decisionlog.Deps{Publisher: n.engines.publisher, Log: n.log, Metrics: n.reg})
		if err != nil {
			return worker{}, err
		}
		n.serving.spool = spool
		return worker{run: spool.Run}, nil
	})}}
}

// modelPhase keeps policies compiled and models live.
func (n *node) modelPhase() run.Phase {
	return run.Phase{Name: "policies and models", Parts: []run.Part{
		late("policies", func(context.Context) (worker, error) {
			return worker{run: n.state.policies.Run, ready: n.state.policies.Ready()}, nil
		}),
		late("models", func(context.Context) (worker, error) {
			c := &champions{
				store: n.state.store, control: n.state.control, registry: &n.serving.models, log: n.log,
				source: artifactCache{dir: n.path(modelFolder), source: n.engines.warehouse}, ready: make(chan struct{}),
			}
			return worker{run: c.Run, ready: c.ready}, nil
		}),
	}}
}

// doorPhase answers on gRPC and REST. Both listeners are open before the part is
// up, so the first call after that is answered.
func (n *node) doorPhase() run.Phase {
	return run.Phase{Name: "doors", Drain: n.cfg.StopAfter, Parts: []run.Part{late("doors", func(ctx context.Context) (worker, error) {
		doors, err := n.doorServer()
		if err != nil {
			return worker{}, err
		}
		var lc net.ListenConfig
		grpcListener, err := lc.Listen(ctx, "tcp", n.cfg.GRPC.Addr)
		if err != nil {
			return worker{}, err
		}
		httpListener, err := lc.Listen(ctx, "tcp", n.cfg.HTTP.Addr)
		if err != nil {
			return worker{}, errors.Join(err, grpcListener.Close())
		}
		n.addr.GRPC, n.addr.HTTP = grpcListener.Addr().String(), httpListener.Addr().String()
		return worker{run: func(ctx context.Context) error { return doors.Serve(ctx, grpcListener, httpListener) }}, nil
	})}}
}

// doorServer puts the engine behind the contract's services.
func (n *node) doorServer() (*rpc.Server, error) {
	facts, err := n.resolver()
	if err != nil {
		return nil, err
	}
	c := decision.DefaultConfig()
	c.Budget = n.cfg.Decision.Budget
	engine, err := decision.New(c, decision.Deps{
		Policies: n.state.policies, Models: &n.serving.models, Control: n.state.control,
		Skills: n.serving.skills, Attributes: facts, Seats: facts,
		Now: n.opts.Now, NewID: newID, Metrics: decision.NewMetrics(n.reg),
	})
	if err != nil {
		return nil, err
	}
	verifier, simulator, err := n.again(c)
	if err != nil {
		return nil, err
	}
	steps, err := n.newLadder(nil)
	if err != nil {
		return nil, err
	}
	trees, err := n.distiller()
	if err != nil {
		return nil, err
	}
	services := server.New(server.Deps{
		Engine: engine, Policies: n.state.policies, Control: n.state.control, Tokens: n.state.tokens,
		Recorder: n.serving.spool, Records: n.engines.warehouse, Models: n.engines.warehouse, Contexts: n.serving.contexts,
		Skills: n.serving.skills, Catalog: n.state.catalog, Functions: n.state.functions,
		Latest: n.serving.spool, Search: n.engines.warehouse, Usage: n.engines.warehouse, Values: n.engines.warehouse, Verifier: verifier, Simulator: simulator, Distiller: trees,
		Ladder: steps, People: n.engines.warehouse, Live: &n.serving.models,
		Learning: learningSource{warehouse: n.engines.warehouse, training: trainerConfig(n.cfg), now: n.opts.Now},
		Log:      n.log, Now: n.opts.Now, NewID: newID, MaxSkew: n.cfg.Pipeline.MaxSkew,
	})
	cfg := rpc.DefaultConfig()
	// On this machine alone the page at / needs no token to show how things are.
	cfg.OpenStatus = n.role == Up && loopback(n.cfg.HTTP.Addr)
	cfg.Drain = min(cfg.Drain, n.cfg.StopAfter)
	schema, err := policy.Schema()
	if err != nil {
		return nil, err
	}
	return rpc.New(cfg, rpc.Deps{
		Verifier: n.state.tokens, Log: n.log, Metrics: n.reg, OpenAPI: proto.OpenAPI(), PolicySchema: schema, Version: n.opts.Version,
		Status:  func() []rpc.Fact { return services.Status(control.DefaultAccount) },
		Facades: []rpc.Facade{n.facade(services)},
		Ready:   n.ready, Now: n.opts.Now, NewID: newID,
	}, services.Services()...)
}

// facade speaks LivePerson's contract on the REST door.
func (n *node) facade(services *server.Server) rpc.Facade {
	return liveperson.New(liveperson.Deps{
		Answers: services, Policies: n.state.policies, Context: n.serving.contexts, Bots: n.state.catalog,
		Account: func(id string) error {
			_, err := n.state.control.GetAccount(id)
			return err
		},
	})
}

// loopback tells whether only this machine reaches the address.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}
