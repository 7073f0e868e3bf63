package event

import (
	"fmt"
	"math"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// DecisionToProto translates a decision to its message. An attribute value that
// is not JSON-like becomes its text; [EncodeDecision] refuses it.
func DecisionToProto(d *Decision) *usherv1.DecisionRecord {
	r, _ := decisionToProto(d)
	return r
}

func decisionToProto(d *Decision) (*usherv1.DecisionRecord, error) {
	var w protoWriter
	r := &usherv1.DecisionRecord{
		DecisionId: d.ID, Account: d.Account, Time: toTimestamp(d.Time),
		RequestId: d.RequestID, ConversationId: d.ConversationID, ConsumerId: d.ConsumerID,
		VisitorId: d.VisitorID, SessionId: d.SessionID, Channel: d.Channel, Intent: d.Intent,
		Attributes: w.values("attributes", d.Attributes), Policies: w.policies(d.Policies),
		Candidates: w.candidates(d.Candidates), Actions: w.actions("actions", d.Actions),
		Baseline: d.Baseline, PolicyOnly: d.PolicyOnly, ModelOnly: d.ModelOnly, Drawn: d.Drawn, Chosen: d.Chosen,
		Propensity: d.Propensity, Explored: d.Explored, DecidedBy: string(d.DecidedBy), Policy: d.Policy,
		PolicyRevision: d.PolicyRevision, ModelVersion: d.ModelVersion, Objective: d.Objective, Mode: d.Mode,
		Seed: d.Seed, Reasons: d.Reasons, NoMatchReason: d.NoMatchReason, MaxActions: clamp32(d.MaxActions),
		Latency: durationpb.New(d.Latency), Labels: d.Labels, Calls: callsToProto(d.Calls),
		Step: clamp32(d.Step), ValidFor: toDuration(d.ValidFor), Waited: toDuration(d.Waited),
		OnlyPolicy: d.OnlyPolicy, Redacted: d.Redacted, Sources: d.Sources, Added: clamp32(d.Added),
	}
	if len(d.Skills) > 0 {
		r.Skills = make(map[string]*usherv1.LiveState, len(d.Skills))
		for name, s := range d.Skills {
			r.Skills[name] = liveToProto(s)
		}
	}
	return r, w.err
}

// DecisionFromProto translates a message to a decision. It never fails: what
// the message lacks stays empty, see [Decision.Validate].
func DecisionFromProto(r *usherv1.DecisionRecord) *Decision {
	d := &Decision{
		ID: r.GetDecisionId(), Account: r.GetAccount(), Time: fromTimestamp(r.GetTime()),
		RequestID: r.GetRequestId(), ConversationID: r.GetConversationId(), ConsumerID: r.GetConsumerId(),
		VisitorID: r.GetVisitorId(), SessionID: r.GetSessionId(), Channel: r.GetChannel(), Intent: r.GetIntent(),
		Attributes: fromValues(r.GetAttributes()), Policies: policiesFromProto(r.GetPolicies()),
		Candidates: candidatesFromProto(r.GetCandidates()), Actions: actionsFromProto(r.GetActions()),
		Baseline: r.GetBaseline(), PolicyOnly: r.GetPolicyOnly(), ModelOnly: r.GetModelOnly(),
		Drawn: r.GetDrawn(), Chosen: r.GetChosen(), Propensity: r.GetPropensity(), Explored: r.GetExplored(),
		DecidedBy: DecidedBy(r.GetDecidedBy()), Policy: r.GetPolicy(), PolicyRevision: r.GetPolicyRevision(),
		ModelVersion: r.GetModelVersion(), Objective: r.GetObjective(), Mode: r.GetMode(), Seed: r.GetSeed(),
		Reasons: r.GetReasons(), NoMatchReason: r.GetNoMatchReason(), MaxActions: int(r.GetMaxActions()),
		Latency: r.GetLatency().AsDuration(), Labels: r.GetLabels(), Calls: callsFromProto(r.GetCalls()),
		Step: int(r.GetStep()), ValidFor: r.GetValidFor().AsDuration(), Waited: r.GetWaited().AsDuration(),
		OnlyPolicy: r.GetOnlyPolicy(), Redacted: r.GetRedacted(), Sources: r.GetSources(), Added: int(r.GetAdded()),
	}
	if len(r.GetSkills()) > 0 {
		d.Skills = make(map[string]Skill, len(r.GetSkills()))
		for name, s := range r.GetSkills() {
			d.Skills[name] = liveFromProto(s)
		}
	}
	return d
}

// OutcomeToProto translates an outcome to its message.
func OutcomeToProto(o *Outcome) *usherv1.OutcomeEvent {
	return &usherv1.OutcomeEvent{
		Id: o.ID, Source: o.Source, Account: o.Account, DecisionId: o.DecisionID, ConversationId: o.ConversationID,
		Kind: o.Kind, Value: o.Value, Label: o.Label, Time: toTimestamp(o.Time),
	}
}

// OutcomeFromProto translates a message to an outcome.
func OutcomeFromProto(m *usherv1.OutcomeEvent) *Outcome {
	return &Outcome{
		ID: m.GetId(), Source: m.GetSource(), Account: m.GetAccount(), DecisionID: m.GetDecisionId(),
		ConversationID: m.GetConversationId(), Kind: m.GetKind(), Value: m.GetValue(), Label: m.GetLabel(),
		Time: fromTimestamp(m.GetTime()),
	}
}

// SkillToProto translates a skill report to its message.
func SkillToProto(s *SkillState) *usherv1.SkillStateEvent {
	return &usherv1.SkillStateEvent{Id: s.ID, Source: s.Source, Account: s.Account, Skill: s.Skill, State: liveToProto(s.State)}
}

// SkillFromProto translates a message to a skill report.
func SkillFromProto(m *usherv1.SkillStateEvent) *SkillState {
	return &SkillState{ID: m.GetId(), Source: m.GetSource(), Account: m.GetAccount(), Skill: m.GetSkill(), State: liveFromProto(m.GetState())}
}

// protoWriter translates nested values and keeps the first fault.
type protoWriter struct{ err error }

func (w *protoWriter) fail(field string, err error) {
	if w.err == nil {
		w.err = fmt.Errorf("field %s: %w", field, err)
	}
}

func (w *protoWriter) value(field string, v any) *structpb.Value {
	out, err := structpb.NewValue(v)
	if err != nil {
		w.fail(field, err)
		return structpb.NewStringValue(strings.ToValidUTF8(fmt.Sprint(v), "\uFFFD"))
	}
	return out
}

// optional keeps absent and null alike: both are nil in Go and absent on the wire.
func (w *protoWriter) optional(field string, v any) *structpb.Value {
	if v == nil {
		return nil
	}
	return w.value(field, v)
}

func (w *protoWriter) values(field string, m map[string]any) map[string]*structpb.Value {
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]*structpb.Value, len(m))
	for k, v := range m {
		out[k] = w.value(field+"."+k, v)
	}
	return out
}

