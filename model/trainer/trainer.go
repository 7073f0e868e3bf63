package trainer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/model"
)

// Deps is what a trainer works with. Log and Metrics may be nil.
type Deps struct {
	Directory Directory
	Rows      RowSource
	Store     Store
	Promoter  Promoter
	Now       func() time.Time
	Log       *slog.Logger
	Metrics   *Metrics
	// Challenger, when there is one, fits another family beside ours; see
	// Config.ChallengeEvery.
	Challenger Challenger
}

// Trainer refits the models of all accounts. Only one trainer should run per
// installation: two would make and promote the same models twice, which is
// harmless and wasteful.
type Trainer struct {
	cfg    Config
	deps   Deps
	states map[string]*state // by account; touched by step alone

	challenges challenges
}

// state is what the trainer remembers of one account. While a step runs it
// belongs to that account's worker.
type state struct {
	account   Account
	fit       fitter
	rows      int64 // of the last fit
	watermark time.Time
	fitted    time.Time
	took      time.Duration // of the last fit with its reading and writing
	looked    time.Time     // when progress was last read, and how long that took
	looking   time.Duration
	live      string // version of the live model, be it no rival
	rival     *champion
	pending   *publication
	stored    *publication // not challenged yet
	failures  int
	retryAt   time.Time
}

// publication is a judged model on its way to the store. It is kept until it is
// stored: the rows it was judged on have been learned and cannot judge again.
type publication struct {
	job      job
	out      *fitted
	promoted bool
	took     time.Duration
}

// New returns a trainer that does nothing until Run, or an error that names every
// bad setting.
func New(cfg Config, deps Deps) (*Trainer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("validate trainer config: %w", err)
	}
	if deps.Directory == nil || deps.Rows == nil || deps.Store == nil || deps.Promoter == nil || deps.Now == nil {
		return nil, errors.New("create trainer: directory, rows, store, promoter and clock are all needed")
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	if deps.Metrics == nil {
		deps.Metrics = NewMetrics(nil)
	}
	return &Trainer{cfg: cfg, deps: deps, states: map[string]*state{}}, nil
}

