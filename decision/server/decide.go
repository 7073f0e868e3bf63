package server

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/google/uuid"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/event"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

type decisionService struct {
	usherv1.UnimplementedDecisionServiceServer
	*Server
}

// NextActions decides, puts the record on disk, and answers. A record that the
// disk does not take is counted; the caller gets the answer all the same. One
// that is too large is the caller's fault, and refused.
func (s *decisionService) NextActions(ctx context.Context, r *usherv1.NextActionsRequest) (*usherv1.NextActionsResponse, error) {
	account, err := parentAccount("parent", r.GetParent())
	if err != nil {
		return nil, err
	}
	d, err := s.deps.Engine.Decide(ctx, requestOf(ctx, account, r))
	if err != nil {
		return nil, err
	}
	if r.GetRequestId() != "" {
		d.ID = retryID(r, d)
	}
	if !r.GetDryRun() {
		if err := s.record(r, d); err != nil {
			return nil, err
		}
	}
	resp := responseOf(d)
	if r.GetExplain() {
		resp.Explanation = event.DecisionToProto(d)
	}
	return resp, nil
}

// requestOf is the engine's view of a request.
func requestOf(ctx context.Context, account string, r *usherv1.NextActionsRequest) *decision.Request {
	q := &decision.Request{
		Account: account, RequestID: r.GetRequestId(), ConversationID: r.GetConversationId(),
		ConsumerID: r.GetConsumerId(), VisitorID: r.GetVisitorId(), SessionID: r.GetSessionId(),
		Channel: r.GetChannel(), Intent: r.GetIntent(), Attributes: values(r.GetAttributes()),
		MaxActions: int(r.GetMaxActions()), DryRun: r.GetDryRun(), Explain: r.GetExplain(),
	}
	if n := len(r.GetCandidates()); n > 0 {
		q.Candidates = make([]event.Candidate, n)
		for i, c := range r.GetCandidates() {
			q.Candidates[i] = event.Candidate{
				Action:     event.Action{Type: c.GetType(), Target: c.GetTarget(), Payload: mapOf(c.GetPayload())},
				Attributes: values(c.GetAttributes()),
			}
		}
	}
	if b := r.GetBaseline(); b != nil {
		q.Baseline = &event.Action{Type: b.GetType(), Target: b.GetTarget(), Payload: mapOf(b.GetPayload())}
	}
	md, _ := metadata.FromIncomingContext(ctx)
	if trace := md.Get("traceparent"); len(trace) > 0 {
		q.Labels = map[string]string{"traceparent": trace[0]}
	}
	return q
}

// values takes attributes out of their wrappers; null says that there is none.
func values(m map[string]*structpb.Value) map[string]any {
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]any, len(m))
	for k, v := range m {
		if x := v.AsInterface(); x != nil {
			out[k] = x
		}
	}
	return out
}

func mapOf(s *structpb.Struct) map[string]any {
	if len(s.GetFields()) == 0 {
		return nil
	}
	return s.AsMap()
}

// retryID names the decision after everything that made it: the request as the
// caller sent it (explain and dry_run ask for no other answer), and the policies,
// model and mode that answered. A retry under the same ones is the same decision,
// on every replica; the same request id with another question or another answer
// is another decision. It is a UUID of version 8.
func retryID(r *usherv1.NextActionsRequest, d *event.Decision) string {
	explain, dry := r.GetExplain(), r.GetDryRun()
	r.Explain, r.DryRun = false, false
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(r)
	r.Explain, r.DryRun = explain, dry
	if err != nil {
		return d.ID
	}
	h := sha256.New()
	for _, part := range [][]byte{
		body, []byte(d.Account), binary.BigEndian.AppendUint64(nil, uint64(d.PolicyRevision)), //nolint:gosec // any bits do
		[]byte(d.ModelVersion), []byte(d.Mode), []byte(d.Objective), []byte(d.DecidedBy), []byte(d.Chosen),
	} {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part)))) //nolint:gosec // bounded by the request limit
		h.Write(part)
	}
	id := uuid.UUID(h.Sum(nil)[:16])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id.String()
}

// responseOf is the answer as callers see it.
func responseOf(d *event.Decision) *usherv1.NextActionsResponse {
	resp := &usherv1.NextActionsResponse{
		DecisionId: d.ID, PolicyRevision: d.PolicyRevision, ModelVersion: d.ModelVersion, Mode: d.Mode,
		DecidedBy: string(d.DecidedBy), NoMatchReason: d.NoMatchReason,
		PolicyOnly: d.PolicyOnly, ModelOnly: d.ModelOnly,
	}
	if d.Policy != "" {
		resp.Policy = "accounts/" + d.Account + "/policies/" + d.Policy
	}
	if len(d.Reasons) > 0 {
		resp.Reason = d.Reasons[0]
	}
	resp.Actions = make([]*usherv1.RankedAction, len(d.Actions))
	for i, a := range d.Actions {
		resp.Actions[i] = rankedAction(d, i, a)
	}
	return resp
}

// rankedAction adds to an answered action what the record says of it. Propensity
// is that of the first place; the later ones tell theirs of being drawn first.
func rankedAction(d *event.Decision, place int, a event.Action) *usherv1.RankedAction {
	out := &usherv1.RankedAction{Type: a.Type, Target: a.Target, Payload: structOf(a.Payload), ReasonCodes: d.Reasons}
	for i := range d.Candidates {
		c := &d.Candidates[i]
		if c.Key() != a.Key() {
			continue
		}
		out.Score, out.Propensity = c.Score, c.Probability
		for _, f := range c.Factors {
			out.Factors = append(out.Factors, &usherv1.Factor{Name: f.Name, Value: f.Value})
		}
		break
	}
	if place == 0 {
		out.Propensity = d.Propensity
	}
	return out
}

// structOf wraps a document; what cannot be wrapped came from nowhere that the
// contract allows, and is left out.
func structOf(m map[string]any) *structpb.Struct {
	if len(m) == 0 {
		return nil
	}
	s, err := structpb.NewStruct(m)
	if err != nil {
		return nil
	}
	return s
}

// GetDecision returns the whole record: one of the last few from memory, older
// ones from the source of records.
func (s *decisionService) GetDecision(ctx context.Context, r *usherv1.GetDecisionRequest) (*usherv1.GetDecisionResponse, error) {
	account, id, err := childName(r.GetName(), "decisions")
	if err != nil {
		return nil, err
	}
	d, ok := s.deps.Recorder.Recent(account, id)
	if !ok && s.deps.Records != nil {
		if d, err = s.deps.Records.Decision(ctx, account, id); err != nil && fault.KindOf(err) != fault.NotFound {
			return nil, unavailable("the decision cannot be read at the moment", err)
		}
	}
	if d == nil {
		return nil, fault.New(fault.NotFound, "DECISION_NOT_FOUND", "there is no decision %q; a new one can take a few seconds to arrive", id)
	}
	return &usherv1.GetDecisionResponse{Decision: event.DecisionToProto(d)}, nil
}

// unavailable says that a part behind a service is away.
func unavailable(message string, cause error) error {
	e := fault.New(fault.Unavailable, "UNAVAILABLE", "%s", message)
	e.Cause = fmt.Errorf("part of the decision service: %w", cause)
	return e
}
