package evaluate

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// GateConfig says what a challenger must show. Rewards are on the objective's
// range scaled to 0..1.
type GateConfig struct {
	// MinRows is how many held-out rows it takes to say anything.
	MinRows int64
	// LossMargin is how much worse than the champion's the challenger's mean
	// squared error may be before chance is ruled out as the cause.
	LossMargin float64
	// ValueMargin is how far below 0 the lower bound of the gain in reward may
	// lie: the loss that is risked for a fresher model.
	ValueMargin float64
	// RequiredGain, when above 0, replaces ValueMargin by a gain that the lower
	// bound must reach. Without exploration it can never be proven.
	RequiredGain float64
	// MinEffective is the effective sample size, and MinCovered the share of the
	// challenger's and the champion's differing choices seen in the log, below
	// which the gain is called unknown.
	MinEffective, MinCovered float64
	// Confidence of each one-sided bound.
	Confidence float64
}

// DefaultGateConfig is the one configuration used everywhere.
func DefaultGateConfig() GateConfig {
	return GateConfig{
		MinRows: 30, LossMargin: 0.005, ValueMargin: 0.05,
		MinEffective: 30, MinCovered: 0.5, Confidence: 0.95,
	}
}

// Trial is one held-out row as the gate sees it: what each side foretold before
// learning from the row, and what it would have done. Rewards and values are on
// the range 0..1.
type Trial struct {
	Reward float64
	// Propensity is the probability of the logged action; 0 or less: unknown.
	Propensity float64
	// Constant, Challenger and Champion are predictions of Reward for the logged
	// action: by the mean so far, the challenger and the champion.
	Constant, Challenger, Champion float64
	// Against says that the row counts for the comparison with the champion: there
	// is one and it had not learned from this row.
	Against bool
	// Same says that both would choose the same action. TakesLogged tells whether
	// the challenger's choice is the logged action; ChampionTakesLogged likewise.
	Same, TakesLogged, ChampionTakesLogged bool
	// Value and ChampionValue are the challenger's predictions for its own and
	// for the champion's choice: one reward model for both, so that its errors
	// cancel where they agree.
	Value, ChampionValue float64
}

// Gate judges one challenger from trials in the order of time. Make it with
// NewGate; it is not safe for concurrent use.
type Gate struct {
	cfg                  GateConfig
	loss, constant, edge moments // edge: constant's squared error minus the challenger's
	shared, champion     moments // the challenger's and champion's squared error on shared rows
	worse                moments // their difference, row by row
	gain                 moments // doubly robust gain, row by row
	value, rival         moments // doubly robust values
	ours, theirs         weights // importance weights where the two differ
	hasChampion          bool
}

// NewGate returns a gate without trials. With hasChampion the challenger is held
// against the champion, else against what was logged.
func NewGate(cfg GateConfig, hasChampion bool) *Gate {
	return &Gate{cfg: cfg, hasChampion: hasChampion}
}

// Add takes in one trial.
func (g *Gate) Add(t Trial) {
	mine, fixed := square(t.Reward-t.Challenger), square(t.Reward-t.Constant)
	g.loss.add(mine)
	g.constant.add(fixed)
	g.edge.add(fixed - mine)
	if !g.hasChampion {
		g.addAgainstLog(t)
		return
	}
	if !t.Against {
		return
	}
	theirs := square(t.Reward - t.Champion)
	g.shared.add(mine)
	g.champion.add(theirs)
	g.worse.add(mine - theirs)
	g.addAgainstChampion(t)
}

func square(x float64) float64 { return x * x }

// addAgainstLog compares with the logged policy, whose value is the reward itself.
func (g *Gate) addAgainstLog(t Trial) {
	if t.Propensity <= 0 {
		return
	}
	w := weightOf(t.TakesLogged, t.Propensity)
	v := t.Value + w*(t.Reward-t.Challenger)
	g.ours.add(w, t.Reward)
	g.theirs.add(1, t.Reward)
	g.value.add(v)
	g.rival.add(t.Reward)
	g.gain.add(v - t.Reward)
}

// addAgainstChampion compares doubly robust values. Where both choose alike the
// gain is exactly 0, whatever the reward was.
func (g *Gate) addAgainstChampion(t Trial) {
	if t.Propensity <= 0 {
		return
	}
	ours, theirs := weightOf(t.TakesLogged, t.Propensity), weightOf(t.ChampionTakesLogged, t.Propensity)
	residual := t.Reward - t.Challenger
	v, r := t.Value+ours*residual, t.ChampionValue+theirs*residual
	g.value.add(v)
	g.rival.add(r)
	if t.Same {
		g.gain.add(0)
		return
	}
	g.gain.add(v - r)
	g.ours.add(ours, t.Reward)
	g.theirs.add(theirs, t.Reward)
}

