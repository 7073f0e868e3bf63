package congestion

import (
	"errors"
	"fmt"
	"math"
)

// Notice goes with every number of this package.
const Notice = "simulated, not observed: a discrete-event simulator calibrated on a routing log"

// FrontierConfig says what is drawn.
type FrontierConfig struct {
	Run     RunConfig
	Runs    int // with seeds from Run.Seed on; at least 2
	Prices  []float64
	Signals []Signal
}

// DefaultFrontierConfig draws both signals over a range of prices wide enough for
// rewards between 0 and 1.
func DefaultFrontierConfig() FrontierConfig {
	return FrontierConfig{
		Run: DefaultRunConfig(), Runs: 10,
		Prices:  []float64{0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1},
		Signals: []Signal{Reported, Expected},
	}
}

// Validate reports every setting that makes no sense.
func (c FrontierConfig) Validate() error {
	errs := []error{c.Run.Validate()}
	if c.Runs < 2 || c.Runs > 1000 {
		errs = append(errs, fmt.Errorf("runs is %d, must be 2 to 1000", c.Runs))
	}
	if len(c.Prices) == 0 || len(c.Signals) == 0 {
		errs = append(errs, errors.New("prices and signals must not be empty"))
	}
	for _, p := range c.Prices {
		if !(p > 0) || math.IsInf(p, 0) {
			errs = append(errs, fmt.Errorf("price %g must be above 0", p))
		}
	}
	for _, s := range c.Signals {
		if s != Expected && s != Reported {
			errs = append(errs, fmt.Errorf("signal is %q, must be %s or %s", s, Expected, Reported))
		}
	}
	return errors.Join(errs...)
}

// Point is one rule's place on the plane of waiting against resolution: means over
// the runs.
type Point struct {
	Simulated bool `json:"simulated"` // always
	Rule
	Metrics
	// Half widths of 95 % intervals of the means, over runs.
	WaitError     float64 `json:"mean_wait_error"`
	ResolvedError float64 `json:"resolved_first_error"`
	// Against compares with each reference on the same arrivals.
	Against []Comparison `json:"against,omitempty"`
}

// Comparison is a rule's difference from a reference, over the same runs.
type Comparison struct {
	Reference     Routing `json:"reference"`
	Wait          float64 `json:"mean_wait_minutes"` // below 0: waits less
	WaitError     float64 `json:"mean_wait_error"`   // half width of a 95 % interval
	Resolved      float64 `json:"resolved_first"`    // above 0: resolves more
	ResolvedError float64 `json:"resolved_first_error"`
	// Dominates: better beyond chance in one, and beyond chance not worse in the other
	// by more than [Tolerance] of the reference's wait or of the conversations.
	Dominates bool `json:"dominates"`
}

// Tolerance is what counts as no worse: a hundredth.
const Tolerance = 0.01

// Frontier is what was drawn.
type Frontier struct {
	Simulated bool    `json:"simulated"` // always
	Notice    string  `json:"notice"`
	Runs      int     `json:"runs"`
	Days      int     `json:"days"`
	Seed      uint64  `json:"seed"`
	Attempts  int     `json:"attempts"`
	Groups    int     `json:"groups"`
	Agents    int     `json:"agents"`
	Kinds     int     `json:"kinds"`
	Cases     int     `json:"cases"`
	PerHour   float64 `json:"arrivals_per_hour"`
	// Note says what the world rests on, for whoever sees the figure alone.
	Note        string   `json:"note,omitempty"`
	References  []Point  `json:"references"`
	Prices      []Point  `json:"prices"`
	Conclusions []string `json:"conclusions"`
}

// Draw runs the world under the references and every price.
func Draw(w *World, cfg FrontierConfig) (*Frontier, error) {
	if err := errors.Join(w.Validate(), cfg.Validate()); err != nil {
		return nil, fmt.Errorf("draw a frontier: %w", err)
	}
	f := &Frontier{
		Simulated: true, Notice: Notice, Runs: cfg.Runs, Days: cfg.Run.Days, Seed: cfg.Run.Seed, Attempts: cfg.Run.Attempts,
		Groups: len(w.Groups), Kinds: len(w.Kinds), Cases: len(w.Cases),
	}
	for _, g := range w.Groups {
		f.Agents += g.Agents
	}
	for _, rate := range w.PerHour {
		f.PerHour += rate / float64(len(w.PerHour))
	}
	var references [][]Metrics
	for _, r := range []Routing{LongestIdle, ScoreOnly, ScoreIfFree} {
		runs, err := repeat(w, Rule{Routing: r}, cfg)
		if err != nil {
			return nil, err
		}
		f.References = append(f.References, pointOf(Rule{Routing: r}, runs))
		references = append(references, runs)
	}
	for _, signal := range cfg.Signals {
		for _, price := range cfg.Prices {
			rule := Rule{Routing: Priced, Price: price, Signal: signal}
			runs, err := repeat(w, rule, cfg)
			if err != nil {
				return nil, err
			}
			p := pointOf(rule, runs)
			for i, reference := range references {
				p.Against = append(p.Against, compare(f.References[i].Routing, runs, reference))
			}
			f.Prices = append(f.Prices, p)
		}
	}
	f.conclude(cfg.Signals)
	return f, nil
}

