package clickhouse

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/usherhq/usher/analytics"
	"github.com/usherhq/usher/pipeline"
	"github.com/usherhq/usher/pipeline/event"
)

// history is a small world of one account.
type history struct {
	decisions  []*event.Decision
	outcomes   []*event.Outcome
	objectives map[string]event.Objective
	now        time.Time
}

// attribute finds the decision that an outcome belongs to: the plain reading of
// what the view attributed_outcomes promises.
func (h *history) attribute(o *event.Outcome) *event.Decision {
	var best *event.Decision
	for _, d := range h.decisions {
		switch {
		case o.DecisionID != "":
			if d.ID == o.DecisionID && !o.Time.Before(d.Time.AddDate(0, 0, -1)) {
				return d
			}
		case o.ConversationID == "" || o.ConversationID != d.ConversationID || o.Time.Before(d.Time):
		case best == nil || d.Time.After(best.Time) || d.Time.Equal(best.Time) && d.ID > best.ID:
			best = d
		}
	}
	return best
}

// reward computes a decision's reward, NaN when it has none.
func (h *history) reward(d *event.Decision, ob event.Objective) float64 {
	sum, counted := ob.Bias, false
	for _, term := range ob.Terms {
		var mine []*event.Outcome
		for _, o := range h.outcomes {
			if o.Kind == term.Kind && h.attribute(o) == d && !o.Time.After(d.Time.Add(ob.Window)) {
				mine = append(mine, o)
			}
		}
		if len(mine) == 0 {
			continue
		}
		counted = true
		slices.SortFunc(mine, func(a, b *event.Outcome) int {
			if c := a.Time.Compare(b.Time); c != 0 {
				return c
			}
			return strings.Compare(a.ID, b.ID)
		})
		sum += term.Weight * aggregate(term.Aggregate, mine)
	}
	switch {
	case counted:
		return min(max(sum, ob.Min), ob.Max)
	case ob.DefaultReward != nil && d.Time.Add(ob.Window).Before(h.now):
		return *ob.DefaultReward
	}
	return math.NaN()
}

func aggregate(how string, sorted []*event.Outcome) float64 {
	switch how {
	case "first":
		return sorted[0].Value
	case "sum", "max":
		total, most := 0.0, math.Inf(-1)
		for _, o := range sorted {
			total, most = total+o.Value, max(most, o.Value)
		}
		if how == "sum" {
			return total
		}
		return most
	}
	return sorted[len(sorted)-1].Value
}

func drawHistory(r *rapid.T) *history {
	h := &history{objectives: map[string]event.Objective{}, now: epoch.Add(2 * time.Hour)}
	minute := func(label string, most int) time.Time {
		// Coarse steps make ties and window ends likely.
		return epoch.Add(time.Duration(rapid.IntRange(0, most/10).Draw(r, label)) * 10 * time.Minute)
	}
	conversation := func() string { return rapid.SampledFrom([]string{"", "c1", "c2", "c3"}).Draw(r, "conversation") }
	n := rapid.IntRange(1, 8).Draw(r, "decisions")
	for i := range n {
		d := decision(fmt.Sprintf("d%d", i), minute("decided", 90))
		d.ConversationID, d.Objective = conversation(), "solve"
		d.Propensity = float64(rapid.IntRange(1, 4).Draw(r, "propensity")) / 4
		h.decisions = append(h.decisions, d)
	}
	kinds := rapid.SampledFrom([]string{"resolved", "csat", "transfers", "noise"})
	for i := range rapid.IntRange(0, 20).Draw(r, "outcomes") {
		o := outcome(fmt.Sprintf("o%02d", i), "crm", minute("happened", 150))
		o.ConversationID, o.DecisionID = conversation(), ""
		if rapid.Bool().Draw(r, "named") {
			o.DecisionID = fmt.Sprintf("d%d", rapid.IntRange(0, n).Draw(r, "decision")) // d<n> does not exist
		}
		o.Kind, o.Value = kinds.Draw(r, "kind"), float64(rapid.IntRange(-2, 5).Draw(r, "value"))
		h.outcomes = append(h.outcomes, o)
	}
	for _, name := range []string{"solve", "please"} {
		ob := event.Objective{Bias: .25, Min: -1, Max: 3, Window: time.Duration(rapid.IntRange(1, 6).Draw(r, "window")) * 10 * time.Minute}
		for range rapid.IntRange(1, 3).Draw(r, "terms") {
			ob.Terms = append(ob.Terms, event.Term{
				Kind: kinds.Draw(r, "term"), Weight: float64(rapid.IntRange(-2, 2).Draw(r, "weight")) / 2,
				Aggregate: rapid.SampledFrom([]string{"", "last", "first", "sum", "max"}).Draw(r, "aggregate"),
			})
		}
		if rapid.Bool().Draw(r, "has default") {
			silence := -.5
			ob.DefaultReward = &silence
		}
		h.objectives[name] = ob
	}
	return h
}

