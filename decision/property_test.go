package decision_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/event"
)

// anyWorld draws policies of every effect, a default, modes and perhaps a model.
func anyWorld(t *rapid.T, trained *world) *world {
	w := newWorld()
	key := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "x"})
	keys := rapid.SliceOfN(key, 1, 3)
	var policies []*policy.Policy
	for i := range rapid.IntRange(0, 5).Draw(t, "policies") {
		p := &policy.Policy{Name: fmt.Sprintf("p%d", i), Rank: float64(i), Enabled: rapid.Bool().Draw(t, "enabled")}
		if rapid.Bool().Draw(t, "conditional") {
			p.When = &policy.Condition{
				Attribute: "intent", Operator: policy.Equal, Value: rapid.SampledFrom([]string{"refund", "sales"}).Draw(t, "intent"),
			}
		}
		p.Effect = anyEffect(t, key, keys)
		if rapid.IntRange(0, 3).Draw(t, "excepts") == 0 {
			p.Exception = &policy.Exception{
				When:   &policy.Condition{Attribute: "vip", Operator: policy.Equal, Value: rapid.Bool().Draw(t, "for vips")},
				Effect: anyEffect(t, key, keys),
			}
		}
		policies = append(policies, p)
	}
	if rapid.IntRange(0, 3).Draw(t, "default policy") == 0 {
		policies = append(policies, &policy.Policy{Name: policy.DefaultName, Enabled: true, Effect: policy.Effect{Rank: &policy.Rank{}}})
	}
	w.set = policy.Compile(policies, 3)
	if rapid.Bool().Draw(t, "default") {
		set, err := policy.CompileEffect([]byte(`{"fixed":{"actions":[{"type":"T","target":"` + key.Draw(t, "default key") + `"}]}}`))
		if err != nil {
			t.Fatal(err)
		}
		w.accounts["acme"] = decision.Account{Default: set}
	}
	share := rapid.Float64Range(0, 1)
	m := decision.Mode{
		Kind: rapid.SampledFrom([]decision.ModeKind{
			decision.ModeOff, decision.ModeShadow, decision.ModeCompare, decision.ModeHoldout, decision.ModeOn,
		}).Draw(t, "mode"),
		Share: share.Draw(t, "share"),
	}
	if rapid.Bool().Draw(t, "explores") {
		exploration := share.Draw(t, "exploration")
		m.Exploration = &exploration
	}
	w.modes["account"] = m
	if rapid.Bool().Draw(t, "has model") {
		w.model = trained.model
	}
	return w
}

func anyEffect(t *rapid.T, key *rapid.Generator[string], keys *rapid.Generator[[]string]) policy.Effect {
	rank := func() *policy.Rank {
		return &policy.Rank{
			Targets: rapid.SampledFrom([][]string{nil, keys.Draw(t, "ranked")}).Draw(t, "all or some"),
			Levers:  map[string]float64{key.Draw(t, "lever"): rapid.Float64Range(-100, 1000).Draw(t, "percent")},
		}
	}
	actions := func(name string) []event.Action {
		list := []event.Action{{Type: "T", Target: key.Draw(t, name)}}
		if rapid.Bool().Draw(t, "says something") {
			list = slices.Insert(list, 0, event.Action{Type: "SEND_MESSAGE", Payload: map[string]any{"text": "hi"}})
		}
		return list
	}
	split := func() *policy.Split {
		s := &policy.Split{By: rapid.SampledFrom([]string{"", policy.ByConsumer, "tier", "gone"}).Draw(t, "by")}
		for range rapid.IntRange(1, 4).Draw(t, "arms") {
			s.Arms = append(s.Arms, policy.Arm{Weight: rapid.Float64Range(1e-3, 1e300).Draw(t, "weight"), Actions: actions("arm")})
		}
		return s
	}
	switch rapid.IntRange(0, 6).Draw(t, "effect") {
	case 0:
		return policy.Effect{Fixed: &policy.Fixed{Actions: actions("fixed")}}
	case 4:
		return policy.Effect{Split: split()}
	case 5:
		return policy.Effect{Deny: &policy.Deny{Targets: keys.Draw(t, "denied")}, Split: split()}
	case 6:
		var steps []policy.Step
		for range rapid.IntRange(1, 3).Draw(t, "steps") {
			s := policy.Step{ExpiresAfter: rapid.SampledFrom([]string{"", "10s", "1m"}).Draw(t, "expires")}
			switch rapid.IntRange(0, 2).Draw(t, "step") {
			case 0:
				s.Fixed = &policy.Fixed{Actions: actions("step")}
			case 1:
				s.Rank = rank()
			default:
				s.Split = split()
			}
			if rapid.Bool().Draw(t, "skips") {
				s.SkipWhen = &policy.Condition{Attribute: "intent", Operator: policy.Equal, Value: "sales"}
			}
			steps = append(steps, s)
		}
		return policy.Effect{Steps: steps}
	case 1:
		return policy.Effect{Deny: &policy.Deny{Targets: keys.Draw(t, "denied")}}
	case 2:
		return policy.Effect{Deny: &policy.Deny{Targets: keys.Draw(t, "denied")}, Rank: rank()}
	default:
		return policy.Effect{Rank: rank()}
	}
}

