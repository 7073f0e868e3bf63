package evaluate_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/model/evaluate"
)

const openbandit = "testdata/openbandit"

// uniformTarget writes the policy that shows every item equally in every slot.
func uniformTarget(t *testing.T, items int) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("position,item_id,prob\n")
	for position := 1; position <= 3; position++ {
		for item := range items {
			fmt.Fprintf(&b, "%d,%d,%.17g\n", position, item, 1/float64(items))
		}
	}
	return writeFile(t, b.String())
}

func writeFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "data.csv")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func opeConfig(log, target string) evaluate.OPEConfig {
	return evaluate.OPEConfig{
		Log: log, Target: target, Action: "item_id", Reward: "click", Propensity: "propensity", Confidence: 0.95,
	}
}

// The known answers were computed by two other programs; see the README beside
// the data.
func TestOPEKnownAnswers(t *testing.T) {
	for _, tc := range []struct {
		log, target                    string
		items                          int
		ips, snips, effective, largest float64
		wantHopeless, wantAnyDoubt     bool
	}{
		{"men_random.csv.gz", "men_bts_policy.csv", 0, 0.00453, 0.00460, 2467, 10.7, false, false},
		{"men_bts.csv.gz", "", 34, 0.00301, 0.00319, 656, 178, false, true},
		{"women_random.csv.gz", "women_bts_policy.csv", 0, 0.00681, 0.00681, 1954, 12.6, false, false},
		{"women_bts.csv.gz", "", 46, 0.00744, 0.00237, 2.1, 21739, true, true},
	} {
		t.Run(tc.log, func(t *testing.T) {
			target := filepath.Join(openbandit, tc.target)
			if tc.target == "" {
				target = uniformTarget(t, tc.items)
			}
			cfg := opeConfig(filepath.Join(openbandit, tc.log), target)
			res, err := evaluate.RunOPE(cfg)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := evaluate.RawOPE(cfg)
			if err != nil {
				t.Fatal(err)
			}
			if res.Trusted == tc.wantHopeless {
				t.Errorf("trusted: %v", res.Trusted)
			}
			ips, snips := raw.Estimates[evaluate.IPS], raw.Estimates[evaluate.SNIPS]
			if res.N != 10000 || !near(ips.Value, tc.ips, 5e-6) || !near(snips.Value, tc.snips, 5e-6) {
				t.Errorf("n %d, ips %.6f, snips %.6f; want 10000, %.5f, %.5f", res.N, ips.Value, snips.Value, tc.ips, tc.snips)
			}
			if !near(res.EffectiveSampleSize, tc.effective, 0.5) || !near(res.LargestWeight/tc.largest, 1, 0.005) {
				t.Errorf("effective sample size %.2f, largest weight %.2f; want %.1f, %.1f",
					res.EffectiveSampleSize, res.LargestWeight, tc.effective, tc.largest)
			}
			doubts := strings.Join(res.Warnings, "\n")
			if got := strings.Contains(doubts, "do not trust this number"); got != tc.wantHopeless {
				t.Errorf("calls itself hopeless: %v, want %v\n%s", got, tc.wantHopeless, doubts)
			}
			if got := len(res.Warnings) > 0; got != tc.wantAnyDoubt {
				t.Errorf("warnings %q, want some: %v", res.Warnings, tc.wantAnyDoubt)
			}
			t.Logf("ips %+v snips %+v\n%s", ips, snips, doubts)
		})
	}
}

func near(got, want, slack float64) bool { return math.Abs(got-want) <= slack }

// world is a bandit whose truth is known exactly: 4 actions with click rates,
// under a logging and a target policy.
var world = struct{ rate, logged, target []float64 }{
	rate:   []float64{0.1, 0.3, 0.5, 0.2},
	logged: []float64{0.55, 0.25, 0.1, 0.1},
	target: []float64{0.05, 0.15, 0.7, 0.1},
}

func (e drawnLog) truth() (v float64) {
	for i, p := range world.target {
		v += p * world.rate[i]
	}
	return v
}

type drawnLog []evaluate.Observation

func drawLog(r *rand.Rand, n int) drawnLog {
	out := make(drawnLog, n)
	for i := range out {
		u, a := r.Float64(), 0
		for u -= world.logged[a]; u >= 0 && a < 3; u -= world.logged[a] {
			a++
		}
		reward := 0.0
		if r.Float64() < world.rate[a] {
			reward = 1
		}
		// A reward model that is wrong by a constant: DR must not mind.
		value := 0.05
		for k, p := range world.target {
			value += p * world.rate[k]
		}
		out[i] = evaluate.Observation{
			Reward: reward, Logged: world.logged[a], Target: world.target[a],
			Modelled: true, Predicted: world.rate[a] + 0.05, TargetValue: value,
		}
	}
	return out
}

