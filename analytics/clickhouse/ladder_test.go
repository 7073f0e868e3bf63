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
		"a kind":         {with(func(q *analytics.LadderQuery) { q.Kind = "csat" }), []string{"m 5", "p 2.5", "m 0", "p 5", "- 5", "m 0"}},
		"rated":          {with(func(q *analytics.LadderQuery) { q.Kind, q.Rated = "csat", true }), []string{"m 5", "p 2.5", "m 0", "p 5", "- 5"}},
		"everybody":      {analytics.LadderQuery{Account: "acme", Objective: "default"}, []string{"m 1", "p 0.5", "m 0", "p 1", "- 1", "m 1", "m 1"}},
		"nobody":         {analytics.LadderQuery{Account: "other", Objective: "default"}, nil},
		"no such kind":   {with(func(q *analytics.LadderQuery) { q.Kind = "sale" }), []string{"m 0", "p 0", "m 0", "p 0", "- 0", "m 0"}},
		"none rated":     {with(func(q *analytics.LadderQuery) { q.Kind, q.Rated = "sale", true }), nil},
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

// moved is a decision of a conversation with the minutes at which it and its events of
// kind "moved" came; offset is the place in the log, and with it what is stored when.
type moved struct {
	id, conversation, reason string
	minute                   int
	events                   []int
}

// Where silence has a value a decision counts when its window is over, in the order in
// which windows close, be it silent or not; what comes after the window does not count.
func TestLadderWaitsForTheWindow(t *testing.T) {
	db := open(t)
	b := &pipeline.Block{Topic: "t", Last: 100}
	for i, o := range []struct{ name, silence string }{{"quick", `,"default_reward":0.25`}, {"heard", ""}} {
		b.Config = append(b.Config, storedAt(int64(i), &event.ConfigChange{
			ID: "k" + o.name, Account: "acme", Kind: "objective", Name: o.name, Time: epoch, Author: "ann",
			Value: []byte(`{"terms":[{"kind":"moved","weight":1,"aggregate":"sum"}],"min":0,"max":9,"window_ns":3600000000000` + o.silence + `}`),
		}))
	}
	for i, m := range []moved{
		{"d1", "c1", "MODEL_RANKED", 0, nil},
		{"d2", "c1", "MODEL_RANKED", 10, []int{11, 12, 13}},
		{"d3", "c2", "COMPARE_POLICY", 20, []int{21, 90}},
		{"d4", "c3", "COMPARE_POLICY", 40, []int{41}},
	} {
		at := func(minute int) time.Time { return epoch.Add(time.Duration(minute) * time.Minute) }
		d := decision(m.id, at(m.minute))
		d.ConversationID, d.Policy, d.PolicyOnly, d.Reasons, d.Mode = m.conversation, "", "a", []string{m.reason}, "COMPARE"
		b.Decisions = append(b.Decisions, pipeline.Stored[event.Decision]{Value: d, Offset: int64(2 + i), Time: d.Time})
		for j, minute := range m.events {
			o := outcome(fmt.Sprint(m.id, j), "crm", at(minute))
			o.DecisionID, o.Kind, o.Value = m.id, "moved", 1
			b.Outcomes = append(b.Outcomes, pipeline.Stored[event.Outcome]{Value: o, Offset: int64(10*i + j + 10), Time: o.Time})
		}
	}
	write(t, NewWriter(db, nil, nil), b)
	for name, c := range map[string]struct {
		query  analytics.LadderQuery
		minute int // of the clock
		want   []string
	}{
		"no window is over":    {analytics.LadderQuery{Objective: "quick"}, 50, nil},
		"the first is":         {analytics.LadderQuery{Objective: "quick"}, 61, []string{"m 0.25"}},
		"three are":            {analytics.LadderQuery{Objective: "quick"}, 85, []string{"m 0.25", "m 3", "p 1"}},
		"all are":              {analytics.LadderQuery{Objective: "quick"}, 200, []string{"m 0.25", "m 3", "p 1", "p 1"}},
		"silence says nothing": {analytics.LadderQuery{Objective: "heard"}, 50, []string{"m 3", "p 1", "p 1"}},
		"counted, none over":   {analytics.LadderQuery{Objective: "heard", Kind: "moved"}, 50, nil},
		"counted":              {analytics.LadderQuery{Objective: "heard", Kind: "moved"}, 85, []string{"m 0", "m 3", "p 1"}},
		"rated":                {analytics.LadderQuery{Objective: "heard", Kind: "moved", Rated: true}, 50, []string{"m 1", "p 1", "p 1"}},
		"means by talk":        {analytics.LadderQuery{Objective: "quick", Conversations: true}, 200, []string{"m 1.625", "p 1", "p 1"}},
		"sums by talk":         {analytics.LadderQuery{Objective: "quick", Conversations: true, Kind: "moved"}, 200, []string{"m 3", "p 1", "p 1"}},
		"the newest by talk":   {analytics.LadderQuery{Objective: "quick", Conversations: true, Limit: 1}, 75, []string{"m 1.625"}},
	} {
		c.query.Account, c.query.Now = "acme", epoch.Add(time.Duration(c.minute)*time.Minute)
		var got []string
		for r, err := range db.LadderRows(t.Context(), c.query) {
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			got = append(got, fmt.Sprintf("%s %g", map[bool]string{true: "m", false: "p"}[r.Model], r.Value))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// A request that was decided at two times is one in the match rate.
func TestLadderMatchCountsAPairOnce(t *testing.T) {
	db := ladderStore(t, []laddered{
		{"d1", "SHADOW", "MODEL_RANKED", "", "a", "b", "", 0, -1},
		{"d1", "SHADOW", "MODEL_RANKED", "", "a", "b", "", 1, -1},
		{"d2", "SHADOW", "MODEL_RANKED", "", "a", "a", "", 2, -1},
	})
	same, rows, err := db.LadderMatch(t.Context(), analytics.LadderQuery{Account: "acme", Objective: "default", Limit: 100})
	if err != nil || same != 1 || rows != 2 {
		t.Errorf("%d of %d (%v), want 1 of 2", same, rows, err)
	}
}
