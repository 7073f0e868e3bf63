package clickhouse

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"sort"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/usherhq/usher/analytics"
	"github.com/usherhq/usher/pipeline"
	"github.com/usherhq/usher/pipeline/event"
)

// tally recounts a history in plain Go, one line per period and objective.
func (h *history) tally(period time.Duration) string {
	type sums struct {
		decisions, explored, kept, outcomes, rewarded   int
		reward, squares, weight, weighted, latency, max float64
	}
	groups := map[string]*sums{}
	for _, d := range h.decisions {
		key := fmt.Sprintf("%s %s %s", d.Time.Truncate(period).Format("02T15"), d.Chosen, d.DecidedBy)
		s := groups[key]
		if s == nil {
			s = &sums{}
			groups[key] = s
		}
		s.decisions++
		if d.Explored {
			s.explored++
		}
		if d.Chosen == d.Baseline {
			s.kept++
		}
		for _, o := range h.outcomes {
			if h.attribute(o) == d {
				s.outcomes++
			}
		}
		s.latency += float64(d.Latency)
		s.max = max(s.max, float64(d.Latency))
		ob, ok := h.objectives[d.Objective]
		if reward := h.reward(d, ob); ok && !math.IsNaN(reward) {
			s.rewarded++
			s.reward += reward
			s.squares += reward * reward
			s.weight += 1 / d.Propensity
			s.weighted += reward / d.Propensity
		}
	}
	lines := make([]string, 0, len(groups))
	for key, s := range groups {
		lines = append(lines, fmt.Sprintf("%s: %d %d %d %d %d %.12f %.12f %.12f %.12f %.0f %.0f", key, s.decisions, s.explored, s.kept, s.outcomes,
			s.rewarded, s.reward+0, s.squares, s.weight, s.weighted+0, s.latency, s.max))
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

func storedTally(t *testing.T, r *rapid.T, db *DB, grain analytics.Grain) string {
	t.Helper()
	rows, err := db.Rollups(t.Context(), analytics.RollupQuery{Account: "acme", Grain: grain})
	if err != nil {
		r.Fatal(err)
	}
	lines := make([]string, 0, len(rows))
	for _, x := range rows {
		lines = append(lines, fmt.Sprintf("%s %s %s: %d %d %d %d %d %.12f %.12f %.12f %.12f %d %d", x.Start.Format("02T15"), x.Skill, x.DecidedBy,
			x.Decisions, x.Explored, x.KeptBaseline, x.Outcomes, x.Rewarded, x.RewardSum+0, x.RewardSquares, x.WeightSum, x.WeightedRewardSum+0,
			x.LatencySum, x.LatencyMax))
	}
	sort.Strings(lines)
	return strings.ReplaceAll(strings.ReplaceAll(strings.Join(lines, "\n"), "ns", ""), "ms", "")
}

// TestRollupsEqualARecount lets events arrive late and out of order between
// looks, interrupts looks, repeats events, and compares after every whole look.
func TestRollupsEqualARecount(t *testing.T) {
	db := open(t)
	rapid.Check(t, func(r *rapid.T) {
		h := drawHistory(r)
		for _, d := range h.decisions {
			d.Time = d.Time.Add(time.Duration(rapid.IntRange(0, 3).Draw(r, "days")) * 12 * time.Hour)
			d.Chosen = rapid.SampledFrom([]string{"sales", "care"}).Draw(r, "chosen")
			d.Explored = rapid.Bool().Draw(r, "explored")
			d.Latency = time.Duration(rapid.IntRange(0, 1000).Draw(r, "latency"))
			d.Objective = rapid.SampledFrom([]string{"", "solve", "please"}).Draw(r, "objective")
		}
		empty(t, db)
		clock := epoch.AddDate(0, 0, 2)
		now := func() time.Time { return clock }
		w := NewWriter(db, now, nil)
		roller := newTestRoller(t, db, now)
		seen := &history{objectives: map[string]event.Objective{}}
		for at, arrival := range rapid.Permutation(h.arrivals()).Draw(r, "arrivals") {
			clock = clock.Add(time.Duration(rapid.IntRange(1, 40).Draw(r, "pause")) * time.Second)
			arrival(seen, &pipeline.Block{Topic: "t", First: int64(at), Last: int64(at)}, func(b *pipeline.Block) { write(t, w, b) })
			switch rapid.IntRange(0, 5).Draw(r, "look") {
			case 0:
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rapid.IntRange(1, 30).Draw(r, "interrupted after"))*time.Millisecond)
				_ = roller.RollNow(ctx) // whether it got through is up to chance
				cancel()
				roller = newTestRoller(t, db, now)
			case 1:
				if err := roller.RollNow(t.Context()); err != nil {
					r.Fatal(err)
				}
				seen.now = clock
				compareTallies(t, r, db, seen)
			}
		}
		redeliver(t, r, db, clock)
		clock = clock.Add(time.Duration(rapid.IntRange(1, 3*3600).Draw(r, "silence")) * time.Second)
		if err := roller.RollNow(t.Context()); err != nil {
			r.Fatal(err)
		}
		seen.now = clock
		compareTallies(t, r, db, seen)
	})
}

