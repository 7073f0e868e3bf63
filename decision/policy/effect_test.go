package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/pipeline/event"
)

// load compiles the documents in their order and loads the facts.
func load(t *testing.T, f *policy.Facts, docs ...string) (*policy.Set, *policy.Input) {
	t.Helper()
	var policies []*policy.Policy
	for i, doc := range docs {
		p := parse(t, doc)
		p.Rank = float64(i)
		policies = append(policies, p)
	}
	set := policy.Compile(policies, 1)
	in := set.NewInput()
	in.Load(f)
	return set, in
}

// TestExceptionGoesFirst: it decides whatever the root says, and only when it holds.
func TestExceptionGoesFirst(t *testing.T) {
	const doc = `{"name":"p","when":{"attribute":"intent","operator":"equal","value":"%s"},"effect":{"fixed":{"actions":[{"target":"general"}]}},
		"exception":{"when":{"attribute":"tier","operator":"equal","value":"%s"},"effect":{"fixed":{"actions":[{"target":"vip"}]}}}}`
	for _, c := range []struct {
		intent, tier, want string
		state              event.Truth
	}{
		{"refund", "gold", "vip", event.True},
		{"other", "gold", "vip", event.True},
		{"refund", "iron", "general", event.True},
		{"other", "iron", "", event.False},
	} {
		set, in := load(t, someFacts(), fmt.Sprintf(doc, c.intent, c.tier))
		got, exception := "", false
		if r := set.Next(in); r != nil {
			got, exception = r.Fixed(in)[0].Target, r.IsException()
		}
		trace := set.Trace(in, -1)[0]
		if got != c.want || exception != (c.want == "vip") || trace.Exception != exception || trace.State != c.state {
			t.Errorf("intent %s tier %s: %q, exception %v, trace %+v", c.intent, c.tier, got, exception, trace)
		}
		if len(trace.Conditions) != 2 || trace.Conditions[0].Path != "exception.when" || trace.Conditions[1].Path != "when" {
			t.Errorf("conditions %+v", trace.Conditions)
		}
	}
}

