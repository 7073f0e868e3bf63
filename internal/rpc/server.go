// Package rpc opens the two doors of a process, gRPC and REST, onto the same
// services. Whatever must hold for every call (authentication, tenancy, limits,
// containment of panics, errors, metrics) is one function that both doors call.
package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
)

// Config bounds what the doors take.
type Config struct {
	// MaxBody is the largest request in bytes, on both doors.
	MaxBody int
	// MaxInFlight is how many calls may be at work at once.
	MaxInFlight int
	// RatePerToken is how many calls a second one token may make; 0: no limit.
	RatePerToken float64
	// Burst is how many calls a token may make at once above its rate.
	Burst int
	// Timeout bounds a call whose caller sets no deadline of its own.
	Timeout time.Duration
	// Drain is how long calls at work may take to end when the server stops.
	Drain time.Duration
	// OpenStatus shows the live status on the page at / without a token. Only
	// for installations that nobody but their owner reaches.
	OpenStatus bool
}

// DefaultConfig is fit for production.
func DefaultConfig() Config {
	return Config{MaxBody: 4 << 20, MaxInFlight: 4096, Burst: 100, Timeout: 15 * time.Second, Drain: 10 * time.Second}
}

// Validate reports every setting that makes no sense.
func (c Config) Validate() error {
	var errs []error
	if c.MaxBody <= 0 {
		errs = append(errs, fmt.Errorf("max body %d: want more than 0 bytes", c.MaxBody))
	}
	if c.MaxInFlight <= 0 {
		errs = append(errs, fmt.Errorf("max in flight %d: want at least 1", c.MaxInFlight))
	}
	if c.RatePerToken < 0 || (c.RatePerToken > 0 && c.Burst < 1) {
		errs = append(errs, fmt.Errorf("rate %v with burst %d: want a rate of 0 or more and a burst of at least 1", c.RatePerToken, c.Burst))
	}
	if c.Timeout <= 0 || c.Drain < 0 {
		errs = append(errs, fmt.Errorf("timeout %v, drain %v: want more than 0, and 0 or more", c.Timeout, c.Drain))
	}
	return errors.Join(errs...)
}

// Mux is where a service puts its REST routes; generated code does it.
type Mux = runtime.ServeMux

// Service is one service of the contract with what the doors need to offer it.
type Service struct {
	Desc *grpc.ServiceDesc
	Impl any
	// Gateway puts the service's routes onto the REST door.
	Gateway func(context.Context, *Mux, grpc.ClientConnInterface) error
	// Rules holds a rule for every method, by its short name.
	Rules map[string]Rule
}

// Fact is one line of the live status on the page at /.
type Fact struct{ Name, Value string }

// Deps are the parts a server works with. Verifier and Log are required.
type Deps struct {
	Verifier Verifier
	Log      *slog.Logger
	Metrics  prometheus.Registerer // nil: counted, not shown
	Facades  []Facade              // routes beside those of the services
	OpenAPI  []byte                // the OpenAPI 3 document of the contract
	// PolicySchema is the JSON Schema of a policy document.
	PolicySchema []byte
	Version      string
	Status       func() []Fact // live status for the page at /; may be nil
	// Ready closes when the services can answer; until then health says
	// NOT_SERVING. Nil: from the start.
	Ready <-chan struct{}
	Now   func() time.Time
	NewID func() string // ids under which internal errors are logged
}

// Server serves the services on both doors. Make it with [New].
type Server struct {
	cfg    Config
	deps   Deps
	guard  *guard
	grpc   *grpc.Server
	health *health.Server
	http   *http.Server
	names  []string // of the services
}

