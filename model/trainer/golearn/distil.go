package golearn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/model/evaluate"
)

// Decision is one logged decision, as it is read for distilling.
type Decision struct {
	Facts model.Facts
	// Options are the candidates that the model could choose among.
	Options []model.Option
	// Chosen is the key of what was done, Propensity its probability then; 0 when
	// nobody knows it. Reward counts when Rewarded is set.
	Chosen     string
	Propensity float64
	Rewarded   bool
	Reward     float64
}

// Query says how to read a model.
type Query struct {
	// Depth is how many conditions a rule may have, MinCoverage the share of decisions
	// that it must be about.
	Depth       int
	MinCoverage float64
	// Leave says of which attributes nothing may be told; nil means of none.
	Leave func(attribute string) bool
	// Learner is how rewards are to be read.
	Learner model.Config
}

// Rule is what a model does under some conditions, and what that is worth.
type Rule struct {
	// Arm is the key of what the model chooses where all Conditions hold.
	Arm        string
	Conditions []Condition
	// Coverage is the share of all decisions that the rule is about, Agreement the
	// share of the held-out ones among those in which the model does choose Arm.
	Coverage, Agreement float64
	// Value is what doing so there is worth, Logged what was done there was.
	Value  evaluate.OPEResult
	Logged float64
	// Rewarded is how many decisions Value and Logged come from.
	Rewarded int64
}

// String spells the rule: "intent in {a, b} and tier = gold -> retention".
func (r *Rule) String() string {
	parts := make([]string, len(r.Conditions))
	for i := range r.Conditions {
		parts[i] = r.Conditions[i].String()
	}
	if len(parts) == 0 {
		parts = []string{"always"}
	}
	return strings.Join(parts, " and ") + " -> " + r.Arm
}

// Distilled is a model read as rules, the widest first. No two are about the same
// decision; together they may leave some out.
type Distilled struct {
	Rules []Rule
	// Rows were read, HeldOut of them judged by and not learned from.
	Rows, HeldOut int
	// Agreement is the share of held-out rows on which the tree says what the model
	// says, Majority that of always naming the most frequent choice.
	Agreement, Majority float64
	// Arms are the model's choices; Confusion counts held-out rows by the arm that the
	// model chose and the one that the tree names.
	Arms      []string
	Confusion [][]int
}

// ErrFewRows says that there are too few decisions to read a model from.
var ErrFewRows = errors.New("there are too few decisions to read the model from")

// Sizes of what a model can be read from.
const (
	leastDecisions = 50
	heldOutOfRead  = 0.3
	deepest        = 6
)

// Distil grows a shallow tree of what the model would choose in the decisions, which
// must be in the order of time, and reads it back as rules. The newest part is held
// out. The same decisions give the same rules.
func Distil(ctx context.Context, r *Runner, m *model.Model, rows []Decision, q Query) (*Distilled, error) {
	if q.Depth < 1 || q.Depth > deepest || !(q.MinCoverage > 0 && q.MinCoverage <= 1) {
		return nil, fmt.Errorf("distil: depth %d must be 1 to %d, coverage %g above 0 and at most 1", q.Depth, deepest, q.MinCoverage)
	}
	rows = slices.Clone(rows)
	rows = slices.DeleteFunc(rows, func(d Decision) bool { return len(d.Options) == 0 }) // nothing to choose among
	if len(rows) < leastDecisions {
		return nil, fmt.Errorf("%w: %d, at least %d are needed", ErrFewRows, len(rows), leastDecisions)
	}
	d := newReading(m, rows, q)
	answer, err := r.run(ctx, d.request())
	if err != nil {
		return nil, err
	}
	if answer.Tree == nil {
		return nil, errors.New("the child grew no tree")
	}
	out := &Distilled{Rows: len(rows), HeldOut: len(rows) - d.train, Agreement: answer.Accuracy, Arms: d.arms, Confusion: answer.Confusion}
	out.Majority = d.majority()
	return out, d.tell(ctx, out, answer.Tree)
}

// reading is one distillation at work.
type reading struct {
	Query
	rows   []Decision
	train  int
	table  *Table
	arms   []string // what the model chooses, in order
	labels []int    // by row, of arms
}

// newReading asks the model about every decision.
func newReading(m *model.Model, rows []Decision, q Query) *reading {
	d := &reading{Query: q, rows: rows, train: len(rows) - int(math.Ceil(heldOutOfRead*float64(len(rows))))}
	facts, choices := make([]*model.Facts, len(rows)), make([]string, len(rows))
	var e encoder
	var scratch model.Scratch
	for i := range rows {
		row := &rows[i]
		facts[i] = &row.Facts
		x := e.example(&row.Facts, row.Options, row.Options[0].Key)
		e.scores = slices.Grow(e.scores[:0], len(x.Arms))[:len(x.Arms)]
		m.Score(&scratch, x.Context, x.Arms, e.scores)
		best := 0
		for at, s := range e.scores {
			if s.Value > e.scores[best].Value {
				best = at
			}
		}
		choices[i] = row.Options[best].Key
	}
	d.arms = slices.Compact(slices.Sorted(slices.Values(choices)))
	d.labels = make([]int, len(rows))
	for i, c := range choices {
		d.labels[i], _ = slices.BinarySearch(d.arms, c)
	}
	d.table = tableOf(facts, d.train, q.Leave)
	return d
}

// request asks for a tree whose splits are worth telling: one must name so many more
// rows rightly as are a quarter of the least rule.
func (d *reading) request() *request {
	least := d.MinCoverage * float64(d.train)
	return &request{
		Table: d.table, Labels: d.labels, Classes: len(d.arms), Train: d.train,
		Shape: shape{Depth: d.Depth, Leaf: max(leastRows, int(least/2))}, Gain: max(3, int(least/4)),
	}
}

// majority is how often the most frequent choice so far is the choice later.
func (d *reading) majority() float64 {
	counts := make([]int, len(d.arms))
	for _, l := range d.labels[:d.train] {
		counts[l]++
	}
	most := slices.Index(counts, slices.Max(counts))
	same := 0
	for _, l := range d.labels[d.train:] {
		if l == most {
			same++
		}
	}
	return float64(same) / float64(len(d.rows)-d.train)
}

// tell makes rules of the ways through the tree that cover enough.
func (d *reading) tell(ctx context.Context, out *Distilled, root *Node) error {
	var paths []path
	for _, p := range read(root) {
		p.widen(d.table, root)
		r := Rule{Arm: d.arms[p.class], Conditions: p.conditions(d.table)}
		covered, held, agreed := 0, 0, 0
		for row := range d.rows {
			if !p.matches(d.table, row) {
				continue
			}
			covered++
			if row >= d.train {
				held++
				if d.labels[row] == p.class {
					agreed++
				}
			}
		}
		r.Coverage = float64(covered) / float64(len(d.rows))
		if r.Coverage < d.MinCoverage || held == 0 {
			continue
		}
		r.Agreement = float64(agreed) / float64(held)
		out.Rules, paths = append(out.Rules, r), append(paths, p)
	}
	if err := d.weigh(ctx, out.Rules, paths); err != nil {
		return err
	}
	slices.SortStableFunc(out.Rules, func(a, b Rule) int {
		return cmp.Or(cmp.Compare(b.Coverage, a.Coverage), strings.Compare(a.String(), b.String()))
	})
	return nil
}
