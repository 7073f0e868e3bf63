package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/control"
	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/model/evaluate"
	"github.com/usherhq/usher/pipeline/event"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// Distiller reads a stored model as rules, from the newest decisions. Too few
// decisions are a Precondition fault. It may take a minute.
type Distiller interface {
	Distil(ctx context.Context, q *DistilQuery) (*Distilled, error)
}

// DistilQuery says which model to read, and how.
type DistilQuery struct {
	Account, Version string
	// Objective is what rewards are computed by; they lie between Lowest and Highest.
	Objective       string
	Lowest, Highest float64
	// Depth bounds the conditions of a rule, MinCoverage the share of decisions that
	// one must be about, MaxRows the decisions read.
	Depth       int
	MinCoverage float64
	MaxRows     int
	// Personal reports attributes that must not be looked at.
	Personal func(attribute string) bool
}

// Distilled is a model as rules, the widest first.
type Distilled struct {
	Rules []DistilledRule
	Rows  int
	// Agreement is the share of held-out decisions on which all rules together say what
	// the model says, Majority that of its most frequent choice.
	Agreement, Majority float64
}

// DistilledRule is what the model does where a condition holds.
type DistilledRule struct {
	// When is the condition, nil for always, Words the same for people.
	When   *policy.Condition
	Words  string
	Action event.Action
	// Agreement and Coverage are shares, Value the worth of doing so where the
	// condition holds, Logged that of what was done there.
	Agreement, Coverage, Logged float64
	Value                       evaluate.OPEResult
}

// Limits of one distillation.
const (
	defaultDepth    = 3
	deepestTree     = 6
	defaultCoverage = 0.01
	defaultRead     = 5_000
	maxRead         = 20_000
)

// DistilModel reads candidate policies out of a model.
func (s *learningService) DistilModel(ctx context.Context, r *usherv1.DistilModelRequest) (*usherv1.DistilModelResponse, error) {
	account, version, err := childName(r.GetName(), "models")
	if err != nil {
		return nil, err
	}
	q, err := distilQueryOf(account, version, r)
	if err != nil {
		return nil, err
	}
	if s.deps.Distiller == nil {
		return nil, errNoLearning()
	}
	card, err := (&controlService{Server: s.Server}).card(ctx, account, version)
	if err != nil {
		return nil, err
	}
	if err := s.readBy(q, &card); err != nil {
		return nil, err
	}
	if !s.simulating.TryLock() {
		return nil, fault.New(fault.Exhausted, "SIMULATION_RUNNING", "a simulation or another distillation runs in this process; try again when it is done")
	}
	defer s.simulating.Unlock()
	found, err := s.deps.Distiller.Distil(ctx, q)
	if _, told := errors.AsType[*fault.Error](err); err != nil && !told && ctx.Err() == nil {
		err = unavailable("the model cannot be read at the moment", err)
	}
	if err != nil {
		return nil, err
	}
	return s.distilledTo(q, found), nil
}

func distilQueryOf(account, version string, r *usherv1.DistilModelRequest) (*DistilQuery, error) {
	q := &DistilQuery{Account: account, Version: version, Depth: int(r.GetDepth()), MinCoverage: r.GetMinCoverage(), MaxRows: int(r.GetMaxRows())}
	var c fault.Check
	if q.Depth == 0 {
		q.Depth = defaultDepth
	}
	if q.Depth < 1 || q.Depth > deepestTree {
		c.Add("depth", "is %d, must be 1 to %d", q.Depth, deepestTree)
	}
	if q.MinCoverage == 0 {
		q.MinCoverage = defaultCoverage
	}
	if !(q.MinCoverage > 0 && q.MinCoverage <= 1) {
		c.Add("min_coverage", "is %g, must be above 0 and at most 1", q.MinCoverage)
	}
	if q.MaxRows == 0 {
		q.MaxRows = defaultRead
	}
	if q.MaxRows < 1 || q.MaxRows > maxRead {
		c.Add("max_rows", "is %d, must be 1 to %d", q.MaxRows, maxRead)
	}
	return q, c.Err("the request is not valid")
}

// readBy fills in what the model was trained for, and what is personal.
func (s *learningService) readBy(q *DistilQuery, card *ModelCard) error {
	var trained struct{ Objective string }
	if err := json.Unmarshal(card.Card, &trained); err != nil || trained.Objective == "" {
		trained.Objective = control.DefaultObjective // a card of an older version
	}
	q.Objective, q.Lowest, q.Highest = trained.Objective, 0, 1
	o, err := s.deps.Control.GetObjective(q.Account, q.Objective)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return err
	}
	if err == nil && o.Min < o.Max {
		q.Lowest, q.Highest = o.Min, o.Max
	}
	var personal []string
	if s.deps.Catalog != nil {
		for name, a := range s.deps.Catalog.Environment(q.Account).Attributes {
			if a.PII {
				personal = append(personal, name)
			}
		}
	}
	q.Personal = func(attribute string) bool {
		return identifies(attribute) || decision.NamesPersonal(personal, attribute)
	}
	return nil
}

