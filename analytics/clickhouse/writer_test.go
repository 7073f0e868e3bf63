package clickhouse

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/usherhq/usher/pipeline"
	"github.com/usherhq/usher/pipeline/event"
)

var epoch = time.Date(2026, 3, 2, 10, 30, 0, 0, time.UTC)

// decision makes a decision that fills every column.
func decision(id string, at time.Time) *event.Decision {
	return &event.Decision{
		ID: id, Account: "acme", Time: at, RequestID: "r-" + id, ConversationID: "c-" + id, ConsumerID: "u", VisitorID: "v",
		SessionID: "s", Channel: "chat", Intent: "refund",
		Attributes: map[string]any{"tier": "gold", "age": 41.5, "vip": true, "tags": []any{"a", 1.0}, "deep": map[string]any{"x": 1.0}},
		Skills:     map[string]event.Skill{"sales": {AgentsOnline: 3, QueueSize: 7, Load: .5, WaitSeconds: 12, At: at}},
		Candidates: []event.Candidate{
			{Action: event.Action{Type: "SKILL", Target: "sales"}, Eligible: true, Score: .25, Probability: .75, Attributes: map[string]any{"cost": 2.0}},
			{Action: event.Action{Type: "SKILL", Target: "care"}, Eligible: true, Score: .5, Probability: .25},
		},
		Actions: []event.Action{{Type: "SKILL", Target: "sales"}, {Type: "SKILL", Target: "care"}}, Chosen: "sales", Baseline: "care",
		PolicyOnly: "care", ModelOnly: "sales", Propensity: .75, DecidedBy: event.DecidedByModel, Policy: "vip", PolicyRevision: 4,
		ModelVersion: "m1", Objective: "solve", Mode: "ON", Seed: math.MaxUint64, Reasons: []string{"MODEL"}, Latency: 1500 * time.Microsecond,
		Labels: map[string]string{"trace": "t"},
		Calls:  []event.Call{{Function: "crm", Attribute: "custom.tier", Result: event.CallTimeout, Latency: 50 * time.Millisecond, Detail: "slow", Fallback: true}},
		Step:   2, ValidFor: 30 * time.Second, Waited: time.Minute, OnlyPolicy: "vip", Redacted: []string{"age"},
		Sources: map[string]string{"custom.tier": "function"},
		Policies: []event.PolicyTrace{
			{Policy: "off", State: event.Disabled},
			{Policy: "night", State: event.Unknown, Conditions: []event.ConditionTrace{{Path: "when", Attribute: "hour", Truth: event.Unknown, Cause: "missing"}}},
			{Policy: "day", State: event.Errored, Cause: "function", Conditions: []event.ConditionTrace{{Path: "when", Attribute: "custom.a, custom.b", Operator: "cel", Truth: event.Unknown, Cause: "custom.b: slow"}}},
			{Policy: "no", State: event.False},
			{Policy: "vip", Revision: 3, State: event.True, Exception: true, Conditions: []event.ConditionTrace{
				{Path: "exception.when", Attribute: "custom.tier", Operator: "equal", Expected: "gold", Actual: "gold", Truth: event.True, Source: "function", Age: time.Second},
			}},
		},
	}
}

func outcome(id, source string, at time.Time) *event.Outcome {
	return &event.Outcome{ID: id, Source: source, Account: "acme", DecisionID: "d1", ConversationID: "c", Kind: "resolved", Value: 1, Label: "x", Time: at}
}

func storedAt[T any](offset int64, value *T) pipeline.Stored[T] {
	return pipeline.Stored[T]{Value: value, Offset: offset, Time: epoch.Add(time.Duration(offset) * time.Millisecond)}
}

