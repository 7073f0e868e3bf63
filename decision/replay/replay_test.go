package replay_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/catalog"
	"github.com/usherhq/usher/decision/control"
	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/decision/policystore"
	"github.com/usherhq/usher/decision/replay"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is an installation that decides over a real config log, with a clock that
// the test turns.
type house struct {
	t        testing.TB
	now      time.Time
	ids      int
	log      *configlog.Store
	control  *control.Control
	policies *policystore.Store
	model    *model.Model
	models   map[string][]byte
	skills   map[string]event.Skill
	lookup   map[string]any    // what attributes are found, by name
	broken   map[string]string // why others are not
	personal []string
	engine   *decision.Engine
	verifier *replay.Verifier // kept, as a server keeps its own
}

func build(t testing.TB) *house {
	t.Helper()
	h := &house{
		t: t, now: time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC), models: map[string][]byte{}, skills: map[string]event.Skill{},
		lookup: map[string]any{}, broken: map[string]string{},
	}
	h.log = configlog.New(&configlog.Memory{}, configlog.WithClock(func() time.Time { return h.now }, h.id))
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = h.log.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	<-h.log.Ready()
	h.control = control.New(h.log)
	h.policies = policystore.New(h.log, policystore.WithEnvironment(catalog.New(h.log)))
	_, err := h.control.CreateAccount(ctx, control.Account{ID: "acme"}, control.Author{Name: "test"})
	must(t, err)
	h.engine, err = decision.New(decision.DefaultConfig(), decision.Deps{
		Policies: h, Models: h, Control: h.control, Skills: h, Attributes: h, Now: func() time.Time { return h.now }, NewID: h.id,
	})
	must(t, err)
	return h
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (h *house) id() string { h.ids++; return fmt.Sprint("id-", h.ids) }

func (h *house) Policies(account string) *policy.Set {
	set, err := h.policies.Compiled(context.Background(), account, policystore.Live)
	must(h.t, err)
	return set
}
func (h *house) Current(string) *model.Model { return h.model }
func (h *house) Skill(_, name string) (event.Skill, bool) {
	s, ok := h.skills[name]
	return s, ok
}

func (h *house) Rules(string) decision.AttributeRules {
	return decision.AttributeRules{Personal: h.personal}
}

func (h *house) Attributes(_ context.Context, q *decision.AttributeQuery) decision.Found {
	f := decision.Found{Values: map[string]any{}, Sources: map[string]string{}, Ages: map[string]time.Duration{}, Failed: map[string]string{}}
	for _, name := range q.Names {
		if v, ok := h.lookup[name]; ok {
			f.Values[name], f.Sources[name], f.Ages[name] = v, "function", time.Second
			f.Calls = append(f.Calls, event.Call{Function: "f", Attribute: name, Result: event.CallCached, Age: time.Second})
		} else if why, ok := h.broken[name]; ok {
			f.Failed[name] = why
			f.Calls = append(f.Calls, event.Call{Function: "g", Attribute: name, Result: event.CallError, Detail: why})
		}
	}
	return f
}

func (h *house) Artifact(_ context.Context, _, version string) ([]byte, error) {
	if data, ok := h.models[version]; ok {
		return data, nil
	}
	return nil, fault.New(fault.NotFound, "MODEL_NOT_FOUND", "gone")
}

// teach makes a model live: in each intent another skill is best.
func (h *house) teach(version string) {
	l, err := model.New(model.DefaultConfig())
	must(h.t, err)
	var enc model.Encoder
	for i, arm := range []string{"billing", "sales", "care"} {
		for n := range 60 {
			intent := []string{"refund", "buy", "help"}[n%3]
			reward := 0.0
			if n%3 == i {
				reward = 1
			}
			must(h.t, l.Learn(model.Example{
				Context: enc.Context(&model.Facts{Channel: "web", Intent: intent}),
				Arms:    enc.Arms([]model.Option{{Key: arm}}, ""), Reward: reward, Propensity: 1,
			}))
		}
	}
	h.model = l.Snapshot(version)
	h.models[version] = h.model.Encode()
}

