package ladder_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/model/evaluate"
	"github.com/usherhq/usher/pipeline/event"
)

// linear is a fixed baseline policy: for each label a line through the features, fitted
// by a perceptron on the first half of the rows, and never changed.
type linear struct {
	low, span []float64
	weights   map[string][]float64
	labels    []string
}

func fitLinear(rows [][]float64, labels []string) *linear {
	l := &linear{weights: map[string][]float64{}}
	n := len(rows[0])
	l.low, l.span = make([]float64, n), make([]float64, n)
	for j := range n {
		lo, hi := math.Inf(1), math.Inf(-1)
		for _, row := range rows {
			lo, hi = min(lo, row[j]), max(hi, row[j])
		}
		l.low[j], l.span[j] = lo, max(hi-lo, 1e-9)
	}
	for _, label := range labels {
		if l.weights[label] == nil {
			l.weights[label], l.labels = make([]float64, n+1), append(l.labels, label)
		}
	}
	for range 10 {
		for i, row := range rows {
			got := l.choose(row)
			if got == labels[i] {
				continue
			}
			for j, x := range l.scaled(row) {
				l.weights[labels[i]][j] += x
				l.weights[got][j] -= x
			}
		}
	}
	return l
}

func (l *linear) scaled(row []float64) []float64 {
	x := make([]float64, len(row)+1)
	for j, v := range row {
		x[j] = (v - l.low[j]) / l.span[j]
	}
	x[len(row)] = 1
	return x
}

func (l *linear) choose(row []float64) string {
	best, at := math.Inf(-1), ""
	x := l.scaled(row)
	for _, label := range l.labels {
		sum := 0.0
		for j, w := range l.weights[label] {
			sum += w * x[j]
		}
		if sum > best {
			best, at = sum, label
		}
	}
	return at
}

// The apprentice learns in SHADOW from what the baseline did and what came of it. Its
// match rate over the rows before reaches 0.80 within 2,000 rows, over a real engine
// whose model is refitted as it goes.
func TestTheApprenticeMatchesAFixedBaseline(t *testing.T) {
	for _, set := range []string{"testdata/satellite.csv.gz", "../../model/evaluate/testdata/multiclass/digits.csv.gz"} {
		t.Run(filepath.Base(set), func(t *testing.T) {
			rows, labels := numbers(t, set)
			first := min(len(rows)/2, 2000)
			base := fitLinear(rows[:first], labels[:first])
			rows, labels = rows[first:], labels[first:]
			if len(rows) > 2000 {
				rows, labels = rows[:2000], labels[:2000]
			}
			s := open(t, nil)
			s.model = nil
			l, err := model.New(model.DefaultConfig())
			if err != nil {
				t.Fatal(err)
			}
			var offered []event.Candidate
			for _, label := range base.labels {
				offered = append(offered, event.Candidate{Action: event.Action{Target: label}})
			}
			reached, same, counted := 0, 0, 0
			recent := make([]bool, 0, len(rows))
			for i, row := range rows {
				facts := map[string]any{}
				for j, v := range row {
					facts["x"+strconv.Itoa(j)] = v
				}
				chosen := base.choose(row)
				d, err := s.engine.Decide(t.Context(), &decision.Request{
					Account: account, RequestID: fmt.Sprint(i), Attributes: facts, Candidates: offered, Baseline: &event.Action{Target: chosen},
				})
				if err != nil {
					t.Fatal(err)
				}
				if d.Chosen != chosen || d.Propensity != 1 {
					t.Fatalf("in SHADOW %s was done with %g, the baseline is %s", d.Chosen, d.Propensity, chosen)
				}
				if d.ModelOnly != "" {
					if counted++; d.ModelOnly == chosen {
						same++
					}
					recent = append(recent, d.ModelOnly == chosen)
				}
				learnShadow(t, l, facts, offered, chosen, labels[i])
				if (i+1)%50 == 0 {
					s.model = l.Snapshot(fmt.Sprint("v", i))
				}
				if reached == 0 && len(recent) >= 200 && share(recent[len(recent)-200:]) >= 0.80 {
					reached = i + 1
				}
			}
			t.Logf("match rate %.3f over %d rows; 0.80 of the last 200 after %d rows", float64(same)/float64(counted), counted, reached)
			if reached == 0 {
				t.Error("0.80 was never reached")
			}
		})
	}
}

func learnShadow(t *testing.T, l *model.Learner, facts map[string]any, offered []event.Candidate, chosen, right string) {
	t.Helper()
	var enc model.Encoder
	options, at := make([]model.Option, len(offered)), 0
	for j := range offered {
		options[j].Key = offered[j].Target
		if offered[j].Target == chosen {
			at = j
		}
	}
	reward := 0.0
	if chosen == right {
		reward = 1
	}
	err := l.Learn(model.Example{
		Context: enc.Context(&model.Facts{Attributes: facts, Baseline: chosen}), Arms: enc.Arms(options, chosen),
		Chosen: at, Reward: reward, Propensity: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
}

func share(list []bool) float64 {
	n := 0
	for _, v := range list {
		if v {
			n++
		}
	}
	return float64(n) / float64(len(list))
}

// numbers reads a table of numeric features and shuffles it.
func numbers(t *testing.T, path string) (rows [][]float64, labels []string) {
	t.Helper()
	table, err := evaluate.ReadTable(path)
	if err != nil {
		t.Fatal(err)
	}
	label, err := table.Column("label")
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range rand.New(rand.NewPCG(3, 5)).Perm(len(table.Rows)) {
		cells := table.Rows[i]
		row := make([]float64, 0, len(cells))
		for j, cell := range cells {
			if j == label {
				continue
			}
			v, err := strconv.ParseFloat(cell, 64)
			if err != nil {
				t.Fatal(err)
			}
			row = append(row, v)
		}
		rows, labels = append(rows, row), append(labels, cells[label])
	}
	return rows, labels
}
