package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestLiveStateCountsAtOnce(t *testing.T) {
	f := start(t)
	f.createPolicy(t, `{"name": "room", "display_name": "Billing with room", "enabled": true,
		"when": {"attribute": "skill.billing.queue_size", "operator": "less_than", "value": 5},
		"effect": {"fixed": {"actions": [{"type": "TRANSFER_TO_SKILL", "target": "billing"}]}}}`)
	ask := `{"conversationId": "c1", "dryRun": true, "explain": true}`
	const path = "/v1/accounts/default/nextActions"
	if got := f.rest(t, "POST", path, ask, http.StatusOK); got["policy"] != "" {
		t.Fatalf("without live state the answer is %v", got)
	}
	f.rest(t, "POST", "/v1/accounts/default/skillStates",
		`{"states": [{"skill": "billing", "state": {"queueSize": 3, "agentsOnline": 2, "load": 0.5}}]}`, http.StatusOK)
	got := f.rest(t, "POST", path, ask, http.StatusOK)
	if got["policy_display_name"] != "Billing with room" || got["reasons"].([]any)[0] != "POLICY_MATCH" {
		t.Fatalf("with live state the answer is %v", got)
	}
	record := got["explanation"].(map[string]any)
	condition := record["policies"].([]any)[0].(map[string]any)["conditions"].([]any)[0].(map[string]any)
	if condition["source"] != "live" || condition["actual"] != 3.0 || record["skills"].(map[string]any)["billing"] == nil {
		t.Errorf("the trace is %v", condition)
	}
	list := f.rest(t, "GET", "/v1/accounts/default/skillStates", "", http.StatusOK)["states"].([]any)
	if len(list) != 1 || list[0].(map[string]any)["skill"] != "billing" {
		t.Errorf("listed are %v", list)
	}
}

func TestReportsNameEveryFault(t *testing.T) {
	f := start(t)
	body := `{"states": [{"skill": "", "state": {"load": -1, "agentsOnline": -2}}, {"skill": "x"}, {"skill": "y", "state": {"at": "1970-01-01T00:00:00Z"}}]}`
	got := fmt.Sprint(f.rest(t, "POST", "/v1/accounts/default/skillStates", body, http.StatusBadRequest))
	for _, field := range []string{"states[0].skill", "states[0].state.load", "states[0].state.agents_online", "states[1].state", "states[2].state.at"} {
		if !strings.Contains(got, field) {
			t.Errorf("%s is not in %s", field, got)
		}
	}
	f.rest(t, "POST", "/v1/accounts/default/skillStates", `{}`, http.StatusBadRequest)
	f.rest(t, "POST", "/v1/accounts/nobody/skillStates", `{"states": [{"skill": "x", "state": {}}]}`, http.StatusNotFound)
	if list := f.rest(t, "GET", "/v1/accounts/default/skillStates", "", http.StatusOK)["states"]; list != nil && len(list.([]any)) > 0 {
		t.Errorf("refused reports count: %v", list)
	}
}

func TestAnswersTellStepAndValidity(t *testing.T) {
	f := start(t)
	f.createPolicy(t, `{"name": "widen", "enabled": true, "effect": {"steps": [
		{"fixed": {"actions": [{"type": "TRANSFER_TO_SKILL", "target": "near"}]}, "expires_after": "30s"},
		{"fixed": {"actions": [{"type": "TRANSFER_TO_SKILL", "target": "far"}]}}]}}`)
	for _, c := range []struct{ waited, target, step, validFor string }{
		{"0s", "near", "1", "30s"}, {"12.5s", "near", "1", "17.500s"}, {"30s", "far", "2", "<nil>"},
	} {
		got := f.rest(t, "POST", "/v1/accounts/default/nextActions", `{"conversationId": "c1", "waited": "`+c.waited+`"}`, http.StatusOK)
		target := got["actions"].([]any)[0].(map[string]any)["target"]
		if target != c.target || fmt.Sprint(got["step"]) != c.step || fmt.Sprint(got["valid_for"]) != c.validFor {
			t.Errorf("after %s the answer is %v, step %v, valid for %v", c.waited, target, got["step"], got["valid_for"])
		}
	}
	f.rest(t, "POST", "/v1/accounts/default/nextActions", `{"waited": "-1s"}`, http.StatusBadRequest)
}