// put writes a policy at the end of the list, enabled.
func (h *house) put(name, document string) {
	h.t.Helper()
	p, err := policy.Parse([]byte(document))
	must(h.t, err)
	p.Name, p.Enabled = name, true
	_, err = h.policies.Create(h.t.Context(), "acme", p, policystore.Change{Author: "test"})
	must(h.t, err)
	h.now = h.now.Add(time.Minute)
}

func (h *house) mode(m control.Mode) {
	h.t.Helper()
	if m.Scope == "" {
		m.Scope = decision.ScopeAccount
	}
	_, err := h.control.SetMode(h.t.Context(), "acme", m, control.Author{Name: "test"})
	must(h.t, err)
	h.now = h.now.Add(time.Minute)
}

// decide decides, and returns the record as it comes back from storage.
func (h *house) decide(r decision.Request) *event.Decision {
	h.t.Helper()
	r.Account = "acme"
	h.now = h.now.Add(time.Second)
	d, err := h.engine.Decide(h.t.Context(), &r)
	must(h.t, err)
	return stored(h.t, d)
}

func stored(t testing.TB, d *event.Decision) *event.Decision {
	t.Helper()
	text, err := json.Marshal(d)
	must(t, err)
	out, err := event.DecodeDecision(&event.Message{Value: text})
	must(t, err)
	return out
}

func (h *house) verify(d *event.Decision) replay.Verification {
	h.t.Helper()
	if h.verifier == nil {
		var err error
		h.verifier, err = replay.NewVerifier(decision.DefaultConfig(), replay.Deps{Log: h.log, Artifacts: h})
		must(h.t, err)
	}
	got, err := h.verifier.Verify(h.t.Context(), d)
	must(h.t, err)
	return got
}

func candidates(keys ...string) []event.Candidate {
	var out []event.Candidate
	for _, key := range keys {
		out = append(out, event.Candidate{Action: event.Action{Type: "TRANSFER_TO_SKILL", Target: key}, Attributes: map[string]any{"cost": float64(len(key))}})
	}
	return out
}

// lists are policies of every effect, one list after the other.
func lists() map[string][]string {
	return map[string][]string{
		"none": nil,
		"fixed, exception, deny": {
			`{"when": {"attribute": "crm.blocked", "operator": "equal", "value": true}, "effect": {"deny": {"targets": ["sales"]}}}`,
			`{"when": {"all": [{"attribute": "tier", "operator": "in", "value": ["gold"]}, {"attribute": "skill.care.load", "operator": "less_than", "value": 0.9}]},
			  "exception": {"when": {"attribute": "intent", "operator": "equal", "value": "help"}, "effect": {"fixed": {"actions": [{"target": "rescue"}]}}},
			  "effect": {"fixed": {"actions": [{"type": "SEND_MESSAGE", "payload": {"text": "Hello {{tier}}"}}, {"target": "a1"}, {"target": "a2"}, {"target": "a3"}]}}}`,
			`{"when": {"attribute": "erp.away", "operator": "equal", "value": 1}, "effect": {"fixed": {"actions": [{"target": "never"}]}}}`,
		},
		"rank": {
			`{"when": {"attribute": "user_message", "operator": "contains", "value": "stop"}, "effect": {"fixed": {"actions": [{"type": "CLOSE"}]}}}`,
			`{"effect": {"deny": {"where": {"attribute": "candidate.cost", "operator": "greater_than", "value": 6}}, "rank": {"actions": [{"target": "extra"}], "levers": {"care": 40}}}}`,
		},
		"split": {`{"effect": {"split": {"by": "consumer", "arms": [{"weight": 1, "actions": [{"target": "x"}]}, {"weight": 3, "actions": [{"target": "sales"}, {"type": "CLOSE"}]}]}}}`},
		"steps": {`{"effect": {"steps": [{"rank": {"targets": ["billing"]}, "expires_after": "30s"}, {"rank": {"targets": ["billing", "sales"]}, "expires_after": "1m"},
			{"fixed": {"actions": [{"type": "TRANSFER_TO_AGENT", "target": "ann", "payload": {"fallback_skill": "care"}}]}}]}}`},
		"clock": {`{"when": {"time": {"from": "00:00", "to": "23:59", "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]}}, "effect": {"rank": {}}}`},
	}
}

