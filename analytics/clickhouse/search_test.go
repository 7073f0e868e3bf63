package clickhouse

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/usherhq/usher/analytics"
	"github.com/usherhq/usher/pipeline"
	"github.com/usherhq/usher/pipeline/event"
)

// The search gives what a plain filter over the list gives, page after page, of one
// account alone, with rows that were stored twice counted once.
func TestDecisionsAreSearched(t *testing.T) {
	db := open(t)
	rapid.Check(t, func(r *rapid.T) {
		empty(t, db)
		word := func(label string, from ...string) string { return rapid.SampledFrom(from).Draw(r, label) }
		var all []*event.Decision
		for i := range rapid.IntRange(0, 30).Draw(r, "decisions") {
			d := decision(fmt.Sprintf("d%02d", i), epoch.Add(time.Duration(rapid.IntRange(0, 8).Draw(r, "at"))*time.Millisecond))
			d.Account, d.ConversationID, d.ConsumerID = word("account", "acme", "other"), word("conversation", "c1", "c2"), word("consumer", "u1", "u2")
			d.Policy, d.Chosen, d.DecidedBy = word("policy", "", "vip"), word("chosen", "a", "b"), event.DecidedBy(word("by", "model", "policy"))
			if d.Policy == "" && rapid.Bool().Draw(r, "has default") {
				d.Policies = []event.PolicyTrace{{Policy: "vip", State: event.False}, {Policy: "default", State: event.True}}
			}
			all = append(all, d)
		}
		keep(t, db, all)
		// As two processes would that insert one event in the same instant.
		if err := db.exec(t.Context(), "INSERT INTO decisions SELECT * FROM decisions WHERE cityHash64(decision_id) % 2 = 0"); err != nil {
			r.Fatal(err)
		}
		q := analytics.DecisionQuery{
			Account: "acme", ConversationID: word("c?", "", "c1"), ConsumerID: word("u?", "", "u2"), Policy: word("p?", "", "vip", "default"),
			Chosen: word("k?", "", "a"), DecidedBy: word("by?", "", "model"), Limit: rapid.SampledFrom([]int{1, 2, 7, 100}).Draw(r, "page"),
		}
		if rapid.Bool().Draw(r, "in time") {
			q.From, q.To = epoch.Add(2*time.Millisecond), epoch.Add(7*time.Millisecond)
		}
		var want []string
		slices.SortFunc(all, func(a, b *event.Decision) int {
			if c := b.Time.Compare(a.Time); c != 0 {
				return c
			}
			return strings.Compare(b.ID, a.ID)
		})
		for _, d := range all {
			if is := func(want, got string) bool { return want == "" || want == got }; d.Account == q.Account && is(q.ConversationID, d.ConversationID) &&
				is(q.ConsumerID, d.ConsumerID) &&
				(is(q.Policy, d.Policy) || q.Policy == "default" && d.Policies[len(d.Policies)-1].Policy == "default") && is(q.Chosen, d.Chosen) && is(q.DecidedBy, string(d.DecidedBy)) &&
				(q.To.IsZero() || !d.Time.Before(q.From) && d.Time.Before(q.To)) {
				want = append(want, d.ID)
			}
		}
		var got []string
		for {
			part, err := db.Decisions(t.Context(), q)
			if err != nil {
				r.Fatal(err)
			}
			for _, d := range part {
				got = append(got, d.ID)
				q.Before, q.BeforeID = d.Time, d.ID
			}
			if len(part) < q.Limit {
				break
			}
			if q.To.IsZero() { // what comes between two pages moves nothing
				d := decision(fmt.Sprint("new", len(got)), epoch.Add(time.Second))
				d.ConversationID, d.ConsumerID, d.Policy, d.Chosen, d.DecidedBy = "c1", "u2", "vip", "a", "model"
				keep(t, db, []*event.Decision{d})
			}
		}
		if !slices.Equal(got, want) {
			r.Fatalf("found %v, want %v", got, want)
		}
	})
}

// keep writes decisions, each call to another topic.
func keep(tb testing.TB, db *DB, decisions []*event.Decision) {
	tb.Helper()
	b := &pipeline.Block{Topic: fmt.Sprint("t", databases.Add(1)), Last: int64(len(decisions))}
	for i, d := range decisions {
		b.Decisions = append(b.Decisions, storedAt(int64(i), d))
	}
	if err := NewWriter(db, nil, nil).Write(tb.Context(), b); err != nil {
		tb.Fatal(err)
	}
}

