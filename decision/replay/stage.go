package replay

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/pipeline/event"
)

// stage is the world of one record at a time: an engine on it finds what the
// decision found, and nothing else. It is not safe for concurrent use.
type stage struct {
	record *event.Decision
	set    *policy.Set
	model  *model.Model
	past   *past
	found  decision.Found
	// hidden attributes are left out although the record has them.
	hidden []string
	// scored lets recorded scores stand in for the model; unscored is set when they
	// were not enough.
	scored, unscored bool
	engine           *decision.Engine
}

func newStage(cfg decision.Config) (*stage, error) {
	s := &stage{}
	var err error
	s.engine, err = decision.New(cfg, decision.Deps{
		Policies: s, Models: s, Control: s, Skills: s, Attributes: s, Seats: s, Scores: s, Past: s,
		Now: func() time.Time { return s.record.Time }, NewID: func() string { return s.record.ID },
	})
	return s, err
}

// put makes a record the one that is decided again.
func (s *stage) put(d *event.Decision, p *past) {
	s.record, s.past, s.unscored = d, p, false
	s.found = decision.Found{Values: map[string]any{}, Sources: d.Sources, Calls: d.Calls, Failed: failures(d), Ages: ages(d)}
	for name := range d.Sources {
		if v, ok := d.Attributes[name]; ok {
			s.found.Values[name] = v
		}
	}
}

// decide decides again. explain asks for the traces of all policies.
func (s *stage) decide(ctx context.Context, explain bool) (*event.Decision, error) {
	return s.engine.Decide(ctx, s.request(explain))
}

// request is what the caller asked, as far as it mattered.
func (s *stage) request(explain bool) *decision.Request {
	d := s.record
	r := &decision.Request{
		Account: d.Account, RequestID: d.RequestID, ConversationID: d.ConversationID, ConsumerID: d.ConsumerID,
		VisitorID: d.VisitorID, SessionID: d.SessionID, Channel: d.Channel, Intent: d.Intent,
		Attributes: s.brought(), MaxActions: d.MaxActions, Explain: explain, Policy: d.OnlyPolicy,
		Waited: d.Waited, Labels: d.Labels,
		// Only the reason is left of the caller's wish; the account's own condition is
		// looked at again.
		NoExploration: slices.Contains(d.Reasons, decision.ReasonNoExploration),
	}
	// Fixed actions are answered all unless the caller said how many it wants.
	if d.MaxActions == decision.DefaultMaxActions && len(d.Actions) > d.MaxActions {
		r.MaxActions = 0
	}
	offered := d.Candidates[:len(d.Candidates)-min(max(d.Added, 0), len(d.Candidates))]
	if d.Baseline != "" {
		r.Baseline = &event.Action{Target: d.Baseline}
		for i := range offered {
			if offered[i].Key() == d.Baseline {
				r.Baseline = &offered[i].Action
			}
		}
	}
	r.Candidates = offered
	return r
}

// brought are the attributes of the request: those of the record that were not
// found elsewhere.
func (s *stage) brought() map[string]any {
	d := s.record
	if len(d.Sources) == 0 && len(s.hidden) == 0 {
		return d.Attributes
	}
	out := make(map[string]any, len(d.Attributes))
	for name, v := range d.Attributes {
		if _, found := d.Sources[name]; !found && !slices.Contains(s.hidden, name) {
			out[name] = v
		}
	}
	return out
}

// failures are the attributes that something kept from being there, with the cause.
func failures(d *event.Decision) map[string]string {
	failed := map[string]string{}
	for i := range d.Policies {
		for _, c := range d.Policies[i].Conditions {
			if name, why, ok := c.Failed(); ok {
				failed[name] = why
			}
		}
	}
	for _, c := range d.Calls {
		switch c.Result {
		case event.CallOK, event.CallCached:
		default:
			if !c.Fallback && failed[c.Attribute] == "" {
				failed[c.Attribute] = "function " + c.Function + ": " + cmp.Or(c.Detail, strings.ToLower(string(c.Result)))
			}
		}
	}
	return failed
}

// ages are those of cached values; live state tells its own.
func ages(d *event.Decision) map[string]time.Duration {
	out := map[string]time.Duration{}
	for _, c := range d.Calls {
		if c.Age != 0 {
			out[c.Attribute] = c.Age
		}
	}
	return out
}

// Policies implements decision.PolicySource.
func (s *stage) Policies(string) *policy.Set { return s.set }

// Current implements decision.ModelSource.
func (s *stage) Current(string) *model.Model { return s.model }

// Account implements decision.ControlSource.
func (s *stage) Account(account string) (decision.Account, bool) {
	a, ok := s.past.control.Account(account)
	if set := a.NoExploration; set != nil && slices.ContainsFunc(set.Reads(), func(read string) bool {
		return decision.NamesPersonal(s.record.Redacted, read)
	}) {
		a.NoExploration = nil // what it looked at is hidden: the reason stands for it
	}
	return a, ok
}

// Mode implements decision.ControlSource.
func (s *stage) Mode(account, scope string) (decision.Mode, bool) {
	return s.past.control.Mode(account, scope)
}

// Spent implements decision.PastDraws: a target was left out of the draw although it
// was eligible. What was spent then is known from the record alone.
func (s *stage) Spent(key string) bool {
	d := s.record
	if !slices.Contains(d.Reasons, decision.ReasonExplorationBudget) {
		return false
	}
	at := slices.IndexFunc(d.Candidates, func(c event.Candidate) bool { return c.Key() == key })
	return at >= 0 && d.Candidates[at].Eligible && d.Candidates[at].Probability == 0
}

// ShareCap implements decision.PastDraws.
func (s *stage) ShareCap(key string) float64 {
	for i := range s.record.Candidates {
		if c := &s.record.Candidates[i]; c.Key() == key {
			return c.ShareCap
		}
	}
	return 0
}

// Skill implements decision.SkillSource.
func (s *stage) Skill(_, skill string) (event.Skill, bool) {
	state, ok := s.record.Skills[skill]
	return state, ok
}

// Serves implements decision.SeatSource.
func (s *stage) Serves(account, agent, skill string) (serves, known bool) {
	return s.past.resolver.Serves(account, agent, skill)
}

// Attributes implements decision.AttributeSource.
func (s *stage) Attributes(context.Context, *decision.AttributeQuery) decision.Found { return s.found }

// Rules implements decision.AttributeSource. Personal values are not in the record
// to begin with.
func (s *stage) Rules(account string) decision.AttributeRules {
	rules := s.past.resolver.Rules(account)
	rules.Personal = nil
	return rules
}

// Scores implements decision.ScoreSource.
func (s *stage) Scores(keys []string, out []model.Score) (version string, ok bool) {
	if !s.scored {
		return "", false
	}
	d := s.record
	for i, key := range keys {
		at := i
		if at >= len(d.Candidates) || d.Candidates[at].Key() != key {
			at = slices.IndexFunc(d.Candidates, func(c event.Candidate) bool { return c.Key() == key })
		}
		if d.ModelVersion == "" || at < 0 || neverScored(d, at) {
			s.unscored = true
			return "", false
		}
		c := &d.Candidates[at]
		out[i] = model.Score{Value: c.Score, StdErr: c.StdErr, Known: c.Known}
	}
	return d.ModelVersion, true
}

// neverScored tells the candidates that a policy added after the model was asked.
func neverScored(d *event.Decision, at int) bool {
	c := &d.Candidates[at]
	return at >= len(d.Candidates)-d.Added && c.Score == 0 && c.StdErr == 0 && !c.Known
}
