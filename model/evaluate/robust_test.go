package evaluate

import (
	"fmt"
	"testing"

	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/model/explore"
)

// overridden plays a table of right answers. In every tenth decision something
// downstream takes another arm than the learner drew, whatever the context, and
// says so: the arm that was taken is logged and learned, with the probability it
// had. It returns the share of rows whose drawn arm was wrong.
func overridden(t *testing.T, table *Table, seed uint64, share float64) float64 {
	t.Helper()
	plan, err := newBanditPlan(table, BanditConfig{Label: "label", Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	learner, err := model.New(model.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	n := len(plan.arms)
	scores, p := make([]model.Score, n), make([]float64, n)
	var ctx model.Features
	wrong := 0
	for i, row := range plan.order {
		plan.features(&ctx, row)
		learner.Score(&ctx, plan.arms, scores)
		explore.Probabilities(explore.DefaultConfig(), scores, nil, p)
		drawn := explore.Draw(p, explore.Seed(fmt.Sprintf("%d:draw:%d", seed, i)))
		if drawn != plan.right[row] {
			wrong++
		}
		taken, even := drawn, make([]float64, n)
		for k := range even {
			even[k] = 1 / float64(n)
		}
		if coin := explore.Draw([]float64{share, 1 - share}, explore.Seed(fmt.Sprintf("%d:override:%d", seed, i))); coin == 0 {
			taken = explore.Draw(even, explore.Seed(fmt.Sprintf("%d:other:%d", seed, i)))
		}
		e := model.Example{
			Context: &ctx, Arms: plan.arms, Chosen: taken,
			Propensity: (1-share)*p[taken] + share/float64(n),
		}
		if taken == plan.right[row] {
			e.Reward = 1
		}
		if err := learner.Learn(e); err != nil {
			t.Fatal(err)
		}
	}
	return float64(wrong) / float64(len(plan.order))
}

// Overrides that are logged as what they were cost no more than the rows they take.
func TestHonestOverridesDoLittleHarm(t *testing.T) {
	for _, set := range []string{"vehicle", "vowel", "digits"} {
		t.Run(set, func(t *testing.T) {
			t.Parallel()
			table := readTable(t, "testdata/multiclass/"+set+".csv.gz")
			clean, messy := 0.0, 0.0
			for seed := uint64(1); seed <= 3; seed++ {
				clean += overridden(t, table, seed, 0) / 3
				messy += overridden(t, table, seed, 0.1) / 3
			}
			t.Logf("error %.4f, with a tenth overridden %.4f", clean, messy)
			if messy > clean+0.02 {
				t.Errorf("error %.4f, with a tenth overridden %.4f: more than 0.02 apart", clean, messy)
			}
		})
	}
}
