package evaluate_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/usherhq/usher/model/evaluate"
)

// desk is a bandit of three contexts and four actions, drawn with 0.1 to 0.4, whose
// rates are scaled: what logs of files are drawn from.
type desk struct{ scale float64 }

func (d desk) rate(context, action int) float64 {
	return d.scale * (0.1 + 0.2*float64((context+action)%4))
}

// target takes an action with 0.7 and the others with 0.1.
func (d desk) target(context, action int) float64 {
	if (context+action)%4 == 3 {
		return 0.7
	}
	return 0.1
}

func (d desk) logged(context, action int) float64 { return 0.1 * float64(1+(2*context+action)%4) }

func (d desk) truth() (v float64) {
	for c := range 3 {
		for a := range 4 {
			v += d.target(c, a) * d.rate(c, a) / 3
		}
	}
	return v
}

// log writes rows of a log; told is what it says of each propensity.
func (d desk) log(r *rand.Rand, rows int, told func(float64) float64) string {
	var b strings.Builder
	b.WriteString("context,item_id,click,propensity\n")
	for range rows {
		c, a, u := r.IntN(3), 0, r.Float64()
		for u -= d.logged(c, a); u >= 0 && a < 3; u -= d.logged(c, a) {
			a++
		}
		reward := 0
		if r.Float64() < d.rate(c, a) {
			reward = 1
		}
		fmt.Fprintf(&b, "c%d,a%d,%d,%g\n", c, a, reward, told(d.logged(c, a)))
	}
	return b.String()
}

func (d desk) policy() string {
	var b strings.Builder
	b.WriteString("context,item_id,prob\n")
	for c := range 3 {
		for a := range 4 {
			fmt.Fprintf(&b, "c%d,a%d,%g\n", c, a, d.target(c, a))
		}
	}
	return b.String()
}

func asIs(p float64) float64 { return p }

func runDesk(t *testing.T, log, policy string) evaluate.OPEResult {
	t.Helper()
	res, err := evaluate.RunOPE(opeConfig(writeFile(t, log), writeFile(t, policy)))
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// Every estimator's interval holds, with a reward model that the log itself made,
// also where rewards are rare and rows are few.
func TestOPEIntervalsCoverOnFiles(t *testing.T) {
	for _, tc := range []struct {
		name       string
		desk       desk
		rows, logs int
	}{
		{"common", desk{1}, 1000, 60}, {"many", desk{1}, 3000, 100}, {"rare", desk{0.03}, 1000, 60}, {"few", desk{0.03}, 120, 100}, {"small", desk{0.4}, 120, 100},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(7, 8))
			covered, trusted, logs := map[string]int{}, 0, tc.logs
			for range logs {
				res := runDesk(t, tc.desk.log(r, tc.rows, asIs), tc.desk.policy())
				if res.Trusted {
					trusted++
				}
				for name, e := range res.Estimates {
					if e.Lower <= tc.desk.truth() && tc.desk.truth() <= e.Upper {
						covered[name]++
					}
				}
			}
			if len(covered) != 7 {
				t.Errorf("intervals of %v", covered)
			}
			for name, n := range covered {
				if share := float64(n) / float64(logs); share < 0.93 {
					t.Errorf("%s: interval holds the truth in %.3f of the logs", name, share)
				}
			}
			t.Logf("truth %.4f, %d of %d trusted, covered %v", tc.desk.truth(), trusted, logs, covered)
		})
	}
}

// A log without any reward, or without any failure, bounds the value and gives none.
func TestOPERewardsThatNeverCome(t *testing.T) {
	for _, rows := range []int{1, 5000} {
		for reward, want := range map[float64][2]float64{0: {0, 0.01}, 1: {0.9, 1}} {
			log := desk{reward * 100}.log(rand.New(rand.NewPCG(1, 1)), rows, asIs)
			res := runDesk(t, log, desk{1}.policy())
			if res.Trusted || len(res.Estimates) != 7 {
				t.Errorf("%d rows of %g: trusted %v", rows, reward, res.Trusted)
			}
			for name, e := range res.Estimates {
				wide := e.Upper - e.Lower
				if !e.Withheld || wide < 0.0005 || rows == 1 && wide < 0.9 || rows > 1 && (e.Lower < want[0] || e.Upper > want[1]) {
					t.Errorf("%d rows of %g: %s %+v", rows, reward, name, e)
				}
			}
		}
	}
}

// Propensities that cannot be true leave nothing known, and nothing known lies
// beyond what rewards can be.
func TestOPEFalsePropensitiesLeaveTheRange(t *testing.T) {
	log := desk{1}.log(rand.New(rand.NewPCG(2, 2)), 3000, func(p float64) float64 { return p / 2 })
	res := runDesk(t, log, desk{1}.policy())
	if res.Trusted {
		t.Error("trusted")
	}
	for name, e := range res.Estimates {
		if e.Lower != 0 || e.Upper != 1 || e.Interval != "reward_range" {
			t.Errorf("%s: %+v", name, e)
		}
		for kind, b := range e.Intervals {
			if b.Lower != 0 || b.Upper != 1 {
				t.Errorf("%s by %s: %+v", name, kind, b)
			}
		}
	}
}

func TestOPEIntervalsKeepToTheRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var e evaluate.OPE
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 3))
		for _, o := range drawLog(r, rapid.IntRange(1, 400).Draw(t, "rows")) {
			e.Add(o)
		}
		for name, est := range e.Result(0.95).Estimates {
			for kind, b := range est.Intervals {
				if !(0 <= b.Lower && b.Lower <= b.Upper && b.Upper <= 1) {
					t.Fatalf("%s by %s: %+v", name, kind, b)
				}
			}
		}
	})
}

// What cannot be trusted is called what it is, whatever the estimator.
func TestOPEWithheldIntervalsAreNamed(t *testing.T) {
	res := runDesk(t, desk{0.03}.log(rand.New(rand.NewPCG(5, 5)), 100, asIs), desk{1}.policy())
	for name, e := range res.Estimates {
		if b := e.Intervals["clopper_pearson"]; e.Interval != "clopper_pearson" || len(e.Intervals) != 1 || b.Lower != e.Lower || b.Upper != e.Upper {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

func TestOPERewardRange(t *testing.T) {
	target := "position,item_id,prob\n1,a,0.5\n1,b,0.5\n"
	log := "position,item_id,click,propensity\n" + strings.Repeat("1,a,20,0.5\n1,b,0,0.5\n", 50)
	cfg := opeConfig(writeFile(t, log), writeFile(t, target))
	res, err := evaluate.RunOPE(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.Join(res.Warnings, "\n"), "between 0 and 20") {
		t.Errorf("warnings %q", res.Warnings)
	}
	lo, hi, below := -100.0, 100.0, 10.0
	cfg.RewardMin, cfg.RewardMax = &lo, &hi
	wide, err := evaluate.RunOPE(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := res.Estimates[evaluate.DR], wide.Estimates[evaluate.DR]; a.Value != b.Value || !(b.Lower < a.Lower && b.Upper > a.Upper) || len(wide.Warnings) > 0 {
		t.Errorf("%+v and %+v, warnings %q", a, b, wide.Warnings)
	}
	cfg.RewardMax = &below
	if _, err = evaluate.RunOPE(cfg); err == nil || !strings.Contains(err.Error(), "data.csv:2: column click") {
		t.Errorf("a reward beyond the range: %v", err)
	}
	cfg.RewardMax = &lo
	if _, err = evaluate.RunOPE(cfg); err == nil || !strings.Contains(err.Error(), "reward-min") {
		t.Errorf("an empty range: %v", err)
	}
}
