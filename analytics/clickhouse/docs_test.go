package clickhouse

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/usherhq/usher/pipeline"
	"github.com/usherhq/usher/pipeline/event"
)

// TestDocumentedQueries runs every query that the pages show on a log that has
// something for each of them.
func TestDocumentedQueries(t *testing.T) {
	db := open(t)
	silence := 0.0
	value, err := json.Marshal(event.Objective{Terms: []event.Term{{Kind: "resolved", Weight: 1}}, Max: 1, Window: time.Hour, DefaultReward: &silence})
	if err != nil {
		t.Fatal(err)
	}
	b := &pipeline.Block{Topic: "t", Last: 10, Config: []pipeline.Stored[event.ConfigChange]{
		storedAt(0, &event.ConfigChange{ID: "k", Account: "default", Kind: "objective", Name: "solve", Value: value, Time: epoch}),
	}}
	now := time.Now().UTC()
	for i := range 3 {
		d := decision(fmt.Sprint("d", i), now.Add(-time.Duration(i+1)*time.Minute))
		d.Account, d.ConversationID = "default", "c-1"
		d.Policies = []event.PolicyTrace{{Policy: "large-orders", State: event.Unknown, Conditions: []event.ConditionTrace{
			{Path: "when.all[0]", Attribute: "amount", Operator: "greater_than", Expected: 500.0, Actual: 700.0, Truth: event.True},
			{Path: "when.all[1]", Attribute: "tier", Operator: "equal", Expected: "gold", Truth: event.Unknown, Cause: "missing"},
		}}}
		b.Decisions = append(b.Decisions, storedAt(int64(i), d))
		o := outcome(fmt.Sprint("o", i), "crm", now)
		o.Account, o.DecisionID = "default", d.ID
		b.Outcomes = append(b.Outcomes, storedAt(int64(i), o))
	}
	write(t, NewWriter(db, nil, nil), b)
	fence, n := regexp.MustCompile("(?ms)^```sql\n(.*?)^```$"), 0
	for _, page := range []string{"explain.md", "operations.md"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "docs", page))
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range fence.FindAllStringSubmatch(string(text), -1) {
			n++
			if rows := scalar[uint64](t, db, "SELECT count() FROM ("+block[1]+")"); rows == 0 {
				t.Errorf("%s: nothing answers\n%s", page, block[1])
			}
		}
	}
	if n != 6 {
		t.Errorf("%d queries were run, want 6", n)
	}
}

// TestDocumentedColumns: the columns that the page names are there, and of the two
// views it names all.
func TestDocumentedColumns(t *testing.T) {
	db := open(t)
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "explain.md"))
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `(decisions|policy_log|condition_log)` \\| (.*) \\|$")
	word := regexp.MustCompile("`([a-z_]+)`")
	seen := 0
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		seen++
		var named []string
		for _, w := range word.FindAllStringSubmatch(m[2], -1) {
			named = append(named, w[1])
		}
		got := scalar[[]string](t, db, "SELECT groupArray(name) FROM system.columns WHERE database = currentDatabase() AND table = '"+m[1]+"'")
		for _, name := range named {
			if !slices.Contains(got, name) {
				t.Errorf("%s has no column %s", m[1], name)
			}
		}
		for _, name := range got {
			if m[1] != "decisions" && !slices.Contains(named, name) {
				t.Errorf("column %s of %s is not explained", name, m[1])
			}
		}
	}
	if seen != 3 {
		t.Errorf("%d tables are explained, want 3", seen)
	}
}
