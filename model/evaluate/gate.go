package evaluate

import (
	"fmt"
	"math"
)

// GateConfig says what a challenger must show. Rewards are on the objective's
// range scaled to 0..1.
type GateConfig struct {
	// MinRows is how many held-out rows it takes to say anything.
	MinRows int64
	// Margin is what the lower bound of the gain in reward must reach. Below 0 it
	// is the loss that is risked for a fresher model; above 0 it is a gain that
	// must be proven, and then nothing else makes up for it.
	Margin float64
	// Error is the largest probability of each bound of being wrong at any look.
	Error float64
}

// DefaultMargin is the share of the reward range that is risked when an objective
// does not say.
const DefaultMargin = -0.05

// DefaultGateConfig is the one configuration used everywhere.
func DefaultGateConfig() GateConfig {
	return GateConfig{MinRows: 30, Margin: DefaultMargin, Error: 0.05}
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

// The grounds on which a challenger passes.
const (
	// WayGain: the lower bound of its gain in reward reaches the margin.
	WayGain = "gain"
	// WayForetells: the log cannot tell the gain, and the lower bound of how much
	// better it foretells rewards is above 0.
	WayForetells = "foretells"
	// WayShadow: the log cannot tell, there is no model yet and nothing that is
	// decided would follow it.
	WayShadow = "shadow"
)

// Gate judges one challenger from trials in the order of time. It may be asked
// after every trial: its bounds hold at all looks at once. Make it with NewGate;
// it is not safe for concurrent use.
type Gate struct {
	cfg            GateConfig
	loss, constant moments
	shared, rival  moments // the challenger's and the champion's squared error on shared rows
	gain           *Floor  // the least that each row says of the gain
	drop           *Floor  // the same of the loss: minus its bound is the gain's upper bound
	edge           *Floor  // the rival's squared error minus the challenger's
	differ         int64   // rows in which the two choose differently
	estimate       moments // doubly robust gain, row by row
	values         [2]moments
	ours, theirs   weights // importance weights where the two differ
	hasChampion    bool
}

// NewGate returns a gate without trials. With hasChampion the challenger is held
// against the champion, else against what was logged and the mean reward.
func NewGate(cfg GateConfig, hasChampion bool) *Gate {
	return &Gate{
		cfg: cfg, hasChampion: hasChampion,
		gain: NewFloor(-1, cfg.Error), drop: NewFloor(-1, cfg.Error), edge: NewFloor(-1, cfg.Error),
	}
}

// Add takes in one trial.
func (g *Gate) Add(t Trial) {
	mine, fixed := square(t.Reward-t.Challenger), square(t.Reward-t.Constant)
	g.loss.add(mine)
	g.constant.add(fixed)
	if !g.hasChampion {
		g.edge.Add(fixed - mine)
		g.addAgainstLog(t)
		return
	}
	if !t.Against {
		return
	}
	theirs := square(t.Reward - t.Champion)
	g.shared.add(mine)
	g.rival.add(theirs)
	g.edge.Add(theirs - mine)
	g.addAgainstChampion(t)
}

func square(x float64) float64 { return x * x }

// addAgainstLog compares with the logged policy, whose value is the reward itself.
// A choice that the log does not show counts as worth nothing in the lower bound
// and everything in the upper one.
func (g *Gate) addAgainstLog(t Trial) {
	w := leastWeight(t.TakesLogged, t.Propensity)
	g.gain.Add(w*t.Reward - t.Reward)
	g.drop.Add(t.Reward - 1 + w*(1-t.Reward))
	if !t.TakesLogged {
		g.differ++
	}
	if t.Propensity <= 0 {
		return
	}
	w = weightOf(t.TakesLogged, t.Propensity)
	v := t.Value + w*(t.Reward-t.Challenger)
	g.ours.addScaled(w, t.Reward)
	g.theirs.addScaled(1, t.Reward)
	g.note(v, t.Reward)
}

// addAgainstChampion compares the two choices. Where they are the same the gain is
// exactly 0, whatever the reward was. Where they differ, the challenger's choice
// counts as worth nothing and the champion's as worth everything, but for what
// the log shows of them: E[w r] is what a choice is worth where it has been
// tried, and less than that elsewhere. So the bound assumes nothing of the log.
func (g *Gate) addAgainstChampion(t Trial) {
	known := t.Propensity > 0
	if t.Same {
		g.gain.Add(0)
		g.drop.Add(0)
		if known {
			v := t.Value + weightOf(t.TakesLogged, t.Propensity)*(t.Reward-t.Challenger)
			g.note(v, v)
		}
		return
	}
	g.differ++
	ours, theirs := leastWeight(t.TakesLogged, t.Propensity), leastWeight(t.ChampionTakesLogged, t.Propensity)
	g.gain.Add(ours*t.Reward + theirs*(1-t.Reward) - 1)
	g.drop.Add(theirs*t.Reward + ours*(1-t.Reward) - 1)
	if !known {
		return
	}
	ours, theirs = weightOf(t.TakesLogged, t.Propensity), weightOf(t.ChampionTakesLogged, t.Propensity)
	residual := t.Reward - t.Challenger
	g.note(t.Value+ours*residual, t.ChampionValue+theirs*residual)
	g.ours.addScaled(ours, t.Reward)
	g.theirs.addScaled(theirs, t.Reward)
}

// note takes in the doubly robust values of a row.
func (g *Gate) note(challenger, rival float64) {
	g.values[0].add(challenger)
	g.values[1].add(rival)
	g.estimate.add(challenger - rival)
}

// weightOf is how many rows one row of the log stands for, 0 when it does not show
// the choice or nobody knows how probable it was.
func weightOf(taken bool, propensity float64) float64 {
	if taken && propensity > 0 {
		return 1 / propensity
	}
	return 0
}

// leastWeight is what is certain of a row's weight: no probability is above 1.
func leastWeight(taken bool, propensity float64) float64 {
	if taken && propensity <= 0 {
		return 1
	}
	return weightOf(taken, propensity)
}

// Verdict is the gate's decision with what led to it.
type Verdict struct {
	Pass bool
	// Way is the ground it passed on, empty when it did not.
	Way string
	// Reason is one sentence for an admin.
	Reason string
	// Rows, Loss and Constant are over all trials; Shared, Challenger and
	// Champion over those that the champion had not learned from.
	Rows, Shared                         int64
	Loss, Constant, Challenger, Champion float64
	// Margin is what was asked of the gain. GainLower and GainUpper bound it at all
	// looks, assuming nothing of what the log does not show.
	Margin, GainLower, GainUpper float64
	// EdgeLower bounds from below how much smaller the challenger's squared error
	// is than the rival's.
	EdgeLower float64
	// Differ is the share of rows in which the two would act differently.
	Differ float64
	// Supported says that the log has the exploration that it takes to estimate
	// the gain; the fields below are set only then.
	Supported               bool
	Value, RivalValue, Gain float64
	EffectiveRows           float64
}

// Verdict judges by the trials so far. With shadow, nothing that is decided follows
// the model that would be promoted.
func (g *Gate) Verdict(shadow bool) Verdict {
	v := Verdict{
		Rows: g.loss.n, Loss: g.loss.mean, Constant: g.constant.mean,
		Shared: g.shared.n, Challenger: g.shared.mean, Champion: g.rival.mean,
		Margin: g.cfg.Margin, GainLower: g.gain.Lower(), GainUpper: -g.drop.Lower(), EdgeLower: g.edge.Lower(),
		Differ: float64(g.differ) / float64(max(1, g.gain.N())),
	}
	if g.supported(&v) {
		v.Supported = true
		v.Value, v.RivalValue, v.Gain = g.values[0].mean, g.values[1].mean, g.estimate.mean
	}
	v.Way, v.Reason = g.judge(&v, shadow)
	v.Pass = v.Way != ""
	return v
}

// supported finds whether the log can tell the gain in one number.
func (g *Gate) supported(v *Verdict) bool {
	if g.estimate.n < g.cfg.MinRows {
		return false
	}
	if g.ours.n == 0 { // the two never differ: the gain is known to be 0
		v.EffectiveRows = float64(g.estimate.n)
		return true
	}
	v.EffectiveRows = min(g.ours.effective(), g.theirs.effective())
	return g.ours.shown() && g.theirs.shown()
}

// judge goes through what a challenger must show; the first that it fails is the
// reason.
func (g *Gate) judge(v *Verdict, shadow bool) (way, reason string) {
	rival, foretold := "the logged decisions", "their mean"
	mine, theirs := v.Loss, v.Constant
	if g.hasChampion {
		rival, foretold, mine, theirs = "the champion", "the champion", v.Challenger, v.Champion
	}
	bounds := fmt.Sprintf("its gain over %s lies between %.4f and %.4f, and the objective asks for at least %.4g", rival, v.GainLower, v.GainUpper, v.Margin)
	switch {
	case v.Rows < g.cfg.MinRows:
		return "", fmt.Sprintf("only %d held-out rows, %d are needed", v.Rows, g.cfg.MinRows)
	case !finite(v.Loss) || !(v.Loss < v.Constant):
		return "", fmt.Sprintf("it foretells held-out rewards no better than their mean (loss %.4f against %.4f on %d rows)",
			v.Loss, v.Constant, v.Rows)
	case g.hasChampion && v.Shared < g.cfg.MinRows:
		return "", fmt.Sprintf("only %d held-out rows are new to the champion, %d are needed", v.Shared, g.cfg.MinRows)
	case v.GainUpper < -floorStep: // the bound's grain
		return "", fmt.Sprintf("it is shown to earn less than %s: %s", rival, bounds)
	case v.GainLower >= v.Margin:
		return WayGain, fmt.Sprintf("%s, on %d held-out rows%s", bounds, g.gain.N(), g.estimated(v))
	case v.Margin > 0:
		return "", bounds + ", which must be proven" + g.estimated(v)
	case v.Supported && v.Gain < v.Margin:
		return "", bounds + g.estimated(v)
	case v.EdgeLower > 0:
		return WayForetells, fmt.Sprintf("the log cannot tell: %s; but it foretells rewards better than %s, beyond chance (loss %.4f against %.4f, better by at least %.4f)",
			bounds, foretold, mine, theirs, v.EdgeLower)
	case shadow && !g.hasChampion:
		return WayShadow, fmt.Sprintf("nothing that is decided follows it, and it foretells rewards better than %s so far (loss %.4f against %.4f); %s",
			foretold, mine, theirs, bounds)
	default:
		return "", fmt.Sprintf("the log cannot tell: %s; and it does not foretell rewards better than %s beyond chance (loss %.4f against %.4f)",
			bounds, foretold, mine, theirs)
	}
}

// estimated adds the estimate in one number where the log supports one.
func (g *Gate) estimated(v *Verdict) string {
	if !v.Supported {
		return ""
	}
	return fmt.Sprintf("; estimated %.4f", v.Gain)
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