func write(t *testing.T, w *Writer, b *pipeline.Block) {
	t.Helper()
	if err := w.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

// scalar reads one value.
func scalar[V any](tb testing.TB, db *DB, query string, args ...any) V {
	tb.Helper()
	var v V
	ctx, cancel := db.deadline(tb.Context(), time.Minute, nil)
	defer cancel()
	if err := db.conn.QueryRow(ctx, query, args...).Scan(&v); err != nil {
		tb.Fatalf("%s: %v", query, err)
	}
	return v
}

func count(tb testing.TB, db *DB, table string) uint64 {
	tb.Helper()
	return scalar[uint64](tb, db, "SELECT count() FROM "+table)
}

func TestEveryKindIsStoredWithItsPlace(t *testing.T) {
	db := open(t)
	w := NewWriter(db, nil, nil)
	write(t, w, &pipeline.Block{
		Topic: "usher.mixed", Partition: 3, First: 10, Last: 15,
		Decisions: []pipeline.Stored[event.Decision]{storedAt(10, decision("d1", epoch))},
		Outcomes:  []pipeline.Stored[event.Outcome]{storedAt(11, outcome("o1", "crm", epoch))},
		Skills: []pipeline.Stored[event.SkillState]{storedAt(12, &event.SkillState{
			ID: "s1", Source: "acd", Account: "acme", Skill: "sales", State: event.Skill{AgentsOnline: 1, At: epoch},
		})},
		Config: []pipeline.Stored[event.ConfigChange]{storedAt(13, &event.ConfigChange{
			ID: "k1", Account: "acme", Kind: "mode", Name: "m", Value: []byte(`"ON"`), Author: "ann", Time: epoch,
		})},
		Dead: []event.DeadLetter{{Topic: "usher.mixed", Partition: 3, Offset: 14, Time: epoch, Reason: "MALFORMED", Detail: "x", Value: []byte{0xff, 0}}},
	})
	for table, want := range map[string]string{
		"decisions": "10", "outcomes": "11", "skill_states": "12", "config_log": "13", "dead_letters": "14",
	} {
		got := scalar[string](t, db, "SELECT concat(toString(count()), ' ', any(topic), ' ', toString(any(partition)), ' ', toString(any(offset))) FROM "+table)
		if got != "1 usher.mixed 3 "+want {
			t.Errorf("%s holds %s", table, got)
		}
		same := scalar[uint8](t, db, "SELECT min(event_key = xxHash64("+identityOf(table)+")) FROM "+table)
		if same != 1 {
			t.Errorf("%s: the server computes another event key", table)
		}
	}
	row := scalar[string](t, db, `SELECT toString((attributes_string, attributes_number, attributes_bool, attributes_list,
		chosen, chosen_type, actions, propensity, explored, reasons, latency_ns, seed, candidate_keys, candidate_scores,
		candidate_eligible, chosen_number, skill_names, skill_queues, labels, JSONExtractFloat(record, 'attributes', 'deep', 'x'))) FROM decisions`)
	want := `({'tier':'gold'},{'age':41.5},{'vip':true},{'tags':['a','1']},'sales','SKILL',['sales','care'],0.75,false,['MODEL'],` +
		`1500000,18446744073709551615,['sales','care'],[0.25,0.5],[true,true],{'cost':2},['sales'],[7],{'trace':'t'},1)`
	if row != want {
		t.Errorf("the decision's columns are\n%s, want\n%s", row, want)
	}
	row = scalar[string](t, db, `SELECT toString((step, valid_for_ns, waited_ns, only_policy, redacted, sources, call_functions,
		call_attributes, call_results, call_latencies_ns, call_fallbacks, policies_true, policies_false, policies_unknown,
		policies_error, exception, unknown_attributes)) FROM decisions`)
	want = `(2,30000000000,60000000000,'vip',['age'],{'custom.tier':'function'},['crm'],['custom.tier'],['TIMEOUT'],[50000000],[true],` +
		`['vip'],['no'],['night'],['day'],true,['hour','custom.b'])`
	if row != want {
		t.Errorf("the columns of its facts are\n%s, want\n%s", row, want)
	}
	read, err := db.Decision(t.Context(), "acme", "d1")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(decision("d1", epoch), read); diff != "" {
		t.Errorf("the record changed on its way: %s", diff)
	}
	if next, err := w.Next(t.Context(), "usher.mixed", 3); err != nil || next != 16 {
		t.Errorf("next is %d (%v)", next, err)
	}
	if next, err := w.Next(t.Context(), "usher.mixed", 4); err != nil || next != -1 {
		t.Errorf("next of an unknown partition is %d (%v)", next, err)
	}
}

// TestTokensAreStoredWithoutTheirHash: whoever may read the tables must not read
// what tokens are checked by.
func TestTokensAreStoredWithoutTheirHash(t *testing.T) {
	db := open(t)
	late := time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC) // not storable: becomes a dead letter
	b := &pipeline.Block{Topic: "t", Last: 3}
	for i, c := range []event.ConfigChange{
		{Kind: "token", Value: []byte(`{"hash":"s3cret","name":"ops","scopes":["admin"]}`), Time: epoch},
		{Kind: "token", Value: []byte(`"s3cret"`), Time: epoch},
		{Kind: "token", Value: []byte(`{"Hash":"s3cret"}`), Time: late},
		{Kind: "policy", Value: []byte(`{"hash":"kept"}`), Time: epoch},
	} {
		c.ID = fmt.Sprint(i)
		b.Config = append(b.Config, storedAt(int64(i), &c))
	}
	write(t, NewWriter(db, nil, nil), b)
	got := scalar[string](t, db, "SELECT toString(groupArray(value)) FROM (SELECT value FROM config_log ORDER BY offset)")
	if want := `['{"name":"ops","scopes":["admin"]}','','{"hash":"kept"}']`; got != want {
		t.Errorf("stored are %s, want %s", got, want)
	}
	if dead := scalar[string](t, db, "SELECT any(value) FROM dead_letters"); dead == "" || strings.Contains(dead, "eyJIYXNo") {
		t.Errorf("the dead letter holds %s", dead)
	}
	if string(b.Config[0].Value.Value) != `{"hash":"s3cret","name":"ops","scopes":["admin"]}` {
		t.Error("the block was changed")
	}
}