func repeat(w *World, rule Rule, cfg FrontierConfig) ([]Metrics, error) {
	out := make([]Metrics, cfg.Runs)
	for i := range out {
		run := cfg.Run
		run.Seed += uint64(i)
		var err error
		if out[i], err = Run(w, rule, run); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func pointOf(rule Rule, runs []Metrics) Point {
	p := Point{Simulated: true, Rule: rule}
	mean := func(get func(*Metrics) float64) float64 { m, _ := meanOf(runs, get); return m }
	p.MeanWait, p.WaitError = meanOf(runs, waitOf)
	p.Resolved, p.ResolvedError = meanOf(runs, resolvedOf)
	p.P90Wait = mean(func(m *Metrics) float64 { return m.P90Wait })
	p.ResolvedAtLast = mean(func(m *Metrics) float64 { return m.ResolvedAtLast })
	p.Transfers = mean(func(m *Metrics) float64 { return m.Transfers })
	p.Occupancy = mean(func(m *Metrics) float64 { return m.Occupancy })
	for i := range runs {
		p.Conversations += runs[i].Conversations
	}
	return p
}

func waitOf(m *Metrics) float64     { return m.MeanWait }
func resolvedOf(m *Metrics) float64 { return m.Resolved }

// meanOf returns a mean over runs and the half width of its 95 % interval.
func meanOf(runs []Metrics, get func(*Metrics) float64) (mean, half float64) {
	n := float64(len(runs))
	for i := range runs {
		mean += get(&runs[i]) / n
	}
	var squares float64
	for i := range runs {
		squares += (get(&runs[i]) - mean) * (get(&runs[i]) - mean)
	}
	return mean, studentT(len(runs)-1) * math.Sqrt(squares/(n-1)/n)
}

// studentT is the 97.5 % point of Student's distribution: tabled where few runs make
// it steep, else its expansion, good to three digits.
func studentT(degrees int) float64 {
	if tabled := [...]float64{0, 12.706, 4.303, 3.182, 2.776}; degrees < len(tabled) {
		return tabled[degrees]
	}
	const z = 1.959964
	v := float64(degrees)
	z3, z5, z7 := z*z*z, z*z*z*z*z, z*z*z*z*z*z*z
	return z + (z3+z)/(4*v) + (5*z5+16*z3+3*z)/(96*v*v) + (3*z7+19*z5+17*z3-15*z)/(384*v*v*v)
}

func compare(name Routing, runs, reference []Metrics) Comparison {
	c := Comparison{Reference: name}
	diff := make([]Metrics, len(runs))
	var wait float64
	for i := range runs {
		diff[i].MeanWait = runs[i].MeanWait - reference[i].MeanWait
		diff[i].Resolved = runs[i].Resolved - reference[i].Resolved
		wait += reference[i].MeanWait / float64(len(runs))
	}
	c.Wait, c.WaitError = meanOf(diff, waitOf)
	c.Resolved, c.ResolvedError = meanOf(diff, resolvedOf)
	waitsLess, resolvesMore := c.Wait+c.WaitError < 0, c.Resolved-c.ResolvedError > 0
	noWorseWait, noWorseResolved := c.Wait+c.WaitError <= Tolerance*wait, c.Resolved-c.ResolvedError >= -Tolerance
	c.Dominates = waitsLess && noWorseResolved || resolvesMore && noWorseWait
	return c
}

// conclude says in words which prices beat which reference.
func (f *Frontier) conclude(signals []Signal) {
	for _, signal := range signals {
		for i := range f.References {
			reference := &f.References[i]
			best := f.bestAgainst(signal, i)
			if best == nil {
				f.Conclusions = append(f.Conclusions, fmt.Sprintf(
					"no price on the %s wait dominates %s (%.1f min, %.1f %% resolved first)",
					signal, reference.Routing, reference.MeanWait, 100*reference.Resolved))
				continue
			}
			c := best.Against[i]
			f.Conclusions = append(f.Conclusions, fmt.Sprintf(
				"price %g on the %s wait dominates %s: mean wait %.1f min against %.1f (difference %+.2f, within %.2f), resolved first %.1f %% against %.1f %% (%+.2f points, within %.2f)",
				best.Price, signal, reference.Routing, best.MeanWait, reference.MeanWait, c.Wait, c.WaitError,
				100*best.Resolved, 100*reference.Resolved, 100*c.Resolved, 100*c.ResolvedError))
		}
	}
}

// bestAgainst is, of the prices that dominate a reference, the one that waits least.
func (f *Frontier) bestAgainst(signal Signal, reference int) *Point {
	var best *Point
	for i := range f.Prices {
		p := &f.Prices[i]
		if p.Signal == signal && p.Against[reference].Dominates && (best == nil || p.MeanWait < best.MeanWait) {
			best = p
		}
	}
	return best
}