// New prepares a server; nothing runs until [Server.Serve]. It fails when the
// configuration makes no sense or a method has no rule.
func New(cfg Config, deps Deps, services ...Service) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure rpc: %w", err)
	}
	rules, err := collectRules(services, deps.Facades)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, deps: deps, health: health.NewServer()}
	s.guard = &guard{
		rules: rules, verifier: deps.Verifier, limits: newLimits(cfg), metrics: newMetrics(deps.Metrics),
		log: deps.Log, newID: deps.NewID, now: deps.Now, timeout: cfg.Timeout, stopping: make(chan struct{}),
	}
	s.grpc = grpc.NewServer(
		grpc.UnaryInterceptor(s.guard.call), grpc.StreamInterceptor(s.guard.stream),
		grpc.MaxRecvMsgSize(cfg.MaxBody), grpc.ForceServerCodecV2(newWire()),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
	)
	for _, svc := range services {
		s.grpc.RegisterService(svc.Desc, svc.Impl)
		s.names = append(s.names, svc.Desc.ServiceName)
	}
	healthpb.RegisterHealthServer(s.grpc, s.health)
	reflection.Register(s.grpc)
	s.setServing(false)
	door, err := s.newDoor(services)
	if err != nil {
		return nil, err
	}
	s.http = &http.Server{
		Handler: door, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(deps.Log.Handler(), slog.LevelDebug),
	}
	return s, nil
}

// collectRules keys the rules by full method, or a route's name, and misses none.
func collectRules(services []Service, facades []Facade) (map[string]Rule, error) {
	rules := map[string]Rule{}
	if err := checkFacades(facades); err != nil {
		return nil, err
	}
	for _, f := range facades {
		for i := range f.Routes {
			rules[f.Routes[i].name()] = f.Routes[i].rule()
		}
	}
	for _, s := range services {
		for _, m := range s.Desc.Methods {
			rule, ok := s.Rules[m.MethodName]
			if !ok || rule.Scope == 0 {
				return nil, fmt.Errorf("method %s of %s has no rule that names a scope", m.MethodName, s.Desc.ServiceName)
			}
			rules[fullMethod(s.Desc, m.MethodName)] = rule
		}
	}
	return rules, nil
}

// Handler is the REST door alone, for servers that bring their own listener.
func (s *Server) Handler() http.Handler { return s.http.Handler }

// Serve answers on both listeners until ctx ends or one of them breaks, and owns
// them. On the way out health says NOT_SERVING, no new call is taken, and calls
// at work get Config.Drain to finish. It may be called once.
func (s *Server) Serve(ctx context.Context, grpcListener, httpListener net.Listener) error {
	broken := make(chan error, 2)
	go func() { broken <- wrapServe("grpc", s.grpc.Serve(grpcListener)) }()
	go func() { broken <- wrapServe("http", s.http.Serve(httpListener)) }()
	left := 2
	var errs []error
	ready := s.deps.Ready
	if ready == nil {
		s.setServing(true)
	}
	for stop := false; !stop; {
		select {
		case <-ready:
			s.setServing(true)
			ready = nil
		case err := <-broken:
			errs = append(errs, err)
			left, stop = left-1, true
		case <-ctx.Done():
			stop = true
		}
	}
	errs = append(errs, s.stop(context.WithoutCancel(ctx)))
	for range left {
		errs = append(errs, <-broken)
	}
	return errors.Join(errs...)
}

// stop drains both doors within Config.Drain, then closes what is left.
func (s *Server) stop(ctx context.Context) error {
	s.health.Shutdown()
	close(s.guard.stopping)
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Drain)
	defer cancel()
	graceful := make(chan struct{})
	go func() { s.grpc.GracefulStop(); close(graceful) }()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("drain http: %w", err), s.http.Close())
	}
	select {
	case <-graceful:
	case <-ctx.Done():
		s.grpc.Stop()
		<-graceful
		err = errors.Join(err, fmt.Errorf("drain grpc: %w", ctx.Err()))
	}
	return err
}

// setServing tells health the state of every service and of the whole.
func (s *Server) setServing(serving bool) {
	state := healthpb.HealthCheckResponse_NOT_SERVING
	if serving {
		state = healthpb.HealthCheckResponse_SERVING
	}
	for _, name := range append([]string{""}, s.names...) {
		s.health.SetServingStatus(name, state)
	}
}

// wrapServe names the door whose listener broke; a stop on purpose is no error.
func wrapServe(door string, err error) error {
	if err == nil || errors.Is(err, http.ErrServerClosed) || errors.Is(err, grpc.ErrServerStopped) {
		return nil
	}
	return fmt.Errorf("serve %s: %w", door, err)
}
