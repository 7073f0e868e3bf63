package demo

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// The figures of the data set's description: a parser that drops, repeats or
// reorders rows cannot give them.
func TestLogIsTheOneDescribed(t *testing.T) {
	log, err := load()
	if err != nil {
		t.Fatal(err)
	}
	all, groups := log.slice(0)
	if len(all) != 20396 || len(groups) < 66 || len(groups) > 70 {
		t.Fatalf("got %d incidents and %d groups", len(all), len(groups))
	}
	var results []result
	never := 0
	for i := range all {
		if i > 0 && all[i].opened.Before(all[i-1].opened) {
			t.Fatalf("incident %d is out of order", i)
		}
		results = append(results, result{people: all[i].firstGroup == all[i].rightOne})
		if all[i].resolved.IsZero() {
			never++
		}
	}
	if got := tally(results).People; math.Abs(got-0.658) > 0.0005 {
		t.Errorf("people are right in %.4f of all, want 0.658", got)
	}
	if got := tally(results[len(results)/2:]).People; math.Abs(got-0.674) > 0.0005 {
		t.Errorf("people are right in %.4f of the last half, want 0.674", got)
	}
	if share := float64(never) / float64(len(all)); math.Abs(share-0.068) > 0.003 {
		t.Errorf("%.4f never resolved, want about 0.068", share)
	}
}

// A request must hold nothing that was not known when the incident was opened.
func TestRequestDoesNotPeek(t *testing.T) {
	log, err := load()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"first_group": true, "priority": true, "hour": true, "weekday": true}
	for _, c := range contextColumns {
		known[c] = true
	}
	for i := range log.incidents {
		in := log.incidents[i]
		before := in.request("a", nil).String()
		for name := range in.request("a", nil).GetAttributes() {
			if !known[name] {
				t.Fatalf("incident %s asks with %q", in.id, name)
			}
		}
		in.rightOne, in.resolved, in.madeSLA, in.transfers, in.reopened = "other", time.Time{}, !in.madeSLA, 99, 99
		if i < 50 && in.request("a", nil).String() != before {
			t.Fatalf("the request of %s changes with its outcome", in.id)
		}
	}
}

func TestOutcomesOfAnotherAssignmentAreNotInvented(t *testing.T) {
	in := incident{id: "I1", firstGroup: "a", rightOne: "b", transfers: 2}
	kinds := func(all []*usherv1.Outcome) string {
		var names []string
		for _, o := range all {
			names = append(names, o.GetKind())
		}
		return strings.Join(names, " ")
	}
	if got := kinds(in.outcomes("d", "a", time.Now())); got != "right_group sla transfers reopened" {
		t.Errorf("people's own assignment: %s", got)
	}
	other := in.outcomes("d", "b", time.Now())
	if got := kinds(other); got != "right_group" || other[0].GetValue() != 1 {
		t.Errorf("another assignment: %s, value %v", got, other[0].GetValue())
	}
}

func TestReportHasTheAgreedShape(t *testing.T) {
	half := 0.5
	report := Report{Incidents: 2, Shares: Shares{Model: &half}, Tenths: []Shares{{}}, DecidedBy: map[string]float64{"model": 1}}
	text, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	for key := range strings.FieldsSeq("incidents people policy model usher last_half tenths decided_by decisions_per_second p50_ms p99_ms refits reward_to_model_seconds rows") {
		if _, ok := got[key]; !ok {
			t.Errorf("key %q is missing in %s", key, text)
		}
	}
	var table bytes.Buffer
	if err := report.Print(&table); err != nil || !strings.Contains(table.String(), "last half") {
		t.Errorf("table: %v\n%s", err, table.String())
	}
}

func TestConfigFaults(t *testing.T) {
	if err := (Config{Account: "a", Rate: 0}).Validate(); err == nil {
		t.Error("a rate of 0 passes")
	}
	ok := DefaultConfig()
	ok.Account = "a"
	if err := ok.Validate(); err != nil {
		t.Error(err)
	}
}
