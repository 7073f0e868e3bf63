package clickhouse

import (
	"fmt"
	"testing"
	"time"

	"github.com/usherhq/usher/analytics"
	"github.com/usherhq/usher/pipeline/event"
)

// million is a log of a million decisions of a week, each with an outcome by its
// conversation, in four parts.
func million(b *testing.B) *DB {
	b.Helper()
	db := open(b)
	statements := []string{`INSERT INTO config_log (account, kind, name, change_id, base, value, offset, time)
		SELECT 'acme', 'objective', 'default', 'k', 0,
			'{"terms":[{"kind":"resolved","weight":1,"aggregate":"last"}],"bias":0,"min":0,"max":1,"window_ns":86400000000000}', 0, now64(3)`}
	for range 4 {
		statements = append(statements, `INSERT INTO decisions (account, decision_id, event_key, time, conversation_id, policy, chosen, baseline,
				objective, propensity, policies_true, policies_false, policies_unknown, policies_error, unknown_attributes, unknown_policies,
				decided_by, record, ingested_at)
			WITH (SELECT count() FROM decisions) AS before, before + number AS n
			SELECT 'acme', toString(generateUUIDv7()), n, toDateTime64('2026-03-02 00:00:00', 3, 'UTC') + toIntervalMillisecond(n * 604), concat('c', toString(n)),
				if(n % 10 = 9, '', concat('p', toString(n % 10))), ['a', 'b', 'c'][n % 3 + 1], 'a', 'default', 0.5,
				if(n % 10 = 9, [], ['deny', concat('p', toString(n % 10))]), [], [], [], if(n % 20 = 0, ['tier'], []), if(n % 20 = 0, ['vip'], []),
				'policy', '{"decision_id":"x","policies":[]}', now64(3)
			FROM numbers(250000)`,
			`INSERT INTO outcomes (account, source, outcome_id, event_key, conversation_id, kind, value, time, ingested_at)
			WITH (SELECT count() FROM outcomes) AS before, before + number AS n
			SELECT 'acme', 'crm', concat('o', toString(n)), n, concat('c', toString(n)), 'resolved', n % 2,
				toDateTime64('2026-03-02 00:00:00', 3, 'UTC') + toIntervalMillisecond(n * 604 + 1000), now64(3)
			FROM numbers(250000)`)
	}
	for _, statement := range statements {
		if err := db.exec(b.Context(), statement); err != nil {
			b.Fatal(err)
		}
	}
	return db
}

func BenchmarkMillionDecisions(b *testing.B) {
	db := million(b)
	from := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	to := from.AddDate(0, 0, 7)
	b.Run("policy report", func(b *testing.B) {
		for b.Loop() {
			r, err := db.PolicyReport(b.Context(), analytics.PolicyReportQuery{Account: "acme", Objective: "default", From: from, To: to, Grain: analytics.Day})
			if err != nil || r.All.Reward.N != 1_000_000 || len(r.Policies) != 10 {
				b.Fatalf("%+v, %v", r, err)
			}
		}
	})
	for name, q := range map[string]analytics.DecisionQuery{
		"newest page": {Limit: 50}, "conversation": {ConversationID: "c777777", Limit: 50}, "policy": {Policy: "p3", Limit: 50},
	} {
		b.Run(name, func(b *testing.B) {
			q.Account = "acme"
			for b.Loop() {
				if found, err := db.Decisions(b.Context(), q); err != nil || len(found) == 0 {
					b.Fatalf("%d, %v", len(found), err)
				}
			}
		})
	}
}

// BenchmarkReplay streams whole records of ten policies with their rewards.
func BenchmarkReplay(b *testing.B) {
	db := open(b)
	const rows = 50_000
	var list []*event.Decision
	for i := range rows {
		d := decision(fmt.Sprint("d", i), epoch.Add(time.Duration(i)*time.Second))
		for p := range 10 {
			d.Policies = append(d.Policies, event.PolicyTrace{Policy: fmt.Sprint("policy-", p), Revision: int64(p), State: event.False, Conditions: []event.ConditionTrace{
				{Path: "when.all[0]", Attribute: "tier", Operator: "equal", Expected: "black", Actual: "gold", Truth: event.False},
				{Path: "when.all[1]", Attribute: "age", Operator: "greater_than", Expected: 65.0, Actual: 41.5, Truth: event.False},
			}})
		}
		list = append(list, d)
	}
	keep(b, db, list)
	for b.Loop() {
		n := 0
		for _, err := range db.Replay(b.Context(), analytics.ReplayQuery{Account: "acme", Objective: "default", Limit: rows}) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != rows {
			b.Fatal(n)
		}
	}
	b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "decisions/s")
}