func (w *protoWriter) action(field string, a Action) *usherv1.Action {
	out := &usherv1.Action{Type: a.Type, Target: a.Target}
	if len(a.Payload) > 0 {
		out.Payload = &structpb.Struct{Fields: w.values(field+".payload", a.Payload)}
	}
	return out
}

func (w *protoWriter) actions(field string, as []Action) []*usherv1.Action {
	out := make([]*usherv1.Action, len(as))
	for i, a := range as {
		out[i] = w.action(field, a)
	}
	return out
}

func (w *protoWriter) candidates(cs []Candidate) []*usherv1.Candidate {
	out := make([]*usherv1.Candidate, len(cs))
	for i, c := range cs {
		out[i] = &usherv1.Candidate{
			Action: w.action("candidates", c.Action), Attributes: w.values("candidates.attributes", c.Attributes),
			Eligible: c.Eligible, Verdict: c.Verdict, Score: c.Score, StdErr: c.StdErr, Known: c.Known,
			Priority: c.Priority, Probability: c.Probability, WaitCost: c.WaitCost, ShareCap: c.ShareCap,
		}
		for _, f := range c.Factors {
			out[i].Factors = append(out[i].Factors, &usherv1.Factor{Name: f.Name, Value: f.Value})
		}
	}
	return out
}

func fromValues(m map[string]*structpb.Value) map[string]any {
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v.AsInterface()
	}
	return out
}

func actionFromProto(a *usherv1.Action) Action {
	return Action{Type: a.GetType(), Target: a.GetTarget(), Payload: fromValues(a.GetPayload().GetFields())}
}

func actionsFromProto(as []*usherv1.Action) []Action {
	var out []Action
	for _, a := range as {
		out = append(out, actionFromProto(a))
	}
	return out
}

func candidatesFromProto(cs []*usherv1.Candidate) []Candidate {
	var out []Candidate
	for _, c := range cs {
		one := Candidate{
			Action: actionFromProto(c.GetAction()), Attributes: fromValues(c.GetAttributes()),
			Eligible: c.GetEligible(), Verdict: c.GetVerdict(), Score: c.GetScore(), StdErr: c.GetStdErr(),
			Known: c.GetKnown(), Priority: c.GetPriority(), Probability: c.GetProbability(),
			WaitCost: c.GetWaitCost(), ShareCap: c.GetShareCap(),
		}
		for _, f := range c.GetFactors() {
			one.Factors = append(one.Factors, Factor{Name: f.GetName(), Value: f.GetValue()})
		}
		out = append(out, one)
	}
	return out
}

func liveToProto(s Skill) *usherv1.LiveState {
	return &usherv1.LiveState{
		AgentsOnline: clamp32(s.AgentsOnline), QueueSize: clamp32(s.QueueSize), Load: s.Load,
		WaitAvgSeconds: s.WaitSeconds, HandleAvgSeconds: s.HandleSeconds, At: toTimestamp(s.At),
	}
}

func liveFromProto(s *usherv1.LiveState) Skill {
	return Skill{
		AgentsOnline: int(s.GetAgentsOnline()), QueueSize: int(s.GetQueueSize()), Load: s.GetLoad(),
		WaitSeconds: s.GetWaitAvgSeconds(), HandleSeconds: s.GetHandleAvgSeconds(), At: fromTimestamp(s.GetAt()),
	}
}

// The zero time is absent on the wire: a protobuf Timestamp of year 1 would
// round-trip too, but reads as nonsense in other languages.
func toTimestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func fromTimestamp(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

func clamp32(n int) int32 { return int32(min(max(n, math.MinInt32), math.MaxInt32)) } //nolint:gosec // clamped
