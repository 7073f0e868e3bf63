package congestion

import (
	"fmt"
	"math"
	"testing"
)

// single is a centre of one group that resolves everything: an M/M/c queue.
func single(agents int, perHour, minutes float64) *World {
	return &World{
		Groups: []Group{{"one", agents}}, PerHour: []float64{perHour},
		Kinds: []Kind{{Name: "all", Capable: []int{0}, Resolve: []float64{1}, Minutes: []float64{minutes}}},
		Cases: []Case{{Scores: []float64{1}}},
	}
}

// erlangC is the chance to wait and the mean wait of an M/M/c queue, by Erlang's
// recursion; load in erlangs, minutes the mean handle time.
func erlangC(agents int, load, minutes float64) (delayed, wait float64) {
	blocked := 1.0
	for c := 1; c <= agents; c++ {
		blocked = load * blocked / (float64(c) + load*blocked)
	}
	n := float64(agents)
	delayed = n * blocked / (n - load*(1-blocked))
	return delayed, delayed * minutes / (n - load)
}

func TestErlangCOfTheTextbook(t *testing.T) {
	// An M/M/1 queue at 0.5 waits as long as it is served; the other two are the values
	// of the usual tables for 10 erlangs on 12 agents and 2 on 3.
	for _, c := range []struct {
		agents        int
		load, delayed float64
	}{{1, 0.5, 0.5}, {12, 10, 0.4494}, {3, 2, 0.4444}} {
		if got, _ := erlangC(c.agents, c.load, 1); math.Abs(got-c.delayed) > 2e-4 {
			t.Errorf("erlangC(%d, %g) = %.4f, want %.4f", c.agents, c.load, got, c.delayed)
		}
	}
}

// The simulator must give the waits that theory gives where there is one.
func TestSimulatorAgreesWithErlangC(t *testing.T) {
	for _, c := range []struct {
		agents, days int
		load         float64
	}{{1, 60, 0.6}, {3, 30, 2}, {12, 20, 10}, {50, 6, 44}} {
		for _, routing := range []Routing{ScoreOnly, LongestIdle, Priced} {
			t.Run(fmt.Sprintf("%d agents %g erlangs %s", c.agents, c.load, routing), func(t *testing.T) {
				const minutes, hours = 6.0, 24
				w := single(c.agents, c.load*minutesPerHour/minutes, minutes)
				w.PerHour = append(w.PerHour, make([]float64, hours-1)...)
				for h := range w.PerHour {
					w.PerHour[h] = w.PerHour[0]
				}
				runs := make([]Metrics, 12)
				for i := range runs {
					var err error
					if runs[i], err = Run(w, Rule{Routing: routing, Price: 1}, RunConfig{Days: c.days, Seed: uint64(i + 1), Attempts: 1}); err != nil {
						t.Fatal(err)
					}
				}
				_, want := erlangC(c.agents, c.load, minutes)
				got, half := meanOf(runs, waitOf)
				if math.Abs(got-want) > 2*half || half > 0.12*want {
					t.Errorf("mean wait %.4f, within %.4f; Erlang C gives %.4f", got, half, want)
				}
				busy, _ := meanOf(runs, func(m *Metrics) float64 { return m.Occupancy })
				if math.Abs(busy-c.load/float64(c.agents)) > 0.01 {
					t.Errorf("occupancy %.3f, want %.3f", busy, c.load/float64(c.agents))
				}
			})
		}
	}
}

// two is a centre with a good group and a fair one, of five agents each.
func two(perHour float64) *World {
	return &World{
		Groups: []Group{{"good", 5}, {"fair", 5}}, PerHour: []float64{perHour, perHour, perHour, perHour},
		Kinds: []Kind{{Name: "all", Capable: []int{0, 1}, Resolve: []float64{0.9, 0.6}, Minutes: []float64{10, 10}}},
		Cases: []Case{{Scores: []float64{0.9, 0.6}}},
	}
}

