package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/usherhq/usher/analytics"
	"github.com/usherhq/usher/cmd/usher/config"
	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/decision/server"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/model/trainer"
	"github.com/usherhq/usher/model/trainer/golearn"
	"github.com/usherhq/usher/pipeline/event"
)

// ChallengerCommand is the hidden command whose body is golearn.RunChild.
const ChallengerCommand = "challenger"

// treeRunner has golearn's work done by children of this binary.
func treeRunner(cfg *config.Config) (*golearn.Runner, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	r := &golearn.Runner{Command: []string{self, ChallengerCommand}, Limits: golearn.Limits{
		Wall: cfg.Training.ChallengerTime, Memory: int64(cfg.Training.ChallengerMemory) << 20,
	}}
	return r, r.Limits.Validate()
}

// challenger is the family beside ours; nil when it is switched off.
func (n *node) challenger() (trainer.Challenger, error) {
	if n.cfg.Training.Challenger <= 0 {
		return nil, nil
	}
	runner, err := treeRunner(n.cfg)
	if err != nil {
		return nil, err
	}
	c := golearn.DefaultChallengerConfig()
	c.Rows = n.cfg.Training.ChallengerRows
	return &golearn.Challenger{Runner: runner, Config: c, Now: n.opts.Now}, c.Validate()
}

// distiller reads models from the store and decisions from the warehouse.
type distiller struct {
	warehouse *warehouse
	runner    *golearn.Runner
	now       func() time.Time
	window    time.Duration
}

var _ server.Distiller = (*distiller)(nil)

func (n *node) distiller() (*distiller, error) {
	runner, err := treeRunner(n.cfg)
	return &distiller{warehouse: n.engines.warehouse, runner: runner, now: n.opts.Now, window: n.cfg.Training.Window}, err
}

// Distil implements server.Distiller.
func (d *distiller) Distil(ctx context.Context, q *server.DistilQuery) (*server.Distilled, error) {
	artifact, err := d.warehouse.Artifact(ctx, q.Account, q.Version)
	if err != nil {
		return nil, err
	}
	m, err := model.Decode(artifact)
	if err != nil {
		return nil, fmt.Errorf("read model %q: %w", q.Version, err)
	}
	log, err := d.read(ctx, q)
	if err != nil {
		return nil, err
	}
	learner := model.DefaultConfig()
	learner.RewardMin, learner.RewardMax = q.Lowest, q.Highest
	found, err := golearn.Distil(ctx, d.runner, m, log.rows, golearn.Query{
		Depth: q.Depth, MinCoverage: q.MinCoverage, Learner: learner,
		Leave: func(attribute string) bool {
			return q.Personal(attribute) || decision.NamesPersonal(log.personal, attribute)
		},
	})
	switch {
	case errors.Is(err, golearn.ErrFewRows):
		return nil, fault.New(fault.Precondition, "TOO_FEW_DECISIONS", "%v", err)
	case errors.Is(err, golearn.ErrTime), errors.Is(err, golearn.ErrMemory):
		return nil, fault.New(fault.Exhausted, "DISTILLATION_LIMIT", "reading the model: %v; read fewer decisions with max_rows", err)
	case err != nil:
		return nil, fmt.Errorf("distil model %q: %w", q.Version, err)
	}
	out := &server.Distilled{Rows: found.Rows, Agreement: found.Agreement, Majority: found.Majority}
	for i := range found.Rules {
		r := &found.Rules[i]
		action, ok := log.actions[r.Arm]
		if !ok {
			continue // chosen by the model alone, so it was an option
		}
		out.Rules = append(out.Rules, server.DistilledRule{
			When: conditionOf(r.Conditions), Words: strings.TrimSuffix(r.String(), " -> "+r.Arm), Action: action,
			Agreement: r.Agreement, Coverage: r.Coverage, Logged: r.Logged, Value: r.Value,
		})
	}
	return out, nil
}

