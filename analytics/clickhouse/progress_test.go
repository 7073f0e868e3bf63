package clickhouse

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/usherhq/usher/analytics"
	"github.com/usherhq/usher/pipeline"
	"github.com/usherhq/usher/pipeline/event"
)

// TestTrainingProgressCountsWhatIsRead: as many rows as training reads, for an
// objective that silence teaches nothing and for one that it does.
func TestTrainingProgressCountsWhatIsRead(t *testing.T) {
	db := open(t)
	silence := 0.0
	objectives := map[string]event.Objective{
		"plain":   {Terms: []event.Term{{Kind: "resolved", Weight: 1}, {Kind: "csat", Weight: 1}}, Max: 1, Window: time.Hour},
		"default": {Terms: []event.Term{{Kind: "resolved", Weight: 1}}, Max: 1, Window: time.Hour, DefaultReward: &silence},
	}
	if p, err := db.TrainingProgress(t.Context(), analytics.TrainingQuery{Account: "acme", Objective: "plain"}); err != nil || p.Rows != 0 || !p.KnownAt.IsZero() {
		t.Fatalf("before anything came: %+v, %v", p, err)
	}
	b := &pipeline.Block{Topic: "t", Last: 100}
	for _, name := range sortedKeys(objectives) {
		value, err := json.Marshal(objectives[name])
		if err != nil {
			t.Fatal(err)
		}
		b.Config = append(b.Config, storedAt(int64(len(b.Config)), &event.ConfigChange{
			ID: name, Account: "acme", Kind: "objective", Name: name, Value: value, Time: epoch,
		}))
	}
	for i := range 40 { // one a minute; d00 to d29 are older than the window at the end
		b.Decisions = append(b.Decisions, storedAt(int64(i), decision(fmt.Sprintf("d%02d", i), epoch.Add(time.Duration(i)*time.Minute))))
	}
	add := func(kind, decision, conversation string, minute int) {
		o := outcome(fmt.Sprint(len(b.Outcomes)), "crm", epoch.Add(time.Duration(minute)*time.Minute))
		o.Kind, o.DecisionID, o.ConversationID = kind, decision, conversation
		b.Outcomes = append(b.Outcomes, storedAt(int64(len(b.Outcomes)), o))
	}
	add("resolved", "d01", "", 5)
	add("csat", "d01", "", 6)       // the same row
	add("resolved", "", "c-d02", 7) // by its conversation
	add("csat", "d03", "", 8)       // of one objective only
	add("transfers", "d04", "", 9)  // of no objective
	add("resolved", "nobody", "", 10)
	add("resolved", "", "c-nobody", 10)
	add("resolved", "d35", "", 40) // not silent, and not older than the window
	add("csat", "d36", "", 40)
	add("resolved", "", "c-d37", 41)
	write(t, NewWriter(db, nil, nil), b)
	for name, want := range map[string]uint64{"plain": 6, "default": 32, "gone": 0} {
		q := analytics.TrainingQuery{Account: "acme", Objective: name, Now: epoch.Add(90 * time.Minute)}
		p, err := db.TrainingProgress(t.Context(), q)
		if age := time.Since(p.KnownAt); err != nil || p.Rows != want || age < 0 || age > time.Minute {
			t.Errorf("%s: progress %+v (%v), want %d rows", name, p, err, want)
		}
		var read uint64
		for _, err := range db.TrainingRows(t.Context(), q) {
			if err != nil {
				t.Fatal(err)
			}
			read++
		}
		if read != want {
			t.Errorf("%s: %d rows are read, want %d", name, read, want)
		}
	}
	q := analytics.TrainingQuery{Account: "acme", Objective: "plain", From: epoch.Add(3 * time.Minute)}
	if p, err := db.TrainingProgress(t.Context(), q); err != nil || p.Rows != 4 {
		t.Errorf("since the third: %+v, %v", p, err)
	}
	q.Account = "nobody"
	if p, err := db.TrainingProgress(t.Context(), q); err != nil || p.Rows != 0 || !p.KnownAt.IsZero() {
		t.Errorf("of nobody: %+v, %v", p, err)
	}
}

// BenchmarkTrainingProgress asks about a million decisions, half of them with an
// outcome that names one and half with one that names a conversation.
func BenchmarkTrainingProgress(b *testing.B) {
	db := open(b)
	fill := []string{
		`INSERT INTO decisions (account, decision_id, conversation_id, time, chosen, ingested_at)
			SELECT 'acme', toString(generateUUIDv4(number)), concat('c-', hex(cityHash64(number))),
				toDateTime64('2026-03-02 10:30:00', 3) + number, 'sales', now64(3) FROM numbers(1000000)`,
		`INSERT INTO outcomes (account, source, outcome_id, decision_id, conversation_id, kind, value, time, ingested_at)
			SELECT account, 'crm', decision_id, if(cityHash64(decision_id) % 2 = 0, decision_id, ''), conversation_id, 'resolved', 1, time + 60, now64(3)
			FROM decisions`,
		`INSERT INTO config_log (account, kind, name, change_id, base, value, offset)
			SELECT 'acme', 'objective', name, name, 0, value, number FROM values('number Int64, name String, value String',
				(0, 'plain', '{"terms":[{"kind":"resolved","weight":1}],"window_ns":86400000000000}'),
				(1, 'default', '{"terms":[{"kind":"resolved","weight":1}],"window_ns":86400000000000,"default_reward":0}'))`,
	}
	for _, statement := range fill {
		if err := db.exec(b.Context(), statement); err != nil {
			b.Fatal(err)
		}
	}
	for _, objective := range []string{"plain", "default"} {
		b.Run(objective, func(b *testing.B) {
			q := analytics.TrainingQuery{Account: "acme", Objective: objective, Now: epoch.Add(1_000_000 * time.Second)}
			var p analytics.TrainingProgress
			for b.Loop() {
				var err error
				if p, err = db.TrainingProgress(b.Context(), q); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(p.Rows), "rows")
		})
	}
}