func anyRequest(t *rapid.T) *decision.Request {
	r := &decision.Request{
		Account: "acme", Intent: rapid.SampledFrom([]string{"refund", "sales", ""}).Draw(t, "asked"),
		RequestID: rapid.StringMatching(`[a-z é☎]{1,8}`).Draw(t, "request"), ConversationID: rapid.StringMatching(`[a-z é☎]{0,3}`).Draw(t, "conversation"),
		MaxActions: rapid.IntRange(0, 7).Draw(t, "max"), Attributes: map[string]any{"tier": "gold", "wait": 3.0, "vip": true},
		Waited: time.Duration(rapid.IntRange(0, 200).Draw(t, "waited")) * time.Second,
	}
	for _, key := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}), 0, 5, rapid.ID).Draw(t, "candidates") {
		r.Candidates = append(r.Candidates, event.Candidate{Action: event.Action{Type: "T", Target: key}})
	}
	if rapid.Bool().Draw(t, "has baseline") {
		r.Baseline = &event.Action{Target: rapid.SampledFrom([]string{"a", "b", "y"}).Draw(t, "baseline")}
	}
	return r
}

func TestEveryDecisionKeepsItsPromises(t *testing.T) {
	trained := &world{model: teach(t, "m1", []lesson{
		{Intent: "refund", Arm: "a", Reward: 1, Times: 20},
		{Intent: "refund", Arm: "b", Times: 20},
		{Intent: "sales", Arm: "b", Reward: 1, Times: 20},
		{Intent: "sales", Arm: "c", Reward: 0.3, Times: 5},
	})}
	rapid.Check(t, func(rt *rapid.T) {
		w, r := anyWorld(rt, trained), anyRequest(rt)
		e := w.engine(t)
		d, err := e.Decide(context.Background(), r)
		if err != nil {
			rt.Fatal(err)
		}
		if err := d.Validate(); err != nil {
			rt.Fatal(err)
		}
		checkProbabilities(rt, d)
		checkBans(rt, w, d)
		again, err := e.Decide(context.Background(), r)
		if err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(d, again, cmpopts.IgnoreFields(event.Decision{}, "ID", "Time", "Latency")); diff != "" {
			rt.Fatalf("the same request got another answer: %s", diff)
		}
		dry := *r
		dry.DryRun = true
		again, err = e.Decide(context.Background(), &dry)
		if err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(d, again, cmpopts.IgnoreFields(event.Decision{}, "ID", "Time", "Latency")); diff != "" {
			rt.Fatalf("the dry run got another answer: %s", diff)
		}
	})
}