func TestOPEIntervalsCover(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const logs, rows = 400, 1000
	covered, width := map[string]int{}, map[string]float64{}
	for range logs {
		log := drawLog(r, rows)
		var e evaluate.OPE
		for _, o := range log {
			e.Add(o)
		}
		for name, est := range e.Result(0.95).Estimates {
			if est.Lower <= log.truth() && log.truth() <= est.Upper {
				covered[name]++
			}
			width[name] += (est.Upper - est.Lower) / logs
		}
	}
	// 0.92 is three standard errors under 0.95 over 400 logs.
	for _, name := range []string{
		evaluate.IPS, evaluate.SNIPS, evaluate.DM, evaluate.DR, evaluate.SNDR, evaluate.SwitchDR, evaluate.DROS,
	} {
		if share := float64(covered[name]) / logs; share < 0.92 {
			t.Errorf("%s: interval covers the truth in %.3f of logs, want 0.95", name, share)
		}
		t.Logf("%s: coverage %.3f, width %.4f", name, float64(covered[name])/logs, width[name])
	}
	if width[evaluate.SNIPS] > width[evaluate.IPS] {
		t.Errorf("snips width %.4f exceeds ips width %.4f", width[evaluate.SNIPS], width[evaluate.IPS])
	}
}

func TestOPEMergeEqualsOneStream(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 60).Draw(t, "n")
		cut := rapid.IntRange(0, n).Draw(t, "cut")
		log := drawLog(rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1)), n)
		var whole, left, right evaluate.OPE
		for i, o := range log {
			whole.Add(o)
			if i < cut {
				left.Add(o)
			} else {
				right.Add(o)
			}
		}
		left.Merge(&right)
		a, b := whole.Result(0.95), left.Result(0.95)
		if a.N != b.N || !near(a.EffectiveSampleSize, b.EffectiveSampleSize, 1e-9) || len(a.Estimates) != len(b.Estimates) {
			t.Fatalf("merged %+v, one stream %+v", b, a)
		}
		for name, est := range a.Estimates {
			got := b.Estimates[name]
			if got.Withheld != est.Withheld || !near(got.Value, est.Value, 1e-9) || !alike(got.Lower, est.Lower) || !alike(got.Upper, est.Upper) {
				t.Fatalf("%s: merged %+v, one stream %+v", name, got, est)
			}
			if !est.Withheld && (est.Lower > est.Value || est.Upper < est.Value) {
				t.Fatalf("%s: %+v does not hold its own value", name, est)
			}
		}
	})
}

func alike(a, b float64) bool { return a == b || near(a, b, 1e-6*max(1, math.Abs(a))) }

func TestOPEFaultsNameFileLineColumnAndRemedy(t *testing.T) {
	const goodLog = "position,item_id,click,propensity\n1,a,1,0.5\n1,b,0,0.5\n"
	const goodTarget = "position,item_id,prob\n1,a,0.25\n1,b,0.75\n"
	for name, tc := range map[string]struct {
		log, target string
		want        []string
	}{
		"propensity 0":          {goodLog + "1,a,1,0\n", goodTarget, []string{"data.csv:4: column propensity", "must be above 0 and at most 1"}},
		"propensity above 1":    {goodLog + "1,a,1,1.5\n", goodTarget, []string{":4: column propensity", "1.5"}},
		"all faults at once":    {goodLog + "1,a,x,0.5\n1,a,1,-1\n", goodTarget, []string{":4: column click", `"x" is not a number`, ":5: column propensity"}},
		"sum":                   {goodLog, "position,item_id,prob\n1,a,0.25\n1,b,0.5\n", []string{":2: column prob", "position=1 sum to 0.75, must sum to 1"}},
		"negative probability":  {goodLog, "position,item_id,prob\n1,a,-0.25\n1,b,1.25\n", []string{":2: column prob", ":3: column prob", "must be 0 to 1"}},
		"listed twice":          {goodLog, goodTarget + "1,a,0\n", []string{":4: column item_id", "listed twice"}},
		"context not in target": {goodLog + "2,a,1,0.5\n", goodTarget, []string{":4: column position", "no rows for position=2"}},
		"no such column":        {"item_id,click\na,1\n", goodTarget, []string{"propensity: ", "no such column", "item_id, click"}},
		"ragged":                {goodLog + "1,a\n", goodTarget, []string{"line 4", "as many cells as the header"}},
		"empty log":             {"position,item_id,click,propensity\n", goodTarget, []string{"has no rows", "logged decisions"}},
		"empty target":          {goodLog, "position,item_id,prob\n", []string{"has no rows"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := evaluate.RunOPE(opeConfig(writeFile(t, tc.log), writeFile(t, tc.target)))
			if fault.KindOf(err) != fault.Invalid {
				t.Fatalf("error %v, want an invalid-input fault", err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not contain %q", err, want)
				}
			}
		})
	}
}