func TestRulesOnTwoGroups(t *testing.T) {
	cfg := RunConfig{Days: 200, Seed: 1, Attempts: 2}
	run := func(w *World, r Rule) Metrics {
		t.Helper()
		m, err := Run(w, r, cfg)
		if err != nil {
			t.Fatal(err)
		}
		if m.ResolvedAtLast < m.Resolved || m.P90Wait < 0 || m.Occupancy < 0 || m.Occupancy > 1 || m.Transfers > 1 {
			t.Errorf("%v: %+v", r, m)
		}
		return m
	}
	quiet, busy := two(6), two(32)
	if m := run(quiet, Rule{Routing: ScoreOnly}); math.Abs(m.Resolved-0.9) > 0.02 || math.Abs(m.ResolvedAtLast-0.96) > 0.015 {
		t.Errorf("score only on a quiet day: %+v", m)
	}
	if m := run(quiet, Rule{Routing: LongestIdle}); math.Abs(m.Resolved-0.75) > 0.03 {
		t.Errorf("longest idle shares evenly, so it resolves 0.75: %+v", m)
	}
	crowd := run(busy, Rule{Routing: ScoreOnly})
	wide := run(busy, Rule{Routing: LongestIdle})
	last := crowd
	for _, price := range []float64{0.001, 0.01, 0.1, 1} {
		m := run(busy, Rule{Routing: Priced, Price: price, Signal: Expected})
		if m.MeanWait > last.MeanWait*1.02 || m.Resolved > last.Resolved+0.01 {
			t.Errorf("a price of %g waits or resolves more than a lower one: %+v against %+v", price, m, last)
		}
		if m.MeanWait >= crowd.MeanWait || m.Resolved <= wide.Resolved {
			t.Errorf("a price of %g is not between the references: %+v", price, m)
		}
		last = m
	}
}

func TestSameSeedSameNumbers(t *testing.T) {
	w, rule, cfg := two(32), Rule{Routing: Priced, Price: 0.05, Signal: Reported}, RunConfig{Days: 5, Seed: 7, Attempts: 2}
	a, err := Run(w, rule, cfg)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := Run(w, rule, cfg)
	if a != b {
		t.Errorf("two runs of one seed differ: %+v, %+v", a, b)
	}
	cfg.Seed = 8
	if c, _ := Run(w, rule, cfg); c == a {
		t.Error("another seed gives the same numbers")
	}
}

func TestExpectedWait(t *testing.T) {
	for _, c := range []struct {
		state State
		want  float64
	}{
		{State{0, 5, 0.8, 12, 0}, 0},
		{State{0, 5, 1, 12, 0}, 12},
		{State{1, 5, 0.8, 12, 0}, 12},
		{State{0, 0, 0, 12, 0}, 12},
		{State{0, 5, 0.8, 12, 10}, 0},
		{State{0, 5, 1, 12, 10}, 2},
		{State{4, 5, 1, 12, 10}, 10},
		{State{4, 0, 0, 12, 10}, 12},
	} {
		if got := c.state.ExpectedWait(); got != c.want {
			t.Errorf("ExpectedWait of %+v = %g, want %g", c.state, got, c.want)
		}
	}
}

func TestBrokenWorldsAreRefused(t *testing.T) {
	for name, broken := range map[string]func(*World){
		"no groups":       func(w *World) { w.Groups = nil },
		"no agents":       func(w *World) { w.Groups[0].Agents = 0 },
		"unknown group":   func(w *World) { w.Kinds[0].Capable[1] = 7 },
		"short list":      func(w *World) { w.Kinds[0].Minutes = w.Kinds[0].Minutes[:1] },
		"unscored case":   func(w *World) { w.Cases[0].Scores = nil },
		"nobody arrives":  func(w *World) { w.PerHour = []float64{0} },
		"negative hours":  func(w *World) { w.PerHour[0] = -1 },
		"kind of no case": func(w *World) { w.Cases[0].Kind = 3 },
	} {
		w := two(6)
		broken(w)
		if _, err := Run(w, Rule{Routing: ScoreOnly}, DefaultRunConfig()); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestStudentT(t *testing.T) {
	for degrees, want := range map[int]float64{1: 12.706, 2: 4.303, 4: 2.776, 9: 2.262, 29: 2.045} {
		if got := studentT(degrees); math.Abs(got-want) > 0.004 {
			t.Errorf("studentT(%d) = %.4f, want %.3f", degrees, got, want)
		}
	}
}