// TestPartsOfAChangeAreRows: a change of several resources is a row for each, once
// however often it is stored.
func TestPartsOfAChangeAreRows(t *testing.T) {
	db := open(t)
	w := NewWriter(db, nil, nil)
	b := &pipeline.Block{Topic: "t", Config: []pipeline.Stored[event.ConfigChange]{storedAt(0, &event.ConfigChange{
		ID: "c", Account: "acme", Author: "ann", Time: epoch,
		Parts: []event.ConfigPart{
			{Kind: "policy", Base: 7},
			{Kind: "policy", Name: "a", Base: 3, Value: []byte(`{}`)},
			{Kind: "policy", Name: "b", Base: 4, Deleted: true},
			{Kind: "token", Name: "t", Value: []byte(`{"hash":"s3cret"}`)},
			{Kind: "function", Name: "f", Value: []byte(`{"http":{"url":"u","secret_headers":{"K":"s3cret"}}}`)},
		},
	})}}
	write(t, w, b)
	write(t, w, b)
	got := scalar[string](t, db, "SELECT toString(groupArray((kind, name, change_id, base, value, deleted))) FROM (SELECT * FROM config_log ORDER BY change_id)")
	if want := `[('policy','a','c/1',3,'{}',false),('policy','b','c/2',4,'',true),('token','t','c/3',0,'{}',false),('function','f','c/4',0,'{"http":{"url":"u"}}',false)]`; got != want {
		t.Errorf("stored are %s, want %s", got, want)
	}
}

func identityOf(table string) string {
	return map[string]string{
		"decisions": decisionTable("").identity, "outcomes": outcomeTable("").identity, "skill_states": skillTable("").identity,
		"config_log": configTable("").identity, "dead_letters": deadTable().identity,
	}[table]
}

