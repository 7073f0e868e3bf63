package clickhouse

import (
	"encoding/json"
	"errors"
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
	if err := rows.Err(); err != nil {
		t.Fatal(err)
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
	done, err := db.Erase(t.Context(), analytics.Erasure{Account: "acme", Hash: hash, Before: before}, nil)
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

// Who asks learns of hours and models while every row is still there, and can stop the
// removal: what they could not keep is found again.
func TestNothingGoesBeforeItIsNoted(t *testing.T) {
	db := open(t)
	write(t, NewWriter(db, nil, nil), people(epoch))
	before, full := holding(t, db, marked), errors.New("the disk is full")
	_, err := db.Erase(t.Context(), analytics.Erasure{Account: "acme", Hash: mustHash(t, db, marked), Before: epoch.Add(time.Hour)},
		func(found analytics.Erased) error {
			if found.Decisions != 3 || len(found.Hours) != 1 {
				t.Errorf("found %+v", found)
			}
			return full
		})
	if got := holding(t, db, marked); !errors.Is(err, full) || fmt.Sprint(got) != fmt.Sprint(before) {
		t.Errorf("after %v there are %v, want %v", err, got, before)
	}
	if again := erasePerson(t, db, epoch.Add(time.Hour)); again.Decisions != 3 || len(again.Hours) != 1 {
		t.Errorf("the next one finds %+v", again)
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
	write(t, w, &pipeline.Block{
		Topic: "t", First: 2, Last: 6, Decisions: []pipeline.Stored[event.Decision]{storedAt(2, late), storedAt(3, nameless)},
		Outcomes: []pipeline.Stored[event.Outcome]{
			storedAt(4, named("same block", "", "c-"+marked, start.Add(time.Minute))),
			storedAt(5, named("by decision", "d-late-"+marked, "", start.Add(time.Minute))),
		},
	})
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

// An outcome that comes late but happened inside of the window changes the reward of
// its decision and asks the trainer for a correction; one that happened after the window
// does not, and an objective's new version gives all rewards anew.
func TestLateOutcomesAreAttributedAnew(t *testing.T) {
	db, start := open(t), epoch
	now := start.Add(time.Hour)
	w := NewWriter(db, func() time.Time { return now }, nil)
	objective := func(offset, base int64, window time.Duration, silence float64) pipeline.Stored[event.ConfigChange] {
		value, err := json.Marshal(event.Objective{Terms: []event.Term{{Kind: "resolved", Weight: 1, Aggregate: "last"}}, Max: 1, Window: window, DefaultReward: &silence})
		if err != nil {
			t.Fatal(err)
		}
		return storedAt(offset, &event.ConfigChange{
			ID: fmt.Sprint("k", offset), Account: "acme", Kind: "objective", Name: "solve", Base: base, Value: value, Time: start,
		})
	}
	d := decision("d1", start)
	write(t, w, &pipeline.Block{
		Topic: "t", Decisions: []pipeline.Stored[event.Decision]{storedAt(0, d)},
		Config: []pipeline.Stored[event.ConfigChange]{objective(0, 0, 2*time.Hour, 0.25)},
	})
	rewards := func(at time.Time) (reward float64, knownAt time.Time, rows int) {
		for row, err := range db.TrainingRows(t.Context(), analytics.TrainingQuery{Account: "acme", Objective: "solve", Now: at}) {
			if err != nil {
				t.Fatal(err)
			}
			reward, knownAt, rows = row.Reward, row.KnownAt, rows+1
		}
		return reward, knownAt, rows
	}
	if _, _, rows := rewards(start.Add(time.Hour)); rows != 0 {
		t.Error("a decision inside of its window is a row already")
	}
	after := start.Add(3 * time.Hour)
	silent, known, _ := rewards(after)
	if silent != 0.25 {
		t.Errorf("silence is worth %v", silent)
	}
	late := func(id string, offset int64, happened time.Duration) {
		now = now.Add(24 * time.Hour)
		write(t, w, &pipeline.Block{Topic: "o", First: offset, Last: offset, Outcomes: []pipeline.Stored[event.Outcome]{
			storedAt(offset, named(id, "d1", "", start.Add(happened))),
		}})
	}
	late("outside", 1, 5*time.Hour)
	if got, again, _ := rewards(after); got != silent || !again.Equal(known) {
		t.Errorf("an outcome outside of the window makes %v known at %v", got, again)
	}
	late("inside", 2, time.Hour)
	if got, again, rows := rewards(after); got != 1 || !again.After(known) || rows != 1 {
		t.Errorf("a late outcome inside of the window makes %v known at %v in %d rows", got, again, rows)
	}
	write(t, w, &pipeline.Block{Topic: "t", First: 3, Last: 3, Config: []pipeline.Stored[event.ConfigChange]{objective(3, 1, 30*time.Minute, 0.75)}})
	if got, _, _ := rewards(after); got != 0.75 {
		t.Errorf("the new version, with a shorter window, makes %v", got)
	}
}

func TestMaturityIsTheShareOfDelaysThatHavePassed(t *testing.T) {
	for _, one := range []struct {
		delays, ages []int64
		want         float64
	}{{nil, nil, 1}, {nil, []int64{5}, 0}, {[]int64{4, 1, 3, 2}, []int64{2, 4}, 0.75}, {[]int64{1}, []int64{0}, 0}} {
		if got := maturity(one.delays, one.ages); got != one.want {
			t.Errorf("%+v: %v", one, got)
		}
	}
}

func TestLearningState(t *testing.T) {
	db := open(t)
	w := NewWriter(db, nil, nil)
	now := time.Now().UTC()
	b := &pipeline.Block{Topic: "t", Last: 9}
	value, err := json.Marshal(event.Objective{Terms: []event.Term{{Kind: "resolved", Weight: 1}}, Max: 1, Window: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	b.Config = append(b.Config, storedAt(0, &event.ConfigChange{ID: "k", Account: "acme", Kind: "objective", Name: "solve", Value: value, Time: now}))
	for i := range 4 {
		d := decision(fmt.Sprint("d", i), now.Add(-time.Duration(10*i+5)*time.Minute))
		d.Explored = i == 0
		b.Decisions = append(b.Decisions, storedAt(int64(i), d))
	}
	b.Outcomes = append(b.Outcomes, storedAt(8, named("o", "d3", "", now.Add(-20*time.Minute)))) // 15 minutes after
	write(t, w, b)
	st, err := db.LearningState(t.Context(), "acme", "solve")
	// Of the three open ones, 5, 15 and 25 minutes old, two are older than the delay.
	if err != nil || st.Rows != 1 || st.Open != 3 || st.Maturity < 0.6 || st.Maturity > 0.7 || st.Explored["sales"] != 1 {
		t.Errorf("the state is %+v (%v)", st, err)
	}
	if arms, err := db.Arms(t.Context(), "acme", now.Add(-time.Hour)); err != nil || len(arms) != 2 {
		t.Errorf("arms are %v (%v)", arms, err)
	}
}