// readLog is logged decisions as they are distilled from.
type readLog struct {
	rows     []golearn.Decision
	actions  map[string]event.Action // by key
	personal []string                // attributes that some record was redacted of
}

// read takes in the newest decisions with what came of them.
func (d *distiller) read(ctx context.Context, q *server.DistilQuery) (*readLog, error) {
	db, err := d.warehouse.get(ctx)
	if err != nil {
		return nil, err
	}
	now := d.now()
	var found []analytics.ReplayRow
	for row, err := range db.Replay(ctx, analytics.ReplayQuery{
		Account: q.Account, Objective: q.Objective, From: now.Add(-d.window), To: now, Limit: q.MaxRows,
	}) {
		if err != nil {
			return nil, fmt.Errorf("read logged decisions: %w", err)
		}
		found = append(found, row)
	}
	slices.SortFunc(found, func(a, b analytics.ReplayRow) int {
		return cmp.Or(a.Decision.Time.Compare(b.Decision.Time), cmp.Compare(a.Decision.ID, b.Decision.ID))
	})
	log := &readLog{actions: map[string]event.Action{}}
	for i := range found {
		log.add(&found[i])
	}
	slices.Sort(log.personal)
	log.personal = slices.Compact(log.personal)
	return log, nil
}

func (l *readLog) add(r *analytics.ReplayRow) {
	d := r.Decision
	l.personal = append(l.personal, d.Redacted...)
	row := golearn.Decision{
		Facts:  model.Facts{Channel: d.Channel, Intent: d.Intent, Attributes: d.Attributes, Baseline: d.Baseline},
		Chosen: d.Chosen, Propensity: d.Propensity, Rewarded: r.Rewarded, Reward: r.Reward,
	}
	for i := range d.Candidates {
		c := &d.Candidates[i]
		if !c.Eligible || c.Target == decision.Redacted {
			continue
		}
		row.Options = append(row.Options, model.Option{Key: c.Key(), Attributes: c.Attributes})
		l.actions[c.Key()] = event.Action{Type: c.Type, Target: c.Target}
	}
	l.rows = append(l.rows, row)
}

// conditionOf says conditions in the language of policies; nil for none, which is
// always.
func conditionOf(list []golearn.Condition) *policy.Condition {
	var all []*policy.Condition
	for i := range list {
		if c := oneCondition(&list[i]); c != nil {
			all = append(all, c)
		}
	}
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0]
	}
	return &policy.Condition{All: all}
}

func oneCondition(c *golearn.Condition) *policy.Condition {
	missing := &policy.Condition{Attribute: c.Attribute, Operator: policy.Exists, Value: false}
	if c.Only() {
		return missing
	}
	known := knownCondition(c)
	if known != nil && c.Absent {
		return &policy.Condition{Any: []*policy.Condition{known, missing}}
	}
	return known
}

// knownCondition is what is asked of an attribute that is there.
func knownCondition(c *golearn.Condition) *policy.Condition {
	compare := func(op policy.Operator, value any) *policy.Condition {
		return &policy.Condition{Attribute: c.Attribute, Operator: op, Value: value}
	}
	if c.Kind == golearn.Number {
		switch {
		case c.Low != nil && c.High != nil:
			return &policy.Condition{All: []*policy.Condition{compare(policy.Greater, *c.Low), compare(policy.LessOrEqual, *c.High)}}
		case c.Low != nil:
			return compare(policy.Greater, *c.Low)
		case c.High != nil:
			return compare(policy.LessOrEqual, *c.High)
		}
		return nil
	}
	values := make([]any, len(c.In))
	for i, v := range c.In {
		values[i] = v
		if c.Kind == golearn.Bool {
			values[i] = v == "true"
		}
	}
	switch {
	case len(values) == 0:
		return compare(policy.Exists, true)
	case len(values) == 1 && c.Not:
		return compare(policy.NotEqual, values[0])
	case len(values) == 1:
		return compare(policy.Equal, values[0])
	case c.Not:
		return compare(policy.NotIn, values)
	}
	return compare(policy.In, values)
}
