package trainer

import (
	"compress/gzip"
	"context"
	"encoding/csv"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/usherhq/usher/model"
)

// incidentRows reads the service desk's log as the demo would have decided it:
// people's first group is the baseline, every group is an option, and a share of
// decisions is explored.
func incidentRows(tb testing.TB) []*Row {
	tb.Helper()
	f, err := os.Open("../../cmd/usher/demo/incidents/incidents.csv.gz")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	zr, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	cells, err := csv.NewReader(zr).ReadAll()
	if err != nil {
		tb.Fatal(err)
	}
	column := map[string]int{}
	for i, name := range cells[0] {
		column[name] = i
	}
	slices.SortStableFunc(cells[1:], func(a, b []string) int {
		x, y := a[column["opened_at"]], b[column["opened_at"]]
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	return toRows(tb, cells[1:], column)
}

func toRows(tb testing.TB, cells [][]string, column map[string]int) []*Row {
	tb.Helper()
	r := rand.New(rand.NewPCG(1, 1))
	known := map[string]bool{}
	for _, c := range cells {
		if c[column["final_group"]] != "" {
			known[c[column["first_group"]]], known[c[column["final_group"]]] = true, true
		}
	}
	var options []model.Option
	for g := range known {
		options = append(options, model.Option{Key: g})
	}
	slices.SortFunc(options, func(a, b model.Option) int {
		if a.Key < b.Key {
			return -1
		}
		return 1
	})
	var rows []*Row
	for _, c := range cells {
		right := c[column["final_group"]]
		opened, err := time.Parse("2006-01-02T15:04", c[column["opened_at"]])
		if right == "" {
			continue
		}
		if err != nil {
			tb.Fatal(err)
		}
		row := &Row{
			ID: c[column["incident"]], Time: opened, Watermark: opened.Add(time.Hour), Options: options,
			Facts: model.Facts{
				Channel: c[column["contact_type"]], Baseline: c[column["first_group"]], Attributes: map[string]any{},
			},
			Chosen: c[column["first_group"]], Propensity: 0.9 + 0.1/float64(len(options)),
		}
		if r.Float64() < 0.1 {
			row.Chosen, row.Propensity = options[r.IntN(len(options))].Key, 0.1/float64(len(options))
		}
		for _, name := range []string{"caller_id", "opened_by", "location", "category", "subcategory", "symptom", "impact", "urgency", "notify", "first_group"} {
			if v := c[column[name]]; v != "" {
				row.Facts.Attributes[name] = v
			}
		}
		row.Facts.Attributes["hour"] = float64(opened.Hour())
		row.Facts.Attributes["weekday"] = opened.Weekday().String()
		if row.Chosen == right {
			row.Reward = 1
		}
		rows = append(rows, row)
	}
	return rows
}

// log is a source that holds rows.
type log []*Row

func (l log) Progress(context.Context, string, string) (Progress, error) {
	return Progress{Rows: int64(len(l))}, nil
}

func (l log) TrainingRows(_ context.Context, _ Query, fn func(*Row) error) error {
	for _, r := range l {
		if err := fn(r); err != nil {
			return err
		}
	}
	return nil
}

var _ RowSource = log{}

// fitOnce reads and fits all rows with a fitter.
func fitOnce(tb testing.TB, f *fitter, rows log, rival *champion) *fitted {
	tb.Helper()
	b, err := readRows(context.Background(), rows, Query{Account: "demo", Limit: len(rows)})
	if err != nil {
		tb.Fatal(err)
	}
	j := job{cfg: DefaultConfig(), account: Account{ID: "demo", Objective: "default"}, rows: b, rival: rival, now: time.Now}
	out, err := f.fit(context.Background(), j)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// BenchmarkFit measures training rows per second on the service desk's log: 66
// groups, about 14 attributes. Full learns everything; warm adds the last tenth,
// judged against a champion.
func BenchmarkFit(b *testing.B) {
	rows := log(incidentRows(b))
	report := func(b *testing.B, learned int) {
		b.ReportMetric(float64(learned)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		b.ReportMetric(0, "ns/op")
	}
	b.Run("full", func(b *testing.B) {
		for b.Loop() {
			fitOnce(b, &fitter{}, rows, nil)
		}
		report(b, len(rows))
	})
	b.Run("warm", func(b *testing.B) {
		cut := len(rows) * 9 / 10
		for b.Loop() {
			b.StopTimer()
			var f fitter
			first := fitOnce(b, &f, rows[:cut], nil)
			b.StartTimer()
			fitOnce(b, &f, rows, &champion{model: first.model})
		}
		report(b, len(rows)-cut)
	})
}

// TestFitsTheServiceDeskLog: on real rows the model foretells held-out rewards
// better than their mean, and the gate says so.
func TestFitsTheServiceDeskLog(t *testing.T) {
	rows := log(incidentRows(t))
	var f fitter
	start := time.Now()
	first := fitOnce(t, &f, rows[:15000], nil)
	t.Logf("first %s: %+v", time.Since(start), first.verdict)
	if !first.verdict.Pass || !(first.verdict.Loss < 0.95*first.verdict.Constant) {
		t.Errorf("first model: %+v", first.verdict)
	}
	rival := &champion{model: first.model}
	rival.card.Watermark = rows[14999].Watermark
	second := fitOnce(t, &f, rows, rival)
	t.Logf("second: %+v", second.verdict)
	if second.full || second.learned != len(rows)-15000 || !second.verdict.Pass {
		t.Errorf("second model: full %v, learned %d, %+v", second.full, second.learned, second.verdict)
	}
}
