package server_test

import (
	"context"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/ladder"
	"github.com/usherhq/usher/decision/server"
)

// evidence is a log in which the model and policy got as much, in 40 decisions each.
type evidence struct{}

func (evidence) LadderRows(_ context.Context, q ladder.Query) iter.Seq2[ladder.Row, error] {
	return func(yield func(ladder.Row, error) bool) {
		for i := range 80 {
			row := ladder.Row{Side: ladder.SideModel, Mode: decision.ModeCompare, Value: float64(i % 2), Chosen: "a", ModelOnly: "a", PolicyOnly: "a", Propensity: 1}
			if i%4 < 2 {
				row.Side = ladder.SidePolicy
			}
			if !yield(row, nil) {
				return
			}
		}
	}
}

func (evidence) LadderMatch(context.Context, ladder.Query) (same, rows int64, err error) {
	return 60, 80, nil
}

func (f *fixture) steps(t testing.TB) server.Ladder {
	t.Helper()
	l, err := ladder.New(ladder.DefaultConfig(), ladder.Deps{Control: f.control, Evidence: evidence{}, Now: time.Now})
	must(t, err)
	return l
}

func TestLadderOverREST(t *testing.T) {
	f := start(t)
	const account = "/v1/accounts/default"
	scopes := f.rest(t, "GET", account+"/ladder", "", 200)["scopes"].([]any)
	own := scopes[0].(map[string]any)
	if own["next"] != "COMPARE" || own["match_rate"] != 0.75 || len(own["tests"].([]any)) != 4 {
		t.Errorf("the ladder is %v", own)
	}
	refused := f.rest(t, "POST", account+"/modes/account:advance", `{"reason":"why not"}`, 400)
	if text := violated(refused); !strings.Contains(text, "model") || !strings.Contains(text, "rows") {
		t.Errorf("refused with %v", refused)
	}
	m := f.rest(t, "POST", account+"/modes/account:advance", `{"reason":"we know","share":0.3,"force":true}`, 200)
	if m["mode"] != "COMPARE" || m["share"] != 0.3 {
		t.Errorf("forced to %v", m)
	}
	own = f.rest(t, "GET", account+"/ladder", "", 200)["scopes"].([]any)[0].(map[string]any)
	g := own["guardrails"].([]any)[0].(map[string]any)
	if g["metric"] != "reward" || g["state"] != "WATCHING" || g["model_rows"] != "40" || g["policy_rows"] != "40" || g["max_drop"] != 0.05 {
		t.Errorf("its guardrail is %v", g)
	}
	if reason, _ := own["reason"].(string); !strings.HasPrefix(reason, "we know (forced, model: no model is live") {
		t.Errorf("the reason kept is %q", reason)
	}
	if m = f.rest(t, "POST", account+"/modes/account:retreat", `{"reason":"enough"}`, 200); m["mode"] != "SHADOW" || m["share"] != 0.0 {
		t.Errorf("back in %v", m)
	}
	f.rest(t, "POST", account+"/modes/account:retreat", `{"mode":"ON"}`, 400)
	f.rest(t, "POST", account+"/modes/nowhere:advance", `{"force":true}`, 400)
	f.rest(t, "GET", "/v1/accounts/none/ladder", "", 404)

	limits := f.rest(t, "PATCH", account, `{"no_exploration":{"attribute":"tier","operator":"equal","value":"vip"},"exploration_per_hour":7}`, 200)
	if limits["exploration_per_hour"] != "7" || limits["no_exploration"] == nil {
		t.Errorf("the account is %v", limits)
	}
	wrong := f.rest(t, "PATCH", account, `{"no_exploration":{"attribute":"tier","operator":"resembles","value":"vip"},"exploration_per_hour":-1}`, 400)
	if text := violated(wrong); !strings.Contains(text, "no_exploration.operator") || !strings.Contains(text, "exploration_per_hour") {
		t.Errorf("refused with %v", wrong)
	}
	f.rest(t, "POST", account+"/skills", `{"name":"refunds","exploration_per_hour":0}`, 200)
	if skill := f.rest(t, "GET", account+"/skills/refunds", "", 200); skill["exploration_per_hour"] != "0" {
		t.Errorf("the skill is %v", skill)
	}
	rails := f.rest(t, "PATCH", account+"/modes/account", `{"guardrails":[{"metric":"transfers","max_drop":0.2,"max":5,"lower_is_better":true}]}`, 200)
	if len(rails["guardrails"].([]any)) != 1 {
		t.Errorf("the mode is %v", rails)
	}
	f.rest(t, "PATCH", account+"/modes/account", `{"guardrails":[{"metric":"reward","max_drop":0}]}`, 400)
}