func TestUnstorableEventsBecomeDeadLetters(t *testing.T) {
	db := open(t)
	w := NewWriter(db, nil, nil)
	bad := outcome("bad", "crm", epoch)
	bad.Value = math.NaN()
	early := decision("early", time.Time{})
	odd := decision("odd", epoch)
	odd.Attributes["x"] = math.Inf(1)
	b := &pipeline.Block{
		Topic: "t", First: 0, Last: 4,
		Outcomes:  []pipeline.Stored[event.Outcome]{storedAt(0, bad), storedAt(1, outcome("good", "crm", epoch))},
		Decisions: []pipeline.Stored[event.Decision]{storedAt(2, early), storedAt(3, odd), storedAt(4, decision("good", epoch))},
	}
	write(t, w, b)
	b.Last = 5
	write(t, w, b)
	got := scalar[string](t, db, "SELECT toString(groupArray((offset, reason, field))) FROM (SELECT * FROM dead_letters ORDER BY offset)")
	if got != "[(0,'UNSTORABLE','value'),(2,'UNSTORABLE','time'),(3,'UNSTORABLE','record')]" {
		t.Errorf("the dead letters are %s", got)
	}
	if n, m := count(t, db, "outcomes"), count(t, db, "decisions"); n != 1 || m != 1 {
		t.Errorf("stored %d outcomes and %d decisions", n, m)
	}
}

// TestAnEventIsOneRow writes a log with repeated events in random blocks, loses
// answers, replays from random offsets, and lets partitions run at once.
func TestAnEventIsOneRow(t *testing.T) {
	db := open(t)
	rapid.Check(t, func(r *rapid.T) {
		for _, table := range []string{"outcomes", "ingest_offsets"} {
			if err := db.exec(t.Context(), "TRUNCATE TABLE "+table+" SYNC"); err != nil {
				r.Fatal(err)
			}
		}
		partitions := rapid.IntRange(1, 3).Draw(r, "partitions")
		ids := rapid.IntRange(1, 40).Draw(r, "ids")
		logs := make([][]*event.Outcome, partitions)
		distinct := map[string]bool{}
		for p := range logs {
			for range rapid.IntRange(1, 60).Draw(r, "length") {
				id := fmt.Sprint(rapid.IntRange(1, ids).Draw(r, "id"))
				source := rapid.SampledFrom([]string{"crm", "acd"}).Draw(r, "source")
				// A retry may carry another time, even in another month.
				at := epoch.AddDate(0, rapid.IntRange(0, 1).Draw(r, "month"), 0)
				logs[p] = append(logs[p], outcome(id, source, at))
				distinct[source+"/"+id] = true
			}
		}
		plans := make([][]block, partitions)
		for p := range logs {
			plans[p] = plan(r, len(logs[p]))
		}
		var wg sync.WaitGroup
		errs := make([]error, partitions)
		w := NewWriter(db, nil, nil)
		for p := range logs {
			wg.Go(func() { errs[p] = replay(t, w, p, logs[p], plans[p]) })
		}
		wg.Wait()
		for _, err := range errs {
			if err != nil {
				r.Fatal(err)
			}
		}
		if got := count(t, db, "outcomes"); got != uint64(len(distinct)) {
			r.Fatalf("%d rows of %d events", got, len(distinct))
		}
		for p := range logs {
			if next, err := NewWriter(db, nil, nil).Next(t.Context(), "t", p); err != nil || next != int64(len(logs[p])) {
				r.Fatalf("next of %d is %d of %d (%v)", p, next, len(logs[p]), err)
			}
		}
	})
}

// block is a run of offsets.
type block struct{ first, last int }

// plan cuts a log into blocks, going back now and then as after a crash.
func plan(r *rapid.T, length int) []block {
	var blocks []block
	for at := 0; at < length; {
		last := min(length-1, at+rapid.IntRange(0, 20).Draw(r, "size"))
		blocks = append(blocks, block{at, last})
		at = last + 1
		if at < length && rapid.IntRange(0, 3).Draw(r, "crash") == 0 {
			at = rapid.IntRange(0, at).Draw(r, "back to")
		}
		if len(blocks) > 12 {
			return append(blocks, block{at, length - 1})
		}
	}
	return blocks
}

