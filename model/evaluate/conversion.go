package evaluate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/model"
)

// ConversionConfig names a labelled table and the policies that play it. A
// conversion is a log whose truth is known: a row's label is the action that pays
// 1, a behaviour policy draws an action per row, and the value of a target policy
// is known exactly.
type ConversionConfig struct {
	// Table is a labelled data file, Label its column.
	Table, Label string
	// Policies is a table with the columns seed, row, behaviour, target and
	// action: per seed the rows to evaluate on, what two classifiers that were
	// fitted on the other rows say (numbers of labels in alphabetical order, rows
	// from 0), and the action that was drawn.
	Policies string
	// Logs is how many logs are drawn for the coverage of intervals, spread over
	// the seeds; 0 leaves coverage out. Seeds bounds the seeds used; 0 means all.
	Logs, Seeds int
}

// The policies mix a classifier's answer with a uniform draw.
const (
	behaviourShare = 0.4
	targetShare    = 0.9
)

// ConversionResult is how close the estimates came to the truth.
type ConversionResult struct {
	Seeds int `json:"seeds"`
	Rows  int `json:"rows"`
	// Truth is the mean value of the target, Behaviour the mean reward logged.
	Truth     float64 `json:"truth"`
	Behaviour float64 `json:"behaviour"`
	// RelativeError is the mean of |estimate - truth| / truth by estimator.
	RelativeError map[string]float64 `json:"relative_error"`
	Default       string             `json:"default"`
	// Intervals are, by estimator and interval, how often the truth was inside and
	// how wide they were.
	Logs      int                            `json:"logs,omitempty"`
	Intervals map[string]map[string]Coverage `json:"intervals,omitempty"`
	// Learned is the value, on the second half of each log, of the policy that our
	// learner makes of the first half; LoggedHalf that of the behaviour there.
	Learned    float64 `json:"learned"`
	LoggedHalf float64 `json:"logged_half"`
}

// Coverage is how good an interval was.
type Coverage struct {
	Share float64 `json:"share"`
	Width float64 `json:"width"`
}

// converted is one seed of a conversion.
type converted struct {
	rows                      []int
	behaviour, target, action []int32
	right                     []int32
	cells                     [][]string
	arms                      int
	uses                      []columnUse
}

// RunConversion estimates the target's value on every seed's log and compares with
// the truth. Faults of the files are fault.Invalid.
func RunConversion(cfg ConversionConfig) (ConversionResult, error) {
	seeds, err := readConversion(cfg)
	if err != nil {
		return ConversionResult{}, err
	}
	res := ConversionResult{
		Seeds: len(seeds), Rows: len(seeds[0].rows), RelativeError: map[string]float64{},
		Intervals: map[string]map[string]Coverage{},
	}
	n := float64(len(seeds))
	for _, p := range seeds {
		truth := p.truth()
		r, err := p.estimate(p.action)
		if err != nil {
			return res, err
		}
		res.Truth += truth / n
		res.Behaviour += r.Logged / n
		res.Default = r.Default
		for name, e := range r.Estimates {
			res.RelativeError[name] += math.Abs(e.Value-truth) / truth / n
		}
		learned, logged, err := p.learn()
		if err != nil {
			return res, err
		}
		res.Learned += learned / n
		res.LoggedHalf += logged / n
	}
	return res, res.cover(seeds, cfg.Logs)
}

// cover draws fresh logs and counts how often intervals hold the truth.
func (res *ConversionResult) cover(seeds []*converted, logs int) error {
	for i := range logs {
		p := seeds[i%len(seeds)]
		r, err := p.estimate(p.draw(rand.New(rand.NewPCG(uint64(i), 20)))) //nolint:gosec // repeatable draws, not secrets
		if err != nil {
			return err
		}
		truth := p.truth()
		for name, e := range r.Estimates {
			if res.Intervals[name] == nil {
				res.Intervals[name] = map[string]Coverage{}
			}
			for kind, b := range e.Intervals {
				c := res.Intervals[name][kind]
				if b.Lower <= truth && truth <= b.Upper {
					c.Share += 1 / float64(logs)
				}
				c.Width += (b.Upper - b.Lower) / float64(logs)
				res.Intervals[name][kind] = c
			}
		}
		res.Logs++
	}
	return nil
}

func readConversion(cfg ConversionConfig) ([]*converted, error) {
	t, err := ReadTable(cfg.Table)
	if err != nil {
		return nil, err
	}
	plan, err := newBanditPlan(t, BanditConfig{Label: cfg.Label})
	if err != nil {
		return nil, err
	}
	policies, err := ReadTable(cfg.Policies)
	if err != nil {
		return nil, err
	}
	columns := []string{"seed", "row", "behaviour", "target", "action"}
	at, err := locate(cfg.Policies, policies.Columns, columns)
	if err != nil {
		return nil, err
	}
	var seeds []*converted
	last := -1
	for line, cells := range policies.Rows {
		var v [5]int
		for i, a := range at {
			if v[i], err = strconv.Atoi(cells[a]); err != nil || v[i] < 0 || i == 1 && v[i] >= len(plan.rows) || i > 1 && v[i] >= len(plan.arms) {
				return nil, fault.New(fault.Invalid, "BAD_POLICIES", "%s:%d: column %s: %q is not a number of a %s of %q",
					cfg.Policies, line+2, columns[i], cells[a], []string{"seed", "row", "label", "label", "label"}[i], cfg.Table)
			}
		}
		if v[0] != last {
			if last = v[0]; cfg.Seeds > 0 && len(seeds) == cfg.Seeds {
				break
			}
			seeds = append(seeds, &converted{arms: len(plan.arms), uses: plan.uses})
		}
		seeds[len(seeds)-1].add(plan, v[1], v[2], v[3], v[4])
	}
	if len(seeds) == 0 {
		return nil, fault.New(fault.Invalid, "NO_ROWS", "%q has no rows", cfg.Policies)
	}
	return seeds, nil
}

