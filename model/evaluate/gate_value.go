package evaluate

// Worth estimates what always taking one policy's choice would have brought, from
// logged decisions and a reward model, on rewards of 0..1. The zero value is not
// ready, see NewWorth; it is not safe for concurrent use.
type Worth struct {
	cfg    GateConfig
	value  moments
	weight weights
	floor  *Floor // of the reward
	roof   *Floor // of what is missing from 1
}

// NewWorth starts an estimate that believes the log under the same conditions as
// a gate of that configuration.
func NewWorth(cfg GateConfig) *Worth {
	return &Worth{cfg: cfg, floor: NewFloor(0, cfg.Error/2), roof: NewFloor(0, cfg.Error/2)}
}

// Add takes in one row: whether the policy's choice is the logged action, the
// probability of that (0: unknown), its reward, and what the reward model
// expected of the logged action and of the policy's choice.
func (w *Worth) Add(taken bool, propensity, reward, logged, choice float64) {
	least := leastWeight(taken, propensity)
	w.floor.Add(least * reward)
	w.roof.Add(least * (1 - reward))
	if propensity <= 0 {
		return
	}
	weight := weightOf(taken, propensity)
	w.weight.addScaled(weight, reward)
	w.value.add(choice + weight*(reward-logged))
}

// Valued is what is known of a policy's value.
type Valued struct {
	// Value is the doubly robust estimate; only meaningful when Trusted.
	Value float64
	// Lower and Upper hold the value at all looks at once and assume nothing of
	// what the log does not show: 0 and 1 when it shows nothing.
	Lower, Upper  float64
	Rows          int64
	EffectiveRows float64
	Trusted       bool
}

// Value returns what is known so far.
func (w *Worth) Value() Valued {
	out := Valued{
		Rows: w.floor.N(), Value: w.value.mean, EffectiveRows: w.weight.effective(),
		Lower: min(w.floor.Lower(), 1), Upper: max(0, 1-w.roof.Lower()),
	}
	out.Trusted = w.value.n >= w.cfg.MinRows && w.weight.shown()
	out.Value = min(max(out.Value, out.Lower), out.Upper) // beyond its bounds an estimate is known to be wrong
	return out
}
