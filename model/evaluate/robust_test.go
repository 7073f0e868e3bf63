package evaluate

import "testing"

// Overrides that are logged as what they were cost no more than the rows they take.
func TestHonestOverridesDoLittleHarm(t *testing.T) {
	for _, set := range []string{"vehicle", "vowel", "digits"} {
		t.Run(set, func(t *testing.T) {
			t.Parallel()
			table := readTable(t, "testdata/multiclass/"+set+".csv.gz")
			clean, messy := 0.0, 0.0
			for seed := uint64(1); seed <= 3; seed++ {
				for _, run := range []struct {
					share float64
					sum   *float64
				}{{0, &clean}, {0.1, &messy}} {
					res, err := RunBandit(table, BanditConfig{Label: "label", Seed: seed, Override: run.share}, fixedClock)
					if err != nil {
						t.Fatal(err)
					}
					*run.sum += res.Error / 3
				}
			}
			t.Logf("error %.4f, with a tenth overridden %.4f", clean, messy)
			if messy > clean+0.02 {
				t.Errorf("error %.4f, with a tenth overridden %.4f: more than 0.02 apart", clean, messy)
			}
		})
	}
}