func (p *converted) add(plan *banditPlan, row, behaviour, target, action int) {
	p.rows = append(p.rows, row)
	p.behaviour = append(p.behaviour, int32(behaviour)) //nolint:gosec // an arm
	p.target = append(p.target, int32(target))          //nolint:gosec // an arm
	p.action = append(p.action, int32(action))          //nolint:gosec // an arm
	p.right = append(p.right, int32(plan.right[row]))   //nolint:gosec // an arm
	p.cells = append(p.cells, plan.rows[row])
}

// mixed is the probability of an action under a policy that follows said.
func (p *converted) mixed(share float64, said, action int32) float64 {
	u := (1 - share) / float64(p.arms)
	if said == action {
		return share + u
	}
	return u
}

// truth is the target's value: the probability of the right action.
func (p *converted) truth() (v float64) {
	for i, right := range p.right {
		v += p.mixed(targetShare, p.target[i], right) / float64(len(p.right))
	}
	return v
}

// draw plays the behaviour policy anew.
func (p *converted) draw(r *rand.Rand) []int32 {
	out := make([]int32, len(p.rows))
	for i := range out {
		if out[i] = p.behaviour[i]; r.Float64() >= behaviourShare {
			out[i] = int32(r.IntN(p.arms)) //nolint:gosec // an arm
		}
	}
	return out
}

func (p *converted) reward(i int, action int32) float64 {
	if action == p.right[i] {
		return 1
	}
	return 0
}

// log is the log as the estimators read it from a file.
func (p *converted) log(action []int32) ([]logRow, *targetPolicy) {
	t := &targetPolicy{}
	for a := range p.arms {
		t.actions.intern(strconv.Itoa(a))
	}
	rows := make([]logRow, len(p.rows))
	for i := range rows {
		d := make(distribution, p.arms)
		for a := range d {
			d[a] = chance{int32(a), p.mixed(targetShare, p.target[i], int32(a))} //nolint:gosec // an arm
		}
		rows[i] = logRow{number: i, cells: p.cells[i], dist: d, action: action[i], o: Observation{
			Reward: p.reward(i, action[i]),
			Logged: p.mixed(behaviourShare, p.behaviour[i], action[i]),
			Target: p.mixed(targetShare, p.target[i], action[i]),
		}}
	}
	return rows, t
}

// estimate values the target from the given draws.
func (p *converted) estimate(action []int32) (OPEResult, error) {
	rows, target := p.log(action)
	f, err := fitRewards(OPEConfig{}, target, &sample{rewards: reach{0, 1, true}, rows: rows, uses: p.uses})
	if err != nil {
		return OPEResult{}, err
	}
	predictAll(rows, f, make([]predictScratch, runtime.GOMAXPROCS(0)), "", &faultList{})
	e := NewOPE(0, 1)
	for i := range rows {
		e.Add(rows[i].o)
	}
	return e.raw(0.95), nil
}

// learn fits the first half of the log and returns the value of always doing what
// scores best on the second, beside what the behaviour policy gets there.
func (p *converted) learn() (learned, logged float64, err error) {
	rows, target := p.log(p.action)
	learner, err := model.New(model.DefaultConfig())
	if err != nil {
		return 0, 0, fmt.Errorf("make a learner: %w", err)
	}
	arms := make([]model.Arm, p.arms)
	for i := range arms {
		arms[i].ID = target.actions.names[i]
	}
	f := fitted{uses: p.uses}
	var features model.Features
	half := len(rows) / 2
	for i := range rows[:half] {
		f.describe(&features, rows[i].cells)
		if err := learner.Learn(model.Example{
			Context: &features, Arms: arms, Chosen: int(rows[i].action), Reward: rows[i].o.Reward, Propensity: rows[i].o.Logged,
		}); err != nil {
			return 0, 0, err
		}
	}
	scores := make([]model.Score, p.arms)
	rest := float64(len(rows) - half)
	for i := half; i < len(rows); i++ {
		f.describe(&features, rows[i].cells)
		learner.Score(&features, arms, scores)
		best := slices.MaxFunc(scores, func(a, b model.Score) int {
			switch {
			case a.Value < b.Value:
				return -1
			case a.Value > b.Value:
				return 1
			}
			return 0
		})
		at := slices.Index(scores, best)
		learned += p.reward(i, int32(at)) / rest //nolint:gosec // an arm
		logged += p.mixed(behaviourShare, p.behaviour[i], p.right[i]) / rest
	}
	return learned, logged, nil
}