func replay(t *testing.T, w *Writer, partition int, log []*event.Outcome, blocks []block) error {
	for _, cut := range blocks {
		if cut.first > cut.last {
			continue
		}
		b := &pipeline.Block{Topic: "t", Partition: partition, First: int64(cut.first), Last: int64(cut.last)}
		for i := cut.first; i <= cut.last; i++ {
			b.Outcomes = append(b.Outcomes, storedAt(int64(i), log[i]))
		}
		if err := w.Write(t.Context(), b); err != nil {
			return err
		}
	}
	return nil
}

// TestTokenGuardsALostAnswer inserts the same rows twice below the look-up, as
// when an insert succeeds after its caller gave up.
func TestTokenGuardsALostAnswer(t *testing.T) {
	db := open(t)
	b := &pipeline.Block{Topic: "t", First: 0, Last: 1, Outcomes: []pipeline.Stored[event.Outcome]{
		storedAt(0, outcome("a", "crm", epoch)), storedAt(1, outcome("b", "crm", epoch.AddDate(0, 1, 0))),
	}}
	rows := pointers(newShelf(b, epoch).outcomes)
	table := outcomeTable("t")
	for range 3 {
		if err := insert(t.Context(), db, table, token(b, table.name, 0, rows), rows); err != nil {
			t.Fatal(err)
		}
	}
	if got := count(t, db, "outcomes"); got != 2 {
		t.Errorf("%d rows after repeating an insert", got)
	}
	if token(b, table.name, 0, rows) == token(b, table.name, 0, rows[:1]) {
		t.Error("the token does not cover the rows")
	}
}

// TestTokenOfLostRowsLosesNothing gives the server the state that a kill between
// its note of a token and its keeping of the rows leaves behind: the token is
// known, the rows are not there.
func TestTokenOfLostRowsLosesNothing(t *testing.T) {
	db := open(t)
	b := &pipeline.Block{Topic: "t", First: 0, Last: 0, Outcomes: []pipeline.Stored[event.Outcome]{storedAt(0, outcome("lost", "crm", epoch))}}
	other := &pipeline.Block{Topic: "t", First: 9, Last: 9, Outcomes: []pipeline.Stored[event.Outcome]{storedAt(9, outcome("other", "crm", epoch))}}
	table, stamp := outcomeTable("t"), epoch
	rows := pointers(newShelf(b, stamp).outcomes)
	if err := insert(t.Context(), db, table, token(b, table.name, 0, rows), pointers(newShelf(other, stamp).outcomes)); err != nil {
		t.Fatal(err)
	}
	write(t, NewWriter(db, func() time.Time { return stamp }, nil), b)
	if got := scalar[uint64](t, db, "SELECT count() FROM outcomes FINAL WHERE outcome_id = 'lost'"); got != 1 {
		t.Errorf("the event is stored %d times", got)
	}
}

func TestOneBadBlockLeavesTheConnectionsUsable(t *testing.T) {
	cfg := testConfig(t)
	cfg.MaxConns = 2
	db := openWith(t, cfg)
	rows := pointers(newShelf(&pipeline.Block{Topic: "t", Outcomes: []pipeline.Stored[event.Outcome]{storedAt(0, outcome("a", "crm", epoch))}}, epoch).outcomes)
	broken := outcomeTable("t")
	broken.columns[0] = col("account", func(*outcomeRow) chan int { return nil })
	for range 10 {
		if err := insert(t.Context(), db, broken, "", rows); err == nil || !strings.Contains(err.Error(), "account") {
			t.Fatalf("a broken column gave %v", err)
		}
	}
	write(t, NewWriter(db, nil, nil), &pipeline.Block{Topic: "t", Outcomes: []pipeline.Stored[event.Outcome]{storedAt(0, outcome("a", "crm", epoch))}})
	if got := count(t, db, "outcomes"); got != 1 {
		t.Errorf("%d rows", got)
	}
}
