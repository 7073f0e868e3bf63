package decision

import (
	"time"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/pipeline/event"
)

// turn is one decision in the making.
type turn struct {
	engine  *Engine
	request *Request
	account Account
	scratch *scratch
	now     time.Time
	d       *event.Decision
	facts   policy.Facts

	set     *policy.Set // read once: a swap in between must not mix two lists
	in      *policy.Input
	bans    []ban
	matched []*policy.Rule // of the account's policies

	only  *policy.Rule // the one policy that is asked; nil for all
	rules AttributeRules
	found Found
	// shown are the actions that the record must not show as they are.
	shown   []shown
	secrets []secret // personal values that were met

	rule      *policy.Rule // the terminal policy that decides; nil for the plain default
	effect    *policy.Rule // what of it answers: itself, or one of its steps
	byDefault bool         // rule is the account's default, not a policy like others
	fixed     []event.Action
	shares    []float64 // probabilities of a split, by candidate; nil without one
	rerouted  []string  // keys of skills that stand in for agents
	looped    bool      // an action that leads back to the routing bot was left out
	dropped   bool      // an agent lost a denied fallback
	offered   int       // candidates of the caller, its baseline included
	emptied   bool

	model   *model.Model
	scored  bool
	context *model.Features // of the scratch, as are the arms
	arms    []model.Arm
	mode    Mode

	policyOnly, modelOnly, chosen int // places in d.Candidates, -1 for none
	greedy                        int // of what the draw was about: the answer without exploration
	live                          bool
	ramped, unexplored, spent     bool   // what bounded exploration
	cause                         string // why the model's answer is not given
}

// ban is a deny policy that matched: it holds for candidates that come later too.
type ban struct {
	rule    *policy.Rule
	in      *policy.Input
	verdict string
}

const defaultName = "default"

// transferToSkill is the type of an action that names a target only.
const transferToSkill = "TRANSFER_TO_SKILL"

func (t *turn) begin() error {
	r := t.request
	id := r.RequestID
	if id == "" {
		id = t.engine.deps.NewID()
	}
	limit := r.MaxActions
	if limit == 0 {
		limit = DefaultMaxActions
	}
	t.d = &event.Decision{
		ID: t.engine.deps.NewID(), Account: r.Account, Time: t.now.UTC(), RequestID: id,
		ConversationID: r.ConversationID, ConsumerID: r.ConsumerID, VisitorID: r.VisitorID, SessionID: r.SessionID,
		Channel: r.Channel, Intent: r.Intent, Attributes: r.Attributes, Seed: Seed(r.Account, id),
		MaxActions: limit, Labels: r.Labels, Actions: []event.Action{}, Waited: r.Waited, OnlyPolicy: r.Policy,
	}
	t.policyOnly, t.modelOnly, t.chosen = -1, -1, -1
	t.offers()
	if err := t.pick(); err != nil {
		return err
	}
	t.in = t.scratch.input.of(t.set)
	t.facts = policy.Facts{
		Channel: r.Channel, Intent: r.Intent, UserMessage: r.UserMessage, ConversationID: r.ConversationID,
		ConsumerID: r.ConsumerID, VisitorID: r.VisitorID, SessionID: r.SessionID, Attributes: r.Attributes,
		Waited: r.Waited, Now: t.d.Time,
	}
	if t.knowsSkills() {
		t.liveState()
		t.facts.Skills = t.skill
	}
	return nil
}

// pick takes the policies that are asked: once, a swap in between must not mix two
// lists.
func (t *turn) pick() error {
	r := t.request
	if t.set = r.Policies; t.set == nil {
		t.set = t.engine.deps.Policies.Policies(r.Account)
	}
	if r.Policy == "" {
		return nil
	}
	if t.only = t.set.Find(r.Policy); t.only == nil {
		return fault.New(fault.NotFound, "POLICY_NOT_FOUND", "there is no policy %q", r.Policy)
	}
	if r.DryRun && !t.only.Policy().Enabled {
		t.set = t.set.Enabling(r.Policy)
		t.only = t.set.Find(r.Policy)
	}
	return nil
}

// asked reports whether a policy takes part in this decision.
func (t *turn) asked(r *policy.Rule) bool {
	return t.only == nil || r.IsDefault() || r.Position() == t.only.Position()
}

// offers copies the caller's candidates, its baseline among them: what the
// caller would do anyway can always be done.
func (t *turn) offers() {
	r := t.request
	t.d.Candidates = make([]event.Candidate, 0, len(r.Candidates)+2)
	for i := range r.Candidates {
		t.offer(r.Candidates[i].Action, r.Candidates[i].Attributes)
	}
	if r.Baseline != nil {
		t.d.Baseline = withType(*r.Baseline).Key()
		if t.find(t.d.Baseline) < 0 {
			t.offer(*r.Baseline, nil)
		}
	}
	t.offered = len(t.d.Candidates)
}

