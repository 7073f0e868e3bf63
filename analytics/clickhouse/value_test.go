package clickhouse

import (
	"cmp"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/usherhq/usher/analytics"
)

// What the warehouse adds up is what a loop over the decisions adds up.
func TestValueSumsAreARecount(t *testing.T) {
	db := open(t)
	rapid.Check(t, func(r *rapid.T) {
		h := drawHistory(r)
		for i, d := range h.decisions {
			d.Time = d.Time.Add(time.Duration(i) * time.Millisecond) // no two of a conversation at once
		}
		for i, o := range h.outcomes {
			o.Time = o.Time.Add(time.Duration(len(h.decisions)+i) * time.Millisecond)
		}
		empty(t, db)
		h.load(t, r, db)
		q := analytics.ValueQuery{
			Account: "acme", Objective: rapid.SampledFrom([]string{"solve", "please"}).Draw(r, "objective"),
			From: epoch, To: epoch.Add(time.Hour), Now: h.now, Segment: "intent",
			Column: rapid.SampledFrom([]string{"", analytics.ByPolicy, analytics.ByBaseline}).Draw(r, "column"),
		}
		got, err := db.ValueSums(t.Context(), q)
		if err != nil {
			r.Fatal(err)
		}
		want := h.sums(q)
		if len(got) != len(want) {
			r.Fatalf("%d segments, want %d", len(got), len(want))
		}
		for i := range got {
			g, w := got[i], want[i]
			near := func(a, b float64) bool { return math.Abs(a-b) <= 1e-6*max(1, math.Abs(b)) }
			if g.Segment != w.Segment || g.Rows != w.Rows || g.Informative != w.Informative || g.Unknown != w.Unknown || g.Rewarded != w.Rewarded ||
				!near(g.Weights, w.Weights) || !near(g.WeightSquares, w.WeightSquares) || !near(g.Rewards, w.Rewards) || !near(g.RewardSquares, w.RewardSquares) ||
				!near(g.Weighted, w.Weighted) || !near(g.Squared, w.Squared) || !near(g.BothSquared, w.BothSquared) || !near(g.LargestWeight, w.LargestWeight) {
				r.Fatalf("%+v, want %+v", g, w)
			}
		}
	})
}

func (h *history) sums(q analytics.ValueQuery) []analytics.ValueSums {
	parts := map[string]*analytics.ValueSums{}
	for _, d := range h.decisions {
		reward := h.reward(d, h.objectives[q.Objective])
		if d.Time.Before(q.From) || !d.Time.Before(q.To) || math.IsNaN(reward) {
			continue
		}
		s := parts[d.Intent]
		if s == nil {
			s = &analytics.ValueSums{Segment: d.Intent}
			parts[d.Intent] = s
		}
		if !(d.Propensity > 0) || d.Chosen == "" {
			s.Unknown++
			continue
		}
		w := 0.0
		switch {
		case q.Column == "":
			w = 1
		case q.Column == analytics.ByPolicy && d.PolicyOnly == d.Chosen, q.Column == analytics.ByBaseline && d.Baseline == d.Chosen:
			w = 1 / min(d.Propensity, 1)
		}
		s.Rows++
		if w > 0 {
			s.Informative++
			if reward != 0 {
				s.Rewarded++
			}
		}
		s.Weights += w
		s.WeightSquares += w * w
		s.Rewards += reward
		s.RewardSquares += reward * reward
		s.Weighted += w * reward
		s.Squared += w * w * reward
		s.BothSquared += w * w * reward * reward
		s.LargestWeight = max(s.LargestWeight, w)
	}
	out := make([]analytics.ValueSums, 0, len(parts))
	for _, s := range parts {
		out = append(out, *s)
	}
	slices.SortFunc(out, func(a, b analytics.ValueSums) int { return cmp.Compare(a.Segment, b.Segment) })
	return out
}