// identifies reports attributes that name one conversation or person: no policy should
// be about those, whether or not the account calls them personal.
func identifies(attribute string) bool {
	switch attribute {
	case "conversation_id", "consumer_id", "visitor_id", "session_id", "user_message", "orchestrator.userMessage",
		"conversation.conversationId", "conversation.consumerId", "conversation.groupId",
		"sde.visitorinfo.customerinfo.customerid", "sde.visitorinfo.customerinfo.socialid",
		"sde.visitorinfo.customerinfo.imei", "sde.visitorinfo.customerinfo.username":
		return true
	}
	return false
}

func (s *learningService) distilledTo(q *DistilQuery, found *Distilled) *usherv1.DistilModelResponse {
	resp := &usherv1.DistilModelResponse{Rows: int64(found.Rows), Agreement: found.Agreement, Majority: found.Majority}
	for i := range found.Rules {
		r := &found.Rules[i]
		document, err := policyOfRule(q, r, len(resp.Policies)+1)
		if err != nil {
			if s.deps.Log != nil {
				s.deps.Log.Warn("a distilled rule is no policy", "account", q.Account, "model", q.Version, "error", err)
			}
			continue
		}
		resp.Policies = append(resp.Policies, &usherv1.DistilledPolicy{
			Policy: document, Text: textOf(r), Agreement: r.Agreement, Coverage: r.Coverage,
			Value: worthTo(&r.Value), LoggedValue: r.Logged,
		})
	}
	return resp
}

// textOf spells a rule: "intent in {a, b} and tier = gold -> skill retention".
func textOf(r *DistilledRule) string {
	what := map[string]string{policy.TransferToSkill: "skill ", policy.TransferToAgent: "agent ", policy.TransferToBot: "bot "}[r.Action.Type]
	if what == "" && r.Action.Target != "" {
		what = r.Action.Type + " "
	}
	return r.Words + " -> " + what + r.Action.Key()
}

// policyOfRule makes the canonical document of the n-th rule. It fails where the rule
// cannot be said as a policy, or where it would look at something personal.
func policyOfRule(q *DistilQuery, r *DistilledRule, n int) (*structpb.Struct, error) {
	if name := personalIn(r.When, q.Personal); name != "" {
		return nil, fmt.Errorf("it is about %q, which is personal", name)
	}
	p := &policy.Policy{
		Name: nameOfRule(r, n), DisplayName: textOf(r), Enabled: true, When: r.When, Effect: ruleEffect(&r.Action),
		Description: fmt.Sprintf("Read from model %s: it agrees with the model in %.3g %% of the decisions that it is about, which are %.3g %% of all.",
			q.Version, 100*r.Agreement, 100*r.Coverage),
	}
	data, err := policy.Marshal(p)
	if err != nil {
		return nil, err
	}
	if p, err = policy.Parse(data); err != nil {
		return nil, err
	}
	if data, err = policy.Marshal(p); err != nil {
		return nil, err
	}
	out := &structpb.Struct{}
	if err := out.UnmarshalJSON(data); err != nil {
		return nil, fmt.Errorf("wrap the policy: %w", err)
	}
	return out, nil
}

// ruleEffect is the action itself where it is a plain transfer. Anything else needs what
// the caller knows of it, so the caller's own candidate is what the policy selects.
func ruleEffect(a *event.Action) policy.Effect {
	switch a.Type {
	case policy.TransferToSkill, policy.TransferToAgent, policy.TransferToBot:
		return policy.Effect{Fixed: &policy.Fixed{Actions: []event.Action{{Type: a.Type, Target: a.Target}}}}
	}
	return policy.Effect{Rank: &policy.Rank{Targets: []string{a.Key()}}}
}

// personalIn names the personal attribute that a condition looks at.
func personalIn(c *policy.Condition, personal func(string) bool) string {
	if c == nil {
		return ""
	}
	for _, name := range []string{c.Attribute, c.ValueFrom} {
		if name != "" && personal != nil && personal(name) {
			return name
		}
	}
	for _, part := range append(append([]*policy.Condition{c.Not}, c.All...), c.Any...) {
		if name := personalIn(part, personal); name != "" {
			return name
		}
	}
	return ""
}

// nameOfRule is an id such as distilled-1-retention.
func nameOfRule(r *DistilledRule, n int) string {
	const most = 40
	arm := regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(r.Action.Key()), "-")
	arm = strings.Trim(arm[:min(len(arm), most)], "-")
	return strings.TrimSuffix(fmt.Sprintf("distilled-%d-%s", n, arm), "-")
}

// worthTo is an estimate as the contract has it: without values where the log cannot
// tell them, and without bounds that no number can spell.
func worthTo(r *evaluate.OPEResult) *usherv1.ValueEstimate {
	out := &usherv1.ValueEstimate{
		Rows: r.N, Estimates: map[string]*usherv1.Estimate{}, Default: r.Default, EffectiveSampleSize: r.EffectiveSampleSize,
		LargestWeight: r.LargestWeight, ClippedShare: r.ClippedShare, MeanWeight: r.MeanWeight, Trusted: r.Trusted, Warnings: r.Warnings,
	}
	for name, e := range r.Estimates {
		if math.IsInf(e.Lower, 0) || math.IsInf(e.Upper, 0) || math.IsNaN(e.Lower+e.Upper) {
			continue
		}
		one := &usherv1.Estimate{Lower: e.Lower, Upper: e.Upper, Interval: e.Interval}
		if r.Trusted && !e.Withheld && !math.IsNaN(e.Value) {
			one.Value = &e.Value
		}
		out.Estimates[name] = one
	}
	return out
}
