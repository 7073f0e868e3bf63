package clickhouse

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/usherhq/usher/analytics"
	"github.com/usherhq/usher/pipeline"
	"github.com/usherhq/usher/pipeline/event"
)

// marked are the ids of the person to be erased: no other text has this in it.
const marked = "person-7"

// holding counts, by table, the rows of which some text has the part in it: every
// column of every table of the database that holds texts is looked at.
func holding(t *testing.T, db *DB, part string) map[string]uint64 {
	t.Helper()
	rows, err := db.conn.Query(t.Context(), `SELECT table, groupArray(name) FROM system.columns
		WHERE database = currentDatabase() AND type LIKE '%String%'
			AND table IN (SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree%')
		GROUP BY table`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns := map[string][]string{}
	for rows.Next() {
		var table string
		var names []string
		if err := rows.Scan(&table, &names); err != nil {
			t.Fatal(err)
		}
		columns[table] = names
	}
	found := map[string]uint64{}
	for table, names := range columns {
		var tests []string
		for _, name := range names {
			tests = append(tests, "position(toString(`"+name+"`), '"+part+"') > 0")
		}
		if n := scalar[uint64](t, db, "SELECT count() FROM "+table+" WHERE "+strings.Join(tests, " OR ")); n > 0 {
			found[table] = n
		}
	}
	return found
}

// people is a block in which a person has two decisions, one as a visitor, a third
// in a conversation of theirs without any id, and another person has as much.
func people(start time.Time) *pipeline.Block {
	b := &pipeline.Block{Topic: "t", Last: 100}
	for i, who := range []string{marked, "other-1"} {
		for j := range 3 {
			d := decision(fmt.Sprintf("d-%s-%d", who, j), start.Add(time.Duration(j)*time.Minute))
			d.ConversationID, d.ConsumerID, d.VisitorID, d.SessionID = "c-"+who, "", "", "shared"
			switch j {
			case 0:
				d.ConsumerID, d.Attributes = who, map[string]any{"customer": who}
			case 1:
				d.VisitorID, d.ConversationID, d.SessionID = who, "v-"+who, "s-"+who
			}
			b.Decisions = append(b.Decisions, storedAt(int64(10*i+j), d))
		}
		direct := outcome("o1-"+who, "crm", start.Add(time.Hour))
		direct.DecisionID, direct.ConversationID = "d-"+who+"-0", ""
		talked := outcome("o2-"+who, "crm", start.Add(time.Hour))
		talked.DecisionID, talked.ConversationID = "", "v-"+who
		b.Outcomes = append(b.Outcomes, storedAt(int64(30+10*i), direct), storedAt(int64(31+10*i), talked))
		letter, _ := json.Marshal(map[string]any{"account": "acme", "consumer_id": who, "nested": map[string]any{"c": []any{"c-" + who}}})
		for j, value := range [][]byte{letter, append([]byte{0x0a, byte(len(who))}, who...), []byte("broken: consumer=" + who + " {")} {
			account := "acme"
			if j == 1 {
				account = ""
			}
			b.Dead = append(b.Dead, event.DeadLetter{
				Account: account, Topic: "usher.outcomes", Offset: int64(50 + 10*i + j), Time: start, Reason: "MALFORMED", Value: value,
			})
		}
	}
	return b
}

func erasePerson(t *testing.T, db *DB, before time.Time) analytics.Erased {
	t.Helper()
	hash, err := db.HashID(t.Context(), marked)
	if err != nil {
		t.Fatal(err)
	}
	done, err := db.Erase(t.Context(), analytics.Erasure{Account: "acme", Hash: hash, Before: before})
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func TestErasedPeopleAreInNoTable(t *testing.T) {
	db, start := open(t), epoch
	w := NewWriter(db, nil, nil)
	b := people(start)
	write(t, w, b)
	if err := db.SaveModel(t.Context(), analytics.Model{
		Account: "acme", Version: "over", CreatedAt: start.Add(time.Hour), Artifact: []byte("x"),
		Card: fmt.Appendf(nil, `{"train_from":%q,"train_to":%q}`, start.Format(time.RFC3339Nano), start.Add(time.Hour).Format(time.RFC3339Nano)),
	}); err != nil {
		t.Fatal(err)
	}
	if err := db.SaveModel(t.Context(), analytics.Model{
		Account: "acme", Version: "before", CreatedAt: start.Add(-time.Hour), Artifact: []byte("y"),
		Card: fmt.Appendf(nil, `{"train_from":%q,"train_to":%q}`, start.Add(-2*time.Hour).Format(time.RFC3339Nano), start.Add(-time.Hour).Format(time.RFC3339Nano)),
	}); err != nil {
		t.Fatal(err)
	}
	r, err := NewRoller(db, DefaultRollerConfig(), RollerDeps{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.RollNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	others := holding(t, db, "other-1")
	if got := holding(t, db, marked); fmt.Sprint(got) != fmt.Sprint(others) || got["decisions"] != 3 || got["outcomes"] != 2 || got["dead_letters"] != 3 {
		t.Fatalf("before: %v and %v", got, others)
	}

	done := erasePerson(t, db, start.Add(24*time.Hour))
	if done.Decisions != 3 || done.Outcomes != 2 || done.DeadLetters != 3 || fmt.Sprint(done.Models) != "[over]" {
		t.Errorf("erased %+v", done)
	}
	if err := db.Recount(t.Context(), "acme", done.Hours); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"rollup_hour", "rollup_day"} {
		if n := scalar[uint64](t, db, "SELECT toUInt64(sum(decisions)) FROM "+table); n != 3 {
			t.Errorf("%s counts %d decisions, want 3", table, n)
		}
	}
	check := func(when string) {
		t.Helper()
		if got := holding(t, db, marked); len(got) > 0 {
			t.Errorf("%s rows are left: %v", when, got)
		}
		if got := holding(t, db, "other-1"); fmt.Sprint(got) != fmt.Sprint(others) {
			t.Errorf("%s the other person has %v, want %v", when, got, others)
		}
	}
	check("after the erasure")

	again := people(start) // the log hands everything over once more
	again.First, again.Last = 200, 300
	write(t, w, again)
	write(t, NewWriter(db, nil, nil), people(start))
	check("after a repetition")

	if again := erasePerson(t, db, start.Add(24*time.Hour)); again.Decisions+again.Outcomes+again.DeadLetters != 0 {
		t.Errorf("a second erasure finds %+v", again)
	}
	ids, err := db.ErasedIDs(t.Context(), "acme", mustHash(t, db, marked))
	if err != nil || len(ids[analytics.ErasedConversation]) != 2 || len(ids[analytics.ErasedDecision]) != 3 ||
		!ids[analytics.ErasedSession][mustHash(t, db, "s-"+marked)] || ids[analytics.ErasedSession][mustHash(t, db, "shared")] {
		t.Errorf("the erasure keeps %v (%v)", ids, err)
	}
}

func mustHash(t *testing.T, db *DB, id string) string {
	t.Helper()
	hash, err := db.HashID(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

// What was under way when a person was erased is dropped when it comes, whatever comes
// first; a new conversation after the request is stored.
func TestEventsOfTheErasedThatComeLater(t *testing.T) {
	db, start := open(t), epoch
	w := NewWriter(db, nil, nil)
	write(t, w, &pipeline.Block{Topic: "t", Outcomes: []pipeline.Stored[event.Outcome]{
		storedAt(1, named("early", "", "c-"+marked, start.Add(time.Minute))),
	}})
	erasePerson(t, db, start.Add(time.Hour))
	late := decision("d-late-"+marked, start)
	late.ConsumerID, late.ConversationID = marked, "c-"+marked
	nameless := decision("d-nameless-"+marked, start.Add(2*time.Hour))
	nameless.ConsumerID, nameless.VisitorID, nameless.ConversationID = "", "", "c-"+marked
	write(t, w, &pipeline.Block{Topic: "t", First: 2, Last: 6, Decisions: []pipeline.Stored[event.Decision]{storedAt(2, late), storedAt(3, nameless)},
		Outcomes: []pipeline.Stored[event.Outcome]{
			storedAt(4, named("same block", "", "c-"+marked, start.Add(time.Minute))),
			storedAt(5, named("by decision", "d-late-"+marked, "", start.Add(time.Minute))),
		}})
	write(t, w, &pipeline.Block{Topic: "t", First: 7, Last: 7, Outcomes: []pipeline.Stored[event.Outcome]{
		storedAt(7, named("next block", "", "c-"+marked, start.Add(time.Hour))),
	}})
	if got := holding(t, db, marked); len(got) > 0 {
		t.Errorf("rows are left: %v", got)
	}
	fresh := decision("new", start.Add(2*time.Hour))
	fresh.ConsumerID, fresh.ConversationID = marked, "new"
	write(t, w, &pipeline.Block{Topic: "t", First: 8, Last: 8, Decisions: []pipeline.Stored[event.Decision]{storedAt(8, fresh)}})
	if n := count(t, db, "decisions"); n != 1 {
		t.Errorf("%d decisions are stored, want the one of the new conversation", n)
	}
}

func named(id, decision, conversation string, at time.Time) *event.Outcome {
	o := outcome(id, "crm", at)
	o.DecisionID, o.ConversationID = decision, conversation
	return o
}

// An erasure that comes between the look at the tombstones and the insert is noticed
// after the insert.
func TestAnErasureBesideAnInsert(t *testing.T) {
	db, start := open(t), epoch
	w := NewWriter(db, nil, nil)
	b := people(start)
	s := newShelf(b, start)
	seen, err := w.siftErased(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	erasePerson(t, db, start.Add(time.Hour))
	if err := store(t.Context(), w, &w.decisions, decisionTable("t"), b, pointers(s.decisions)); err != nil {
		t.Fatal(err)
	}
	if err := w.eraseLate(t.Context(), s, seen); err != nil {
		t.Fatal(err)
	}
	if got := holding(t, db, marked); len(got) > 0 || count(t, db, "decisions") != 3 {
		t.Errorf("rows are left: %v", got)
	}
}

// Go and SQL make the same hashes.
func TestHashesAgree(t *testing.T) {
	db := open(t)
	s, err := db.seal(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	query, err := db.cfg.render("hash", `SELECT {{template "hashed" .}} FROM (SELECT {id:String} AS id)`, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"", "a", "Ümläut", strings.Repeat("x", 200)} {
		if got := scalar[string](t, db, query[0], append(s.args(), ch.Named("id", id))...); got != s.hash(id) {
			t.Errorf("%q is %s in SQL, %s here", id, got, s.hash(id))
		}
	}
	other, err := Open(t.Context(), db.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if mustHash(t, db, "a") != mustHash(t, other, "a") {
		t.Error("two processes hash differently")
	}
}