func TestADraftIsAskedInADryRunOnly(t *testing.T) {
	f := start(t)
	f.createPolicy(t, `{"name": "live", "enabled": true, "effect": {"fixed": {"actions": [{"type": "TRANSFER_TO_SKILL", "target": "live"}]}}}`)
	f.rest(t, "POST", "/v1/accounts/default/policyDrafts?draft_id=next", `{"policies": [{"name": "tried", "enabled": true,
		"effect": {"fixed": {"actions": [{"type": "TRANSFER_TO_SKILL", "target": "tried"}]}}}]}`, http.StatusOK)
	ask := func(body string, want int) string {
		got := f.rest(t, "POST", "/v1/accounts/default/nextActions", body, want)
		if want != http.StatusOK {
			return fmt.Sprint(got)
		}
		return fmt.Sprint(got["actions"].([]any)[0].(map[string]any)["target"])
	}
	if got := ask(`{"draft": "next", "dryRun": true}`, http.StatusOK); got != "tried" {
		t.Errorf("the draft answers %s", got)
	}
	if got := ask(`{"draft": "accounts/default/policyDrafts/next", "dryRun": true}`, http.StatusOK); got != "tried" {
		t.Errorf("the draft by its whole name answers %s", got)
	}
	if got := ask(`{"draft": "next"}`, http.StatusBadRequest); !strings.Contains(got, "dry") {
		t.Errorf("refused with %s", got)
	}
	ask(`{"draft": "gone", "dryRun": true}`, http.StatusNotFound)
	ask(`{"policy": "accounts/other/policies/live"}`, http.StatusBadRequest)
	if got := ask(`{"policy": "live"}`, http.StatusOK); got != "live" {
		t.Errorf("one policy answers %s", got)
	}
}

// TestADryRunLeavesNoTrace: nothing is recorded, nothing set, nothing counted.
func TestADryRunLeavesNoTrace(t *testing.T) {
	f := start(t)
	f.createPolicy(t, `{"name": "marks", "enabled": true, "effect": {"fixed": {"actions": [
		{"type": "SET_CONTEXT", "payload": {"namespace": "bot", "scope": "conversation", "properties": {"seen": true}}},
		{"type": "TRANSFER_TO_SKILL", "target": "a"}]}}}`)
	before := f.spool.Stats().Recorded
	got := f.rest(t, "POST", "/v1/accounts/default/nextActions", `{"conversationId": "c1", "dryRun": true}`, http.StatusOK)
	if f.spool.Stats().Recorded != before {
		t.Error("a dry run was recorded")
	}
	f.rest(t, "GET", "/v1/accounts/default/decisions/"+got["decision_id"].(string), "", http.StatusNotFound)
	load := func() int {
		docs, err := f.contexts.Load(t.Context(), "default", []string{"c1"}, []string{"bot"})
		must(t, err)
		return len(docs)
	}
	if load() != 0 {
		t.Error("a dry run set context")
	}
	f.rest(t, "POST", "/v1/accounts/default/nextActions", `{"conversationId": "c1"}`, http.StatusOK)
	if f.spool.Stats().Recorded != before+1 || load() != 1 {
		t.Errorf("the same for real: %d records, %d documents", f.spool.Stats().Recorded-before, load())
	}
}

// createPolicy stores a policy by its canonical document.
func (f *fixture) createPolicy(t testing.TB, document string) {
	t.Helper()
	f.rest(t, "POST", "/v1/accounts/default/policies", document, http.StatusOK)
}
