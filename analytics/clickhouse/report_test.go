package clickhouse

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/usherhq/usher/analytics"
	"github.com/usherhq/usher/pipeline/event"
)

// The report is what a plain recount of a small world gives, whatever the
// objective and the time.
func TestPolicyReportIsARecount(t *testing.T) {
	db := open(t)
	rapid.Check(t, func(r *rapid.T) {
		h := drawHistory(r)
		for i, d := range h.decisions {
			drawMatches(r, d)
			d.Time = d.Time.Add(time.Duration(i) * time.Millisecond) // no two of a conversation at once
		}
		for i, o := range h.outcomes { // nor two of a kind
			o.Time = o.Time.Add(time.Duration(len(h.decisions)+i) * time.Millisecond)
		}
		empty(t, db)
		h.load(t, r, db)
		var again []*event.Decision // requests that another replica decided a second later, too
		for _, d := range h.decisions {
			if rapid.Bool().Draw(r, "again") {
				later := *d
				later.Time, later.Policies = d.Time.Add(time.Second), nil
				again = append(again, &later)
			}
		}
		keepAgain(t, db, again)
		q := analytics.PolicyReportQuery{
			Account: "acme", Objective: rapid.SampledFrom([]string{"solve", "please"}).Draw(r, "objective"),
			From: epoch, To: epoch.Add(60 * time.Minute), Grain: analytics.Hour, Now: h.now,
		}
		got, err := db.PolicyReport(t.Context(), q)
		if err != nil {
			r.Fatal(err)
		}
		want := h.recount(q)
		if g, w := describe(got), describe(want); g != w {
			r.Fatalf("the report is\n%s, want\n%s", g, w)
		}
	})
}

func drawMatches(r *rapid.T, d *event.Decision) {
	d.Policies, d.Policy = nil, ""
	for _, name := range []string{"ban", "vip", "rest"} {
		state := rapid.SampledFrom([]event.Truth{event.True, event.False, event.Unknown}).Draw(r, name)
		trace := event.PolicyTrace{Policy: name, State: state}
		if state == event.Unknown {
			trace.Conditions = []event.ConditionTrace{
				{Attribute: "tier", Truth: event.Unknown},
				{Attribute: "age", Truth: event.True},
				{Attribute: "crm.a, crm.b", Operator: "cel", Truth: event.Unknown, Cause: "missing: crm.b"},
			}
		}
		if state == event.True && name != "ban" {
			d.Policy = name
		}
		d.Policies = append(d.Policies, trace)
	}
	if d.Policy == "" && rapid.Bool().Draw(r, "has default") {
		d.Policies = append(d.Policies, event.PolicyTrace{Policy: "default", State: event.True})
	}
	d.Baseline = rapid.SampledFrom([]string{"", "sales", "care"}).Draw(r, "baseline")
}

// recount is the plain reading of what a report promises.
func (h *history) recount(q analytics.PolicyReportQuery) *analytics.PolicyReport {
	out := &analytics.PolicyReport{Policies: map[string]*analytics.PolicyCounts{}}
	unknown := map[string]*analytics.UnknownAttribute{}
	for _, d := range h.decisions {
		if d.Time.Before(q.From) || !d.Time.Before(q.To) {
			continue
		}
		out.Decisions++
		into := []*analytics.PolicyCounts{&out.All}
		if d.Baseline == d.Chosen {
			into = append(into, &out.Baseline)
		}
		for _, name := range matchedBy(d) {
			if out.Policies[name] == nil {
				out.Policies[name] = &analytics.PolicyCounts{}
			}
			into = append(into, out.Policies[name])
		}
		if d.Policy == "" && !slices.Contains(matchedBy(d), "default") {
			out.Unmatched++
		}
		for _, c := range into {
			h.count(c, d, h.objectives[q.Objective])
		}
		countUnknown(unknown, d)
	}
	for _, u := range unknown {
		out.Unknown = append(out.Unknown, *u)
	}
	return out
}

func matchedBy(d *event.Decision) []string {
	var names []string
	for _, p := range d.Policies {
		if p.State == event.True {
			names = append(names, p.Policy)
		}
	}
	return names
}

func (h *history) count(c *analytics.PolicyCounts, d *event.Decision, ob event.Objective) {
	c.Matches++
	if c.Periods == nil {
		c.Periods = map[time.Time]uint64{}
	}
	c.Periods[d.Time.Truncate(time.Hour)]++
	one := func(v float64) analytics.Sample { return analytics.Sample{N: 1, Mean: v, Min: v, Max: v} }
	if reward := h.reward(d, ob); !math.IsNaN(reward) {
		c.Reward.Add(one(reward))
	}
	for _, o := range h.outcomes {
		if h.attribute(o) == d {
			if c.Outcomes == nil {
				c.Outcomes = map[string]analytics.Sample{}
			}
			sum := c.Outcomes[o.Kind]
			sum.Add(one(o.Value))
			c.Outcomes[o.Kind] = sum
		}
	}
}

func countUnknown(into map[string]*analytics.UnknownAttribute, d *event.Decision) {
	seen := map[string]bool{}
	for _, p := range d.Policies {
		if p.State != event.Unknown {
			continue
		}
		for _, name := range []string{"tier", "crm.b"} {
			if into[name] == nil {
				into[name] = &analytics.UnknownAttribute{Attribute: name}
			}
			if u := into[name]; !slices.Contains(u.Policies, p.Policy) {
				u.Policies = append(u.Policies, p.Policy)
				slices.Sort(u.Policies)
			}
			if !seen[name] {
				into[name].Decisions++
			}
			seen[name] = true
		}
	}
}

// describe writes a report so that two equal ones read the same.
func describe(r *analytics.PolicyReport) string {
	sample := func(s analytics.Sample) string {
		return fmt.Sprintf("%d x %g ± %g (%g..%g)", s.N, math.Round(s.Mean*1e6)+0, math.Round(s.Squares*1e6)+0, s.Min, s.Max)
	}
	counts := func(c *analytics.PolicyCounts) string {
		text := fmt.Sprintf("%d %v reward %s", c.Matches, c.Periods, sample(c.Reward))
		for _, kind := range sortedKeys(c.Outcomes) {
			text += " " + kind + " " + sample(c.Outcomes[kind])
		}
		return text
	}
	text := fmt.Sprintf("%d, %d unmatched\nall %s\nbaseline %s\n", r.Decisions, r.Unmatched, counts(&r.All), counts(&r.Baseline))
	for _, name := range sortedKeys(r.Policies) {
		text += name + " " + counts(r.Policies[name]) + "\n"
	}
	slices.SortFunc(r.Unknown, func(a, b analytics.UnknownAttribute) int {
		return int(a.Attribute[0]) - int(b.Attribute[0])
	})
	return text + fmt.Sprint(r.Unknown)
}
