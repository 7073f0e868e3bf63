package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/decision/server"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/model/evaluate"
	"github.com/usherhq/usher/pipeline/event"
)

// reading answers what it was given, and keeps what it was asked.
type reading struct {
	asked *server.DistilQuery
	found server.Distilled
	fault error
}

func (r *reading) Distil(_ context.Context, q *server.DistilQuery) (*server.Distilled, error) {
	r.asked = q
	return &r.found, r.fault
}

// rules are one that can be told, one about something personal, one whose value the
// log cannot tell.
func rules() []server.DistilledRule {
	compare := func(name string, op policy.Operator, value any) *policy.Condition {
		return &policy.Condition{Attribute: name, Operator: op, Value: value}
	}
	trusted := evaluate.OPEResult{N: 500, Default: "dr", Trusted: true, Warnings: []string{}, Estimates: map[string]evaluate.Estimate{
		"dr": {Value: 0.8, Lower: 0.7, Upper: 0.9, Interval: "cressie_read"}, "ips": {Value: 0.7, Lower: math.Inf(-1), Upper: 1},
	}}
	doubtful := evaluate.OPEResult{N: 9, Default: "dr", Warnings: []string{"too few"}, Estimates: map[string]evaluate.Estimate{
		"dr": {Withheld: true, Lower: 0, Upper: 1, Interval: "cressie_read"},
	}}
	return []server.DistilledRule{
		{
			When: &policy.Condition{All: []*policy.Condition{
				compare("intent", policy.In, []any{"cancel", "complaint"}), compare("tier", policy.Equal, "gold"),
			}},
			Words: "intent in {cancel, complaint} and tier = gold", Action: event.Action{Type: policy.TransferToSkill, Target: "retention"},
			Agreement: 0.93, Coverage: 0.14, Logged: 0.4, Value: trusted,
		},
		{
			When:  &policy.Condition{Any: []*policy.Condition{{Not: compare("home.street", policy.Equal, "Main St")}}},
			Words: "home.street is not Main St", Action: event.Action{Type: policy.TransferToSkill, Target: "care"}, Coverage: 0.1, Value: trusted,
		},
		{Words: "always", Action: event.Action{Type: policy.SendMessage}, Coverage: 0.05, Value: doubtful},
	}
}

func TestDistilModel(t *testing.T) {
	f := start(t)
	f.warehouse.cards = []server.ModelCard{{Version: "v1", Card: json.RawMessage(`{"version":"v1","objective":"default"}`)}}
	f.rest(t, "POST", "/v1/accounts/default/attributes?attribute_id=home", `{"type":"object","source":"request","pii":true}`, 200)
	f.warehouse.reading.found = server.Distilled{Rules: rules(), Rows: 5000, Agreement: 0.96, Majority: 0.4}
	const at = "/v1/accounts/default/models/v1:distil"
	answer := f.rest(t, "POST", at, `{}`, 200)
	q := f.warehouse.reading.asked
	if q.Version != "v1" || q.Objective != "default" || q.Depth != 3 || q.MinCoverage != 0.01 || q.MaxRows != 5000 || q.Highest != 1 {
		t.Errorf("it asks %+v", q)
	}
	for name, personal := range map[string]bool{
		"home": true, "home.street": true, "consumer_id": true, "user_message": true, "tier": false, "intent": false,
	} {
		if q.Personal(name) != personal {
			t.Errorf("Personal(%q) = %v", name, !personal)
		}
	}
	text, err := json.Marshal(answer)
	must(t, err)
	if strings.Contains(string(text), "Main St") || answer["agreement"] != 0.96 {
		t.Errorf("the answer is %s", text)
	}
	told, _ := answer["policies"].([]any)
	if len(told) != 2 {
		t.Fatalf("%d policies are told, want 2: %s", len(told), text)
	}
	first, _ := told[0].(map[string]any)
	if first["text"] != "intent in {cancel, complaint} and tier = gold -> skill retention" || first["agreement"] != 0.93 {
		t.Errorf("the first is %v", first)
	}
	document, err := json.Marshal(first["policy"])
	must(t, err)
	p, err := policy.Parse(document)
	must(t, err)
	if p.Name != "distilled-1-retention" || !p.Enabled || p.Effect.Fixed.Actions[0].Target != "retention" || p.When.All[1].Value != "gold" {
		t.Errorf("the policy is %s", document)
	}
	values := path(first, "value", "estimates", "dr")
	if values["value"] != 0.8 || values["lower"] != 0.7 || path(first, "value", "estimates")["ips"] != nil {
		t.Errorf("the estimates are %v", path(first, "value", "estimates"))
	}
	second, _ := told[1].(map[string]any)
	if dr := path(second, "value", "estimates", "dr"); dr["value"] != nil || dr["upper"] != 1.0 || path(second, "value")["trusted"] == true {
		t.Errorf("a value that nobody knows is told: %v", second["value"])
	}
}

// path follows names through objects; nil where one is missing.
func path(m map[string]any, names ...string) map[string]any {
	for _, name := range names {
		m, _ = m[name].(map[string]any)
	}
	return m
}

func TestDistilModelRefuses(t *testing.T) {
	f := start(t)
	f.warehouse.cards = []server.ModelCard{{Version: "v1", Card: json.RawMessage(`{}`)}}
	const at = "/v1/accounts/default/models/v1:distil"
	f.rest(t, "POST", "/v1/accounts/default/models/v2:distil", `{}`, 404)
	f.rest(t, "POST", "/v1/accounts/nobody/models/v1:distil", `{}`, 404)
	for _, bad := range []string{`{"depth":7}`, `{"depth":-1}`, `{"min_coverage":1.5}`, `{"min_coverage":-1}`, `{"max_rows":20001}`, `{"max_rows":-1}`} {
		f.rest(t, "POST", at, bad, 400)
	}
	f.warehouse.reading.fault = fault.New(fault.Precondition, "TOO_FEW_DECISIONS", "too few")
	f.rest(t, "POST", at, `{}`, 400)
	f.warehouse.reading.fault = errors.New("the child is gone")
	f.rest(t, "POST", at, `{}`, 503)
}