func withType(a event.Action) event.Action {
	if a.Type == "" && a.Target != "" {
		a.Type = transferToSkill
	}
	return a
}

// offer adds a candidate and returns its place, -1 when the record is full.
func (t *turn) offer(a event.Action, attributes map[string]any) int {
	if len(t.d.Candidates) >= MaxCandidates {
		return -1
	}
	t.d.Candidates = append(t.d.Candidates, event.Candidate{
		Action: withType(a), Attributes: attributes, Eligible: true,
	})
	return len(t.d.Candidates) - 1
}

func (t *turn) find(key string) int {
	for i := range t.d.Candidates {
		if t.d.Candidates[i].Key() == key {
			return i
		}
	}
	return -1
}

// liveState takes one look at the live state that this decision can use, so that
// what is recorded is what was used.
func (t *turn) liveState() {
	for _, name := range t.set.Skills() {
		t.skill(name)
	}
	if set := t.account.NoExploration; set != nil {
		for _, name := range set.Skills() {
			t.skill(name)
		}
	}
	for i := range t.d.Candidates {
		t.skill(t.d.Candidates[i].Key())
	}
}

func (t *turn) knowsSkills() bool {
	return t.engine.deps.Skills != nil || t.request.Supplied != nil && len(t.request.Supplied.Skills) > 0
}

func (t *turn) skill(name string) (event.Skill, bool) {
	if s, ok := t.d.Skills[name]; ok {
		return s, true
	}
	var s event.Skill
	ok := false
	if given := t.request.Supplied; given != nil {
		s, ok = given.Skills[name]
	}
	if !ok && t.engine.deps.Skills != nil {
		s, ok = t.engine.deps.Skills.Skill(t.d.Account, name)
	}
	if ok {
		if t.d.Skills == nil {
			t.d.Skills = map[string]event.Skill{}
		}
		t.d.Skills[name] = s
	}
	return s, ok
}

// policies walks the account's policies and, when none of them decides, the
// account's default effect. Without either the caller's candidates are ranked.
func (t *turn) policies() {
	if t.guards() {
		t.facts.Personal = t.isPersonal
	}
	t.in.Load(&t.facts)
	t.asUsed()
	defer t.redactCandidates()
	if t.walk(t.set, t.in) {
		return
	}
	t.byDefault = true
	// A default policy that had nothing to offer has spoken for the account.
	if set := t.ownDefault(); set != nil {
		in := t.scratch.defaults.of(set)
		in.Load(&t.facts)
		t.walk(set, in)
	}
}

// walk applies the matching policies in order until one decides.
func (t *turn) walk(set *policy.Set, in *policy.Input) bool {
	for r := set.Next(in); r != nil; r = set.Next(in) {
		if !t.byDefault {
			if !t.asked(r) {
				continue
			}
			t.matched = append(t.matched, r)
		}
		if r.HasDeny() {
			t.deny(r, in)
		}
		if !r.Terminal() {
			continue
		}
		if t.answers(r, in) {
			t.rule, t.byDefault = r, t.byDefault || r.IsDefault()
			return true
		}
		t.emptied = true
	}
	return false
}

func nameOf(r *policy.Rule) string {
	if name := r.Policy().Name; name != "" {
		return name
	}
	return defaultName
}

func (t *turn) deny(r *policy.Rule, in *policy.Input) {
	b := ban{rule: r, in: in, verdict: VerdictDenied + nameOf(r)}
	t.bans = append(t.bans, b)
	for i := range t.d.Candidates {
		if c := &t.d.Candidates[i]; c.Eligible && b.hits(c) {
			c.Eligible, c.Verdict = false, b.verdict
		}
	}
}

func (b *ban) hits(c *event.Candidate) bool {
	b.in.Candidate(c)
	return b.rule.Denies(b.in, c.Key())
}

// banned reports whether some ban so far takes the action away.
func (t *turn) banned(a event.Action) bool {
	c := event.Candidate{Action: a}
	if at := t.find(a.Key()); at >= 0 {
		c.Attributes = t.d.Candidates[at].Attributes
	}
	for i := range t.bans {
		if t.bans[i].hits(&c) {
			return true
		}
	}
	return false
}

// usable reports whether an action made by a template can be answered.
func (t *turn) usable(a event.Action) bool {
	return a.Key() != "" && len(a.Key()) <= maxID && !t.loops(a) && !t.banned(a)
}