// checkProbabilities: they sum to 1 over the eligible candidates, what is not
// eligible has none and is never answered, and the propensity is the chosen one's.
func checkProbabilities(t *rapid.T, d *event.Decision) {
	sum, eligible := 0.0, map[string]float64{}
	for i := range d.Candidates {
		c := &d.Candidates[i]
		if !c.Eligible && (c.Probability != 0 || c.Verdict == "") {
			t.Fatalf("%s is not eligible, has probability %g and verdict %q", c.Key(), c.Probability, c.Verdict)
		}
		if c.Eligible {
			eligible[c.Key()] = c.Probability
			sum += c.Probability
		}
	}
	if len(d.Actions) == 0 {
		if len(eligible) > 0 || d.Propensity != 0 || d.Chosen != "" {
			t.Fatalf("no answer although %v are eligible", eligible)
		}
		return
	}
	if math.Abs(sum-1) > 1e-9 {
		t.Fatalf("probabilities sum to %g", sum)
	}
	for _, a := range d.Actions {
		if _, ok := eligible[a.Key()]; !ok && a.Type != "SEND_MESSAGE" {
			t.Fatalf("%s is answered and not eligible", a.Key())
		}
	}
	if p := eligible[d.Chosen]; p != d.Propensity || p <= 0 {
		t.Fatalf("chosen %q has probability %g, propensity %g", d.Chosen, p, d.Propensity)
	}
	if len(d.Actions) > d.MaxActions {
		t.Fatalf("%d actions, %d asked for", len(d.Actions), d.MaxActions)
	}
}

// checkBans: what a matching deny names is never answered.
func checkBans(t *rapid.T, w *world, d *event.Decision) {
	for i, trace := range d.Policies {
		effect := &w.set.Rule(i).Policy().Effect
		if trace.Exception {
			effect = &w.set.Rule(i).Policy().Exception.Effect
		}
		if trace.State != event.True || effect.Deny == nil {
			continue
		}
		for _, a := range d.Actions {
			if slices.Contains(effect.Deny.Targets, a.Key()) {
				t.Fatalf("%s is answered although %s bans it", a.Key(), trace.Policy)
			}
		}
	}
}

func TestSharesAreKept(t *testing.T) {
	w := newWorld()
	w.model = teach(t, "m1", []lesson{{Intent: "refund", Arm: "b", Reward: 1, Times: 50}, {Intent: "refund", Arm: "a", Times: 50}})
	zero, tenth := 0.0, 0.1
	const n = 20_000
	count := func(m decision.Mode, what func(*event.Decision) bool) float64 {
		w.modes["account"] = m
		e, hits := w.engine(t), 0
		for i := range n {
			d, err := e.Decide(context.Background(), &decision.Request{
				Account: "acme", RequestID: fmt.Sprint("r", i), ConversationID: fmt.Sprint("c", i), Intent: "refund",
				Candidates: []event.Candidate{{Action: event.Action{Target: "a"}}, {Action: event.Action{Target: "b"}}},
			})
			if err != nil {
				t.Fatal(err)
			}
			if what(d) {
				hits++
			}
		}
		return float64(hits) / n
	}
	byModel := func(d *event.Decision) bool { return d.DecidedBy == event.DecidedByModel }
	near := func(name string, got, want float64) {
		// Five standard errors of a share of n draws.
		if math.Abs(got-want) > 5*math.Sqrt(want*(1-want)/n) {
			t.Errorf("%s: share %g, want %g", name, got, want)
		}
	}
	near("compare", count(decision.Mode{Kind: decision.ModeCompare, Share: 0.3, Exploration: &zero}, byModel), 0.3)
	near("holdout", count(decision.Mode{Kind: decision.ModeHoldout, Share: 0.2, Exploration: &zero}, byModel), 0.8)
	frequency, propensity := 0.0, 0.0
	frequency = count(decision.Mode{Kind: decision.ModeOn, Exploration: &tenth}, func(d *event.Decision) bool {
		for i := range d.Candidates {
			if c := &d.Candidates[i]; c.Key() == "a" {
				propensity = c.Probability
			}
		}
		return d.Chosen == "a"
	})
	near("drawn as often as its probability says", frequency, propensity)
}

