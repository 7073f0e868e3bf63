package clickhouse

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/usherhq/usher/analytics"
	"github.com/usherhq/usher/pipeline"
	"github.com/usherhq/usher/pipeline/event"
)

// laddered is a decision of a scope on a side, and what came of it; -1 is nothing yet.
type laddered struct {
	id, mode, reason, policy, policyOnly, modelOnly, baseline string
	minute                                                    int
	value                                                     float64
}

func ladderStore(t *testing.T, list []laddered) *DB {
	t.Helper()
	db := open(t)
	b := &pipeline.Block{Topic: "t", Last: 100, Config: []pipeline.Stored[event.ConfigChange]{storedAt(0, &event.ConfigChange{
		ID: "k", Account: "acme", Kind: "objective", Name: "default", Time: epoch, Author: "ann",
		Value: []byte(`{"terms":[{"kind":"resolved","weight":1,"aggregate":"last"}],"min":0,"max":1}`),
	})}}
	for i, l := range list {
		d := decision(l.id, epoch.Add(time.Duration(l.minute)*time.Minute))
		d.Mode, d.Policy, d.PolicyOnly, d.ModelOnly, d.Baseline = l.mode, l.policy, l.policyOnly, l.modelOnly, l.baseline
		d.Reasons, d.ModelVersion, d.Objective = []string{l.reason, "POLICY_DEFAULT"}, "m1", "default"
		b.Decisions = append(b.Decisions, storedAt(int64(1+i), d))
		if l.value >= 0 {
			for _, kind := range []string{"resolved", "csat"} {
				o := outcome(kind+l.id, "crm", d.Time.Add(time.Second))
				o.DecisionID, o.Kind, o.Value = l.id, kind, l.value
				if kind == "csat" {
					o.Value = 5 * l.value
				}
				b.Outcomes = append(b.Outcomes, storedAt(int64(50+i), o))
			}
		}
	}
	write(t, NewWriter(db, nil, nil), b)
	return db
}

// Each decision is of one scope alone, on the side that its reasons tell, under the
// modes and in the time asked for, with the reward or the value of a kind.
func TestLadderRows(t *testing.T) {
	db := ladderStore(t, []laddered{
		{"d1", "COMPARE", "MODEL_RANKED", "", "a", "b", "", 0, 1},
		{"d2", "COMPARE", "COMPARE_POLICY", "", "a", "a", "", 1, 0.5},
		{"d3", "COMPARE", "EXPLORED", "", "a", "a", "", 2, 0},
		{"d4", "HOLDOUT", "HOLDOUT", "", "a", "a", "", 3, 1},
		{"d5", "COMPARE", "FALLBACK_NO_MODEL", "", "a", "", "", 4, 1},
		{"d6", "COMPARE", "MODEL_RANKED", "gold", "a", "a", "", 5, 1},
		{"d7", "COMPARE", "MODEL_RANKED", "", "s", "a", "a", 6, 1},
		{"d8", "COMPARE", "MODEL_RANKED", "", "a", "a", "", 7, -1},
	})
	own := analytics.LadderQuery{Account: "acme", Objective: "default", OtherPolicies: []string{"gold"}, OtherSkills: []string{"s"}}
	with := func(change func(q *analytics.LadderQuery)) analytics.LadderQuery {
		q := own
		change(&q)
		return q
	}
	for name, c := range map[string]struct {
		query analytics.LadderQuery
		want  []string
	}{
		"account":        {own, []string{"m 1", "p 0.5", "m 0", "p 1", "- 1"}},
		"in COMPARE":     {with(func(q *analytics.LadderQuery) { q.Modes = []string{"COMPARE"} }), []string{"m 1", "p 0.5", "m 0", "- 1"}},
		"from and to":    {with(func(q *analytics.LadderQuery) { q.From, q.To = epoch.Add(time.Minute), epoch.Add(3*time.Minute) }), []string{"p 0.5", "m 0"}},
		"policy":         {with(func(q *analytics.LadderQuery) { q.Policy, q.OtherPolicies, q.OtherSkills = "gold", nil, nil }), []string{"m 1"}},
		"skill":          {with(func(q *analytics.LadderQuery) { q.Skill, q.OtherSkills = "s", nil }), []string{"m 1"}},
		"a kind":         {with(func(q *analytics.LadderQuery) { q.Kind = "csat" }), []string{"m 5", "p 2.5", "m 0", "p 5", "- 5"}},
		"everybody":      {analytics.LadderQuery{Account: "acme", Objective: "default"}, []string{"m 1", "p 0.5", "m 0", "p 1", "- 1", "m 1", "m 1"}},
		"nobody":         {analytics.LadderQuery{Account: "other", Objective: "default"}, nil},
		"no such kind":   {with(func(q *analytics.LadderQuery) { q.Kind = "sale" }), nil},
		"the newest two": {with(func(q *analytics.LadderQuery) { q.Limit = 2; q.OtherPolicies, q.OtherSkills = nil, nil }), []string{"m 1", "m 1"}},
	} {
		var got []string
		for r, err := range db.LadderRows(t.Context(), c.query) {
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			side := "-"
			if r.Model {
				side = "m"
			} else if r.Policy {
				side = "p"
			}
			got = append(got, fmt.Sprintf("%s %g", side, r.Value))
		}
		if name == "the newest two" { // all came in one block: which two is not said
			if len(got) != 2 {
				t.Errorf("%s: %v", name, got)
			}
			continue
		}
		slices.Sort(got)
		slices.Sort(c.want)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	for want, q := range map[[2]int64]analytics.LadderQuery{
		{4, 5}: with(func(q *analytics.LadderQuery) { q.Limit = 100 }), // all with a choice of the model but d1
		{1, 1}: with(func(q *analytics.LadderQuery) { q.Limit, q.Skill, q.OtherSkills = 100, "s", nil }),
	} {
		same, rows, err := db.LadderMatch(t.Context(), q)
		if err != nil || same != want[0] || rows != want[1] {
			t.Errorf("%+v: %d of %d (%v), want %v", q, same, rows, err, want)
		}
	}
}
