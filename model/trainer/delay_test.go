package trainer

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/usherhq/usher/model"
)

// delays of the service desk's log, real ones; the second result is the share that
// was never resolved.
func delays(t *testing.T) (all []time.Duration, never float64) {
	t.Helper()
	n := 0.0
	for _, in := range incidents(t) {
		if n++; in.resolved.IsZero() {
			never++
			continue
		}
		all = append(all, in.resolved.Sub(in.row.Time))
	}
	return all, never / n
}

// TestMaturityFromTruncatedDelays: seen in the middle of things, with most rows too
// young to have shown a long delay, the estimate finds the real distribution; the
// delays seen so far, taken as they are, do not.
func TestMaturityFromTruncatedDelays(t *testing.T) {
	all, _ := delays(t)
	r := seeded(21)
	const window = 60 * 24 * time.Hour
	now := day.Add(window)
	var rows []*Row
	var seen []time.Duration
	for range 20_000 {
		row := &Row{Time: day.Add(time.Duration(r.Int64N(int64(window))))}
		d := all[r.IntN(len(all))]
		if row.Settled = row.Time.Add(d); row.Settled.Before(now) {
			rows = append(rows, row)
			seen = append(seen, d)
		}
	}
	m := newMaturity(rows, now)
	share := func(of []time.Duration, within time.Duration) float64 {
		n := 0
		for _, d := range of {
			if d <= within {
				n++
			}
		}
		return float64(n) / float64(len(of))
	}
	worst, naive := 0.0, 0.0
	for _, hours := range []int{1, 6, 12, 24, 48, 96, 240, 480} {
		age := time.Duration(hours) * time.Hour
		// Nobody can know of delays longer than the log.
		truth := share(all, age) / share(all, window)
		worst = max(worst, math.Abs(m.within(age)-truth))
		naive = max(naive, math.Abs(share(seen, age)-truth))
	}
	t.Logf("largest error %.3f, of the delays seen %.3f", worst, naive)
	if worst > 0.02 || naive < 2*worst {
		t.Errorf("largest error %.3f, of the delays seen %.3f", worst, naive)
	}
	if m := newMaturity(nil, now); m.within(0) != 1 || m.weight(0) != 1 {
		t.Error("without delays every row stands for itself")
	}
}

// TestOpenRowsAreNotFailures plays the incidents' delays while what is right
// changes: up to two days ago the arm was right in 40 %, since then in 80 %. How
// good it is now shows only in young rows, most of which are open.
func TestOpenRowsAreNotFailures(t *testing.T) {
	all, never := delays(t)
	r := seeded(22)
	const window, changed = 20 * 24 * time.Hour, 2 * 24 * time.Hour
	now := day.Add(window)
	var rows, failed []*Row
	total, n := 0.0, 0.0
	for range 6000 {
		row := &Row{Time: day.Add(time.Duration(r.Int64N(int64(window)))), Chosen: "a", Options: []model.Option{{Key: "a"}, {Key: "b"}}}
		row.ID = row.Time.String()
		young := now.Sub(row.Time) < changed
		chance := 0.4
		if young {
			chance = 0.8
		}
		row.Reward = truth(r.Float64() < chance)
		row.Facts.Attributes = map[string]any{"kind": "x"}
		total, n = total+row.Reward, n+1
		settled := row.Time.Add(all[r.IntN(len(all))])
		if r.Float64() >= never && settled.Before(now) {
			row.Settled, row.Watermark = settled, settled
			rows = append(rows, row)
			failed = append(failed, row)
			continue
		}
		open := *row
		open.Reward = 0
		failed = append(failed, &open)
	}
	total /= n
	learned := func(rows []*Row, open string) float64 {
		copies := make([]*Row, len(rows))
		for i, row := range rows {
			c := *row
			copies[i] = &c
		}
		b := &batch{rows: copies, marks: make([]mark, len(rows))}
		b.mature(Account{OpenRows: open}, now)
		var sum, weights float64
		for _, row := range copies {
			w := max(row.Weight, truth(row.Weight == 0))
			sum, weights = sum+w*row.Reward, weights+w
		}
		return sum / weights
	}
	wait, weigh, failure := learned(rows, ""), learned(rows, WeighOpenRows), learned(failed, "")
	t.Logf("truth %.3f: weighing %.3f, waiting %.3f, open rows as failures %.3f", total, weigh, wait, failure)
	if math.Abs(weigh-total) > 0.015 || math.Abs(weigh-total) > math.Abs(wait-total) || math.Abs(failure-total) < 2*math.Abs(wait-total) {
		t.Errorf("truth %.3f: weighing %.3f, waiting %.3f, open rows as failures %.3f", total, weigh, wait, failure)
	}
}

// TestWeightsReachTheModel: the same rows with open rows weighed make another model,
// and say on the card how mature they are.
func TestWeightsReachTheModel(t *testing.T) {
	all, _ := delays(t)
	cards := map[string]model.Card{}
	for _, open := range []string{"", WeighOpenRows} {
		d := newDesk("acme")
		d.accounts[0].OpenRows = open
		r := seeded(23)
		events := d.decide(r, "acme", 1500)
		for i := range d.decisions["acme"] {
			row := d.decisions["acme"][i]
			row.Time = day.Add(-time.Duration(1500-i) * 4 * time.Minute)
			row.Settled = row.Time.Add(all[r.IntN(len(all))])
			events[i].happened = row.Settled
		}
		events = slices.DeleteFunc(events, func(o outcome) bool { return o.happened.After(d.now) })
		d.arriveAll("acme", events)
		start(t, d, settings()).step(t.Context())
		cards[open] = d.lastCard("acme")
		if c := cards[open]; !(c.Maturity > 0.3 && c.Maturity < 0.95) || c.Rows != int64(len(events)) {
			t.Errorf("%q: maturity %.3f of %d rows", open, c.Maturity, c.Rows)
		}
	}
	if a, b := cards[""], cards[WeighOpenRows]; a.SHA256 == b.SHA256 || a.OpenRows != "WAIT" || b.OpenRows != "WEIGH" {
		t.Errorf("waiting %s %s, weighing %s %s", a.OpenRows, a.SHA256, b.OpenRows, b.SHA256)
	}
}
