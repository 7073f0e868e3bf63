package evaluate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/usherhq/usher/model"
)

// RewardModel says where the predictions of an evaluation came from.
type RewardModel struct {
	// Source is "fitted" or the path of a table of predictions.
	Source string `json:"source"`
	// Features are the columns learned from, ActionFeatures those of actions.
	Features       []string `json:"features,omitempty"`
	ActionFeatures []string `json:"action_features,omitempty"`
	// Folds is the number of models, each of which predicts the rows that it has not
	// learned from, and Rows how many rows they learned from altogether.
	Folds int `json:"folds,omitempty"`
	Rows  int `json:"rows,omitempty"`
}

// foldsFor is the number of parts of a reward model that is cross-fitted on so many
// rows: a small log can spare few of them for each part, and its models are quick.
func foldsFor(rows int) int { return min(max(30_000/max(rows, 1), 3), 10) }

// predictScratch is the memory of one goroutine that predicts.
type predictScratch struct {
	scratch  model.Scratch
	features model.Features
	arms     []model.Arm
	scores   []model.Score
}

// newPredictor makes the reward model that the configuration asks for.
func newPredictor(cfg OPEConfig, target *targetPolicy, s *sample) (predictor, error) {
	if cfg.Predictions != "" {
		return readPredictions(cfg, target)
	}
	return fitRewards(cfg, target, s)
}

// fitted foretells by models of our own learner, each fitted without one fold of
// the log.
type fitted struct {
	models   []*model.Model // by fold
	means    []float64
	uses     []columnUse
	arms     []model.Arm // by number of the action
	info     *RewardModel
	constant bool // there is one reward only
	reward   float64
}

// foldOf spreads rows over folds, the same for every run: neighbours, which are
// often alike, are in different ones.
func (f *fitted) foldOf(row int) int {
	h := uint64(row) * 0x9e3779b97f4a7c15       //nolint:gosec // a row number is not negative
	return int(h >> 33 % uint64(len(f.models))) //nolint:gosec // less than a number of folds
}

func fitRewards(cfg OPEConfig, target *targetPolicy, s *sample) (*fitted, error) {
	f := &fitted{uses: s.uses, constant: s.rewards.lo == s.rewards.hi, reward: s.rewards.lo}
	folds := foldsFor(len(s.rows))
	f.models, f.means = make([]*model.Model, folds), make([]float64, folds)
	f.info = &RewardModel{Source: "fitted", Features: s.names, Folds: folds, Rows: len(s.rows)}
	described, names, err := readActionFeatures(cfg)
	if err != nil {
		return nil, err
	}
	f.info.ActionFeatures = names
	for _, name := range target.actions.names {
		f.arms = append(f.arms, model.Arm{ID: name, Features: described[name]})
	}
	if f.constant {
		return f, nil
	}
	var wg sync.WaitGroup
	failed := make([]error, folds)
	for fold := range folds {
		wg.Go(func() { failed[fold] = f.fit(fold, s) })
	}
	wg.Wait()
	return f, errors.Join(failed...)
}

// fit learns every row but those of one fold.
func (f *fitted) fit(fold int, s *sample) error {
	cfg := model.DefaultConfig()
	cfg.RewardMin, cfg.RewardMax = s.rewards.lo, s.rewards.hi
	learner, err := model.New(cfg)
	if err != nil {
		return err
	}
	var features model.Features
	var mean moments
	for i := range s.rows {
		r := &s.rows[i]
		if f.foldOf(r.number) == fold {
			continue
		}
		f.describe(&features, r.cells)
		arm := f.arms[r.action : r.action+1 : r.action+1]
		if err := learner.Learn(model.Example{Context: &features, Arms: arm, Reward: r.o.Reward, Propensity: r.o.Logged}); err != nil {
			return fmt.Errorf("fit the reward model to row %d: %w", r.number+1, err)
		}
		mean.add(r.o.Reward)
	}
	f.models[fold] = learner.Snapshot("")
	f.means[fold] = mean.mean
	return nil
}

// describe fills in the features of a row.
func (f *fitted) describe(to *model.Features, cells []string) {
	to.Reset()
	for i := range f.uses {
		u := &f.uses[i]
		cell := cells[u.at]
		v, ok := 0.0, false
		if u.number {
			v, ok = u.scaled(cell)
		}
		switch {
		case ok && u.category:
			to.AddCode(u.name, cell, v)
		case ok:
			to.AddNumber(u.name, v)
		default:
			to.AddString(u.name, cell)
		}
	}
}

func (f *fitted) about() *RewardModel { return f.info }

