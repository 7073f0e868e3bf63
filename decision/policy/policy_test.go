package policy_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/event"
)

func parse(t testing.TB, doc string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse([]byte(doc))
	if err != nil {
		t.Fatalf("parse %s: %v", doc, err)
	}
	return p
}

func someFacts() *policy.Facts {
	return &policy.Facts{
		Channel: "web", Intent: "refund", UserMessage: "I want my money back", ConversationID: "c1",
		Attributes: map[string]any{
			"tier": "gold", "wait": 31.0, "vip": true, "tags": []any{"a", "b", 3.0}, "limit": 30.0, "empty": "",
			"customer": map[string]any{"city": "Köln", "age": 41.0}, "flat.name": "x", "tiers": []any{"gold", "silver"},
			"opened": "2026-03-02T08:30:00+01:00", "birthday": "2026-03-02",
			"conversation.consumerId": "from the other name", "conversation": map[string]any{"minutesSinceStartConversation": 3.0},
		},
		Found: map[string]any{
			"custom.limit": 10.0, "vip": false, "crm.profile": map[string]any{"tier": "gold", "tags": []any{"x"}},
		},
		Sources: map[string]string{"custom.limit": "custom", "crm.profile": "function"},
		Ages:    map[string]time.Duration{"crm.profile": 3 * time.Second},
		Failed:  map[string]string{"custom.slow": "TIMEOUT: crm did not answer in 50ms"},
		Skills: func(name string) (event.Skill, bool) {
			return event.Skill{QueueSize: 7, AgentsOnline: 2, Load: 0.5, WaitSeconds: 90, At: time.Date(2026, 11, 22, 17, 29, 55, 0, time.UTC)}, name == "billing"
		},
		Now: time.Date(2026, 11, 22, 17, 30, 0, 0, time.UTC), // a Sunday
	}
}

// stateOf evaluates a condition alone and checks that Eval and Trace agree.
func stateOf(t *testing.T, when string, f *policy.Facts) event.PolicyTrace {
	t.Helper()
	p := parse(t, `{"name":"p","when":`+when+`,"effect":{"rank":{}}}`)
	set := policy.Compile([]*policy.Policy{p}, 1)
	in := set.NewInput()
	in.Load(f)
	trace := set.Trace(in, -1)[0]
	if matched := set.Eval(in) != nil; matched != (trace.State == event.True) {
		t.Errorf("%s: Eval says %v, Trace %s", when, matched, trace.State)
	}
	return trace
}

// conditions.txt holds one condition a line: the expected truth, then the JSON.
func TestConditions(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "conditions.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for n, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		want, when, ok := strings.Cut(line, " ")
		if !ok {
			t.Fatalf("line %d: %q", n+1, line)
		}
		if got := stateOf(t, strings.TrimSpace(when), someFacts()); string(got.State) != want {
			t.Errorf("line %d: %s is %s, want %s (%+v)", n+1, when, got.State, want, got.Conditions)
		}
	}
}

// faults.txt holds one policy a line, then the fields that must be named, in
// order, after " => ".
func TestFaultsAllAtOnce(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "faults.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for n, line := range strings.Split(string(data), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		doc, want, _ := strings.Cut(line, " => ")
		p, err := policy.Parse([]byte(doc))
		if err == nil {
			t.Errorf("line %d: no error, %+v", n+1, p)
			continue
		}
		f, ok := errors.AsType[*fault.Error](err)
		if !ok || f.Kind != fault.Invalid {
			t.Errorf("line %d: %v is not an Invalid fault", n+1, err)
			continue
		}
		fields := []string{}
		for _, v := range f.Violations {
			fields = append(fields, v.Field)
		}
		if got := strings.Join(fields, " "); got != want {
			t.Errorf("line %d: faults at %q, want %q (%v)", n+1, got, want, err)
		}
	}
}