func weightOf(taken bool, propensity float64) float64 {
	if taken {
		return 1 / propensity
	}
	return 0
}

// Verdict is the gate's decision with what led to it.
type Verdict struct {
	Pass bool
	// Reason is one sentence for an admin.
	Reason string
	// Rows, Loss and Constant are over all trials; Shared, Challenger and
	// Champion over those that the champion had not learned from.
	Rows, Shared                         int64
	Loss, Constant, Challenger, Champion float64
	// Supported says that the log has the exploration that it takes to know the
	// gain; the fields below are set only then.
	Supported                  bool
	Value, RivalValue          float64
	Gain, GainLower, GainUpper float64
	EffectiveRows              float64
}

// Verdict judges by the trials so far.
func (g *Gate) Verdict() Verdict {
	v := Verdict{
		Rows: g.loss.n, Loss: g.loss.mean, Constant: g.constant.mean,
		Shared: g.shared.n, Challenger: g.shared.mean, Champion: g.champion.mean,
	}
	why := g.support(&v)
	z := distuv.UnitNormal.Quantile(g.cfg.Confidence)
	if v.Supported {
		v.Value, v.RivalValue, v.Gain = g.value.mean, g.rival.mean, g.gain.mean
		half := z * g.gain.stdErr()
		v.GainLower, v.GainUpper = v.Gain-half, v.Gain+half
	}
	v.Pass, v.Reason = g.judge(&v, z, why)
	return v
}

// support finds whether the log can tell the gain, and if not says why.
func (g *Gate) support(v *Verdict) string {
	if g.gain.n < g.cfg.MinRows {
		return "too few rows with a logged propensity"
	}
	if g.ours.n == 0 { // the two never differ: the gain is known to be 0
		v.Supported = true
		v.EffectiveRows = float64(g.gain.n)
		return ""
	}
	v.EffectiveRows = min(g.ours.effective(), g.theirs.effective())
	covered := min(g.ours.mean(), g.theirs.mean())
	if covered < g.cfg.MinCovered {
		return fmt.Sprintf("the log shows only %.0f %% of what the two would do differently", 100*covered)
	}
	if v.EffectiveRows < g.cfg.MinEffective {
		return fmt.Sprintf("the exploration is worth only %s rows", spell(v.EffectiveRows))
	}
	v.Supported = true
	return ""
}

// judge goes through what a challenger must show; the first that it fails is the
// reason.
func (g *Gate) judge(v *Verdict, z float64, unsupported string) (bool, string) {
	rival := "the logged decisions"
	if g.hasChampion {
		rival = "the champion"
	}
	switch {
	case v.Rows < g.cfg.MinRows:
		return false, fmt.Sprintf("only %d held-out rows, %d are needed", v.Rows, g.cfg.MinRows)
	case !finite(v.Loss) || !(v.Loss < v.Constant):
		return false, fmt.Sprintf("it foretells held-out rewards no better than their mean (loss %.4f against %.4f on %d rows)",
			v.Loss, v.Constant, v.Rows)
	case g.hasChampion && v.Shared < g.cfg.MinRows:
		return false, fmt.Sprintf("only %d held-out rows are new to the champion, %d are needed", v.Shared, g.cfg.MinRows)
	case g.hasChampion && g.worse.mean-z*g.worse.stdErr() > g.cfg.LossMargin:
		return false, fmt.Sprintf("it foretells rewards worse than the champion (loss %.4f against %.4f on %d rows)",
			v.Challenger, v.Champion, v.Shared)
	case g.cfg.RequiredGain > 0 && !v.Supported:
		return false, fmt.Sprintf("the objective demands a proven gain of %.3g and it cannot be known: %s",
			g.cfg.RequiredGain, unsupported)
	case g.cfg.RequiredGain > 0 && v.GainLower < g.cfg.RequiredGain:
		return false, fmt.Sprintf("the gain over %s is %.4f and at least %.4f; the objective demands %.3g",
			rival, v.Gain, v.GainLower, g.cfg.RequiredGain)
	case v.Supported && v.GainLower < -g.cfg.ValueMargin:
		return false, fmt.Sprintf("it may lose against %s: gain %.4f, at least %.4f, allowed %.3g",
			rival, v.Gain, v.GainLower, -g.cfg.ValueMargin)
	case !v.Supported:
		return true, fmt.Sprintf("it foretells held-out rewards better than their mean%s; its gain in reward is unknown: %s",
			g.andChampion(), unsupported)
	default:
		return true, fmt.Sprintf("its gain over %s is %.4f, at least %.4f, on %d held-out rows", rival, v.Gain, v.GainLower, g.gain.n)
	}
}

func (g *Gate) andChampion() string {
	if g.hasChampion {
		return " and no worse than the champion"
	}
	return ""
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
