package trainer

import (
	"compress/gzip"
	"context"
	"encoding/csv"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/usherhq/usher/model"
)

// incident is one case of the service desk's log: the row as it would be decided
// on, without an answer, and what people and time made of it.
type incident struct {
	row           *Row
	people, right string
	resolved      time.Time // zero: never
}

// incidents reads the log in the order of opening. Every group is an option and
// people's first group is the baseline.
func incidents(tb testing.TB) []incident {
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
	groups := map[string]bool{}
	cells = slices.DeleteFunc(cells[1:], func(c []string) bool { return c[column["final_group"]] == "" })
	for _, c := range cells {
		groups[c[column["first_group"]]], groups[c[column["final_group"]]] = true, true
	}
	var options []model.Option
	for _, g := range slices.Sorted(maps.Keys(groups)) {
		options = append(options, model.Option{Key: g})
	}
	out := make([]incident, len(cells))
	for i, c := range cells {
		get := func(name string) string { return c[column[name]] }
		out[i] = readIncident(tb, get, options)
	}
	slices.SortStableFunc(out, func(a, b incident) int { return a.row.Time.Compare(b.row.Time) })
	return out
}

func readIncident(tb testing.TB, get func(string) string, options []model.Option) incident {
	tb.Helper()
	at := func(name string) (t time.Time) {
		if get(name) == "" {
			return t
		}
		t, err := time.Parse("2006-01-02T15:04", get(name))
		if err != nil {
			tb.Fatal(err)
		}
		return t
	}
	opened := at("opened_at")
	row := &Row{
		ID: get("incident"), Time: opened, Options: options,
		Facts: model.Facts{
			Channel: get("contact_type"), Baseline: get("first_group"),
			Attributes: map[string]any{"hour": float64(opened.Hour()), "weekday": opened.Weekday().String()},
		},
	}
	for _, name := range []string{
		"caller_id", "opened_by", "location", "category", "subcategory", "symptom", "impact", "urgency", "notify", "first_group",
	} {
		if v := get(name); v != "" {
			row.Facts.Attributes[name] = v
		}
	}
	return incident{row: row, people: get("first_group"), right: get("final_group"), resolved: at("resolved_at")}
}

// incidentRows are the incidents as a log that explored a tenth of its decisions.
func incidentRows(tb testing.TB) (rows []*Row) {
	tb.Helper()
	r := rand.New(rand.NewPCG(1, 1))
	for _, in := range incidents(tb) {
		row, n := in.row, len(in.row.Options)
		row.Chosen, row.Propensity = in.people, 0.9+0.1/float64(n)
		if r.Float64() < 0.1 {
			row.Chosen, row.Propensity = row.Options[r.IntN(n)].Key, 0.1/float64(n)
		}
		row.Reward, row.Watermark = truth(row.Chosen == in.right), row.Time.Add(time.Hour)
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
		b.Helper()
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