func newTestRoller(t *testing.T, db *DB, now clock) *Roller {
	t.Helper()
	roller, err := NewRoller(db, RollerConfig{Interval: time.Second, Overlap: time.Second}, RollerDeps{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return roller
}

func compareTallies(t *testing.T, r *rapid.T, db *DB, h *history) {
	t.Helper()
	for grain, period := range map[analytics.Grain]time.Duration{analytics.Hour: time.Hour, analytics.Day: 24 * time.Hour} {
		got, want := merged(storedTally(t, r, db, grain)), merged(h.tally(period))
		if got != want {
			r.Fatalf("%s roll-ups are\n%s\nwant\n%s", grain, got, want)
		}
	}
}

// merged adds up lines of one key: roll-ups have more dimensions than the tally.
func merged(text string) string {
	sums := map[string][]float64{}
	for line := range strings.Lines(text) {
		key, numbers, _ := strings.Cut(strings.TrimSpace(line), ": ")
		for i, field := range strings.Fields(numbers) {
			var v float64
			_, _ = fmt.Sscan(field, &v)
			if i >= len(sums[key]) {
				sums[key] = append(sums[key], 0)
			}
			if i == 10 {
				sums[key][i] = max(sums[key][i], v)
			} else {
				sums[key][i] += v
			}
		}
	}
	lines := make([]string, 0, len(sums))
	for _, key := range sortedKeys(sums) {
		for i, v := range sums[key] {
			sums[key][i] = math.Round(v*1e6)/1e6 + 0 // no negative zero
		}
		lines = append(lines, fmt.Sprint(key, sums[key]))
	}
	return strings.Join(lines, "\n")
}

// arrivals are the events of a history as steps that can come in any order; a
// decision or outcome may come twice.
func (h *history) arrivals() []func(seen *history, b *pipeline.Block, store func(*pipeline.Block)) {
	var steps []func(*history, *pipeline.Block, func(*pipeline.Block))
	for _, d := range h.decisions {
		first := true
		step := func(seen *history, b *pipeline.Block, store func(*pipeline.Block)) {
			b.Decisions = append(b.Decisions, storedAt(b.First, d))
			store(b)
			if first {
				seen.decisions = append(seen.decisions, d)
			}
			first = false
		}
		steps = append(steps, step)
		if len(d.ConversationID)%2 == 0 {
			steps = append(steps, step)
		}
	}
	for _, o := range h.outcomes {
		steps = append(steps, func(seen *history, b *pipeline.Block, store func(*pipeline.Block)) {
			b.Outcomes = append(b.Outcomes, storedAt(b.First, o))
			store(b)
			seen.outcomes = append(seen.outcomes, o)
		})
	}
	for _, name := range sortedKeys(h.objectives) {
		steps = append(steps, func(seen *history, b *pipeline.Block, store func(*pipeline.Block)) {
			value, err := json.Marshal(h.objectives[name])
			if err != nil {
				panic(err)
			}
			b.Topic = "config-" + name // its own log, so that offsets and bases are simple
			b.Config = append(b.Config, storedAt(b.First, &event.ConfigChange{
				ID: name, Account: "acme", Kind: "objective", Name: name, Value: value, Time: epoch,
			}))
			store(b)
			seen.objectives[name] = h.objectives[name]
		})
	}
	return steps
}
