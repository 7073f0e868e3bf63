package evaluate_test

import (
	"testing"

	"github.com/usherhq/usher/model/evaluate"
)

// The short form of the measurement on logs whose truth is known. The bar is what
// the Open Bandit Pipeline's DR got on the same logs (bench/peers/ope, seeds 0 to 4).
func TestConversionErrorsAndCoverage(t *testing.T) {
	res, err := evaluate.RunConversion(evaluate.ConversionConfig{
		Table: "testdata/multiclass/digits.csv.gz", Label: "label",
		Policies: "testdata/conversions/digits_policies.csv.gz", Seeds: 5, Logs: 10,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := res.RelativeError[res.Default]; res.Default != evaluate.DR || got > 1.1*0.0213 {
		t.Errorf("%s: relative error %.4f over %d logs, the peer's is 0.0213", res.Default, got, res.Seeds)
	}
	for _, kind := range []string{"cressie_read", "gaussian"} {
		c := res.Intervals[evaluate.DR][kind]
		if kind == "cressie_read" && c.Share < 0.9 || c.Width > 0.113 {
			t.Errorf("%s: coverage %.3f, width %.3f", kind, c.Share, c.Width)
		}
	}
	if c := res.Intervals[evaluate.IPS]["confidence_sequence"]; c.Share < 0.95 {
		t.Errorf("confidence sequence: coverage %.3f", c.Share)
	}
	if res.Learned < res.LoggedHalf+0.3 {
		t.Errorf("learned policy is worth %.3f, the log's %.3f", res.Learned, res.LoggedHalf)
	}
	t.Logf("%+v", res)
}

func TestConversionFaultsNameFileLineAndColumn(t *testing.T) {
	for name, policies := range map[string]string{
		"no column":   "seed,row,behaviour,target\n0,1,1,1\n",
		"no rows":     "seed,row,behaviour,target,action\n",
		"no number":   "seed,row,behaviour,target,action\n0,x,1,1,1\n",
		"no such row": "seed,row,behaviour,target,action\n0,99999,1,1,1\n",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := evaluate.RunConversion(evaluate.ConversionConfig{
				Table: "testdata/multiclass/digits.csv.gz", Label: "label", Policies: writeFile(t, policies),
			})
			if err == nil {
				t.Fatal("taken")
			}
		})
	}
}
