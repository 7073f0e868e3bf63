package replay_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/control"
	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/decision/replay"
	"github.com/usherhq/usher/pipeline/event"
)

// diary is a log of decisions in memory.
type diary []replay.Row

func (d diary) Replay(ctx context.Context, q replay.Query, fn func(replay.Row) error) error {
	for _, r := range d {
		if err := fn(r); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// draft compiles a list of documents, in order.
func (h *house) draft(documents map[string]string, order ...string) *policy.Set {
	h.t.Helper()
	var list []*policy.Policy
	for i, name := range order {
		p, err := policy.Parse([]byte(documents[name]))
		must(h.t, err)
		p.Name, p.Enabled, p.Rank = name, true, float64(i)
		list = append(list, p)
	}
	return policy.Compile(list, 0)
}

func (h *house) simulate(log diary, draft *policy.Set) *replay.Result {
	h.t.Helper()
	r, err := h.try(h.t.Context(), log, &replay.Plan{Query: replay.Query{Account: "acme", Objective: "default"}, Draft: draft, Highest: 1, Examples: 3})
	must(h.t, err)
	return r
}

func (h *house) try(ctx context.Context, log diary, p *replay.Plan) (*replay.Result, error) {
	s, err := replay.NewSimulator(decision.DefaultConfig(), replay.SimulatorDeps{Log: h.log, Source: log, Revisions: h.policies, Artifacts: h})
	must(h.t, err)
	return s.Simulate(ctx, p)
}

// The list that decided, as a draft, changes nothing.
func TestTheSameListChangesNothing(t *testing.T) {
	logs := map[*house]diary{}
	scenes(t, func(h *house, _ string, d *event.Decision) {
		logs[h] = append(logs[h], replay.Row{Decision: d})
	})
	for h, log := range logs {
		r := h.simulate(log, h.Policies("acme"))
		if r.Changed != 0 || r.Decisions != int64(len(log)) || len(r.Skipped) > 0 || len(r.Conditions)+len(r.Routes)+len(r.Examples) > 0 {
			t.Errorf("%+v of %+v", r, log[0].Decision)
		}
	}
}

// shop decides a thousand orders of amount 0 to 999 by threshold and channel.
func shop(t *testing.T) (*house, diary, map[string]string) {
	h := build(t)
	documents := map[string]string{
		"ban":   `{"when": {"attribute": "intent", "operator": "equal", "value": "scam"}, "effect": {"deny": {"targets": ["care"]}}}`,
		"large": `{"when": {"all": [{"attribute": "amount", "operator": "greater_than", "value": 900}, {"attribute": "channel", "operator": "equal", "value": "web"}]}, "effect": {"fixed": {"actions": [{"type": "SEND_MESSAGE", "payload": {"text": "one moment"}}, {"target": "desk"}]}}}`,
		"rest":  `{"effect": {"rank": {}}}`,
	}
	for _, name := range []string{"ban", "large", "rest"} {
		h.put(name, documents[name])
	}
	h.mode(control.Mode{Kind: decision.ModeOff})
	var log diary
	for i := range 1000 {
		d := h.decide(decision.Request{
			RequestID: fmt.Sprint("r", i), ConversationID: fmt.Sprint("c", i), Channel: []string{"web", "app"}[i%2], Intent: []string{"buy", "scam", "help", "buy"}[i%4],
			Attributes: map[string]any{"amount": float64(i)}, Candidates: candidates("care", "sales"),
		})
		log = append(log, replay.Row{Decision: d, Rewarded: true, Reward: float64(i % 2)})
	}
	return h, log, documents
}

// Every kind of change is counted, and blamed on what made it; the numbers follow
// from how the log was made.
func TestChangesAreCountedByCondition(t *testing.T) {
	h, log, documents := shop(t)
	with := func(name, document string, order ...string) *policy.Set {
		changed := maps.Clone(documents)
		changed[name] = document
		return h.draft(changed, order...)
	}
	const large = `{"when": {"all": [{"attribute": "amount", "operator": "greater_than", "value": %d}, {"attribute": "channel", "operator": "%s", "value": "web"}]}, "effect": {"fixed": {"actions": [{"type": "SEND_MESSAGE", "payload": {"text": "%s"}}, {"target": "%s"}]}}}`
	usual := []string{"ban", "large", "rest"}
	for name, test := range map[string]struct {
		draft      *policy.Set
		changed    int64
		conditions string
		route      replay.Route
	}{
		"a lower threshold": { // 802, 804 ... 900 by web
			with("large", fmt.Sprintf(large, 800, "equal", "one moment", "desk"), usual...), 50, "[{{large when.all[0] amount CHANGED} 50}]",
			replay.Route{FromPolicy: "rest", FromAction: "care", ToPolicy: "large", ToAction: "SEND_MESSAGE, desk"},
		},
		"a higher threshold": { // 902 ... 950
			with("large", fmt.Sprintf(large, 950, "equal", "one moment", "desk"), usual...), 25, "[{{large when.all[0] amount CHANGED} 25}]",
			replay.Route{FromPolicy: "large", FromAction: "SEND_MESSAGE, desk", ToPolicy: "rest", ToAction: "care"},
		},
		"another channel": {
			with("large", fmt.Sprintf(large, 900, "not_equal", "one moment", "desk"), usual...), 99, "[{{large when.all[1] channel CHANGED} 99}]",
			replay.Route{FromPolicy: "rest", FromAction: "sales", ToPolicy: "large", ToAction: "SEND_MESSAGE, desk"},
		},
		"another target": {
			with("large", fmt.Sprintf(large, 900, "equal", "one moment", "den"), usual...), 49, "[{{large effect.fixed.actions[1].target  CHANGED} 49}]",
			replay.Route{FromPolicy: "large", FromAction: "SEND_MESSAGE, desk", ToPolicy: "large", ToAction: "SEND_MESSAGE, den"},
		},
		"another message": {
			with("large", fmt.Sprintf(large, 900, "equal", "wait", "desk"), usual...), 49, "[{{large effect.fixed.actions[0].payload.text  CHANGED} 49}]",
			replay.Route{FromPolicy: "large", FromAction: "SEND_MESSAGE, desk", ToPolicy: "large", ToAction: "SEND_MESSAGE, desk"},
		},
		"one more policy": {
			with("new", `{"when": {"any": [{"attribute": "amount", "operator": "less_than", "value": 10}, {"attribute": "amount", "operator": "equal", "value": 500}]}, "effect": {"fixed": {"actions": [{"target": "kids"}]}}}`, "new", "ban", "large", "rest"),
			11, "[{{new when.any[0] amount ADDED} 10} {{new when.any[1] amount ADDED} 1}]",
			replay.Route{FromPolicy: "rest", FromAction: "care", ToPolicy: "new", ToAction: "kids"},
		},
		"one policy less": {
			h.draft(documents, "ban", "rest"), 49, "[{{large when.all[0] amount REMOVED} 49} {{large when.all[1] channel REMOVED} 49}]",
			replay.Route{FromPolicy: "large", FromAction: "SEND_MESSAGE, desk", ToPolicy: "rest", ToAction: "care"},
		},
		"a deny less": { // every fourth, all by app
			h.draft(documents, "large", "rest"), 250, "[{{ban when intent REMOVED} 250}]",
			replay.Route{FromPolicy: "rest", FromAction: "sales", ToPolicy: "rest", ToAction: "care"},
		},
		"another order": {
			h.draft(documents, "ban", "rest", "large"), 49, "[{{large position  MOVED} 49}]",
			replay.Route{FromPolicy: "large", FromAction: "SEND_MESSAGE, desk", ToPolicy: "rest", ToAction: "care"},
		},
	} {
		r := h.simulate(log, test.draft)
		if r.Decisions != 1000 || r.Changed != test.changed || len(r.Skipped) > 0 {
			t.Errorf("%s: %d of %d changed, %d wanted; skipped %v", name, r.Changed, r.Decisions, test.changed, r.Skipped)
		}
		if got := fmt.Sprint(r.Conditions); got != test.conditions && !(name == "another order" && got == "[{{rest position  MOVED} 49}]") {
			t.Errorf("%s: by %s, want %s", name, got, test.conditions)
		}
		total := int64(0)
		for _, route := range r.Routes {
			total += route.Changed
		}
		if len(r.Routes) == 0 || r.Routes[0].Route != test.route && len(r.Routes) == 1 || total != test.changed {
			t.Errorf("%s: routes %+v", name, r.Routes)
		}
		if len(r.Examples) != min(3, int(test.changed)) || !slices.IsSortedFunc(r.Examples, func(a, b replay.Change) int { return b.Time.Compare(a.Time) }) {
			t.Errorf("%s: examples %+v", name, r.Examples)
		}
	}
}

// The condition that made the difference alone is blamed, wherever the others went.
func TestBlameIsCounterfactual(t *testing.T) {
	const doc = `{"when": %s, "effect": {"fixed": {"actions": [{"target": "desk"}]}}}`
	leaf := func(attribute, operator string, value any) string {
		return fmt.Sprintf(`{"attribute": %q, "operator": %q, "value": %v}`, attribute, operator, value)
	}
	all := func(parts ...string) string { return `{"all": [` + strings.Join(parts, ", ") + `]}` }
	either := func(parts ...string) string { return `{"any": [` + strings.Join(parts, ", ") + `]}` }
	n1, n2, z1, k := leaf("n", "greater_than_or_equal", 1), leaf("n", "greater_than_or_equal", 2), leaf("z", "equal", 1), leaf("k", "exists", true)
	for name, test := range map[string]struct{ live, draft, want string }{
		"removed, another changed to no effect": {all(n1, z1), all(n2), "[{{p when.all[1] z REMOVED} 9}]"},
		"removed":                               {all(n1, z1), all(n1), "[{{p when.all[1] z REMOVED} 9}]"},
		"removed, the first":                    {all(z1, n1), all(n1), "[{{p when.all[0] z REMOVED} 9}]"},
		"all for its part":                      {all(z1, n1), n1, "[{{p when.all[0] z REMOVED} 9}]"},
		"added":                                 {n1, all(n2, z1), "[{{p when.all[1] z ADDED} 9}]"},
		"added before":                          {all(n1), all(z1, n1), "[{{p when.all[0] z ADDED} 9}]"},
		"moved and changed":                     {all(n1, z1), all(leaf("z", "less_than", 3), n1), "[{{p when.all[0] z CHANGED} 2}]"},
		"another attribute":                     {all(n1, z1), all(n1, leaf("z2", "exists", false)), "[{{p when.all[1] z REMOVED} 9}]"},
		"an alternative":                        {either(z1, leaf("n", "less_than", 0)), either(z1, n1, leaf("n", "less_than", 1)), "[{{p when.any[1] n ADDED} 9}]"},
		"within an alternative":                 {all(n1, either(z1, leaf("z", "equal", 2))), all(n2, either(leaf("z", "equal", 2))), "[{{p when.all[1].any[0] z REMOVED} 1}]"},
		"the condition went":                    {z1, `{"all": []}`, "[{{p when z REMOVED} 9}]"},
		"a negation":                            {all(`{"not": `+z1+`}`, n1), all(n2, `{"not": `+leaf("z", "less_than", 2)+`}`), "[{{p when.all[1].not z CHANGED} 1}]"},
		"both alone are enough":                 {all(n1, k), all(leaf("n", "equal", 7), leaf("k", "equal", 3)), "[{{p when.all[0] n CHANGED} 10} {{p when.all[1] k CHANGED} 10}]"},
		"one kind of group for another":         {all(n1, z1), either(n1, z1), "[{{p when.any[0] n CHANGED} 9}]"},
	} {
		t.Run(name, func(t *testing.T) {
			h := build(t)
			h.put("p", fmt.Sprintf(doc, test.live))
			h.put("rest", `{"effect": {"rank": {}}}`)
			h.mode(control.Mode{Kind: decision.ModeOff})
			var log diary
			for i := range 10 {
				d := h.decide(decision.Request{RequestID: fmt.Sprint("r", i), Attributes: map[string]any{"n": 5, "z": i, "k": 1}, Candidates: candidates("care")})
				log = append(log, replay.Row{Decision: d})
			}
			draft := h.draft(map[string]string{"p": fmt.Sprintf(doc, test.draft), "rest": `{"effect": {"rank": {}}}`}, "p", "rest")
			if got := fmt.Sprint(h.simulate(log, draft).Conditions); got != test.want {
				t.Errorf("by %s, want %s", got, test.want)
			}
		})
	}
}

// With exploration in the log the worth of a policy that never ran is found; what
// each action brings is known by construction.
func TestWorthIsEstimatedWhereTheLogCanTell(t *testing.T) {
	h := build(t)
	h.teach("m1")
	h.put("rest", `{"effect": {"rank": {}}}`)
	explore := .5
	h.mode(control.Mode{Kind: decision.ModeOn, Exploration: &explore})
	worth := map[string]float64{"billing": .2, "sales": .8, "care": .5}
	var log diary
	credit := map[string]float64{}
	for i := range 6000 {
		d := h.decide(decision.Request{
			RequestID: fmt.Sprint("r", i), ConversationID: fmt.Sprint("c", i), Channel: "web", Intent: []string{"refund", "buy", "help"}[i%3],
			Candidates: candidates("billing", "sales", "care"),
		})
		// Rewards of 0 and 1 in the right proportion, without luck.
		reward := 0.0
		if credit[d.Chosen] += worth[d.Chosen]; credit[d.Chosen] >= 1 {
			credit[d.Chosen]--
			reward = 1
		}
		log = append(log, replay.Row{Decision: d, Rewarded: true, Reward: reward})
	}
	always := func(target string) *policy.Set {
		return h.draft(map[string]string{"p": `{"effect": {"fixed": {"actions": [{"target": "` + target + `"}]}}}`}, "p")
	}
	for target, want := range worth {
		e := h.simulate(log, always(target)).Estimate
		if !e.Trusted || math.Abs(e.Simulated-want) > .03 || e.Lower > want || e.Upper < want || e.Upper-e.Lower > .15 || e.Rewards != 6000 || e.Method != "snips" {
			t.Errorf("%s is worth %g, the estimate is %+v", target, want, e)
		}
	}
	same := h.simulate(log, h.Policies("acme"))
	if e := same.Estimate; !e.Trusted || math.Abs(e.Simulated-e.Logged) > 1e-9 || same.Changed != 0 || e.LargestWeight > 1+1e-9 {
		t.Errorf("the same list: %+v", e)
	}
	// A third of the rows cannot say what the draft wants to know: the rest is no
	// sample of all.
	curious := h.draft(map[string]string{
		"a": `{"when": {"all": [{"attribute": "intent", "operator": "equal", "value": "help"}, {"attribute": "crm.tier", "operator": "equal", "value": "gold"}]}, "effect": {"fixed": {"actions": [{"target": "care"}]}}}`,
		"b": `{"effect": {"rank": {}}}`,
	}, "a", "b")
	if r := h.simulate(log, curious); r.Decisions != 4000 || r.Estimate.Trusted || r.Estimate.Simulated != 0 || len(r.Estimate.Warnings) == 0 {
		t.Errorf("with rows left out: %d replayed, %+v", r.Decisions, r.Estimate)
	}
	for name, draft := range map[string]*policy.Set{"what was never offered": always("elsewhere"), "nothing": h.draft(map[string]string{"p": `{"effect": {"deny": {"targets": ["billing", "sales", "care"]}}}`}, "p")} {
		if e := h.simulate(log, draft).Estimate; e.Trusted || e.Simulated != 0 || e.Lower != 0 || e.Upper != 1 || len(e.Warnings) == 0 || e.Unsupported < .99 {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

// A log without exploration says nothing about another action, however large it is.
func TestALogThatNeverTriedIsNotBelieved(t *testing.T) {
	h, log, documents := shop(t)
	documents["rest"] = `{"effect": {"fixed": {"actions": [{"target": "sales"}]}}}`
	e := h.simulate(log, h.draft(documents, "ban", "large", "rest")).Estimate
	if e.Trusted || e.Simulated != 0 || e.Lower != 0 || e.Upper != 1 || len(e.Warnings) == 0 || math.Abs(e.Logged-.5) > .01 {
		t.Errorf("%+v", e)
	}
	for i := range log {
		log[i].Rewarded = false
	}
	if e := h.simulate(log, h.draft(documents, "ban")).Estimate; e.Trusted || e.Rewards != 0 || len(e.Warnings) != 1 {
		t.Errorf("without rewards: %+v", e)
	}
}

// What a record cannot know is said, and not guessed.
func TestWhatARecordCannotKnowIsSkipped(t *testing.T) {
	h := build(t)
	h.teach("m1")
	h.personal = []string{"mail"}
	h.put("rest", `{"effect": {"rank": {}}}`)
	h.mode(control.Mode{Kind: decision.ModeOn})
	var log diary
	for i := range 10 {
		r := decision.Request{RequestID: fmt.Sprint("r", i), Channel: "web", Intent: "buy", Attributes: map[string]any{"n": float64(i)}, Candidates: candidates("billing", "sales")}
		if i < 4 {
			r.Attributes["mail"] = "a@b.c"
		}
		if i < 3 {
			r.Attributes["crm.tier"] = "gold"
		}
		log = append(log, replay.Row{Decision: h.decide(r)})
	}
	rest := `{"effect": {"rank": {}}}`
	delete(h.models, "m1")
	for name, test := range map[string]struct {
		first   string
		decided int64
		skipped string
	}{
		"context":       {`{"when": {"attribute": "crm.tier", "operator": "equal", "value": "gold"}, "effect": {"fixed": {"actions": [{"target": "desk"}]}}}`, 3, "map[attribute crm.tier is not in the record:7]"},
		"decided first": {`{"when": {"any": [{"attribute": "n", "operator": "exists", "value": true}, {"attribute": "crm.tier", "operator": "equal", "value": "gold"}]}, "effect": {"fixed": {"actions": [{"target": "desk"}]}}}`, 10, "map[]"},
		"plain":         {`{"when": {"attribute": "tier", "operator": "equal", "value": "gold"}, "effect": {"fixed": {"actions": [{"target": "desk"}]}}}`, 10, "map[]"},
		"personal":      {`{"when": {"attribute": "mail", "operator": "ends_with", "value": ".c"}, "effect": {"fixed": {"actions": [{"target": "desk"}]}}}`, 6, "map[attribute mail is not in the record:4]"},
		"live state":    {`{"when": {"attribute": "skill.desk.load", "operator": "less_than", "value": 1}, "effect": {"fixed": {"actions": [{"target": "desk"}]}}}`, 0, "map[attribute skill.desk is not in the record:10]"},
		"new candidate": {`{"effect": {"rank": {"actions": [{"target": "care"}]}}}`, 0, "map[model m1 is gone:10]"},
	} {
		r := h.simulate(log, h.draft(map[string]string{"p": test.first, "rest": rest}, "p", "rest"))
		if r.Decisions != test.decided || fmt.Sprint(r.Skipped) != test.skipped {
			t.Errorf("%s: %d replayed, skipped %v", name, r.Decisions, r.Skipped)
		}
	}
	h.models["m1"] = h.model.Encode()
	r := h.simulate(log, h.draft(map[string]string{"p": `{"effect": {"rank": {"actions": [{"target": "care"}]}}}`}, "p"))
	if r.Decisions != 10 || len(r.Skipped) > 0 {
		t.Errorf("with the model: %+v", r)
	}
}

func TestSimulationEndsWithItsContext(t *testing.T) {
	h, log, documents := shop(t)
	ctx, cancel := context.WithCancel(t.Context())
	var seen int64
	p := &replay.Plan{Query: replay.Query{Account: "acme"}, Draft: h.draft(documents, "rest"), Progress: func(done int64) { seen = done; cancel() }}
	if _, err := h.try(ctx, append(log, log...), p); !errors.Is(err, context.Canceled) {
		t.Errorf("the end of the context gives %v", err)
	}
	if seen != 1000 {
		t.Errorf("progress told of %d", seen)
	}
}

// BenchmarkSimulate measures decisions a second, ten policies and their records
// decoded already.
func BenchmarkSimulate(b *testing.B) {
	h := build(b)
	h.teach("m1")
	documents := map[string]string{}
	var order []string
	for i := range 10 {
		name := fmt.Sprint("p", i)
		order = append(order, name)
		documents[name] = fmt.Sprintf(`{"when": {"all": [{"attribute": "n", "operator": "equal", "value": %d}, {"attribute": "tier", "operator": "in", "value": ["gold", "silver"]}]}, "effect": {"fixed": {"actions": [{"target": "t%d"}]}}}`, i, i)
		h.put(name, documents[name])
	}
	h.put("rest", `{"effect": {"rank": {}}}`)
	explore := .1
	h.mode(control.Mode{Kind: decision.ModeOn, Exploration: &explore})
	var log diary
	for i := range 20_000 {
		d := h.decide(decision.Request{
			RequestID: fmt.Sprint("r", i), ConversationID: fmt.Sprint("c", i), Channel: "web", Intent: "buy",
			Attributes: map[string]any{"n": float64(i % 40), "tier": "gold"}, Candidates: candidates("billing", "sales", "care"),
		})
		log = append(log, replay.Row{Decision: d, Rewarded: true, Reward: float64(i % 2)})
	}
	documents["p3"] = `{"when": {"attribute": "n", "operator": "equal", "value": 4}, "effect": {"fixed": {"actions": [{"target": "other"}]}}}`
	draft := h.draft(documents, order...)
	b.ResetTimer()
	begun := time.Now()
	for b.Loop() {
		h.simulate(log, draft)
	}
	b.ReportMetric(float64(b.N*len(log))/time.Since(begun).Seconds(), "decisions/s")
}
