// Package server translates between the public contract and the engine, the
// policy store, the control state and the decision log. It decides nothing
// itself: validation beyond names and pages is that of the parts behind it.
package server

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/catalog"
	"github.com/usherhq/usher/decision/contextstore"
	"github.com/usherhq/usher/decision/control"
	"github.com/usherhq/usher/decision/policystore"
	"github.com/usherhq/usher/decision/token"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/internal/rpc"
	"github.com/usherhq/usher/pipeline/event"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// Decider answers one request; *decision.Engine is one.
type Decider interface {
	// Answer returns the decision as its caller may have it, and as it may be recorded.
	Answer(ctx context.Context, r *decision.Request) (answer, record *event.Decision, err error)
}

// Recorder keeps decisions and outcomes durably before it returns;
// *decisionlog.Log is one.
type Recorder interface {
	Record(d *event.Decision) error
	Report(outcomes ...*event.Outcome) error
	Recent(account, id string) (*event.Decision, bool)
}

// RecordSource finds decisions that are older than what the recorder keeps at
// hand; a missing one is a NotFound fault.
type RecordSource interface {
	Decision(ctx context.Context, account, id string) (*event.Decision, error)
}

// ModelCard is a trained model as the catalogue has it.
type ModelCard struct {
	Version string
	Created time.Time
	Card    json.RawMessage
}

// ModelCatalog lists an account's models, newest first.
type ModelCatalog interface {
	ModelCards(ctx context.Context, account string) ([]ModelCard, error)
}

// Deps are the parts behind the services. Records and Models may be nil: then
// older decisions and models are not found. So may Skills: then
// live state is answered with Unavailable. Without Contexts nothing is kept of
// conversations.
type Deps struct {
	Engine   Decider
	Policies *policystore.Store
	Control  *control.Control
	Tokens   *token.Tokens
	Recorder Recorder
	Records  RecordSource
	Models   ModelCatalog
	Skills   SkillStates
	Contexts *contextstore.Store
	// Latest and Search find decisions, Verifier and Simulator decide them again,
	// Usage counts them. Any of them may be nil: then what needs it is Unavailable.
	Latest    LatestDecisions
	Search    DecisionSearch
	Verifier  Verifier
	Simulator Simulator
	Usage     UsageSource
	// Distiller may be nil, too.
	Distiller Distiller
	// Ladder tests and moves scopes; nil leaves only the way back.
	Ladder Ladder
	// People may be nil: then nobody can be erased here.
	People PersonHasher
	// Learning and Live may be nil: then nobody says here how learning is.
	Learning LearningSource
	Live     LiveModels
	// Values may be nil: then nothing is estimated here.
	Values ValueSource
	// Catalog and Functions may be nil: then there is no catalogue here.
	Catalog   *catalog.Catalog
	Functions FunctionCaller
	Log       *slog.Logger
	Now       func() time.Time
	NewID     func() string
	// MaxSkew is how far in the future a reported outcome may be.
	MaxSkew time.Duration
}

// Server implements the services of the contract. It is safe for concurrent use.
type Server struct {
	deps       Deps
	counts     counts
	simulating sync.Mutex // one at a time: each takes a good part of the machine
}

// New makes the services.
func New(deps Deps) *Server { return &Server{deps: deps} }

// gateway is a generated function that routes a service over a connection.
type gateway = func(context.Context, *rpc.Mux, grpc.ClientConnInterface) error

// Services lists the services with the rules for their methods, for rpc.New.
func (s *Server) Services() []rpc.Service {
	return []rpc.Service{
		service(&usherv1.DecisionService_ServiceDesc, &decisionService{Server: s}, decisionRules(), func(ctx context.Context, m *rpc.Mux, c grpc.ClientConnInterface) error {
			return usherv1.RegisterDecisionServiceHandlerClient(ctx, m, usherv1.NewDecisionServiceClient(c))
		}),
		service(&usherv1.OutcomeService_ServiceDesc, &outcomeService{Server: s}, outcomeRules(), func(ctx context.Context, m *rpc.Mux, c grpc.ClientConnInterface) error {
			return usherv1.RegisterOutcomeServiceHandlerClient(ctx, m, usherv1.NewOutcomeServiceClient(c))
		}),
		service(&usherv1.PolicyService_ServiceDesc, &policyService{Server: s}, policyRules(), func(ctx context.Context, m *rpc.Mux, c grpc.ClientConnInterface) error {
			return usherv1.RegisterPolicyServiceHandlerClient(ctx, m, usherv1.NewPolicyServiceClient(c))
		}),
		service(&usherv1.ControlService_ServiceDesc, &controlService{Server: s}, controlRules(), func(ctx context.Context, m *rpc.Mux, c grpc.ClientConnInterface) error {
			return usherv1.RegisterControlServiceHandlerClient(ctx, m, usherv1.NewControlServiceClient(c))
		}),
		service(&usherv1.CatalogService_ServiceDesc, &catalogService{Server: s}, joined(catalogRules(), skillStateRules()), func(ctx context.Context, m *rpc.Mux, c grpc.ClientConnInterface) error {
			return usherv1.RegisterCatalogServiceHandlerClient(ctx, m, usherv1.NewCatalogServiceClient(c))
		}),
		service(&usherv1.ContextService_ServiceDesc, &contextService{Server: s}, contextRules(), func(ctx context.Context, m *rpc.Mux, c grpc.ClientConnInterface) error {
			return usherv1.RegisterContextServiceHandlerClient(ctx, m, usherv1.NewContextServiceClient(c))
		}),
		service(&usherv1.TokenService_ServiceDesc, &tokenService{Server: s}, tokenRules(), func(ctx context.Context, m *rpc.Mux, c grpc.ClientConnInterface) error {
			return usherv1.RegisterTokenServiceHandlerClient(ctx, m, usherv1.NewTokenServiceClient(c))
		}),
		service(&usherv1.LearningService_ServiceDesc, &learningService{Server: s}, learningRules(), func(ctx context.Context, m *rpc.Mux, c grpc.ClientConnInterface) error {
			return usherv1.RegisterLearningServiceHandlerClient(ctx, m, usherv1.NewLearningServiceClient(c))
		}),
	}
}

func service(desc *grpc.ServiceDesc, impl any, rules map[string]rpc.Rule, g gateway) rpc.Service {
	return rpc.Service{Desc: desc, Impl: impl, Rules: rules, Gateway: g}
}

// joined is the rules of one service from several files.
func joined(parts ...map[string]rpc.Rule) map[string]rpc.Rule {
	all := map[string]rpc.Rule{}
	for _, rules := range parts {
		maps.Copy(all, rules)
	}
	return all
}

// account checks that an account exists.
func (s *Server) account(id string) error {
	_, err := s.deps.Control.GetAccount(id)
	return err
}

// author names the caller in the audit log.
func author(ctx context.Context, reason string) control.Author {
	name := "unknown"
	if who := rpc.Caller(ctx); who != nil {
		name = "token:" + who.ID
	}
	return control.Author{Name: name, Reason: reason}
}

// invalid is a fault with one violation.
func invalid(field, format string, args ...any) error {
	var c fault.Check
	c.Add(field, format, args...)
	return c.Err("the request is not valid")
}
