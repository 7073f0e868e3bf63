package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/decisionlog"
	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/event"
)

// Artifacts brings the bytes of a model; a missing one is a NotFound fault.
type Artifacts interface {
	Artifact(ctx context.Context, account, version string) ([]byte, error)
}

// Verdict is what became of a verification.
type Verdict string

// The verdicts.
const (
	Same          Verdict = "SAME"
	Different     Verdict = "DIFFERENT"
	NotVerifiable Verdict = "NOT_VERIFIABLE" // something that the record needs is gone
)

// Verification says whether a record can be told again.
type Verification struct {
	Verdict Verdict
	// Findings say what differs, or what is missing, one line each.
	Findings []string
	// Replayed is the decision as it comes out now; nil when it cannot be had.
	Replayed *event.Decision
}

// Deps is what a verifier works with. Artifacts may be nil: then decisions with a
// model cannot be verified.
type Deps struct {
	Log       Log
	Artifacts Artifacts
}

// Verifier decides again from records alone. It keeps the policies and models of the
// last few revisions, so that many decisions of one revision cost one compilation. It
// is safe for concurrent use, and more calls than two wait for each other.
type Verifier struct {
	cfg    decision.Config
	deps   Deps
	pasts  *pasts
	models *models

	// running holds a token for each verification that is under way.
	running chan struct{}
}

// maxRunning is how many verifications run at a time: one more waits its turn, and
// deciding keeps the rest of the machine.
const maxRunning = 2

// NewVerifier makes a verifier; cfg is that of the engine which decided.
func NewVerifier(cfg decision.Config, deps Deps) (*Verifier, error) {
	if deps.Log == nil {
		return nil, errors.New("a verifier needs the config log")
	}
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("validate engine config: %w", err)
	}
	return &Verifier{cfg: cfg, deps: deps, pasts: newPasts(), models: newModels(deps.Artifacts, false), running: make(chan struct{}, maxRunning)}, nil
}

// settling is how long a change of settings may take to reach every process: a
// decision made so close to one may have been made before or after it.
const settling = 5 * time.Second

// Verify decides the record's question again, with the policies of its revision,
// the settings of its time, its model and nothing but the facts in it, and compares
// everything but the decision's id and its latency. What was given to the decision,
// the request's attributes, what look-ups and functions found, live state, ids and
// time, is taken from the record: it is proved only as far as the answer rests on it.
// The error is that of a part that is away, or of ctx; what is gone for good is a
// verdict. The record is not changed. One call compiles at most three lists.
func (v *Verifier) Verify(ctx context.Context, d *event.Decision) (Verification, error) {
	select {
	case v.running <- struct{}{}:
		defer func() { <-v.running }()
	case <-ctx.Done():
		return Verification{}, ctx.Err()
	}
	st := v.deps.Log.State()
	if missing := v.missing(st, d); missing != "" {
		return Verification{Verdict: NotVerifiable, Findings: []string{missing}}, nil
	}
	m, err := v.models.get(ctx, d.Account, d.ModelVersion)
	if err != nil {
		return Verification{}, err
	}
	if m == nil && d.ModelVersion != "" {
		return Verification{Verdict: NotVerifiable, Findings: []string{fmt.Sprintf("model %q: its artifact is gone", d.ModelVersion)}}, nil
	}
	changes := timeline(st, d.Account, verifiedKinds()...)
	var first *Verification
	for _, at := range instants(changes, d.Time) {
		p, err := v.pasts.at(ctx, st, moment{d.Account, d.PolicyRevision, placeOf(changes, at), len(changes)}, at)
		if err != nil {
			return Verification{}, err
		}
		if name := personal(d, p.policies); name != "" {
			return Verification{Verdict: NotVerifiable, Findings: []string{
				fmt.Sprintf("attribute %q: policies look at it, and its value is kept out of the record because it is personal", name),
			}}, nil
		}
		found, err := v.again(ctx, d, p, m)
		if err != nil {
			return Verification{}, err
		}
		if found.Verdict == Same {
			return found, nil
		}
		if first == nil {
			first = &found
		}
	}
	return *first, nil
}

