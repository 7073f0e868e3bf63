package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/event"
)

// Query says which logged decisions to replay: of From to To the newest Limit, with
// their rewards under the objective.
type Query struct {
	Account, Objective string
	From, To           time.Time
	Limit              int
}

// Row is a logged decision. Reward counts when Rewarded is set.
type Row struct {
	Decision *event.Decision
	Rewarded bool
	Reward   float64
}

// Source streams logged decisions in any order. An error of fn ends it and is
// returned.
type Source interface {
	Replay(ctx context.Context, q Query, fn func(Row) error) error
}

// Revisions gives the list of policies as of a revision; *policystore.Store does.
type Revisions interface {
	At(account string, revision int64) (*policy.Set, []*policy.Policy, error)
}

// SimulatorDeps is what a simulator works with. Artifacts may be nil: then only
// recorded scores count.
type SimulatorDeps struct {
	Log       Log
	Source    Source
	Revisions Revisions
	Artifacts Artifacts
}

// Simulator replays logged decisions against other policies. It is safe for
// concurrent use.
type Simulator struct {
	cfg  decision.Config
	deps SimulatorDeps
}

// NewSimulator makes a simulator; cfg is that of the engine which decided.
func NewSimulator(cfg decision.Config, deps SimulatorDeps) (*Simulator, error) {
	if deps.Log == nil || deps.Source == nil || deps.Revisions == nil {
		return nil, errors.New("a simulator needs the config log, logged decisions and revisions")
	}
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("validate engine config: %w", err)
	}
	return &Simulator{cfg: cfg, deps: deps}, nil
}

// Plan is one simulation.
type Plan struct {
	Query
	// Draft takes the place of the list that decided.
	Draft *policy.Set
	// Lowest and Highest bound the rewards of the objective.
	Lowest, Highest float64
	// Examples is how many changed decisions to list, the newest.
	Examples int
	// Progress, when set, is called now and then with how many are done, by one
	// goroutine at a time.
	Progress func(done int64)
}

// Result is what would have been.
type Result struct {
	Decisions, Changed int64
	// Skipped counts by cause what cannot be replayed; it is not among Decisions.
	Skipped map[string]int64
	// Conditions made the difference; a decision counts at each of its own. Both
	// lists have most changes first.
	Conditions []ConditionChange
	Routes     []RouteChange
	Examples   []Change
	Estimate   Estimate
}

// ConditionChange counts the changed decisions that turn on one condition, or on
// another part of a policy at Path. Kind is ADDED, REMOVED, CHANGED or MOVED, against
// the list that decided.
type ConditionChange struct {
	Cause
	Changed int64
}

// Cause is a part of a policy that made a difference.
type Cause struct{ Policy, Path, Attribute, Kind string }

// RouteChange counts decisions that go from one route to another.
type RouteChange struct {
	Route
	Changed int64
}

// Route is which policy decided and what, before and after. Policies are empty when
// the default decided, actions when nothing was answered.
type Route struct{ FromPolicy, FromAction, ToPolicy, ToAction string }

// Change is a decision that would have been another.
type Change struct {
	Route
	ID, ConversationID string
	Time               time.Time
}

// progressEvery is how many decisions lie between two calls of Progress.
const progressEvery = 1000

