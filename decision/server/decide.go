package server

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
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
	q, err := s.question(ctx, account, r)
	if err != nil {
		return nil, err
	}
	d, record, err := s.answer(ctx, q, func() ([]byte, error) { return said(r) })
	if isTooLarge(err) {
		return nil, tooLarge(r, err)
	}
	if err != nil {
		return nil, err
	}
	resp := responseOf(d)
	s.namePolicy(resp, d, q)
	if r.GetExplain() {
		resp.Explanation = event.DecisionToProto(record)
	}
	return resp, nil
}

// Answer decides, records what is no dry run and carries out what it says of context, for whichever contract the
// question came by. said returns the question as its caller put it, without what
// asks for no other answer: retries under one request id are told by it. A record
// too large to be kept is a fault with the reason decisionlog.TooLarge. What returns
// is for the caller: personal values that the record hides are in its actions.
func (s *Server) Answer(ctx context.Context, q *decision.Request, said func() ([]byte, error)) (*event.Decision, error) {
	d, _, err := s.answer(ctx, q, said)
	return d, err
}

// answer also returns the record, without what is personal.
func (s *Server) answer(ctx context.Context, q *decision.Request, said func() ([]byte, error)) (d, record *event.Decision, err error) {
	d, record, err = s.deps.Engine.Answer(ctx, q)
	if err != nil {
		return nil, nil, err
	}
	if q.RequestID != "" {
		if body, err := said(); err == nil {
			d.ID = retryID(body, d)
			record.ID = d.ID
		}
	}
	if q.DryRun {
		return d, record, nil
	}
	if err := s.record(record); err != nil {
		return nil, nil, err
	}
	s.applyContext(ctx, d.Account, d, record)
	return d, record, nil
}

// requestOf is the engine's view of a request.
func requestOf(ctx context.Context, account string, r *usherv1.NextActionsRequest) *decision.Request {
	q := &decision.Request{
		Account: account, RequestID: r.GetRequestId(), ConversationID: r.GetConversationId(),
		ConsumerID: r.GetConsumerId(), VisitorID: r.GetVisitorId(), SessionID: r.GetSessionId(),
		Channel: r.GetChannel(), Intent: r.GetIntent(), Attributes: values(r.GetAttributes()),
		MaxActions: int(r.GetMaxActions()), DryRun: r.GetDryRun(), Explain: r.GetExplain(),
		UserMessage: r.GetUserMessage(), Waited: r.GetWaited().AsDuration(),
		NoExploration: r.GetNoExploration(),
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

// question is the engine's request with the policies that it names.
func (s *decisionService) question(ctx context.Context, account string, r *usherv1.NextActionsRequest) (*decision.Request, error) {
	q := requestOf(ctx, account, r)
	var c fault.Check
	q.Policy = ownID(&c, "policy", account, "policies", r.GetPolicy())
	draft := ownID(&c, "draft", account, "policyDrafts", r.GetDraft())
	if w := r.GetWaited(); w != nil && w.CheckValid() != nil {
		c.Add("waited", "is not a duration")
	}
	q.Supplied = s.supplied(&c, q, r.GetDryRunOptions())
	if draft != "" && !q.DryRun {
		c.Add("draft", "can be asked in a dry run only: publish it, or set dry_run")
	}
	if err := c.Err("the request is not valid"); err != nil || draft == "" {
		return q, err
	}
	set, err := s.deps.Policies.Compiled(ctx, account, r.GetDraft())
	q.Policies = set
	return q, err
}

// ownID reads the id of a resource of the account, which may be given as its whole
// name.
func ownID(c *fault.Check, field, account, kind, name string) string {
	if !strings.Contains(name, "/") {
		return name
	}
	owner, id, err := childName(name, kind)
	if err != nil || owner != account {
		c.Add(field, "%q must be an id, or accounts/%s/%s/{id}", name, account, kind)
	}
	return id
}

// namePolicy adds what people call the policy that matched, and its revision.
func (s *decisionService) namePolicy(resp *usherv1.NextActionsResponse, d *event.Decision, q *decision.Request) {
	if d.Policy == "" {
		return
	}
	for i := range d.Policies {
		if d.Policies[i].Policy == d.Policy {
			resp.PolicyVersion = d.Policies[i].Revision
		}
	}
	set := q.Policies
	if set == nil {
		set = s.deps.Policies.Policies(d.Account)
	}
	resp.PolicyDisplayName = d.Policy
	if r := set.Find(d.Policy); r != nil && r.Policy().DisplayName != "" {
		resp.PolicyDisplayName = r.Policy().DisplayName
	}
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

// said is a request as its caller put it: explain and dry_run ask for no other
// answer.
func said(r *usherv1.NextActionsRequest) ([]byte, error) {
	explain, dry := r.GetExplain(), r.GetDryRun()
	defer func() { r.Explain, r.DryRun = explain, dry }()
	r.Explain, r.DryRun = false, false
	return proto.MarshalOptions{Deterministic: true}.Marshal(r)
}

// retryID names the decision after everything that made it: the request as the
// caller sent it, the policies, model and mode that answered, and the answer itself,
// which context, functions and live state may have changed. A retry that gets the
// same is the same decision, on every replica; the same request id with another
// question or another answer is another decision. It is a UUID of version 8.
func retryID(body []byte, d *event.Decision) string {
	// Of values that JSON has no place for nothing is answered either. Maps are
	// written in the order of their keys.
	actions, _ := json.Marshal(d.Actions)
	h := sha256.New()
	for _, part := range [][]byte{
		body, []byte(d.Account), binary.BigEndian.AppendUint64(nil, uint64(d.PolicyRevision)), //nolint:gosec // any bits do
		[]byte(d.ModelVersion), []byte(d.Mode), []byte(d.Objective), []byte(d.DecidedBy), []byte(d.Chosen),
		[]byte(d.Policy), binary.BigEndian.AppendUint64(nil, uint64(d.Step)), actions, //nolint:gosec // steps are few
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
		PolicyOnly: d.PolicyOnly, ModelOnly: d.ModelOnly, Step: int32(d.Step), Reasons: d.Reasons, //nolint:gosec // steps are few
	}
	if d.ValidFor > 0 {
		resp.ValidFor = durationpb.New(d.ValidFor)
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
	d, err := s.decision(ctx, account, id)
	if err != nil {
		return nil, err
	}
	return &usherv1.GetDecisionResponse{Decision: event.DecisionToProto(d)}, nil
}

// unavailable says that a part behind a service is away.
func unavailable(message string, cause error) error {
	e := fault.New(fault.Unavailable, "UNAVAILABLE", "%s", message)
	e.Cause = fmt.Errorf("part of the decision service: %w", cause)
	return e
}