// scenes are a decision for every list, mode and request that matter.
func scenes(t testing.TB, each func(h *house, name string, d *event.Decision)) {
	zero, tenth := 0.0, 0.1
	modes := map[string]control.Mode{
		"off": {Kind: decision.ModeOff}, "shadow": {Kind: decision.ModeShadow}, "on": {Kind: decision.ModeOn, Exploration: &tenth},
		"greedy": {Kind: decision.ModeOn, Exploration: &zero}, "compare": {Kind: decision.ModeCompare, Share: .5}, "holdout": {Kind: decision.ModeHoldout, Share: .5},
	}
	for _, list := range slices.Sorted(maps.Keys(lists())) {
		for _, mode := range slices.Sorted(maps.Keys(modes)) {
			h := build(t)
			h.teach("m1")
			h.lookup = map[string]any{"crm.blocked": true, "crm.unused": "x"}
			h.broken = map[string]string{"erp.away": "the function is away"}
			h.skills = map[string]event.Skill{"care": {AgentsOnline: 2, Load: .5, At: h.now.Add(-time.Minute)}, "ann": {AgentsOnline: 0, At: h.now}}
			for i, document := range lists()[list] {
				h.put(fmt.Sprintf("p%d", i), document)
			}
			h.mode(modes[mode])
			h.now = h.now.Add(time.Minute)
			for i, r := range []decision.Request{
				{RequestID: "r1", ConversationID: "c1", ConsumerID: "u1", Channel: "web", Intent: "refund", Candidates: candidates("billing", "sales", "care"), Baseline: &event.Action{Target: "sales"}},
				{RequestID: "r2", ConversationID: "c2", ConsumerID: "u2", Intent: "help", Attributes: map[string]any{"tier": "gold", "n": 3.0, "tags": []any{"a"}}, Candidates: candidates("billing", "care"), MaxActions: 1, Waited: 45 * time.Second},
				{RequestID: "r3", ConversationID: "c3", Intent: "buy", Attributes: map[string]any{"tier": "gold"}, Baseline: &event.Action{Target: "front", Payload: map[string]any{"a": 1.0}}, Waited: 5 * time.Minute, UserMessage: "please stop", Labels: map[string]string{"traceparent": "00-1"}},
				{RequestID: "r4", Explain: true, Candidates: candidates("billing", "sales", "care", "expensive"), Channel: "web", Intent: "buy"},
				{RequestID: "r5"},
			} {
				each(h, fmt.Sprintf("%s/%s/%d", list, mode, i), h.decide(r))
			}
		}
	}
}

// Whatever decided, a record tells the same again, also after everything that it
// rests on was changed.
func TestEveryRecordIsToldAgain(t *testing.T) {
	seen := map[event.DecidedBy]int{}
	scenes(t, func(h *house, name string, d *event.Decision) {
		seen[d.DecidedBy]++
		before := stored(t, d)
		if got := h.verify(d); got.Verdict != replay.Same {
			t.Errorf("%s: %s %q\n%+v", name, got.Verdict, got.Findings, d)
		}
		if strings.HasSuffix(name, "/4") {
			changeEverything(h)
			if got := h.verify(d); got.Verdict != replay.Same {
				t.Errorf("%s, later: %s %q", name, got.Verdict, got.Findings)
			}
		}
		if a, b := fmt.Sprintf("%+v", before), fmt.Sprintf("%+v", d); a != b {
			t.Errorf("%s: the record was changed", name)
		}
	})
	for _, by := range []event.DecidedBy{event.DecidedByPolicy, event.DecidedByModel, event.DecidedByBaseline, event.DecidedByDefault} {
		if seen[by] == 0 {
			t.Errorf("nothing was decided by %s", by)
		}
	}
}

func changeEverything(h *house) {
	h.now = h.now.Add(time.Hour)
	h.put("late", `{"effect": {"fixed": {"actions": [{"target": "elsewhere"}]}}}`)
	_, err := h.policies.Move(h.t.Context(), "acme", "late", 0, policystore.Change{Author: "test"})
	must(h.t, err)
	h.mode(control.Mode{Kind: decision.ModeOn})
	h.model, h.skills, h.lookup = nil, map[string]event.Skill{}, map[string]any{}
}