func (f *fitted) predict(r *logRow, s *predictScratch) string {
	r.o.Modelled = true
	if f.constant {
		r.o.Predicted, r.o.TargetValue = f.reward, f.reward
		return ""
	}
	f.describe(&s.features, r.cells)
	s.arms = s.arms[:0]
	for _, d := range r.dist {
		s.arms = append(s.arms, f.arm(d.action))
	}
	logged := slices.IndexFunc(r.dist, func(d chance) bool { return d.action == r.action })
	if logged < 0 {
		logged = len(s.arms)
		s.arms = append(s.arms, f.arm(r.action))
	}
	s.scores = slices.Grow(s.scores[:0], len(s.arms))[:len(s.arms)]
	fold := f.foldOf(r.number)
	f.models[fold].Score(&s.scratch, &s.features, s.arms, s.scores)
	value := func(i int) float64 {
		if !s.scores[i].Known {
			return f.means[fold]
		}
		return s.scores[i].Value
	}
	r.o.Predicted, r.o.TargetValue = value(logged), 0
	for i, d := range r.dist {
		if d.p > 0 {
			r.o.TargetValue += d.p * value(i)
		}
	}
	return ""
}

// arm of an action; one that neither the target nor the sample had is unknown to
// the models, too.
func (f *fitted) arm(action int32) model.Arm {
	if int(action) < len(f.arms) {
		return f.arms[action]
	}
	return model.Arm{}
}

// readActionFeatures reads what describes the actions.
func readActionFeatures(cfg OPEConfig) (map[string]*model.Features, []string, error) {
	if cfg.ActionFeatures == "" {
		return nil, nil, nil
	}
	t, err := ReadTable(cfg.ActionFeatures)
	if err != nil {
		return nil, nil, err
	}
	at, err := t.Column(cfg.Action)
	if err != nil {
		return nil, nil, err
	}
	f := fitted{}
	var names []string
	for i, name := range t.Columns {
		if i != at {
			u := columnUse{at: i, name: name}
			u.detect(t.Rows)
			f.uses = append(f.uses, u)
			names = append(names, name)
		}
	}
	out := make(map[string]*model.Features, len(t.Rows))
	for _, r := range t.Rows {
		features := new(model.Features)
		f.describe(features, r)
		out[strings.TrimSpace(r[at])] = features
	}
	return out, names, nil
}

// table foretells from rewards that somebody else predicted.
type table struct {
	path    string
	context []string
	at      []int // of the context columns, in the log
	rewards map[string][]prediction
	target  *targetPolicy
}

type prediction struct {
	action int32
	reward float64
}

func readPredictions(cfg OPEConfig, target *targetPolicy) (*table, error) {
	columns, err := readHeader(cfg.Log)
	if err != nil {
		return nil, err
	}
	t := &table{path: cfg.Predictions, rewards: map[string][]prediction{}, target: target}
	faults := faultList{path: cfg.Predictions}
	var at, contextAt []int
	err = scanData(cfg.Predictions, func(own []string) (err error) {
		t.context, contextAt = sharedColumns(own, columns, cfg.Action, cfg.Reward, cfg.Propensity, probColumn, predictedColumn)
		at, err = locate(cfg.Predictions, own, []string{cfg.Action, predictedColumn})
		return err
	}, func(line int, cells []string) {
		reward := faults.number(line, predictedColumn, cells[at[1]])
		key := contextKey(cells, contextAt)
		list, known := t.rewards[key]
		if !known {
			key = strings.Clone(key)
		}
		t.rewards[key] = append(list, prediction{target.actions.intern(cells[at[0]]), reward})
	})
	if err != nil {
		return nil, err
	}
	if err := faults.err(); err != nil {
		return nil, err
	}
	t.at, err = locate(cfg.Log, columns, t.context)
	return t, err
}

func (t *table) about() *RewardModel {
	return &RewardModel{Source: t.path, Features: t.context}
}

func (t *table) of(list []prediction, action int32) (float64, bool) {
	for _, p := range list {
		if p.action == action {
			return p.reward, true
		}
	}
	return 0, false
}

func (t *table) predict(r *logRow, _ *predictScratch) string {
	key := contextKey(r.cells, t.at)
	list := t.rewards[key]
	lack := func(action int32) string {
		return fmt.Sprintf("has no reward for action %q at %s", t.target.actions.names[action], spellContext(t.context, key))
	}
	var ok bool
	r.o.Modelled = true
	if r.o.Predicted, ok = t.of(list, r.action); !ok && r.o.Target > 0 {
		return lack(r.action)
	}
	for _, d := range r.dist {
		v, ok := t.of(list, d.action)
		if !ok && d.p > 0 {
			return lack(d.action)
		}
		r.o.TargetValue += d.p * v
	}
	return ""
}