// load stores a history, events in random order of arrival and some of them twice.
func (h *history) load(t *testing.T, r *rapid.T, db *DB) {
	h.loadOnce(t, r, db)
	redeliver(t, r, db, time.Now())
}

// redeliver stores some events again as parts of their own, which stay unmerged: as
// equal rows, and as two processes do in the same instant that were sent the event at
// two times, with other content; at is when. Nothing that is asked may tell the difference.
func redeliver(t *testing.T, r *rapid.T, db *DB, at time.Time) {
	t.Helper()
	salt := rapid.IntRange(0, 7).Draw(r, "which come again")
	for _, statement := range []string{
		"SYSTEM STOP MERGES decisions", "SYSTEM STOP MERGES outcomes",
		"INSERT INTO decisions SELECT * REPLACE (%[3]s AS ingested_at) FROM decisions WHERE cityHash64(decision_id) % 4 != %[1]d",
		"INSERT INTO outcomes SELECT * REPLACE (%[3]s AS ingested_at) FROM outcomes WHERE cityHash64(outcome_id) % 4 != %[1]d",
		`INSERT INTO decisions SELECT * REPLACE (%[3]s AS ingested_at, time + toIntervalMinute(5 + 20 * %[2]d) AS time, 'late' AS chosen, 'late' AS policy,
			[]::Array(LowCardinality(String)) AS policies_true) FROM decisions WHERE cityHash64(decision_id) % 3 != %[2]d`,
		`INSERT INTO outcomes SELECT * REPLACE (%[3]s AS ingested_at, time + toIntervalSecond(90) AS time, value + 3 AS value) FROM outcomes
			WHERE cityHash64(outcome_id) % 3 != %[2]d`,
	} {
		if insert, ok := strings.CutPrefix(statement, "INSERT INTO "); ok {
			table, query, _ := strings.Cut(insert, " ")
			query = strings.NewReplacer("%[1]d", fmt.Sprint(salt%4), "%[2]d", fmt.Sprint(salt%3),
				"%[3]s", fmt.Sprintf("fromUnixTimestamp64Milli(%d, 'UTC')", at.UnixMilli())).Replace(query)
			statement = "INSERT INTO " + table + " SETTINGS insert_deduplicate = 0 " + query
		}
		if err := db.exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

func (h *history) loadOnce(t *testing.T, r *rapid.T, db *DB) {
	w := NewWriter(db, nil, nil)
	offset := int64(0)
	for _, name := range sortedKeys(h.objectives) {
		value, err := json.Marshal(h.objectives[name])
		if err != nil {
			t.Fatal(err)
		}
		change := &event.ConfigChange{ID: name, Account: "acme", Kind: "objective", Name: name, Value: value, Author: "ann", Time: epoch}
		write(t, w, &pipeline.Block{Topic: "config", First: offset, Last: offset, Config: []pipeline.Stored[event.ConfigChange]{storedAt(offset, change)}})
		offset++
	}
	b := &pipeline.Block{Topic: "t"}
	for _, d := range rapid.Permutation(h.decisions).Draw(r, "order of decisions") {
		b.Decisions = append(b.Decisions, storedAt(0, d))
	}
	for _, o := range rapid.Permutation(h.outcomes).Draw(r, "order of outcomes") {
		b.Outcomes = append(b.Outcomes, storedAt(0, o))
	}
	write(t, w, b)
}

// empty truncates every table of events, so that one database serves many checks.
func empty(t *testing.T, db *DB) {
	t.Helper()
	for _, table := range []string{"decisions", "outcomes", "config_log", "ingest_offsets", "rollup_hour_rows", "rollup_day_rows", "rollup_progress"} {
		if err := db.exec(t.Context(), "TRUNCATE TABLE "+table+" SYNC"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRewardsAreWhatTheObjectiveSays(t *testing.T) {
	db := open(t)
	rapid.Check(t, func(r *rapid.T) {
		h := drawHistory(r)
		empty(t, db)
		h.load(t, r, db)
		for name, ob := range h.objectives {
			want := map[string]float64{}
			for _, d := range h.decisions {
				if reward := h.reward(d, ob); !math.IsNaN(reward) {
					want[d.ID] = reward
				}
			}
			got := map[string]float64{}
			last := time.Time{}
			for row, err := range db.TrainingRows(t.Context(), analytics.TrainingQuery{Account: "acme", Objective: name, Now: h.now}) {
				if err != nil {
					r.Fatal(err)
				}
				if row.Time.Before(last) {
					r.Fatalf("row %s is out of order", row.DecisionID)
				}
				last = row.Time
				got[row.DecisionID] = row.Reward
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				r.Fatalf("objective %s: rewards are %v, want %v", name, got, want)
			}
		}
	})
}

func TestViewAndTrainingRowsAgree(t *testing.T) {
	db := open(t)
	silence := 0.0
	h := &history{
		decisions:  []*event.Decision{decision("d1", epoch), decision("d2", epoch)},
		outcomes:   []*event.Outcome{outcome("o1", "crm", epoch.Add(time.Minute))},
		objectives: map[string]event.Objective{"solve": {Terms: []event.Term{{Kind: "resolved", Weight: 1}}, Max: 1, DefaultReward: &silence}},
	}
	rapid.Check(t, func(r *rapid.T) {
		empty(t, db)
		h.load(t, r, db)
		got := scalar[string](t, db, "SELECT toString(groupArray((objective, decision_id, reward, silent, own))) FROM (SELECT * FROM decision_outcomes ORDER BY decision_id)")
		if got != "[('solve','d1',1,0,1),('solve','d2',0,1,1)]" {
			r.Fatalf("the view says %s", got)
		}
	})
}

func TestTrainingRowsCarryWhatWasLogged(t *testing.T) {
	db := open(t)
	d := decision("d1", epoch)
	h := &history{
		decisions:  []*event.Decision{d, decision("d2", epoch.Add(time.Second))},
		outcomes:   []*event.Outcome{outcome("o1", "crm", epoch.Add(time.Minute))},
		objectives: map[string]event.Objective{"solve": {Terms: []event.Term{{Kind: "resolved", Weight: 1}}, Max: 1}},
	}
	w := NewWriter(db, nil, nil)
	value, err := json.Marshal(h.objectives["solve"])
	if err != nil {
		t.Fatal(err)
	}
	change := &event.ConfigChange{ID: "k", Account: "acme", Kind: "objective", Name: "solve", Value: value, Time: epoch}
	write(t, w, &pipeline.Block{
		Topic:     "t",
		Config:    []pipeline.Stored[event.ConfigChange]{storedAt(0, change)},
		Decisions: []pipeline.Stored[event.Decision]{storedAt(0, h.decisions[0]), storedAt(1, h.decisions[1])},
		Outcomes:  []pipeline.Stored[event.Outcome]{storedAt(0, h.outcomes[0])},
	})
	q := analytics.TrainingQuery{Account: "acme", Objective: "solve"}
	var rows []*analytics.TrainingRow
	for row, err := range db.TrainingRows(t.Context(), q) {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	if len(rows) != 1 {
		t.Fatalf("%d rows", len(rows))
	}
	got := rows[0]
	if age := time.Since(got.KnownAt); age < 0 || age > time.Minute {
		t.Errorf("known at %v", got.KnownAt)
	}
	got.KnownAt = time.Time{}
	want := &analytics.TrainingRow{
		DecisionID: "d1", ConversationID: "c-d1", Time: epoch, Channel: "chat", Intent: "refund",
		Attributes: map[string]any{"tier": "gold", "age": 41.5, "vip": true, "tags": []string{"a", "1"}},
		Skills:     map[string]event.Skill{"sales": {AgentsOnline: 3, QueueSize: 7, Load: .5, WaitSeconds: 12}},
		ChosenType: "SKILL", Chosen: "sales", ChosenAttributes: map[string]any{"cost": 2.0}, Propensity: .75,
		DecidedBy: event.DecidedByModel, Baseline: "care", PolicyOnly: "care", ModelOnly: "sales", Policy: "vip", ModelVersion: "m1", Mode: "ON",
		CandidateKeys: []string{"sales", "care"}, CandidateEligible: []bool{true, true}, CandidateProbabilities: []float64{.75, .25},
		Reward: 1, Outcomes: 1, RewardTime: epoch.Add(time.Minute),
	}
	if a, b := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); a != b {
		t.Errorf("the row is\n%s, want\n%s", a, b)
	}
	for name, q := range map[string]analytics.TrainingQuery{
		"another account": {Account: "other", Objective: "solve"}, "another objective": {Account: "acme", Objective: "x"},
		"nothing new": {Account: "acme", Objective: "solve", Since: time.Now().Add(time.Minute)},
		"too late":    {Account: "acme", Objective: "solve", From: epoch.Add(time.Millisecond)},
		"too early":   {Account: "acme", Objective: "solve", To: epoch},
	} {
		for row := range db.TrainingRows(t.Context(), q) {
			t.Errorf("%s: got %+v", name, row)
		}
	}
	for range db.TrainingRows(t.Context(), q) {
		break // the iterator must end its query
	}
}

// Rivals of one revision: the first in log order wins, whatever comes later.
func TestObjectivesFoldLikeTheConfigLog(t *testing.T) {
	db := open(t)
	w := NewWriter(db, nil, nil)
	value := func(bias float64) []byte { return fmt.Appendf(nil, `{"bias":%v,"max":2,"terms":[]}`, bias) }
	changes := []*event.ConfigChange{
		{Name: "a", Base: 0, Value: value(.1)}, // 0: accepted, revision 1
		{Name: "a", Base: 0, Value: value(.2)}, // 1: stale
		{Name: "b", Base: 0, Value: value(.3)}, // 2: accepted, revision 3
		{Name: "a", Base: 1, Value: value(.4)}, // 3: accepted, revision 4
		{Name: "a", Base: 1, Value: value(.5)}, // 4: stale
		{Name: "b", Base: 3, Deleted: true},    // 5: accepted
		{Name: "c", Base: 7, Value: value(.6)}, // 6: stale, it never existed
		{Name: "d", Base: 0, Deleted: true},    // 7: stale, it does not exist
		{Name: "b", Base: 6, Value: value(.7)}, // 8: stale, it exists no more
		{Name: "e", Base: 0, Value: value(.8)}, // 9: accepted, revision 10
		{Name: "e", Base: 10, Deleted: true},   // 10: accepted
		{Name: "e", Base: 0, Value: value(.9)}, // 11: accepted, revision 12
	}
	b := &pipeline.Block{Topic: "usher.config", Last: int64(len(changes) - 1)}
	for i, c := range changes {
		c.ID, c.Account, c.Kind, c.Time = fmt.Sprint(i), "acme", "objective", epoch
		b.Config = append(b.Config, storedAt(int64(i), c))
	}
	write(t, w, b)
	if got := scalar[string](t, db, "SELECT toString(groupArray((objective, revision, bias, highest))) FROM (SELECT * FROM objectives ORDER BY objective)"); got != "[('a',4,0.4,2),('e',12,0.9,2)]" {
		t.Errorf("the objectives are %s", got)
	}
}
