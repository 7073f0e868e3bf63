package server

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/control"
	"github.com/usherhq/usher/decision/ladder"
	"github.com/usherhq/usher/internal/fault"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// Ladder tests scopes and takes them up; *ladder.Ladder is one.
type Ladder interface {
	// Modes lists the scopes that have a mode, Standing looks at one of them.
	Modes(account string) ([]control.Mode, error)
	Standing(ctx context.Context, account string, m control.Mode) (ladder.Scope, error)
	// Advance takes a scope one step up, or says why not.
	Advance(ctx context.Context, account, scope string, step ladder.Step, by control.Author) (control.Mode, error)
}

// ListLadder lists where every scope stands. Every scope of a page costs reading what
// came of its decisions.
func (s *learningService) ListLadder(ctx context.Context, r *usherv1.ListLadderRequest) (*usherv1.ListLadderResponse, error) {
	account, err := parentAccount("parent", r.GetParent())
	if err != nil {
		return nil, err
	}
	if s.deps.Ladder == nil {
		return nil, errNoLearning()
	}
	all, err := s.deps.Ladder.Modes(account)
	if err != nil {
		return nil, err
	}
	part, next, err := page(all, r.GetPageSize(), r.GetPageToken())
	if err != nil {
		return nil, err
	}
	resp := &usherv1.ListLadderResponse{NextPageToken: next}
	for _, m := range part {
		scope, err := s.deps.Ladder.Standing(ctx, account, m)
		if err != nil {
			return nil, err
		}
		resp.Scopes = append(resp.Scopes, scopeTo(account, &scope))
	}
	return resp, nil
}

// AdvanceMode takes a scope one step up.
func (s *learningService) AdvanceMode(ctx context.Context, r *usherv1.AdvanceModeRequest) (*usherv1.AdvanceModeResponse, error) {
	account, scope, err := childName(r.GetName(), "modes")
	if err != nil {
		return nil, err
	}
	if s.deps.Ladder == nil {
		return nil, errNoLearning()
	}
	step := ladder.Step{Share: r.GetShare(), Force: r.GetForce()}
	m, err := s.deps.Ladder.Advance(ctx, account, scope, step, author(ctx, r.GetReason()))
	if err != nil {
		return nil, err
	}
	return &usherv1.AdvanceModeResponse{Mode: modeTo(account, m)}, nil
}

// RetreatMode takes a scope back at once. It needs no ladder: the way back is open
// wherever settings can be written.
func (s *learningService) RetreatMode(ctx context.Context, r *usherv1.RetreatModeRequest) (*usherv1.RetreatModeResponse, error) {
	account, scope, err := childName(r.GetName(), "modes")
	if err != nil {
		return nil, err
	}
	if s.deps.Control == nil {
		return nil, fault.New(fault.Unavailable, "NO_CONTROL", "this process does not keep settings")
	}
	m, err := ladder.Retreat(ctx, s.deps.Control, account, scope, decision.ModeKind(r.GetMode()), author(ctx, r.GetReason()))
	if err != nil {
		return nil, err
	}
	return &usherv1.RetreatModeResponse{Mode: modeTo(account, m)}, nil
}

func scopeTo(account string, s *ladder.Scope) *usherv1.LadderScope {
	out := &usherv1.LadderScope{
		Mode: modeTo(account, s.Mode), Author: s.Mode.Author, Reason: s.Mode.Reason, Next: string(s.Next),
		MatchRate: s.MatchRate, MatchRows: s.MatchRows,
	}
	if !s.Mode.Updated.IsZero() {
		out.Since = timestamppb.New(s.Mode.Updated)
	}
	for _, t := range s.Tests {
		out.Tests = append(out.Tests, &usherv1.LadderTest{Name: t.Name, Passed: t.Passed, Detail: t.Detail})
	}
	for i := range s.Guardrails {
		g := &s.Guardrails[i]
		out.Guardrails = append(out.Guardrails, &usherv1.GuardrailState{
			Metric: g.Metric, MaxDrop: g.MaxDrop, ModelValue: g.Model, PolicyValue: g.Policy, Lower: g.Lower, Upper: g.Upper,
			ModelRows: g.ModelRows, PolicyRows: g.PolicyRows, State: string(g.Standing), Since: timestamppb.New(g.Since),
		})
	}
	return out
}
