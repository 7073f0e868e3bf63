package server

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/usherhq/usher/decision/control"
	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/decision/replay"
	"github.com/usherhq/usher/internal/fault"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// Simulator replays logged decisions; *replay.Simulator is one.
type Simulator interface {
	Simulate(ctx context.Context, p *replay.Plan) (*replay.Result, error)
}

// errNotHere is why a part that this process does without is Unavailable.
var errNotHere = errors.New("this process has no warehouse")

// Limits of one simulation.
const (
	simulationTimeout = 2 * time.Minute
	defaultWindow     = 7 * 24 * time.Hour
	defaultReplayed   = 10_000
	maxReplayed       = 200_000
	defaultExamples   = 20
	maxExamples       = 1000
)

// SimulatePolicies replays logged decisions against other policies.
func (s *policyService) SimulatePolicies(ctx context.Context, r *usherv1.SimulatePoliciesRequest) (*usherv1.SimulatePoliciesResponse, error) {
	account, err := s.parent(r)
	if err != nil {
		return nil, err
	}
	p, err := s.planOf(account, r)
	if err != nil {
		return nil, err
	}
	list, problems, err := s.tried(account, r)
	if err != nil {
		return nil, err
	}
	p.Draft = s.deps.Policies.CompileList(account, list)
	if s.deps.Simulator == nil {
		return nil, unavailable("decisions are not replayed here", errNotHere)
	}
	if !s.simulating.TryLock() {
		return nil, fault.New(fault.Exhausted, "SIMULATION_RUNNING", "another simulation runs in this process; try again when it is done")
	}
	defer s.simulating.Unlock()
	result, err := s.deps.Simulator.Simulate(ctx, p)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, unavailable("logged decisions cannot be replayed at the moment", err)
	}
	resp := simulationTo(result)
	for _, problem := range problems {
		if problem.Severity == policy.Error {
			resp.DraftErrors++
		}
	}
	return resp, nil
}

// tried is the list that takes the place of the live one, with what is wrong in it.
func (s *policyService) tried(account string, r *usherv1.SimulatePoliciesRequest) ([]*policy.Policy, []policy.Problem, error) {
	switch {
	case (r.GetDraft() != "") == (len(r.GetPolicies()) > 0):
		return nil, nil, invalid("draft", "give either a draft or policies")
	case r.GetDraft() != "":
		d, err := s.draft(account, r.GetDraft())
		if err != nil {
			return nil, nil, err
		}
		list := d.Policies()
		return list, s.deps.Policies.CheckList(account, list), nil
	default:
		list, problems, err := s.policiesFrom(account, r.GetPolicies())
		if err != nil {
			return nil, nil, err
		}
		return list, append(problems, s.deps.Policies.CheckList(account, list)...), nil
	}
}

func (s *policyService) planOf(account string, r *usherv1.SimulatePoliciesRequest) (*replay.Plan, error) {
	p := &replay.Plan{Query: replay.Query{Account: account, Limit: int(r.GetLimit())}, Examples: int(r.GetExamples())}
	var c fault.Check
	p.From, p.To = between(&c, r.GetStartTime(), r.GetEndTime())
	if p.To.IsZero() {
		p.To = s.deps.Now()
	}
	switch since := r.GetSince(); {
	case since != nil && r.GetStartTime() != nil:
		c.Add("since", "stands beside start_time; give one of them")
	case since != nil && (since.CheckValid() != nil || since.AsDuration() <= 0):
		c.Add("since", "must be more than 0")
	case since != nil:
		p.From = p.To.Add(-since.AsDuration())
	case r.GetStartTime() == nil:
		p.From = p.To.Add(-defaultWindow)
	case !p.From.Before(p.To):
		c.Add("start_time", "lies in the future")
	}
	if p.Limit == 0 {
		p.Limit = defaultReplayed
	}
	if p.Limit < 0 || p.Limit > maxReplayed {
		c.Add("limit", "is %d, must be 1 to %d", p.Limit, maxReplayed)
	}
	if p.Examples == 0 {
		p.Examples = defaultExamples
	}
	if p.Examples < 0 || p.Examples > maxExamples {
		c.Add("examples", "is %d, must be 1 to %d", p.Examples, maxExamples)
	}
	if err := c.Err("the request is not valid"); err != nil {
		return nil, err
	}
	if p.Objective = r.GetObjective(); p.Objective == "" {
		p.Objective = control.DefaultObjective
	}
	o, err := s.deps.Control.GetObjective(account, p.Objective)
	if err != nil {
		return nil, err
	}
	p.Lowest, p.Highest = o.Min, o.Max
	return p, nil
}

func simulationTo(r *replay.Result) *usherv1.SimulatePoliciesResponse {
	out := &usherv1.SimulatePoliciesResponse{
		Decisions: r.Decisions, Changed: r.Changed, Skipped: r.Skipped,
		Estimate: &usherv1.PolicyEstimate{
			Logged: r.Estimate.Logged, Lower: r.Estimate.Lower, Upper: r.Estimate.Upper,
			Rewards: r.Estimate.Rewards, EffectiveSampleSize: r.Estimate.EffectiveSampleSize, LargestWeight: r.Estimate.LargestWeight,
			Method: r.Estimate.Method, Trusted: r.Estimate.Trusted, Warnings: r.Estimate.Warnings, Objective: r.Estimate.Objective,
		},
	}
	if r.Estimate.Trusted {
		out.Estimate.Simulated = &r.Estimate.Simulated
	}
	for _, c := range r.Conditions {
		out.Conditions = append(out.Conditions, &usherv1.ConditionChange{Policy: c.Policy, Path: c.Path, Attribute: c.Attribute, Kind: c.Kind, Changed: c.Changed})
	}
	for _, c := range r.Routes {
		out.Routes = append(out.Routes, &usherv1.RouteChange{
			FromPolicy: c.FromPolicy, FromAction: c.FromAction, ToPolicy: c.ToPolicy, ToAction: c.ToAction, Changed: c.Changed,
		})
	}
	for _, c := range r.Examples {
		out.Examples = append(out.Examples, &usherv1.ChangedDecision{
			DecisionId: c.ID, ConversationId: c.ConversationID, Time: timestamppb.New(c.Time),
			FromPolicy: c.FromPolicy, FromAction: c.FromAction, ToPolicy: c.ToPolicy, ToAction: c.ToAction,
		})
	}
	return out
}
