package congestion

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/usherhq/usher/internal/fault"
)

func incidentLog(t *testing.T) []Incident {
	t.Helper()
	in, err := os.Open("../../cmd/usher/demo/incidents/incidents.csv.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	log, err := ReadLog(in)
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func TestCalibrationOnTheIncidentLog(t *testing.T) {
	log := incidentLog(t)
	if len(log) != 20396 {
		t.Fatalf("%d incidents", len(log))
	}
	w, err := Calibrate(log, DefaultCalibrateConfig())
	if err != nil {
		t.Fatal(err)
	}
	// What the log says of group 70, its service desk: it is given most, and most kinds.
	desk := slices.IndexFunc(w.Groups, func(g Group) bool { return g.Name == "70" })
	kinds, most := 0, true
	for _, k := range w.Kinds {
		if slices.Contains(k.Capable, desk) {
			kinds++
		}
		for n := range k.Capable {
			if k.Resolve[n] <= 0 || k.Resolve[n] >= 1 || k.Minutes[n] <= 0 {
				t.Errorf("kind %s, group %s: resolves %g in %g minutes", k.Name, w.Groups[k.Capable[n]].Name, k.Resolve[n], k.Minutes[n])
			}
		}
	}
	for g := range w.Groups {
		most = most && w.Groups[g].Agents <= w.Groups[desk].Agents
	}
	if !most || kinds < len(w.Kinds)*2/3 {
		t.Errorf("the desk has %d agents and is capable of %d of %d kinds", w.Groups[desk].Agents, kinds, len(w.Kinds))
	}
}

// The future must not leak into what the rules know: with another future the
// capable groups are the same.
func TestThePastIsAllThatRulesKnow(t *testing.T) {
	log := incidentLog(t)
	before, err := Calibrate(log, DefaultCalibrateConfig())
	if err != nil {
		t.Fatal(err)
	}
	changed := slices.Clone(log)
	for i := len(changed) / 2; i < len(changed); i++ {
		changed[i].First, changed[i].Final, changed[i].Updates = "70", "elsewhere", 1
	}
	after, err := Calibrate(changed, DefaultCalibrateConfig())
	if err != nil {
		t.Fatal(err)
	}
	same := slices.EqualFunc(before.Kinds, after.Kinds, func(a, b Kind) bool { return a.Name == b.Name && slices.Equal(a.Capable, b.Capable) })
	if !same {
		t.Error("who is capable depends on the future")
	}
	if !slices.EqualFunc(before.Cases, after.Cases, func(a, b Case) bool { return slices.Equal(a.Scores, b.Scores) }) {
		t.Error("scores depend on the future's outcomes")
	}
}

// What docs/learning.md says of the frontier, in short: scores with a price resolve
// more than longest idle while waiting no longer, and wait less than scores alone.
func TestFrontierOnTheIncidentLog(t *testing.T) {
	log := incidentLog(t)
	cfg := DefaultFrontierConfig()
	cfg.Runs, cfg.Run.Days, cfg.Signals, cfg.Prices = 4, 8, []Signal{Expected}, []float64{0.02, 0.5}
	draw := func(s Staffing) *Frontier {
		world := DefaultCalibrateConfig()
		world.Staffing = s
		w, err := Calibrate(log, world)
		if err != nil {
			t.Fatal(err)
		}
		f, err := Draw(w, cfg)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	if f := draw(StaffedForPeople); !f.Prices[1].Against[0].Dominates {
		t.Errorf("a price of 0.5 does not dominate longest idle: %+v", f.Prices[1])
	}
	if f := draw(StaffedForScores); !f.Prices[0].Against[1].Dominates {
		t.Errorf("a price of 0.02 does not dominate scores alone although they are staffed for: %+v", f.Prices[0])
	}
}

func TestBadLogsAreRefused(t *testing.T) {
	const head = "opened_at,resolved_at,contact_type,category,first_group,final_group,sys_mod_count\n"
	for name, text := range map[string]string{
		"empty":    "",
		"columns":  "opened_at,category\n",
		"time":     head + "yesterday,,Phone,1,a,a,3\n",
		"resolved": head + "2016-02-29T01:16,soon,Phone,1,a,a,3\n",
		"number":   head + "2016-02-29T01:16,,Phone,1,a,a,many\n",
		"ragged":   head + "2016-02-29T01:16,,Phone\n",
		"gzip":     "\x1f\x8bnothing",
	} {
		if _, err := ReadLog(strings.NewReader(text)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	one, err := ReadLog(strings.NewReader(head + "2016-02-29T01:16,2016-03-01T01:16,Phone,1,a,a,3\n"))
	if err != nil || len(one) != 1 || one[0].Resolved.Sub(one[0].Opened) != 24*time.Hour {
		t.Fatalf("%+v, %v", one, err)
	}
	if _, err := Calibrate(one, DefaultCalibrateConfig()); fault.KindOf(err) != fault.Invalid {
		t.Errorf("one row is enough: %v", err)
	}
}