// TestSplitsKeepTheirShares: arms are drawn as often as the record says, a
// conversation stays with its arm, and an arm that falls out moves nobody else.
func TestSplitsKeepTheirShares(t *testing.T) {
	w := newWorld()
	arms := []policy.Arm{}
	for i, key := range []string{"a", "b", "c"} {
		arms = append(arms, policy.Arm{Weight: float64(1 + 2*i), Actions: []event.Action{{Type: "T", Target: key}}})
	}
	split := &policy.Policy{Name: "split", Rank: 1, Enabled: true, Effect: policy.Effect{Split: &policy.Split{Arms: arms}}}
	deny := &policy.Policy{Name: "deny", Enabled: true, Effect: policy.Effect{Deny: &policy.Deny{Targets: []string{"b"}}}}
	const n = 20_000
	run := func(policies ...*policy.Policy) (map[string]float64, map[string]float64, []string) {
		w.set = policy.Compile(policies, 1)
		e, share, propensity := w.engine(t), map[string]float64{}, map[string]float64{}
		var drawn []string
		for i := range n {
			d, err := e.Decide(t.Context(), &decision.Request{Account: "acme", ConversationID: fmt.Sprint("c", i)})
			if err != nil {
				t.Fatal(err)
			}
			share[d.Chosen] += 1.0 / n
			propensity[d.Chosen] = d.Propensity
			drawn = append(drawn, d.Chosen)
		}
		return share, propensity, drawn
	}
	share, propensity, before := run(split)
	for key, p := range map[string]float64{"a": 1.0 / 9, "b": 3.0 / 9, "c": 5.0 / 9} {
		if math.Abs(propensity[key]-p) > 1e-12 || math.Abs(share[key]-p) > 5*math.Sqrt(p*(1-p)/n) {
			t.Errorf("%s: propensity %g, share %g, want %g", key, propensity[key], share[key], p)
		}
	}
	share, propensity, after := run(deny, split)
	if math.Abs(propensity["a"]-1.0/6) > 1e-12 || math.Abs(share["c"]-5.0/6) > 5*math.Sqrt(5.0/36/n) || share["b"] != 0 {
		t.Errorf("without b: propensity %v, shares %v", propensity, share)
	}
	for i := range before {
		if before[i] != "b" && before[i] != after[i] {
			t.Fatalf("conversation %d moved from %s to %s although its arm is there", i, before[i], after[i])
		}
	}
}

// silent is a source of attributes that must not be asked.
type silent struct{ t testing.TB }

func (s silent) Attributes(_ context.Context, q *decision.AttributeQuery) decision.Found {
	s.t.Errorf("asked for %v", q.Names)
	return decision.Found{}
}

func (s silent) Rules(string) decision.AttributeRules { return decision.AttributeRules{} }