// missing says what the config log lacks, "" when it has everything.
func (v *Verifier) missing(st *configlog.State, d *event.Decision) string {
	if _, ok := st.Get(d.Account, configlog.KindAccount, d.Account); !ok {
		return fmt.Sprintf("account %q: it is gone", d.Account)
	}
	if d.PolicyRevision > st.Revision() {
		return fmt.Sprintf("policy_revision %d: the config log here ends at %d", d.PolicyRevision, st.Revision())
	}
	return ""
}

func load(ctx context.Context, from Artifacts, account, version string) (*model.Model, error) {
	data, err := from.Artifact(ctx, account, version)
	if err != nil {
		return nil, fmt.Errorf("fetch model %q: %w", version, err)
	}
	m, err := model.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("read model %q: %w", version, err)
	}
	return m, nil
}

// verifiedKinds are the settings beside policies that a decision rests on.
func verifiedKinds() []string {
	return []string{
		configlog.KindAccount, configlog.KindMode, configlog.KindObjective, configlog.KindAttribute, configlog.KindFunction,
		configlog.KindCalendar, configlog.KindSkill, configlog.KindAgent, configlog.KindBot,
	}
}

// instants are the times whose settings a decision can have seen, the likeliest
// first.
func instants(changes []time.Time, decided time.Time) []time.Time {
	before, after := decided.Add(-settling), decided.Add(settling)
	if placeOf(changes, before.Add(-1)) == placeOf(changes, after) {
		return []time.Time{decided}
	}
	return []time.Time{decided, before, after}
}

// personal names an attribute that the policies look at and the record hides.
func personal(d *event.Decision, set *policy.Set) string {
	for _, hidden := range d.Redacted {
		if slices.ContainsFunc(set.Reads(), func(read string) bool { return touches(read, hidden) }) {
			return hidden
		}
	}
	return ""
}

// touches reports whether one attribute is the other or a part of it, under either
// of its names.
func touches(read, name string) bool { return decision.NamesPersonal([]string{name}, read) }

// again decides once more and compares.
func (v *Verifier) again(ctx context.Context, d *event.Decision, p *past, m *model.Model) (Verification, error) {
	s, err := newStage(v.cfg)
	if err != nil {
		return Verification{}, err
	}
	s.set, s.model = p.policies, m
	s.put(d, p)
	replayed, err := s.decide(ctx, v.explained(d, p.policies))
	if err != nil {
		if ctx.Err() != nil {
			return Verification{}, err
		}
		// The engine refuses what it once answered: then it was not this.
		return Verification{Verdict: Different, Findings: []string{"the request of the record is refused: " + err.Error()}}, nil
	}
	replayed.Redacted = d.Redacted
	shorten(replayed)
	findings, err := differences(d, replayed)
	if err != nil {
		return Verification{}, err
	}
	verdict := Same
	if len(findings) > 0 {
		verdict = Different
	}
	return Verification{Verdict: verdict, Findings: findings, Replayed: replayed}, nil
}

// explained reports whether the caller asked for everything: then the record has
// the traces of a long list, or factors of candidates that were not answered.
func (v *Verifier) explained(d *event.Decision, set *policy.Set) bool {
	if set.Len() > v.cfg.TraceLimit && len(d.Policies) == set.Len() {
		return true
	}
	for i := range d.Candidates {
		c := &d.Candidates[i]
		answered := slices.ContainsFunc(d.Actions, func(a event.Action) bool { return a.Key() == c.Key() })
		if !answered && len(c.Factors) > 0 {
			return true
		}
	}
	return false
}

// shorten does what recording does with a record that is too large.
func shorten(d *event.Decision) {
	m, err := event.EncodeDecision(d, decisionlog.DefaultConfig().Format)
	if err != nil || len(m.Key)+len(m.Value) <= decisionlog.DefaultConfig().MaxRecord {
		return
	}
	kept := d.Policies
	d.Policies = nil
	for _, p := range kept {
		if p.Policy == d.Policy {
			p.Conditions = nil
			d.Policies = append(d.Policies, p)
		}
	}
}