// keepAgain writes decisions whose ids are there already, as two processes do that
// insert the two answers to one request in the same instant: one alone would see the
// other row and leave out its own.
func keepAgain(tb testing.TB, db *DB, decisions []*event.Decision) {
	tb.Helper()
	twins := make([]*event.Decision, len(decisions))
	for i, d := range decisions {
		twin := *d
		twin.Account = "twin-" + d.Account
		twins[i] = &twin
	}
	if len(twins) == 0 {
		return
	}
	keep(tb, db, twins)
	err := db.exec(tb.Context(), "INSERT INTO decisions SETTINGS insert_deduplicate = 0 SELECT * REPLACE (xxHash64("+identityOf("decisions")+") AS event_key) FROM ("+
		"SELECT * REPLACE (substring(account, 6) AS account) FROM (SELECT * FROM decisions WHERE startsWith(account, 'twin-')))")
	if err != nil {
		tb.Fatal(err)
	}
}

// A request that two processes decided at two times is listed once, at the last.
func TestADecisionOfTwoTimesIsListedOnce(t *testing.T) {
	db := open(t)
	keep(t, db, []*event.Decision{decision("d1", epoch), decision("d2", epoch.Add(time.Second))})
	keepAgain(t, db, []*event.Decision{decision("d1", epoch.Add(2*time.Second))})
	if n := scalar[uint64](t, db, "SELECT count() FROM decisions WHERE account = 'acme' AND decision_id = 'd1'"); n != 2 {
		t.Fatalf("there are %d rows of d1, want a pair", n)
	}
	found, err := db.Decisions(t.Context(), analytics.DecisionQuery{Account: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 2 || found[0].ID != "d1" || !found[0].Time.Equal(epoch.Add(2*time.Second)) || found[1].ID != "d2" {
		t.Errorf("found %+v", found)
	}
}

func TestReplayStreamsTheNewestWithTheirRewards(t *testing.T) {
	db := open(t)
	h := &history{objectives: map[string]event.Objective{"solve": {Terms: []event.Term{{Kind: "resolved", Weight: 1}}, Max: 1, Window: time.Hour}}}
	for i := range 10 {
		d := decision(fmt.Sprintf("d%d", i), epoch.Add(time.Duration(i/2)*time.Second)) // in pairs of one time
		if i == 3 {
			d.Account = "other"
		}
		h.decisions = append(h.decisions, d)
	}
	o := outcome("o1", "crm", epoch.Add(time.Minute))
	o.DecisionID = "d8"
	h.outcomes = append(h.outcomes, o)
	rapid.Check(t, func(r *rapid.T) {
		empty(t, db)
		h.loadOnce(t, r, db)
		again := decision("d7", h.decisions[7].Time.Add(time.Millisecond))
		keepAgain(t, db, []*event.Decision{again})
		n := rapid.IntRange(1, 12).Draw(r, "limit")
		var got []string
		for row, err := range db.Replay(t.Context(), analytics.ReplayQuery{Account: "acme", Objective: "solve", From: epoch, To: epoch.Add(time.Hour), Limit: n}) {
			if err != nil {
				r.Fatal(err)
			}
			if row.Rewarded != (row.Decision.ID == "d8") || row.Rewarded && row.Reward != 1 {
				r.Fatalf("%s has reward %v, %v", row.Decision.ID, row.Rewarded, row.Reward)
			}
			got = append(got, row.Decision.ID)
		}
		want := []string{"d9", "d8", "d7", "d6", "d5", "d4", "d2", "d1", "d0"}
		want = want[:min(n, len(want))]
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			r.Fatalf("replayed %v, want %v", got, want)
		}
	})
	for row, err := range db.Replay(t.Context(), analytics.ReplayQuery{Account: "nobody", Objective: "solve"}) {
		t.Errorf("nobody has %v, %v", row, err)
	}
}

// The views open the records: a row for each policy and for each condition, for rows
// that were stored before there were columns for it too.
func TestPoliciesAndConditionsCanBeAskedInSQL(t *testing.T) {
	db := open(t)
	d := decision("d1", epoch)
	d.Policies = []event.PolicyTrace{
		{Policy: "night", Revision: 3, State: event.Disabled, Cause: "schedule"},
		{Policy: "vip", Revision: 4, State: event.True, Exception: true, Conditions: []event.ConditionTrace{
			{Path: "when.all[0]", Attribute: "tier", Operator: "in", Expected: []any{"gold", "black"}, Actual: "gold", Truth: event.True, Source: "sde"},
			{Path: "when.all[1]", Attribute: "skill.sales.load", Operator: "less_than", Expected: .5, Truth: event.Unknown, Cause: "missing", Age: time.Second},
		}},
		{Policy: "rest", Revision: 1, State: event.NotReached},
	}
	byDefault := decision("d2", epoch)
	byDefault.Policy, byDefault.Policies = "", []event.PolicyTrace{{Policy: "vip", State: event.False}, {Policy: "default", State: event.True}}
	keep(t, db, []*event.Decision{d, byDefault})
	if got := scalar[string](t, db, "SELECT toString(groupArray((policy, decided))) FROM policy_log WHERE account = 'acme' AND decision_id = 'd2'"); got != "[('vip',0),('default',1)]" {
		t.Errorf("of a decision by default policy_log has %s", got)
	}
	got := scalar[string](t, db, `SELECT arrayStringConcat(groupArray(line), '\n') FROM (
		SELECT toString((position, policy, revision, state, decided, exception, cause, conditions)) AS line
		FROM policy_log WHERE account = 'acme' AND conversation_id = 'c-d1' ORDER BY position)`)
	want := `(0,'night',3,'DISABLED',0,0,'schedule',[])
(1,'vip',4,'TRUE',1,1,'',['when.all[0]: tier in ["gold","black"] is TRUE, was "gold"','when.all[1]: skill.sales.load less_than 0.5 is UNKNOWN (missing)'])
(2,'rest',1,'NOT_REACHED',0,0,'',[])`
	if got != want {
		t.Errorf("policy_log has\n%s, want\n%s", got, want)
	}
	got = scalar[string](t, db, `SELECT arrayStringConcat(groupArray(line), '\n') FROM (
		SELECT toString((position, policy, path, attribute, operator, expected, actual, truth, cause, source, age_ns)) AS line
		FROM condition_log WHERE account = 'acme' AND decision_id = 'd1' ORDER BY path)`)
	want = `(1,'vip','when.all[0]','tier','in','["gold","black"]','"gold"','TRUE','','sde',0)
(1,'vip','when.all[1]','skill.sales.load','less_than','0.5','','UNKNOWN','missing','',1000000000)`
	if got != want {
		t.Errorf("condition_log has\n%s, want\n%s", got, want)
	}
	const columns = "SELECT toString((policies_true, policies_unknown, unknown_attributes, unknown_policies)) FROM decisions WHERE decision_id = 'd1'"
	stored := scalar[string](t, db, columns)
	for _, column := range []string{"policies_true", "policies_unknown", "unknown_attributes", "unknown_policies"} {
		if err := db.exec(t.Context(), "ALTER TABLE decisions CLEAR COLUMN "+column+" SETTINGS mutations_sync = 2"); err != nil {
			t.Fatal(err)
		}
	}
	if got := scalar[string](t, db, columns); got != stored || stored != "(['vip'],[],['skill.sales.load'],['vip'])" {
		t.Errorf("without the columns the row says %s, with them %s", got, stored)
	}
}

// A shorter retention takes rows away that were stored too long ago.
func TestRowsExpireByTheRetention(t *testing.T) {
	cfg := testConfig(t)
	db := openWith(t, cfg)
	keep(t, db, []*event.Decision{decision("new", epoch)})
	err := db.exec(t.Context(), `INSERT INTO decisions
		SELECT * REPLACE ('old' AS decision_id, time - toIntervalDay(40) AS time, now() - toIntervalDay(40) AS ingested_at) FROM decisions`)
	if err != nil {
		t.Fatal(err)
	}
	left := func(db *DB) string {
		if err := db.exec(t.Context(), "OPTIMIZE TABLE decisions FINAL"); err != nil {
			t.Fatal(err)
		}
		return scalar[string](t, db, "SELECT toString(arraySort(groupArray(decision_id))) FROM decisions")
	}
	if got := left(db); got != "['new','old']" {
		t.Fatalf("with %d days there are %s", cfg.EventDays, got)
	}
	cfg.EventDays = 31
	db = openWith(t, cfg)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		got := left(db)
		if got == "['new']" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("with 31 days there are %s", got)
		}
	}
}
