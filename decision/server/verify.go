package server

import (
	"context"

	"github.com/usherhq/usher/decision/replay"
	"github.com/usherhq/usher/pipeline/event"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// Verifier decides a record again; *replay.Verifier is one.
type Verifier interface {
	Verify(ctx context.Context, d *event.Decision) (replay.Verification, error)
}

// VerifyDecision decides again from the record alone and compares.
func (s *decisionService) VerifyDecision(ctx context.Context, r *usherv1.VerifyDecisionRequest) (*usherv1.VerifyDecisionResponse, error) {
	account, id, err := childName(r.GetName(), "decisions")
	if err != nil {
		return nil, err
	}
	if s.deps.Verifier == nil {
		return nil, unavailable("decisions are not verified here", errNotHere)
	}
	d, err := s.decision(ctx, account, id)
	if err != nil {
		return nil, err
	}
	v, err := s.deps.Verifier.Verify(ctx, d)
	if err != nil {
		return nil, unavailable("what the decision rests on cannot be read at the moment", err)
	}
	resp := &usherv1.VerifyDecisionResponse{Verdict: string(v.Verdict), Findings: v.Findings, Recorded: event.DecisionToProto(d)}
	if v.Replayed != nil {
		resp.Replayed = event.DecisionToProto(v.Replayed)
	}
	return resp, nil
}