// TestExceptionIsIndexed: a policy among many comes up for either of its branches.
func TestExceptionIsIndexed(t *testing.T) {
	var docs []string
	for i := range 20 {
		docs = append(docs, fmt.Sprintf(`{"name":"p%d","when":{"attribute":"intent","operator":"equal","value":"i%d"},"effect":{"rank":{}},
			"exception":{"when":{"attribute":"%s","operator":"equal","value":"x%d"},"effect":{"rank":{}}}}`, i, i, []string{"intent", "tier"}[i%2], i))
	}
	for _, c := range []struct{ intent, tier, want string }{
		{"i3", "", "p3"}, {"x4", "", "p4 exception"}, {"i5", "x5", "p5 exception"}, {"", "x7", "p7 exception"}, {"x7", "", ""}, {"i9", "x11", "p9, p11 exception"},
	} {
		set, in := load(t, &policy.Facts{Intent: c.intent, Attributes: map[string]any{"tier": c.tier}}, docs...)
		var got []string
		for r := set.Next(in); r != nil; r = set.Next(in) {
			got = append(got, r.Policy().Name+map[bool]string{true: " exception"}[r.IsException()])
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// TestScheduleDisables: outside of it the policy is as good as disabled.
func TestScheduleDisables(t *testing.T) {
	const doc = `{"name":"p","schedule":{"from":"2026-12-01","to":"2026-12-24","zone":"Asia/Tokyo"},"effect":{"rank":{}}}`
	for clock, want := range map[string]event.Truth{
		"2026-11-30T14:59:59Z": event.Disabled, "2026-11-30T15:00:00Z": event.True,
		"2026-12-24T14:59:59Z": event.True, "2026-12-24T15:00:00Z": event.Disabled,
	} {
		at, err := time.Parse(time.RFC3339, clock)
		if err != nil {
			t.Fatal(err)
		}
		set, in := load(t, &policy.Facts{Now: at}, doc)
		trace := set.Trace(in, -1)[0]
		if trace.State != want || (trace.Cause == "schedule") != (want == event.Disabled) || (set.Next(in) != nil) != (want == event.True) {
			t.Errorf("at %s: %+v", clock, trace)
		}
	}
}

// TestDefaultPolicyIsLast: whatever its rank and name, and it does not count as one
// that could have matched.
func TestDefaultPolicyIsLast(t *testing.T) {
	set, in := load(t, someFacts(), `{"name":"default","effect":{"fixed":{"actions":[{"target":"general"}]}}}`,
		`{"name":"zz","when":{"attribute":"tier","operator":"equal","value":"iron"},"effect":{"rank":{}}}`)
	r := set.Next(in)
	if r == nil || !r.IsDefault() || r != set.Default() || r.Position() != 1 || set.Live() != 1 || set.Len() != 2 || set.Find("zz").IsDefault() {
		t.Errorf("default %+v, live %d", r, set.Live())
	}
	if none := policy.Compile(nil, 1); none.Default() != nil || none.Find("x") != nil {
		t.Error("an empty set has a default")
	}
}

// TestSplitHandsOutArms: weights as given, actions filled in, the key by name.
func TestSplitHandsOutArms(t *testing.T) {
	const doc = `{"name":"p","effect":{"split":{%s"arms":[{"weight":40,"actions":[{"target":"{{tier}}-a"}]},{"weight":0.5,"actions":[{"type":"close"}]}]}}}`
	f := someFacts()
	f.ConsumerID = "u7"
	for by, want := range map[string]string{"": "c1", `"by":"conversation",`: "c1", `"by":"consumer",`: "u7", `"by":"wait",`: "31", `"by":"gone",`: ""} {
		set, in := load(t, f, fmt.Sprintf(doc, by))
		r := set.Next(in)
		if r == nil || !r.IsSplit() || !r.Terminal() || r.SplitKey(in) != want {
			t.Fatalf("%s: rule %+v", by, r)
		}
		arms := r.Arms(in)
		if len(arms) != 2 || arms[0].Weight != 40 || arms[0].Actions[0].Target != "gold-a" || arms[1].Weight != 0.5 || arms[1].Actions[0].Type != "CLOSE" {
			t.Errorf("arms %+v", arms)
		}
	}
	delete(f.Attributes, "tier")
	delete(f.Found, "tier")
	if set, in := load(t, f, fmt.Sprintf(doc, "")); set.Next(in) != nil {
		t.Error("a split whose template cannot be filled matched")
	}
}

// TestSteps walks the time line of a policy: skipped steps do not count, steps that
// have nothing to offer let the next ones answer, the end of the last one is the end.
func TestSteps(t *testing.T) {
	const doc = `{"name":"p","effect":{"steps":[
		{"fixed":{"actions":[{"target":"one"}]},"expires_after":"30s"},
		{"fixed":{"actions":[{"target":"two"}]},"expires_after":"1m","skip_when":{"attribute":"skill.billing.agents_online","operator":"equal","value":%d}},
		{"fixed":{"actions":[{"target":"{{%s}}"}]},"expires_after":"10s"},
		{"fixed":{"actions":[{"target":"four"}]}%s}]}}`
	const last = `,"expires_after":"10s"`
	for _, c := range []struct {
		online       int
		third, end   string
		waited       int
		empty        string
		number, left int
	}{
		{0, "tier", "", 0, "", 1, 30},
		{0, "tier", "", 29, "", 1, 1},
		{0, "tier", "", 30, "", 2, 60},
		{0, "tier", "", 90, "", 3, 10},
		{0, "tier", "", 100, "", 4, 0},
		{0, "tier", "", 9999, "", 4, 0},
		{0, "tier", last, 109, "", 4, 1},
		{0, "tier", last, 110, "", 0, 0},
		{2, "tier", "", 30, "", 3, 10},           // nobody in two: skipped
		{2, "tier", "", 40, "", 4, 0},            // and its minute does not count
		{0, "gone", "", 90, "", 4, 0},            // a template that cannot be filled
		{0, "tier", "", 0, "one", 2, 90},         // nothing to offer: the next, on the same time line
		{0, "tier", last, 95, "gold four", 0, 0}, // nobody has anything
	} {
		set, in := load(t, someFacts(), fmt.Sprintf(doc, c.online, c.third, c.end))
		r := set.Next(in)
		if r == nil || !r.HasSteps() || !r.Terminal() {
			t.Fatalf("rule %+v", r)
		}
		number, left := r.Step(in, time.Duration(c.waited)*time.Second, func(s *policy.Rule) bool {
			return s.IsFixed() && s.Position() == 0 && !strings.Contains(c.empty, s.Fixed(in)[0].Target)
		})
		if number != c.number || left != time.Duration(c.left)*time.Second {
			t.Errorf("%+v: step %d for %s", c, number, left)
		}
	}
	set, in := load(t, someFacts(), fmt.Sprintf(doc, 2, "gone", ""))
	trace := set.Trace(in, -1)[0]
	if trace.State != event.True || len(trace.Conditions) != 2 || trace.Conditions[0].Path != "effect.steps[1].skip_when" || trace.Conditions[0].Source != "live" {
		t.Errorf("trace %+v", trace)
	}
}

// TestActionSpellings brings the names of other systems into one form.
func TestActionSpellings(t *testing.T) {
	for in, want := range map[string]string{
		`{"type":"transfer_to_skill","payload":{"skillId":3550100638}}`:                              `{"type":"TRANSFER_TO_SKILL","target":"3550100638"}`,
		`{"type":"TRANSFER_TO_SKILL","target":"a","payload":{"skillId":"a","note":1}}`:               `{"type":"TRANSFER_TO_SKILL","target":"a","payload":{"note":1}}`,
		`{"type":"TRANSFER_TO_AGENT","payload":{"userId":"7","skillId":"-1"}}`:                       `{"type":"TRANSFER_TO_AGENT","target":"7"}`,
		`{"type":"TRANSFER_TO_AGENT","payload":{"agentId":"{{x}}","fallbackSkillId":12}}`:            `{"type":"TRANSFER_TO_AGENT","target":"{{x}}","payload":{"fallback_skill":"12"}}`,
		`{"type":"TRANSFER_TO_AGENT","target":"7","payload":{"skillId":"s"}}`:                        `{"type":"TRANSFER_TO_AGENT","target":"7","payload":{"fallback_skill":"s"}}`,
		`{"type":"Transfer_To_Bot","payload":{"botId":"b"}}`:                                         `{"type":"TRANSFER_TO_BOT","target":"b"}`,
		`{"type":"SEND_MESSAGE","payload":{"message":"hi"}}`:                                         `{"type":"SEND_MESSAGE","payload":{"text":"hi"}}`,
		`{"type":"SET_CONTEXT","payload":{"namespace":"n","scope":"consumer","properties":{"a":1}}}`: `{"type":"SET_CONTEXT","payload":{"namespace":"n","properties":{"a":1},"scope":"consumer"}}`,
		`{"target":"a"}`: `{"type":"TRANSFER_TO_SKILL","target":"a"}`,
	} {
		p := parse(t, `{"effect":{"fixed":{"actions":[`+in+`]}}}`)
		data, err := policy.Marshal(p)
		if full := `{"enabled":true,"effect":{"fixed":{"actions":[` + want + `]}}}`; err != nil || string(data) != full {
			t.Errorf("%s is\n%s, want\n%s", in, data, full)
		}
	}
}

// TestNeeds: what the engine must look up is what policies read, and nothing else.
func TestNeeds(t *testing.T) {
	set, in := load(t, someFacts(), `{"name":"a","when":{"all":[{"attribute":"custom.x","operator":"exists"},{"attribute":"channel","operator":"equal","value":"web"},
		{"attribute":"orchestrator.intent","operator":"exists"},{"attribute":"hour","operator":"less_than","value":9},{"cel":"crm.tier == skill.sales.load || attributes['Business Unit'] == attributes['crm.tier']"},
		{"attribute":"conversation.conversationId","operator":"exists"},{"attribute":"conversation.previousAgentId","operator":"exists"}]},
		"effect":{"deny":{"where":{"attribute":"candidate.a","operator":"equal","value_from":"language"}},"rank":{"actions":[{"target":"{{custom.x}}"}]}}}`,
		`{"name":"b","enabled":false,"when":{"attribute":"never","operator":"exists"},"effect":{"rank":{}}}`)
	if got := strings.Join(set.Needs(), " "); got != "custom.x channel orchestrator.intent crm.tier conversation.previousAgentId language Business Unit" {
		t.Errorf("needs %q", got)
	}
	if got := strings.Join(set.Skills(), " "); got != "sales" {
		t.Errorf("skills %q", got)
	}
	f := someFacts()
	f.HideConversation, f.HideSDE = true, true
	in.Load(f)
	for _, c := range set.Trace(in, -1)[0].Conditions {
		if strings.HasPrefix(c.Attribute, "conversation.") && c.Truth != event.False {
			t.Errorf("a family that is switched off is there: %+v", c)
		}
	}
}

// TestTraceSaysWhereFrom: source and age of what was found, and the root cause of
// what was not.
func TestTraceSaysWhereFrom(t *testing.T) {
	set, in := load(t, someFacts(), `{"name":"p","when":{"all":[{"attribute":"custom.limit","operator":"equal","value":10},{"attribute":"crm.profile.tier","operator":"exists"},
		{"attribute":"skill.billing.load","operator":"equal","value":0.5},{"attribute":"custom.slow","operator":"equal","value":1}]},"effect":{"rank":{}}}`)
	trace := set.Trace(in, -1)[0]
	want := []event.ConditionTrace{
		{Source: "custom"}, {Source: "function", Age: 3 * time.Second}, {Source: "live", Age: 5 * time.Second}, {Cause: "TIMEOUT: crm did not answer in 50ms"},
	}
	for i, c := range trace.Conditions {
		if c.Source != want[i].Source || c.Age != want[i].Age || c.Cause != want[i].Cause {
			t.Errorf("condition %+v, want %+v", c, want[i])
		}
	}
	if trace.State != event.Errored || trace.Cause != want[3].Cause {
		t.Errorf("trace %+v", trace)
	}
}
