package replay

import (
	"cmp"
	"reflect"
	"slices"
	"strings"

	"github.com/usherhq/usher/model/evaluate"
	"github.com/usherhq/usher/pipeline/event"
)

// tally counts the rows of one worker.
type tally struct {
	decisions, changed int64
	skipped            map[string]int64
	causes             map[Cause]int64
	routes             map[Route]int64
	wanted             int
	examples           []*Change // newest first
	ope                evaluate.OPE
	rewards            int64
	rewardSum          float64
	unsupported        float64
}

// maxRoutes bounds the routes that are told apart; more share one that is empty.
const maxRoutes = 10_000

func newTally(examples int) *tally {
	return &tally{skipped: map[string]int64{}, causes: map[Cause]int64{}, routes: map[Route]int64{}, wanted: examples}
}

func (t *tally) change(c *Change, causes []Cause) {
	t.changed++
	for _, cause := range causes {
		t.causes[cause]++
	}
	key := c.Route
	if _, known := t.routes[key]; !known && len(t.routes) >= maxRoutes {
		key = Route{}
	}
	t.routes[key]++
	t.keep(c)
}

// keep holds the newest examples.
func (t *tally) keep(c *Change) {
	at, _ := slices.BinarySearchFunc(t.examples, c, newestFirst)
	if at >= t.wanted {
		return
	}
	t.examples = slices.Insert(t.examples, at, c)
	if len(t.examples) > t.wanted {
		t.examples = t.examples[:t.wanted]
	}
}

func newestFirst(a, b *Change) int {
	return cmp.Or(b.Time.Compare(a.Time), strings.Compare(b.ID, a.ID))
}

// reward takes in what the logged action brought, and how likely the draft takes it.
func (t *tally) reward(d, out *event.Decision, reward float64) {
	t.rewards++
	t.rewardSum += reward
	if !(d.Propensity > 0) || d.Chosen == "" {
		// Nothing was drawn: nothing can be weighed, and the draft is on its own.
		t.unsupported++
		return
	}
	target := 0.0
	logged := logProbabilities(d)
	same := routeOf(d).equal(routeOf(out))
	for i := range out.Candidates {
		c := &out.Candidates[i]
		if !(c.Probability > 0) {
			continue
		}
		key := c.Key()
		// Under one key two answers can differ, in their messages for instance.
		differs := key == d.Chosen && d.Chosen == out.Chosen && !same
		if key == d.Chosen && !differs {
			target += c.Probability
		}
		if differs || !(logged[key] > 0) {
			t.unsupported += c.Probability
		}
	}
	if out.Chosen == "" {
		t.unsupported++
	}
	t.ope.Add(evaluate.Observation{Reward: reward, Logged: min(d.Propensity, 1), Target: min(target, 1)})
}

func logProbabilities(d *event.Decision) map[string]float64 {
	p := make(map[string]float64, len(d.Candidates))
	for i := range d.Candidates {
		p[d.Candidates[i].Key()] = d.Candidates[i].Probability
	}
	return p
}

func sameAction(a, b event.Action) bool {
	return a.Type == b.Type && a.Target == b.Target && (len(a.Payload) == 0 && len(b.Payload) == 0 || reflect.DeepEqual(a.Payload, b.Payload))
}

// merged adds the workers up.
func merged(parts []*tally, p *Plan) *Result {
	sum := newTally(p.Examples)
	for _, t := range parts {
		sum.decisions += t.decisions
		sum.changed += t.changed
		for cause, n := range t.skipped {
			sum.skipped[cause] += n
		}
		for cause, n := range t.causes {
			sum.causes[cause] += n
		}
		for route, n := range t.routes {
			sum.routes[route] += n
		}
		for _, c := range t.examples {
			sum.keep(c)
		}
		sum.ope.Merge(&t.ope)
		sum.rewards += t.rewards
		sum.rewardSum += t.rewardSum
		sum.unsupported += t.unsupported
	}
	r := &Result{Decisions: sum.decisions, Changed: sum.changed, Skipped: sum.skipped, Estimate: sum.estimate(p)}
	for cause, n := range sum.causes {
		r.Conditions = append(r.Conditions, ConditionChange{cause, n})
	}
	slices.SortFunc(r.Conditions, func(a, b ConditionChange) int { return byCount(a.Changed, b.Changed, a.Cause, b.Cause) })
	for route, n := range sum.routes {
		r.Routes = append(r.Routes, RouteChange{route, n})
	}
	slices.SortFunc(r.Routes, func(a, b RouteChange) int { return byCount(a.Changed, b.Changed, a.Route, b.Route) })
	for _, c := range sum.examples {
		r.Examples = append(r.Examples, *c)
	}
	return r
}