func TestCanonicalForm(t *testing.T) {
	p := parse(t, `{"effect":{"deny":{"targets":["a"]},"rank":{"levers":{"b":55}}},
		"when":{"any":[{"attribute":"x","operator":"IS_IN","value":["a"]},{"attribute":"y","operator":"==","value":"{{z}}"},
		{"time":{"from":"22:00","to":"06:00","days":["monday","Tue","MON"]}},{"attribute":"w","operator":"isSet"}]},"name":"n"}`)
	got, err := policy.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"name":"n","enabled":true,"when":{"any":[{"attribute":"x","operator":"in","value":["a"]},` +
		`{"attribute":"y","operator":"equal","value_from":"z"},{"time":{"from":"22:00","to":"06:00","days":["MON","TUE"]}},` +
		`{"attribute":"w","operator":"exists","value":true}]},"effect":{"deny":{"targets":["a"]},"rank":{"levers":{"b":55}}}}`
	if string(got) != want {
		t.Errorf("canonical form\n%s\nwant\n%s", got, want)
	}
	again, err := policy.Marshal(parse(t, string(got)))
	if err != nil || string(again) != want {
		t.Errorf("canonical form is not stable: %s, %v", again, err)
	}
}

func TestOrderDisabledInvalid(t *testing.T) {
	policies := []*policy.Policy{
		parse(t, `{"name":"later","rank":9,"effect":{"rank":{}}}`),
		parse(t, `{"name":"off","rank":1,"enabled":false,"effect":{"rank":{}}}`),
		{Name: "broken", Enabled: true, Rank: 2, Fault: errors.New("cannot be read")},
		{Name: "bad", Enabled: true, Rank: 2.5, When: &policy.Condition{Attribute: "x", Operator: "resembles"}},
		parse(t, `{"name":"ban","rank":3,"effect":{"deny":{"targets":["x"]}}}`),
		parse(t, `{"name":"no","rank":4,"when":{"attribute":"tier","operator":"equal","value":"iron"},"effect":{"rank":{}}}`),
		parse(t, `{"name":"yes","rank":5,"effect":{"rank":{}}}`),
	}
	set := policy.Compile(policies, 42)
	in := set.NewInput()
	in.Load(someFacts())
	var matched []string
	for r := set.Next(in); r != nil; r = set.Next(in) {
		matched = append(matched, r.Policy().Name)
	}
	if got := strings.Join(matched, " "); got != "ban yes later" || set.Revision() != 42 || set.Live() != 4 {
		t.Errorf("matched %q, revision %d, live %d", got, set.Revision(), set.Live())
	}
	var states []string
	for _, p := range set.Trace(in, 5) {
		states = append(states, p.Policy+"="+string(p.State))
	}
	want := "off=DISABLED broken=INVALID bad=INVALID ban=TRUE no=FALSE yes=TRUE later=NOT_REACHED"
	if got := strings.Join(states, " "); got != want {
		t.Errorf("trace %s, want %s", got, want)
	}
}

func TestTraceSaysWhy(t *testing.T) {
	trace := stateOf(t, `{"all":[{"attribute":"wait","operator":"gt","value_from":"limit"},
		{"not":{"attribute":"gone","operator":"equal","value":"x"}},{"attribute":"tier","operator":"lt","value":3},
		{"cel":"wait > 3 && (gone > 3 || attributes['no way'] == tier)"},{"cel":"wait / 2.0 > 15.0 && attributes['tier'] == 'gold'"}]}`, someFacts())
	want := []event.ConditionTrace{
		{Path: "when.all[0]", Attribute: "wait", Operator: "greater_than", Expected: 30.0, Actual: 31.0, Truth: event.True},
		{Path: "when.all[1].not", Attribute: "gone", Operator: "equal", Expected: "x", Truth: event.Unknown, Cause: "missing"},
		{Path: "when.all[2]", Attribute: "tier", Operator: "less_than", Expected: 3.0, Actual: "gold", Truth: event.Unknown, Cause: "wrong type: a string"},
		{
			Path: "when.all[3]", Attribute: "wait, gone, tier, no way", Operator: "cel", Expected: "wait > 3 && (gone > 3 || attributes['no way'] == tier)",
			Actual: map[string]any{"wait": 31.0, "tier": "gold"}, Truth: event.Unknown, Cause: "missing: gone",
		},
		{
			Path: "when.all[4]", Attribute: "wait, tier", Operator: "cel", Expected: "wait / 2.0 > 15.0 && attributes['tier'] == 'gold'",
			Actual: map[string]any{"wait": 31.0, "tier": "gold"}, Truth: event.True,
		},
	}
	if trace.State != event.Unknown || len(trace.Conditions) != len(want) {
		t.Fatalf("trace %+v", trace)
	}
	for i, w := range want {
		if diff := cmp.Diff(w, trace.Conditions[i]); diff != "" {
			t.Errorf("condition %d: %s", i, diff)
		}
	}
}

func TestCostLimitIsError(t *testing.T) {
	list := make([]any, 300)
	for i := range list {
		list[i] = float64(i)
	}
	f := &policy.Facts{Attributes: map[string]any{"l": list}}
	trace := stateOf(t, `{"cel":"l.all(x, l.all(y, l.all(z, x + y + z >= 0.0)))"}`, f)
	if trace.State != event.Errored || trace.Cause != "cost limit exceeded" || trace.Conditions[0].Cause != "cost limit exceeded" {
		t.Errorf("trace %+v", trace)
	}
}

func TestWindows(t *testing.T) {
	at := func(s string) *policy.Facts {
		now, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return &policy.Facts{Now: now}
	}
	const office = `{"time":{"from":"09:00","to":"18:00","zone":"Europe/Berlin","days":["MON","TUE","WED","THU","FRI"]}}`
	const night = `{"time":{"from":"22:00","to":"06:00","days":["FRI"]}}`
	for _, c := range []struct {
		when, now string
		want      event.Truth
	}{
		{office, "2026-11-23T08:00:00Z", event.True},        // Monday 09:00 in Berlin
		{office, "2026-11-23T07:59:59Z", event.False},       // one second early
		{office, "2026-11-23T17:00:00Z", event.False},       // 18:00 is outside
		{office, "2026-07-20T07:00:00Z", event.True},        // summer time: 09:00
		{office, "2026-11-22T12:00:00Z", event.False},       // Sunday
		{night, "2026-11-20T23:00:00Z", event.True},         // Friday night
		{night, "2026-11-21T05:59:59Z", event.True},         // still Friday's night
		{night, "2026-11-21T06:00:00Z", event.False},        // over
		{night, "2026-11-20T05:00:00Z", event.False},        // Thursday's night
		{`{"time":{}}`, "2026-11-20T05:00:00Z", event.True}, // the whole week
		{`{"time":{"days":["SAT"],"to":"24:00"}}`, "2026-11-21T23:59:59Z", event.True},
	} {
		if got := stateOf(t, c.when, at(c.now)).State; got != c.want {
			t.Errorf("%s at %s: %s, want %s", c.when, c.now, got, c.want)
		}
	}
}

func TestTemplates(t *testing.T) {
	p := parse(t, `{"name":"p","effect":{"fixed":{"actions":[
		{"type":"SEND_MESSAGE","payload":{"text":"Hello {{customer.city}}, {{ wait }} s; {{","n":"{{wait}}","deep":[{"v":"{{vip}}"},1]}},
		{"type":"TRANSFER_TO_SKILL","target":"{{tier}}-desk"},{"type":"CLOSE"}]}}}`)
	set := policy.Compile([]*policy.Policy{p}, 1)
	in := set.NewInput()
	in.Load(someFacts())
	actions := set.Eval(in).Fixed(in)
	payload := actions[0].Payload
	deep, _ := payload["deep"].([]any)
	first, _ := deep[0].(map[string]any)
	if payload["text"] != "Hello Köln, 31 s; {{" || payload["n"] != 31.0 || first["v"] != true || deep[1] != 1.0 {
		t.Errorf("payload %v", payload)
	}
	if actions[1].Target != "gold-desk" || actions[2].Key() != "CLOSE" {
		t.Errorf("actions %+v", actions)
	}
	f := someFacts()
	delete(f.Attributes, "tier")
	in.Load(f)
	if set.Eval(in) != nil {
		t.Error("a policy whose template cannot be filled matched")
	}
	last := set.Trace(in, -1)[0].Conditions
	if c := last[len(last)-1]; c.Path != "effect.fixed.actions[1].target" || c.Truth != event.False {
		t.Errorf("trace of the template %+v", c)
	}
}

func TestSelections(t *testing.T) {
	p := parse(t, `{"name":"p","effect":{
		"deny":{"targets":["x"],"where":{"attribute":"candidate.language","operator":"not_equal","value_from":"language"}},
		"rank":{"where":{"any":[{"cel":"candidate.live.queue_size > 5"},{"attribute":"candidate.key","operator":"equal","value":"y"}]},
		"levers":{"y":-50,"z":200},"objective":"sales","actions":[{"type":"TRANSFER_TO_BOT","target":"bot-{{language}}"}]}}}`)
	set := policy.Compile([]*policy.Policy{p}, 1)
	in := set.NewInput()
	f := someFacts()
	f.Attributes["language"] = "de"
	in.Load(f)
	r := set.Next(in)
	for _, c := range []struct {
		candidate        event.Candidate
		denied, selected bool
	}{
		{event.Candidate{Action: event.Action{Target: "x"}}, true, false},
		{event.Candidate{Action: event.Action{Target: "y"}, Attributes: map[string]any{"language": "fr"}}, true, true},
		{event.Candidate{Action: event.Action{Target: "y"}, Attributes: map[string]any{"language": "de"}}, false, true},
		{event.Candidate{Action: event.Action{Target: "billing"}}, false, true},
		{event.Candidate{Action: event.Action{Type: "CLOSE"}}, false, false},
	} {
		in.Candidate(&c.candidate)
		key := c.candidate.Key()
		if d, s := r.Denies(in, key), r.Selects(in, key); d != c.denied || s != c.selected {
			t.Errorf("%s: denied %v selected %v, want %v %v", key, d, s, c.denied, c.selected)
		}
	}
	if r.Factor("y") != 0.5 || r.Factor("z") != 3 || r.Factor("w") != 1 || r.Objective() != "sales" {
		t.Errorf("factors %g %g %g", r.Factor("y"), r.Factor("z"), r.Factor("w"))
	}
	if extra := r.Extra(in); len(extra) != 1 || extra[0].Target != "bot-de" {
		t.Errorf("extra candidates %+v", extra)
	}
}

func TestCompileEffect(t *testing.T) {
	set, err := policy.CompileEffect([]byte(`{"fixed":{"actions":[{"type":"TRANSFER_TO_SKILL","target":"general"}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	in := set.NewInput()
	in.Load(someFacts())
	if r := set.Eval(in); r == nil || r.Fixed(in)[0].Target != "general" {
		t.Errorf("default effect %+v", r)
	}
	if _, err := policy.CompileEffect([]byte(`{"fixd":{}}`)); fault.KindOf(err) != fault.Invalid {
		t.Errorf("error %v", err)
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "0-a_b.c": true, strings.Repeat("x", 63): true,
		"": false, "-a": false, "A": false, "ä": false, "a b": false, strings.Repeat("x", 64): false, "a/b": false,
	} {
		if policy.ValidName(name) != want {
			t.Errorf("ValidName(%q) is %v", name, !want)
		}
	}
}

func TestOperatorSpellings(t *testing.T) {
	for _, op := range policy.Operators() {
		for _, spelling := range []string{string(op), strings.ToUpper(string(op)), strings.ReplaceAll(string(op), "_", "")} {
			if got, ok := policy.ParseOperator(spelling); !ok || got != op {
				t.Errorf("ParseOperator(%q) is %q", spelling, got)
			}
		}
	}
	if op, ok := policy.ParseOperator("resembles"); ok {
		t.Errorf("resembles is %q", op)
	}
}

// TestExpressionsHideWhatIsPersonal: the trace of an expression shows what it saw, but
// no personal value, be it as a constant.
func TestExpressionsHideWhatIsPersonal(t *testing.T) {
	f := &policy.Facts{
		Attributes: map[string]any{"mail": "ann@example.org", "n": 3.0, "My Name": "Ann"},
		Personal:   func(name string) bool { return name == "mail" || name == "My Name" },
	}
	for text, want := range map[string]event.ConditionTrace{
		"n > 2.0 && mail.endsWith('.org')": {
			Attribute: "n, mail", Expected: "n > 2.0 && mail.endsWith('.org')", Actual: map[string]any{"n": 3.0, "mail": policy.Redacted},
		},
		"mail == 'ann@example.org'":      {Attribute: "mail", Expected: policy.Redacted, Actual: map[string]any{"mail": policy.Redacted}},
		"attributes['My Name'] == 'Ann'": {Attribute: "My Name", Expected: policy.Redacted, Actual: map[string]any{"My Name": policy.Redacted}},
		"1.0 + 1.0 == 2.0":               {Expected: "1.0 + 1.0 == 2.0"},
	} {
		want.Path, want.Operator, want.Truth = "when", "cel", event.True
		document, err := json.Marshal(map[string]string{"cel": text})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]event.ConditionTrace{want}, stateOf(t, string(document), f).Conditions); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
}
