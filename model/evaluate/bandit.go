package evaluate

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/model/explore"
)

// BanditConfig says how a table with known right answers becomes a stream of
// bandit decisions.
type BanditConfig struct {
	// Label is the column with the right answer; its values are the arms.
	Label string
	// Text is the column to be split into words; "" for none.
	Text string
	// Seed fixes the row order and the draws.
	Seed uint64
	// Where keeps only the rows that pass every filter.
	Where []Filter
	// Features are the columns used; empty means all but Label and Time.
	Features []string
	// Cross lists pairs of columns whose combinations are features too.
	Cross [][2]string
	// Time orders the rows by this column and makes the hour a feature; "" for
	// the seeded order.
	Time string
	// Override is the share of decisions, whatever the context, in which something
	// downstream takes another arm than the learner drew and says so: the arm that
	// was taken is learned, with the probability it had. Errors are those of the
	// drawn arms.
	Override float64
}

// Filter keeps rows by the value of one column.
type Filter struct {
	Column, Value string
	Not           bool
}

// ParseFilter reads "column=value" or "column!=value".
func ParseFilter(s string) (Filter, error) {
	at := strings.IndexByte(s, '=')
	if at <= 0 || s[:at] == "!" {
		return Filter{}, fault.New(fault.Invalid, "BAD_FILTER", "filter %q must be column=value or column!=value", s)
	}
	if s[at-1] == '!' {
		return Filter{Column: s[:at-1], Value: s[at+1:], Not: true}, nil
	}
	return Filter{Column: s[:at], Value: s[at+1:]}, nil
}

// BanditPoint is the error over the first Rows rows.
type BanditPoint struct {
	Rows  int     `json:"rows"`
	Error float64 `json:"error"`
}

// BanditResult is what a progressive validation found.
type BanditResult struct {
	Rows int `json:"rows"`
	// Unlabelled counts the rows left out because their label is empty.
	Unlabelled int `json:"unlabelled,omitempty"`
	Arms       int `json:"arms"`
	// Error is the share of rows whose played arm was wrong; exploration counts.
	Error float64 `json:"error"`
	// Curve has the error at 1, 2, 5, 10, 20, 50 and 100 % of the rows.
	Curve []BanditPoint `json:"curve"`
	// Seconds is the time spent deciding and learning, without reading.
	Seconds float64 `json:"seconds"`
}

// RunBandit plays the table as a bandit: for each row the learner sees the
// features, an arm is drawn, and its reward alone (1 right, 0 wrong) is learned.
// Every row is predicted before it is learned from. Nothing is tuned to the
// table: the learner's and the explorer's defaults serve all.
func RunBandit(t *Table, cfg BanditConfig, now func() time.Time) (BanditResult, error) {
	plan, err := newBanditPlan(t, cfg)
	if err != nil {
		return BanditResult{}, err
	}
	learner, err := model.New(model.DefaultConfig())
	if err != nil {
		return BanditResult{}, fmt.Errorf("create learner: %w", err)
	}
	start := now()
	res := BanditResult{Rows: len(plan.order), Unlabelled: plan.unlabelled, Arms: len(plan.arms)}
	marks := curveMarks(res.Rows)
	scores := make([]model.Score, res.Arms)
	p := make([]float64, res.Arms)
	policy := explore.DefaultConfig()
	var ctx model.Features
	wrong := 0
	for i, row := range plan.order {
		plan.features(&ctx, row)
		learner.Score(&ctx, plan.arms, scores)
		explore.Probabilities(policy, scores, nil, p)
		drawn := explore.Draw(p, explore.Seed(fmt.Sprintf("%d:draw:%d", cfg.Seed, i)))
		if drawn != plan.right[row] {
			wrong++
		}
		played, propensity := cfg.override(i, drawn, p)
		reward := 0.0
		if played == plan.right[row] {
			reward = 1
		}
		err := learner.Learn(model.Example{Context: &ctx, Arms: plan.arms, Chosen: played, Reward: reward, Propensity: propensity})
		if err != nil {
			return BanditResult{}, fmt.Errorf("learn row %d: %w", row, err)
		}
		for len(marks) > 0 && marks[0] == i+1 {
			res.Curve = append(res.Curve, BanditPoint{Rows: i + 1, Error: float64(wrong) / float64(i+1)})
			marks = marks[1:]
		}
	}
	res.Error = float64(wrong) / float64(res.Rows)
	res.Seconds = now().Sub(start).Seconds()
	return res, nil
}

// override returns the arm that is taken in the end and its probability.
func (c *BanditConfig) override(i, drawn int, p []float64) (taken int, propensity float64) {
	if c.Override <= 0 {
		return drawn, p[drawn]
	}
	taken = drawn
	coin := explore.Draw([]float64{c.Override, 1 - c.Override}, explore.Seed(fmt.Sprintf("%d:override:%d", c.Seed, i)))
	if coin == 0 {
		even := make([]float64, len(p))
		for k := range even {
			even[k] = 1 / float64(len(p))
		}
		taken = explore.Draw(even, explore.Seed(fmt.Sprintf("%d:other:%d", c.Seed, i)))
	}
	return taken, (1-c.Override)*p[taken] + c.Override/float64(len(p))
}

// curveMarks returns the row counts of the curve, each once, ascending.
func curveMarks(rows int) []int {
	var marks []int
	for _, percent := range []int{1, 2, 5, 10, 20, 50, 100} {
		if at := (rows*percent + 99) / 100; at > 0 {
			marks = append(marks, at)
		}
	}
	return slices.Compact(marks)
}

// shuffled orders the indexes 0..n-1 by the hexadecimal SHA-256 of "seed:index",
// so that any program can reproduce the stream.
func shuffled(n int, seed uint64) []int {
	keys := make([][sha256.Size]byte, n)
	order := make([]int, n)
	for i := range order {
		order[i] = i
		keys[i] = sha256.Sum256(fmt.Appendf(nil, "%d:%d", seed, i))
	}
	slices.SortStableFunc(order, func(a, b int) int { return slices.Compare(keys[a][:], keys[b][:]) })
	return order
}
