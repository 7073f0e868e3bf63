package server

import (
	"context"
	"time"

	"github.com/usherhq/usher/decision/replay"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/event"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// Verifier decides a record again; *replay.Verifier is one.
type Verifier interface {
	Verify(ctx context.Context, d *event.Decision) (replay.Verification, error)
}

// verifyTimeout bounds a verification and its wait for others.
const verifyTimeout = 10 * time.Second

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
	limited, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	v, err := s.deps.Verifier.Verify(limited, d)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case limited.Err() != nil && err != nil:
		return nil, fault.New(fault.Exhausted, "VERIFICATIONS_RUNNING", "not verified within %v, two run at a time in this process; try again with fewer at once", verifyTimeout)
	case err != nil:
		return nil, unavailable("what the decision rests on cannot be read at the moment", err)
	}
	resp := &usherv1.VerifyDecisionResponse{
		Verdict: string(v.Verdict), Findings: v.Findings, Recorded: event.DecisionToProto(d), Summary: summaryOf(v.Verdict),
	}
	if v.Replayed != nil {
		resp.Replayed = event.DecisionToProto(v.Replayed)
	}
	return resp, nil
}

// summaryOf says what a verdict says and what it does not.
func summaryOf(v replay.Verdict) string {
	switch v {
	case replay.Same:
		return "from the facts in the record, the policies, settings and model of the time give this record again, in all but its id and latency. " +
			"The facts themselves (request, look-ups, functions, live state, time) were taken from the record: one that nothing asked for is not proved."
	case replay.Different:
		return "from the facts in the record, the policies, settings and model of the time give another record: " +
			"it was changed, or made by a version that decides differently."
	default:
		return "something that the decision rested on is not there any more, so the record is neither proved nor disproved."
	}
}
