package evaluate_test

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/model/evaluate"
)

// FuzzRunOPE: whatever the files hold, the answer is a fault that names the input
// or finite numbers in order.
func FuzzRunOPE(f *testing.F) {
	f.Add([]byte("item_id,position,click,propensity\na,1,1,0.5\nb,1,0,0.25\n"), []byte("position,item_id,prob\n1,a,0.4\n1,b,0.6\n"))
	f.Add([]byte("item_id,click,propensity\na,-3,1e-300\n"), []byte("item_id,prob\na,1\n"))
	f.Add([]byte("item_id,click,propensity\n\"a\n"), []byte("\xef\xbb\xbfitem_id,prob\na,NaN\n"))
	f.Add([]byte("item_id,click,propensity\na,1e12,1e-12\na,-1e12,1e-12\nb,0,1\n"), []byte("item_id,prob\na,1\n"))
	f.Add([]byte("\x1f\x8b"), []byte(""))
	f.Fuzz(func(t *testing.T, log, target []byte) {
		dir := t.TempDir()
		for name, data := range map[string][]byte{"log.csv": log, "target.csv": target} {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		res, err := evaluate.RunOPE(opeConfig(filepath.Join(dir, "log.csv"), filepath.Join(dir, "target.csv")))
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Fatalf("not a fault of the input: %v", err)
			}
			return
		}
		for name, e := range res.Estimates {
			if !(e.Lower <= e.Upper) || !e.Withheld && !(e.Lower <= e.Value && e.Value <= e.Upper) || math.IsInf(e.Upper-e.Lower, 0) {
				t.Fatalf("%s: %+v", name, e)
			}
		}
	})
}