func TestOPESupport(t *testing.T) {
	log := writeFile(t, "position,item_id,click,propensity\n1,a,1,0.5\n1,b,0,0.4\n1,c,0,0.1\n")
	target := writeFile(t, "item_id,position,prob\na,1,0.5\nb,1,0.2\nd,1,0.3\n")
	res, err := evaluate.RunOPE(opeConfig(log, target))
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(res.Warnings, "\n")
	for _, want := range []string{
		"30 % of the target's decisions", "action d at position=1", "1.0 logged rows have actions", "action c at position=1",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("warnings %q lack %q", all, want)
		}
	}
}

func TestOPENothingToLearnFrom(t *testing.T) {
	var none evaluate.OPE
	if res := none.Result(0.95); len(res.Warnings) != 1 || res.Estimates[evaluate.IPS].Value != 0 {
		t.Errorf("no rows: %+v", res)
	}
	var foreign evaluate.OPE
	foreign.Add(evaluate.Observation{Reward: 1, Logged: 0.5})
	res := foreign.Result(0.95)
	if len(res.Warnings) != 1 || !strings.Contains(res.Warnings[0], "says nothing") {
		t.Errorf("disjoint policies: %+v", res)
	}
}

// The Open Bandit Pipeline 0.5.7 was given the same table of rewards, which a
// regression on the random logs made: bench/peers/ope/parity.py.
func TestOPEParityWithOneRewardTable(t *testing.T) {
	for _, tc := range []struct {
		log, target, table string
		items              int
		dm, dr, sndr       float64
	}{
		{"men_random.csv.gz", "men_bts_policy.csv", "men_predictions.csv", 0, 0.0046072, 0.0046171, 0.00461725},
		{"men_bts.csv.gz", "", "men_predictions.csv", 34, 0.00458987, 0.00323644, 0.00315511},
		{"women_random.csv.gz", "women_bts_policy.csv", "women_predictions.csv", 0, 0.00520032, 0.00686507, 0.00686446},
		{"women_bts.csv.gz", "", "women_predictions.csv", 46, 0.00460618, 0.00029999, 0.00323224},
	} {
		t.Run(tc.log, func(t *testing.T) {
			cfg := opeConfig(filepath.Join(openbandit, tc.log), filepath.Join(openbandit, tc.target))
			if tc.target == "" {
				cfg.Target = uniformTarget(t, tc.items)
			}
			cfg.Predictions = filepath.Join(openbandit, tc.table)
			res, err := evaluate.RawOPE(cfg)
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range map[string]float64{evaluate.DM: tc.dm, evaluate.DR: tc.dr, evaluate.SNDR: tc.sndr} {
				if got := res.Estimates[name].Value; !near(got/want, 1, 0.01) {
					t.Errorf("%s %.6f, the peer says %.6f", name, got, want)
				}
			}
			if res.Default != evaluate.DR {
				t.Errorf("default %q", res.Default)
			}
		})
	}
}

// What cannot be told is not told, whoever asks.
func TestOPEWithholdsHopelessValues(t *testing.T) {
	res, err := evaluate.RunOPE(opeConfig(filepath.Join(openbandit, "women_bts.csv.gz"), uniformTarget(t, 46)))
	if err != nil {
		t.Fatal(err)
	}
	if res.Trusted || len(res.Estimates) != 7 {
		t.Fatalf("trusted %v with %d estimates", res.Trusted, len(res.Estimates))
	}
	for name, e := range res.Estimates {
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if !e.Withheld || e.Value != 0 || !strings.Contains(string(text), `"value":null`) || e.Upper-e.Lower < 0.5 {
			t.Errorf("%s: %s", name, text)
		}
		for kind, b := range e.Intervals {
			if b.Upper-b.Lower < 0.5 {
				t.Errorf("%s, %s: %+v is as good as a value", name, kind, b)
			}
		}
	}
}
