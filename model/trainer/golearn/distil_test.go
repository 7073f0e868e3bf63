package golearn

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/usherhq/usher/model"
)

// learned fits a model to logged decisions and returns both.
func learned(t *testing.T, n int, seed uint64) (*model.Model, []Decision) {
	t.Helper()
	learner, err := model.New(model.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	var e encoder
	var rows []Decision
	for _, r := range logged(n, seed) {
		delete(r.Facts.Attributes, "tier_copy")
		x := e.example(&r.Facts, r.Options, r.Chosen)
		x.Reward, x.Propensity = r.Reward, r.Propensity
		if err := learner.Learn(x); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, Decision{
			Facts: r.Facts, Options: r.Options, Chosen: r.Chosen, Propensity: r.Propensity, Rewarded: true, Reward: r.Reward,
		})
	}
	return learner.Snapshot("v1"), rows
}

func query() Query {
	return Query{Depth: 3, MinCoverage: 0.01, Learner: model.DefaultConfig()}
}

// The account's truth is one sentence; the model that learned it says so.
func TestDistilSaysWhatWasLearned(t *testing.T) {
	m, rows := learned(t, 6000, 11)
	r := child(t, "work", usual())
	d, err := Distil(t.Context(), r, m, rows, query())
	if err != nil {
		t.Fatal(err)
	}
	if d.Agreement < 0.9 || d.Agreement < d.Majority || d.Rows != 6000 || d.HeldOut != 1800 {
		t.Errorf("agreement %.3f, majority %.3f, %d rows, %d held out", d.Agreement, d.Majority, d.Rows, d.HeldOut)
	}
	found := false
	for _, rule := range d.Rules {
		if rule.String() != "intent in {cancel, complaint} and tier = gold -> retention" {
			continue
		}
		found = true
		if rule.Agreement < 0.85 || rule.Coverage < 0.1 || rule.Coverage > 0.17 {
			t.Errorf("the rule has agreement %.3f and coverage %.3f", rule.Agreement, rule.Coverage)
		}
		// 0.8 + 0.2 x 0.2 by construction; what was done got a third of it.
		dr := rule.Value.Estimates["dr"]
		if dr.Lower > 0.84 || dr.Upper < 0.76 || rule.Logged > dr.Lower {
			t.Errorf("the value is %+v, what was done got %.3f", dr, rule.Logged)
		}
	}
	if !found {
		t.Error("nobody says when to send to retention")
	}
	again, err := Distil(t.Context(), r, m, rows, query())
	if err != nil || !reflect.DeepEqual(again, d) {
		t.Errorf("the same rows gave other rules: %v", err)
	}
}

// What must not be told is not, even where it explains everything.
func TestDistilLeavesOut(t *testing.T) {
	m, rows := learned(t, 2000, 12)
	q := query()
	q.Leave = func(name string) bool { return name == "tier" }
	d, err := Distil(t.Context(), child(t, "work", usual()), m, rows, q)
	if err != nil {
		t.Fatal(err)
	}
	for i := range d.Rules {
		if strings.Contains(d.Rules[i].String(), "tier") {
			t.Errorf("it says %q", d.Rules[i].String())
		}
	}
}

func TestDistilRefuses(t *testing.T) {
	m, rows := learned(t, 200, 13)
	if _, err := Distil(t.Context(), child(t, "work", usual()), m, rows[:49], query()); !errors.Is(err, ErrFewRows) {
		t.Errorf("few rows give %v", err)
	}
	if _, err := Distil(t.Context(), child(t, "panic", usual()), m, rows, query()); err == nil || !strings.Contains(err.Error(), "golearn panicked") {
		t.Errorf("a panic gives %v", err)
	}
	for _, q := range []Query{{Depth: 0, MinCoverage: 0.1}, {Depth: 7, MinCoverage: 0.1}, {Depth: 3}, {Depth: 3, MinCoverage: 2}} {
		if _, err := Distil(t.Context(), child(t, "work", usual()), m, rows, q); err == nil {
			t.Errorf("%+v is taken", q)
		}
	}
}

func TestConditionsInWords(t *testing.T) {
	low, high := 3.0, 7.5
	for want, c := range map[string]Condition{
		"tier = gold":                           {Attribute: "tier", In: []string{"gold"}},
		"tier is not gold":                      {Attribute: "tier", In: []string{"gold"}, Not: true},
		"(tier in {a, b} or tier is not known)": {Attribute: "tier", In: []string{"a", "b"}, Absent: true},
		"tier not in {a, b}":                    {Attribute: "tier", In: []string{"a", "b"}, Not: true},
		"tier is known":                         {Attribute: "tier", Not: true},
		"tier is not known":                     {Attribute: "tier", Absent: true},
		"age > 3":                               {Attribute: "age", Kind: Number, Low: &low},
		"(age <= 7.5 or age is not known)":      {Attribute: "age", Kind: Number, High: &high, Absent: true},
		"3 < age <= 7.5":                        {Attribute: "age", Kind: Number, Low: &low, High: &high},
	} {
		if got := c.String(); got != want {
			t.Errorf("%+v is %q, want %q", c, got, want)
		}
	}
}

func TestShortNumbers(t *testing.T) {
	for _, c := range []struct{ threshold, low, high, want float64 }{
		{4.9912, 4.2, 5.7, 5}, {0.70021, 0.7, 0.7004, 0.7}, {-12.5, -13, -12, -12.5}, {1234.5, 1234, 1235, 1234},
	} {
		if got := short(c.threshold, c.low, c.high); got != c.want {
			t.Errorf("between %v and %v it is %v, want %v", c.low, c.high, got, c.want)
		}
	}
}