func TestNothingIsLookedUpThatTheRequestBrings(t *testing.T) {
	w := newWorld()
	when := &policy.Condition{All: []*policy.Condition{
		{Attribute: "crm.tier", Operator: policy.Equal, Value: "gold"},
		{Attribute: "orchestrator.intent", Operator: policy.Equal, Value: "refund"},
		{Attribute: "hour", Operator: policy.Less, Value: 25.0},
		{Attribute: "custom.x.y", Operator: policy.Exists, Value: true},
	}}
	w.set = policy.Compile([]*policy.Policy{{Name: "p", Enabled: true, When: when, Effect: policy.Effect{Rank: &policy.Rank{}}}}, 1)
	engine := func(source decision.AttributeSource) *decision.Engine {
		e, err := decision.New(decision.DefaultConfig(), decision.Deps{
			Policies: w, Models: w, Control: w, Now: func() time.Time { return w.now }, NewID: func() string { return "id" }, Attributes: source,
		})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	r := &decision.Request{
		Account: "acme", Intent: "refund", Candidates: []event.Candidate{{Action: event.Action{Target: "a"}}},
		Attributes: map[string]any{"crm": map[string]any{"tier": "gold"}, "custom.x": map[string]any{"y": 1.0}},
	}
	allocations := func(e *decision.Engine) float64 {
		return testing.AllocsPerRun(200, func() {
			if d, err := e.Decide(context.Background(), r); err != nil || d.Policy != "p" {
				t.Errorf("%v %+v", err, d)
			}
		})
	}
	if with, without := allocations(engine(silent{t})), allocations(engine(nil)); with > without {
		t.Errorf("a source that is not asked costs %g allocations, none costs %g", with, without)
	}
}

func TestRequestFaultsAndUnknownAccount(t *testing.T) {
	w := newWorld()
	e := w.engine(t)
	_, err := e.Decide(context.Background(), &decision.Request{Account: "nobody"})
	if fault.KindOf(err) != fault.NotFound {
		t.Errorf("unknown account: %v", err)
	}
	_, err = e.Decide(context.Background(), &decision.Request{
		Account: "acme", ConversationID: strings.Repeat("x", 257), Intent: "\xff",
		Attributes: map[string]any{"nan": math.NaN(), "deep": map[string]any{"chan": make(chan int)}},
		Candidates: []event.Candidate{{Action: event.Action{Target: "a"}, Attributes: map[string]any{"": 1.0}}},
	})
	for _, field := range []string{"conversation_id", "intent", "attributes.nan", "attributes.deep.chan", "candidates[0].attributes"} {
		if err == nil || !strings.Contains(err.Error(), field+":") {
			t.Errorf("%s is not named in %v", field, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := e.Decide(ctx, &decision.Request{Account: "acme"}); err == nil {
		t.Error("an ended context got an answer")
	}
}

func TestTraceLimit(t *testing.T) {
	w := newWorld()
	var policies []*policy.Policy
	for i := range 150 {
		policies = append(policies, &policy.Policy{
			Name: fmt.Sprintf("p%03d", i), Enabled: true,
			When:   &policy.Condition{Attribute: "intent", Operator: policy.Equal, Value: fmt.Sprint("i", i)},
			Effect: policy.Effect{Rank: &policy.Rank{}},
		})
	}
	w.set = policy.Compile(policies, 1)
	r := &decision.Request{Account: "acme", Intent: "i70", Candidates: []event.Candidate{{Action: event.Action{Target: "a"}}}}
	d, err := w.engine(t).Decide(context.Background(), r)
	if err != nil || len(d.Policies) != 1 || d.Policies[0].Policy != "p070" || d.Policy != "p070" {
		t.Errorf("%d traces, policy %q, %v", len(d.Policies), d.Policy, err)
	}
	r.Explain = true
	d, err = w.engine(t).Decide(context.Background(), r)
	if err != nil || len(d.Policies) != 150 || d.Policies[69].State != event.False || d.Policies[71].State != event.NotReached {
		t.Errorf("%d traces, %v", len(d.Policies), err)
	}
}

// lookedUp finds nothing.
type lookedUp struct{}

func (lookedUp) Attributes(context.Context, *decision.AttributeQuery) decision.Found {
	return decision.Found{Failed: map[string]string{"a.b": "gone"}}
}
func (lookedUp) Rules(string) decision.AttributeRules { return decision.AttributeRules{} }

func TestMetrics(t *testing.T) {
	w := newWorld()
	w.set = policy.Compile([]*policy.Policy{{
		Name: "p", Enabled: true, Effect: policy.Effect{Rank: &policy.Rank{}},
		When: &policy.Condition{Any: []*policy.Condition{{Attribute: "a.b", Operator: policy.Equal, Value: 1.0}, {CEL: "missing"}}},
	}}, 1)
	reg := prometheus.NewRegistry()
	e, err := decision.New(decision.DefaultConfig(), decision.Deps{
		Policies: w, Models: w, Control: w, Now: func() time.Time { return w.now }, NewID: w.newID,
		Metrics: decision.NewMetrics(reg), Attributes: lookedUp{},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, dry := range []bool{false, true} { // a dry run is not counted
		if _, err := e.Decide(t.Context(), &decision.Request{Account: "acme", DryRun: dry}); err != nil {
			t.Fatal(err)
		}
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range families {
		for _, m := range f.GetMetric() {
			line := f.GetName()
			for _, l := range m.GetLabel() {
				line += " " + l.GetValue()
			}
			got = append(got, fmt.Sprintf("%s %g", line, m.GetCounter().GetValue()+float64(m.GetHistogram().GetSampleCount())))
		}
	}
	want := []string{
		"usher_attribute_failed_total a.b 1", "usher_attribute_seconds 1", "usher_decision_seconds 1", "usher_decisions_total default SHADOW NO_ELIGIBLE_CANDIDATE 1",
		"usher_exploration_budget_exhausted_total 0", "usher_exploration_draws_total 0",
		"usher_policy_unknown_total a.b 1", "usher_policy_unknown_total missing 1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestConfigAndDeps(t *testing.T) {
	if _, err := decision.New(decision.DefaultConfig(), decision.Deps{}); err == nil {
		t.Error("an engine without sources was made")
	}
	cfg := decision.DefaultConfig()
	cfg.TraceLimit, cfg.Factors, cfg.Explore.Floor = -1, -1, 2
	if err := cfg.Validate(); err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("faults %v", err)
	}
}

// benchWorld has policies of which only the last matches and a trained model.
func benchWorld(b *testing.B, policies, candidates, features int) (*world, *decision.Request) {
	w := newWorld()
	var list []*policy.Policy
	for i := range policies {
		list = append(list, parseBench(b, i, i == policies-1))
	}
	w.set = policy.Compile(list, 1)
	r := &decision.Request{
		Account: "acme", RequestID: "r", ConversationID: "c", Intent: "refund", Channel: "web", Attributes: map[string]any{},
	}
	for i := range features {
		r.Attributes[fmt.Sprint("f", i)] = fmt.Sprint("v", i)
	}
	var lessons []lesson
	for i := range candidates {
		key := fmt.Sprint("group-", i)
		r.Candidates = append(r.Candidates, event.Candidate{Action: event.Action{Target: key}})
		lessons = append(lessons, lesson{Intent: "refund", Channel: "web", Attributes: r.Attributes, Arm: key, Reward: float64(i%3) / 2, Times: 3})
	}
	w.model = teach(b, "m1", lessons)
	w.modes["account"] = decision.Mode{Kind: decision.ModeOn}
	return w, r
}

func parseBench(b *testing.B, i int, matches bool) *policy.Policy {
	intent := fmt.Sprint("intent-", i)
	if matches {
		intent = "refund"
	}
	p, err := policy.Parse(fmt.Appendf(nil, `{"name":"p%d","rank":%d,"when":{"all":[
		{"attribute":"intent","operator":"equal","value":%q},{"attribute":"hour","operator":"between","value":[0,24]},
		{"attribute":"channel","operator":"starts_with","value":"we"}]},"effect":{"rank":{}}}`, i, i, intent))
	if err != nil {
		b.Fatal(err)
	}
	return p
}

func BenchmarkDecide(b *testing.B) {
	for _, size := range []struct{ policies, candidates, features int }{{10, 10, 8}, {10, 66, 15}, {1000, 10, 8}} {
		b.Run(fmt.Sprintf("policies=%d/candidates=%d/features=%d", size.policies, size.candidates, size.features), func(b *testing.B) {
			w, r := benchWorld(b, size.policies, size.candidates, size.features)
			w.now = time.Now()
			e := w.engine(b)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.Decide(context.Background(), r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkExplain tells what the whole trace costs beside the answer alone: the
// promise is three times as much at the most. A baseline and fixed actions keep the
// model out of it, which costs the same with and without.
func BenchmarkExplain(b *testing.B) {
	for _, policies := range []int{10, 100, 1000} {
		for _, explain := range []bool{false, true} {
			b.Run(fmt.Sprintf("policies=%d/explain=%v", policies, explain), func(b *testing.B) {
				w, r := benchWorld(b, policies, 10, 8)
				w.now, r.Explain = time.Now(), explain
				e := w.engine(b)
				b.ReportAllocs()
				for b.Loop() {
					if _, err := e.Decide(context.Background(), r); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