// Simulate decides every logged decision again under the draft, with the facts, the
// settings and the scores of its time. It ends early with ctx. Memory does not grow
// with the decisions.
func (s *Simulator) Simulate(ctx context.Context, p *Plan) (*Result, error) {
	shared := &ground{simulator: s, plan: p, state: s.deps.Log.State(), pasts: newPasts(), lists: map[int64]*former{}, models: newModels(s.deps.Artifacts, true)}
	shared.timeline = timeline(shared.state, p.Account, configlog.KindAccount, configlog.KindMode, configlog.KindObjective, configlog.KindSkill, configlog.KindAgent)
	workers := make([]*worker, min(runtime.GOMAXPROCS(0), maxWorkers))
	tallies := make([]*tally, len(workers))
	for i := range workers {
		w, err := newWorker(shared)
		if err != nil {
			return nil, err
		}
		workers[i], tallies[i] = w, w.tally
	}
	rows := make(chan Row, 256)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(rows)
		return s.deps.Source.Replay(ctx, p.Query, func(r Row) error {
			select {
			case rows <- r:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
	for _, w := range workers {
		group.Go(func() error { return w.run(ctx, rows) })
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("simulate: %w", err)
	}
	return merged(tallies, p), nil
}

// skippedRefused is the cause of rows whose request the engine of today refuses.
const skippedRefused = "the request is refused today"

// maxWorkers bounds what one simulation takes of the machine.
const maxWorkers = 4

// worker replays one row after the other.
type worker struct {
	*ground
	stage *stage
	tally *tally
}

func newWorker(g *ground) (*worker, error) {
	cfg := g.simulator.cfg
	cfg.TraceLimit, cfg.Factors = 0, 0 // traces are made for changed decisions only
	st, err := newStage(cfg)
	if err != nil {
		return nil, err
	}
	st.set = g.plan.Draft
	return &worker{ground: g, stage: st, tally: newTally(g.plan.Examples)}, nil
}

func (w *worker) run(ctx context.Context, rows <-chan Row) error {
	for r := range rows {
		if err := ctx.Err(); err != nil {
			return err
		}
		cause, err := w.replay(ctx, &r)
		if err != nil {
			return err
		}
		if cause != "" {
			w.tally.skipped[cause]++
		}
		w.done()
	}
	return ctx.Err()
}

// replay decides one row again. cause says why it cannot be.
func (w *worker) replay(ctx context.Context, r *Row) (cause string, err error) {
	d := r.Decision
	before, err := w.list(d.PolicyRevision)
	if err != nil {
		return "", err
	}
	p, err := w.pastAt(ctx, d.Time)
	if err != nil {
		return "", err
	}
	s := w.stage
	s.hidden = hiddenFrom(d, w.plan.Draft)
	lacking := append(w.lacking(before, d), s.hidden...)
	s.put(d, p)
	out, cause, err := w.decide(ctx, len(lacking) > 0)
	if cause != "" || err != nil {
		return cause, err
	}
	if name := decidedBy(lacking, out); name != "" {
		return fmt.Sprintf("attribute %s is not in the record", name), nil
	}
	w.tally.decisions++
	if r.Rewarded {
		w.tally.reward(d, out, r.Reward)
	}
	from, to := routeOf(d), routeOf(out)
	if from.equal(to) && d.Policy == out.Policy {
		return "", nil
	}
	if len(lacking) == 0 {
		if out, cause, err = w.decide(ctx, true); cause != "" || err != nil {
			return cause, err
		}
	}
	w.tally.change(&Change{
		ID: d.ID, ConversationID: d.ConversationID, Time: d.Time,
		Route: Route{FromPolicy: d.Policy, FromAction: from.String(), ToPolicy: out.Policy, ToAction: to.String()},
	}, before.blame(d, out))
	return "", nil
}

// decide takes recorded scores, and the model where they are not enough and the
// answer rests on it.
func (w *worker) decide(ctx context.Context, explain bool) (out *event.Decision, cause string, err error) {
	s := w.stage
	s.scored, s.unscored, s.model = true, false, nil
	if out, cause, err = w.attempt(ctx, explain); cause != "" || err != nil {
		return nil, cause, err
	}
	if !s.unscored || !slices.Contains(out.Reasons, decision.ReasonFallbackNoModel) {
		return out, "", nil
	}
	version := s.record.ModelVersion
	if s.model, err = w.models.get(ctx, s.record.Account, version); err != nil {
		return nil, "", err
	}
	if s.model == nil {
		return nil, fmt.Sprintf("model %s is gone", version), nil
	}
	s.scored = false
	return w.attempt(ctx, explain)
}

func (w *worker) attempt(ctx context.Context, explain bool) (out *event.Decision, cause string, err error) {
	out, err = w.stage.decide(ctx, explain)
	switch {
	case err == nil:
		return out, "", nil
	case ctx.Err() != nil:
		return nil, "", err
	case w.stage.record.OnlyPolicy != "" && w.plan.Draft.Find(w.stage.record.OnlyPolicy) == nil:
		return nil, "the one policy that was asked is not in the draft", nil
	default:
		return nil, skippedRefused, nil
	}
}

// hiddenFrom lists the personal attributes that the draft looks at.
func hiddenFrom(d *event.Decision, draft *policy.Set) []string {
	var out []string
	for _, name := range d.Redacted {
		if slices.ContainsFunc(draft.Reads(), func(read string) bool { return touches(read, name) }) {
			out = append(out, name)
		}
	}
	return out
}

// decidedBy names an attribute among those given whose absence left a policy open
// that came before the decision.
func decidedBy(lacking []string, out *event.Decision) string {
	if len(lacking) == 0 {
		return ""
	}
	for i := range out.Policies {
		p := &out.Policies[i]
		if p.State != event.Unknown && p.State != event.Errored {
			continue
		}
		for _, c := range p.Conditions {
			if c.Truth != event.Unknown {
				continue
			}
			for _, name := range lacking {
				if looked := c.Attributes(); len(looked) == 0 || slices.ContainsFunc(looked, func(at string) bool { return touches(at, name) }) {
					return name
				}
			}
		}
	}
	return ""
}

// route is what an answer does: its actions up to the first that hands the
// conversation on, since messages and saved context come before that.
type route []event.Action

func routeOf(d *event.Decision) route {
	for i := range d.Actions {
		switch d.Actions[i].Type {
		case "SEND_MESSAGE", "SET_CONTEXT", "SHOW_ENGAGEMENT", "HIDE_ENGAGEMENT":
		default:
			return d.Actions[:i+1]
		}
	}
	return d.Actions
}

func (r route) equal(o route) bool { return slices.EqualFunc(r, o, sameAction) }

func (r route) String() string {
	keys := make([]string, len(r))
	for i := range r {
		keys[i] = r[i].Key()
	}
	return strings.Join(keys, ", ")
}

// byCount orders by most changes first, then by name.
func byCount[K any](a, b int64, x, y K) int {
	return cmp.Or(cmp.Compare(b, a), strings.Compare(fmt.Sprint(x), fmt.Sprint(y)))
}