// Run checks all accounts every Config.Check and fits those that are due, until
// ctx ends; it then returns nil. A failure concerns one account and is retried
// with growing pauses; it never ends Run.
func (t *Trainer) Run(ctx context.Context) error {
	defer t.challenges.wait.Wait()
	tick := time.NewTicker(t.cfg.Check)
	defer tick.Stop()
	for {
		t.step(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// step looks at every account once and waits for the fits that it starts.
func (t *Trainer) step(ctx context.Context) {
	accounts, err := t.deps.Directory.Accounts(ctx)
	if err != nil {
		if ctx.Err() == nil {
			t.deps.Log.Warn("cannot list accounts to train for, will retry", "error", err)
		}
		return
	}
	listed := map[string]bool{}
	var g errgroup.Group
	g.SetLimit(t.cfg.Parallel)
	for _, a := range accounts {
		listed[a.ID] = true
		s := t.state(a)
		g.Go(func() error {
			t.tend(ctx, s)
			t.challenge(ctx, s)
			return nil
		})
	}
	_ = g.Wait() // workers report for themselves
	for id := range t.states {
		if !listed[id] {
			delete(t.states, id)
			t.deps.Metrics.forget(id)
		}
	}
}

// state returns what is remembered of an account, nothing when its rewards have
// come to mean something else.
func (t *Trainer) state(a Account) *state {
	s := t.states[a.ID]
	if s == nil || s.account.rewards() != a.rewards() {
		s = &state{}
		t.states[a.ID] = s
	}
	s.account = a
	return s
}

// tend brings one account up to date when it is due.
func (t *Trainer) tend(ctx context.Context, s *state) {
	if ctx.Err() != nil || t.deps.Now().Before(s.retryAt) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, t.cfg.FitTimeout)
	defer cancel()
	err := t.refitIfDue(ctx, s)
	if err == nil {
		s.failures = 0
		return
	}
	if errors.Is(err, context.Canceled) {
		return // shutting down
	}
	pause := min(t.cfg.RetryMin<<min(s.failures, 20), t.cfg.RetryMax)
	s.failures++
	s.retryAt = t.deps.Now().Add(pause)
	t.deps.Metrics.failures.WithLabelValues(s.account.ID).Inc()
	t.deps.Log.Error("refit failed, will retry", "account", s.account.ID, "failures", s.failures, "pause", pause, "error", err)
}

func (t *Trainer) refitIfDue(ctx context.Context, s *state) error {
	if err := t.publish(ctx, s); err != nil {
		return err
	}
	start := t.deps.Now()
	t.deps.Metrics.stale(s.account.ID, s.rival, start)
	if start.Before(s.looked.Add(min(idle*s.looking, restAtMost))) {
		return nil
	}
	p, err := t.deps.Rows.Progress(ctx, s.account.ID, s.account.Objective)
	s.looked = t.deps.Now()
	s.looking = s.looked.Sub(start)
	if err != nil {
		return fmt.Errorf("read training progress of account %q: %w", s.account.ID, err)
	}
	t.deps.Metrics.waiting.WithLabelValues(s.account.ID).Set(float64(max(0, p.Rows-s.rows)))
	if !t.due(s, p) {
		return nil
	}
	return t.refit(ctx, s, p)
}

// idle is how many times longer than the work itself the trainer rests after
// looking at progress, restAtMost aside, and after a fit that age alone asks for: both then take
// less than a twentieth of the time, however large the account.
const idle = 20

// restAtMost bounds the rest after looking: on a busy machine a look takes long, and
// news would wait for twenty of them.
const restAtMost = 3 * time.Second

// correctionAge is how many times MaxAge late corrections may wait when too few
// rows are new for the gate to judge by.
const correctionAge = 10

// due decides whether there is enough that is new.
func (t *Trainer) due(s *state, p Progress) bool {
	if p.Rows < t.cfg.MinRows {
		return false
	}
	if s.fitted.IsZero() {
		return true
	}
	grown := p.Rows - s.rows
	if float64(grown) >= max(float64(t.cfg.MinRows), t.cfg.GrowthShare*float64(s.rows)) {
		return true
	}
	// Silence that has matured is new without any outcome.
	if grown <= 0 && !p.Watermark.After(s.watermark) && s.fit.exact {
		return false
	}
	age, due := t.deps.Now().Sub(s.fitted), max(t.cfg.MaxAge, idle*s.took)
	return age >= due && (grown >= t.cfg.Gate.MinRows || age >= correctionAge*due)
}

// refit reads, fits, judges, stores and, when the gate lets it pass, promotes.
func (t *Trainer) refit(ctx context.Context, s *state, p Progress) error {
	start := t.deps.Now()
	// Whole days, so that the window does not lose its oldest row at every fit.
	from := start.Add(-t.cfg.Window).UTC().Truncate(24 * time.Hour)
	rows, err := readRows(ctx, t.deps.Rows, Query{
		Account: s.account.ID, Objective: s.account.Objective, From: from, Limit: t.cfg.MaxRows,
	})
	if err != nil {
		return err
	}
	s.rows, s.watermark, s.fitted = p.Rows, p.Watermark, start
	if int64(len(rows.rows)) < t.cfg.MinRows {
		return nil // counted rows may be outside the window
	}
	rows.mature(s.account, start)
	if err := t.loadChampion(ctx, s); err != nil {
		s.fitted = time.Time{} // nothing was fitted: stay due
		return err
	}
	j := job{cfg: t.cfg, account: s.account, rows: rows, rival: s.comparable(), live: s.live, now: t.deps.Now}
	out, err := s.fit.fit(ctx, j)
	if err != nil {
		s.fitted = time.Time{}
		return err
	}
	s.pending = &publication{job: j, out: out, took: t.deps.Now().Sub(start)}
	err = t.publish(ctx, s)
	s.took = t.deps.Now().Sub(start)
	return err
}

// loadChampion makes s.rival the live model. A champion that is gone or cannot be
// read is no rival; what cannot be read today for other reasons is an error.
func (t *Trainer) loadChampion(ctx context.Context, s *state) error {
	version, err := t.deps.Promoter.Champion(ctx, s.account.ID)
	if err != nil {
		return fmt.Errorf("read champion of account %q: %w", s.account.ID, err)
	}
	s.live = version
	if version == "" {
		s.rival = nil
		return nil
	}
	if s.rival != nil && s.rival.card.Version == version {
		return nil
	}
	s.rival = nil
	card, artifact, err := t.deps.Store.LoadModel(ctx, s.account.ID, version)
	if err == nil {
		var m *model.Model
		if m, err = model.Decode(artifact); err == nil {
			s.rival = &champion{model: m, card: card}
			return nil
		}
	}
	if fault.KindOf(err) == fault.NotFound || errors.Is(err, model.ErrFormat) {
		t.deps.Log.Warn("champion cannot be compared with", "account", s.account.ID, "version", version, "error", err)
		return nil
	}
	return fmt.Errorf("load champion %q of account %q: %w", version, s.account.ID, err)
}

// comparable returns the champion when its rewards mean what today's do.
func (s *state) comparable() *champion {
	if s.rival == nil || s.rival.card.Objective != s.account.Objective || s.rival.card.ObjectiveVersion != s.account.ObjectiveVersion {
		return nil
	}
	if s.rival.card.Version == s.account.Retrain {
		return nil // it must go, however good it is
	}
	return s.rival
}
