package demo

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// outcomeBatch is how many outcomes travel in one call at the most.
const outcomeBatch = 500

// replay holds the state of one run. Only its own goroutine touches it; the
// watcher has a state of its own.
type replay struct {
	cfg        Config
	client     client
	incidents  []incident
	candidates []*usherv1.ActionCandidate
	pace       *rate.Limiter
	progress   progress
	watch      *watcher

	pending   []pending // sorted by when their outcome is known
	unsent    []*usherv1.Outcome
	sent      int64 // outcomes
	mode      string
	results   []result
	latencies []time.Duration
	began     time.Time
	took      time.Duration
}

// pending is a decided incident whose outcome is not known yet.
type pending struct {
	due      time.Time
	incident *incident
	decision string
	sentTo   string
}

// result is what was decided for one incident and what each party alone would
// have done.
type result struct {
	people, policy, usher bool
	model                 bool
	hasModel              bool
	by, mode              string
}

func newReplay(cfg Config, c client, incidents []incident, groups []string, out io.Writer) *replay {
	r := &replay{
		cfg: cfg, client: c, incidents: incidents, mode: "SHADOW",
		pace:     rate.NewLimiter(rate.Limit(cfg.Rate), max(1, int(cfg.Rate/20))),
		progress: newProgress(out, len(incidents)), watch: newWatcher(c.control, cfg.Account),
	}
	for _, g := range groups {
		r.candidates = append(r.candidates, &usherv1.ActionCandidate{Type: "TRANSFER_TO_SKILL", Target: g})
	}
	return r
}

// run replays every incident, then delivers the outcomes that are still open.
func (r *replay) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var g errgroup.Group
	g.Go(func() error { return r.watch.run(ctx) })
	err := r.playAll(ctx)
	stop()
	return cmp.Or(err, g.Wait())
}

func (r *replay) playAll(ctx context.Context) error {
	r.began = time.Now()
	for i := range r.incidents {
		if err := r.pace.Wait(ctx); err != nil {
			return err
		}
		if err := r.play(ctx, i); err != nil {
			return err
		}
	}
	r.took = time.Since(r.began)
	r.progress.finish()
	for _, p := range r.pending {
		r.learnOf(p)
	}
	r.pending = nil
	return r.deliver(ctx)
}

// play tells what has become known since, decides one incident and keeps its
// outcome for later.
func (r *replay) play(ctx context.Context, i int) error {
	in := &r.incidents[i]
	for len(r.pending) > 0 && !r.pending[0].due.After(in.opened) {
		r.learnOf(r.pending[0])
		r.pending = r.pending[1:]
	}
	if err := r.deliver(ctx); err != nil {
		return err
	}
	if err := r.climb(ctx, i); err != nil {
		return err
	}
	start := time.Now()
	answer, err := r.client.decisions.NextActions(ctx, in.request(r.cfg.Account, r.candidates))
	if err != nil {
		return fmt.Errorf("ask next actions of incident %s: %w", in.id, err)
	}
	r.latencies = append(r.latencies, time.Since(start))
	r.watch.saw(answer.GetModelVersion())
	r.note(in, answer)
	r.show(i)
	return nil
}

// climb takes the next step of the ladder: ON once the model has watched its
// share of the log and one has passed the gate.
func (r *replay) climb(ctx context.Context, i int) error {
	if r.mode != "SHADOW" || float64(i) < r.cfg.ShadowShare*float64(len(r.incidents)) || r.watch.champion() == "" {
		return nil
	}
	r.mode = "ON"
	return setMode(ctx, r.client, r.cfg.Account, r.mode, "the gate has promoted a model")
}

// note keeps what was decided, and the outcome until its time has come.
func (r *replay) note(in *incident, answer *usherv1.NextActionsResponse) {
	sentTo := ""
	if len(answer.GetActions()) > 0 {
		sentTo = answer.GetActions()[0].GetTarget()
	}
	r.results = append(r.results, result{
		people: in.firstGroup == in.rightOne, policy: answer.GetPolicyOnly() == in.rightOne,
		usher: sentTo == in.rightOne, model: answer.GetModelOnly() == in.rightOne,
		hasModel: answer.GetModelOnly() != "", by: answer.GetDecidedBy(), mode: answer.GetMode(),
	})
	if in.resolved.IsZero() {
		return
	}
	p := pending{in.resolved, in, answer.GetDecisionId(), sentTo}
	at, _ := slices.BinarySearchFunc(r.pending, p, func(a, b pending) int {
		if c := a.due.Compare(b.due); c != 0 {
			return c
		}
		return -1 // after its equals: first decided, first known
	})
	r.pending = slices.Insert(r.pending, at, p)
}

func (r *replay) learnOf(p pending) {
	r.unsent = append(r.unsent, p.incident.outcomes(p.decision, p.sentTo, time.Now())...)
}

// deliver reports the outcomes that are due.
func (r *replay) deliver(ctx context.Context) error {
	for batch := range slices.Chunk(r.unsent, outcomeBatch) {
		_, err := r.client.outcomes.ReportOutcomes(ctx, &usherv1.ReportOutcomesRequest{Parent: "accounts/" + r.cfg.Account, Outcomes: batch})
		if err != nil {
			return fmt.Errorf("report %d outcomes: %w", len(batch), err)
		}
		r.sent += int64(len(batch))
	}
	r.unsent = r.unsent[:0]
	return nil
}

func (r *replay) show(i int) {
	r.progress.step(i+1, func() string {
		recent := tally(r.results[max(0, len(r.results)-1000):])
		return fmt.Sprintf("%-6s of the last 1,000: people %4.1f %%  Usher %4.1f %%  refits %d",
			r.mode, 100*recent.People, 100*recent.Usher, r.watch.refits())
	})
}
