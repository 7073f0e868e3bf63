package policy_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/pipeline/event"
)

// attributeNames are few, so that random conditions meet random facts.
func attributeNames() []string { return []string{"s", "n", "b", "l", "m", "intent"} }

func anyScalar() *rapid.Generator[any] {
	return rapid.OneOf(
		rapid.SampledFrom([]any{"", "a", "A", "ab", "aB", "abc", "b", "Köln", "it's"}),
		rapid.SampledFrom([]any{-1.0, 0.0, 1.0, 2.5, 3.0}),
		rapid.SampledFrom([]any{true, false}),
	)
}

func anyFacts(t *rapid.T) *policy.Facts {
	attributes := map[string]any{}
	for _, name := range attributeNames() {
		switch rapid.IntRange(0, 3).Draw(t, "shape of "+name) {
		case 0: // missing
		case 1:
			attributes[name] = rapid.SliceOfN(anyScalar(), 0, 3).Draw(t, name)
		default:
			attributes[name] = anyScalar().Draw(t, name)
		}
	}
	return &policy.Facts{Attributes: attributes, Now: time.Unix(1_800_000_000, 0)}
}

func anyCondition(t *rapid.T, depth int) *policy.Condition {
	if depth > 0 && rapid.Bool().Draw(t, "nested") {
		kids := make([]*policy.Condition, rapid.IntRange(1, 3).Draw(t, "kids"))
		for i := range kids {
			kids[i] = anyCondition(t, depth-1)
		}
		switch rapid.IntRange(0, 2).Draw(t, "form") {
		case 0:
			return &policy.Condition{All: kids}
		case 1:
			return &policy.Condition{Any: kids}
		default:
			return &policy.Condition{Not: kids[0]}
		}
	}
	return anyLeaf(t)
}

func anyLeaf(t *rapid.T) *policy.Condition {
	c := &policy.Condition{
		Attribute: rapid.SampledFrom(attributeNames()).Draw(t, "attribute"),
		Operator:  rapid.SampledFrom(policy.Operators()).Draw(t, "operator"),
	}
	text := rapid.SampledFrom([]any{"", "a", "B", "it's"})
	number := rapid.SampledFrom([]any{0.0, 1.0, 2.5})
	ordered := rapid.OneOf(text, number)
	if c.Operator != policy.Matches && c.Operator != policy.Exists && c.Operator != policy.Between && rapid.IntRange(0, 3).Draw(t, "dynamic") == 0 {
		c.ValueFrom = rapid.SampledFrom(attributeNames()).Draw(t, "other")
		c.Fold = folds(c.Operator) && rapid.Bool().Draw(t, "fold")
		return c
	}
	if folds(c.Operator) && rapid.IntRange(0, 3).Draw(t, "folded") == 0 {
		c.Fold, number = true, text
	}
	switch c.Operator {
	case policy.In, policy.NotIn, policy.AnyOf, policy.AllOf:
		of := rapid.SampledFrom([]*rapid.Generator[any]{text, number}).Draw(t, "of")
		c.Value = rapid.SliceOfN(of, 1, 3).Draw(t, "list")
	case policy.Between:
		c.Value = rapid.SampledFrom([]any{[]any{0.0, 2.0}, []any{"a", "b"}}).Draw(t, "bounds")
	case policy.Exists:
		c.Value = rapid.Bool().Draw(t, "exists")
	case policy.Matches:
		c.Value = rapid.SampledFrom([]any{"^a", "b$", "a.c", "(?i)KÖ"}).Draw(t, "pattern")
	case policy.StartsWith, policy.EndsWith:
		c.Value = text.Draw(t, "text")
	case policy.Less, policy.LessOrEqual, policy.Greater, policy.GreaterOrEqual:
		c.Value = ordered.Draw(t, "bound")
	default:
		c.Value = rapid.OneOf(text, number, rapid.SampledFrom([]any{true, false})).Draw(t, "value")
		if _, isText := c.Value.(string); !isText {
			c.Fold = false
		}
	}
	return c
}

func folds(op policy.Operator) bool {
	switch op {
	case policy.Less, policy.LessOrEqual, policy.Greater, policy.GreaterOrEqual, policy.Between, policy.Exists, policy.Matches:
		return false
	default:
		return true
	}
}

// lowered folds every string of a value or a list, in ASCII, which is all the upper
// case that the facts have.
func lowered(x string) string {
	one := func(x string) string {
		return fmt.Sprintf("(type(%s) == string ? dyn(%s.lowerAscii()) : dyn(%s))", x, x, x)
	}
	return fmt.Sprintf("(type(%s) == list ? dyn(%s.map(e, %s)) : %s)", x, x, one("e"), one(x))
}

// toCEL writes the meaning of a structured condition as one CEL expression. It
// knows nothing of the compiler: wherever the language says UNKNOWN it divides
// the world by an index out of bounds.
func toCEL(c *policy.Condition) string {
	join := func(kids []*policy.Condition, by string) string {
		parts := make([]string, len(kids))
		for i, k := range kids {
			parts[i] = toCEL(k)
		}
		return "(" + strings.Join(parts, by) + ")"
	}
	switch {
	case len(c.All) > 0:
		return join(c.All, " && ")
	case len(c.Any) > 0:
		return join(c.Any, " || ")
	case c.Not != nil:
		return "!(" + toCEL(c.Not) + ")"
	}
	left := fmt.Sprintf("attributes[%q]", c.Attribute)
	if c.Operator == policy.Exists {
		there := fmt.Sprintf("(%q in attributes)", c.Attribute)
		if c.Value == false {
			return "!" + there
		}
		return there
	}
	return leafToCEL(c, left)
}

const unknown = "(dyn([true])[attributes.size() + 7])"

func leafToCEL(c *policy.Condition, left string) string {
	right := literal(c.Value)
	if c.Fold {
		right = strings.ToLower(right)
	}
	if c.ValueFrom != "" {
		right = fmt.Sprintf("attributes[%q]", c.ValueFrom)
	}
	if c.Fold {
		left = lowered(left)
	}
	if c.Fold && c.ValueFrom != "" {
		right = lowered(right)
	}
	guard := func(condition, expression string) string {
		return fmt.Sprintf("((%s) ? dyn(%s) : %s)", condition, expression, unknown)
	}
	scalar := func(x string) string { return fmt.Sprintf("type(%s) in [string, double, bool]", x) }
	sameScalar := fmt.Sprintf("%s && type(%s) == type(%s)", scalar(left), left, right)
	strs := fmt.Sprintf("type(%s) == string && type(%s) == string", left, right)
	ordered := fmt.Sprintf("type(%s) in [string, double] && type(%s) == type(%s)", left, left, right)
	isList := func(x string) string { return fmt.Sprintf("type(%s) == list", x) }
	member := guard(scalar(left)+" && "+isList(right), left+" in "+right)
	if c.ValueFrom == "" && (c.Operator == policy.In || c.Operator == policy.NotIn) {
		member = guard(fmt.Sprintf("%s && type(%s) == type(%s[0])", scalar(left), left, right), left+" in "+right)
	}
	overlap := func(some, whole string) string {
		fits := isList(right)
		if c.ValueFrom == "" {
			fits = fmt.Sprintf("type(%s) == type(%s[0])", left, right)
		}
		return fmt.Sprintf("(%s ? %s : %s)", isList(left), guard(isList(right), some), guard(scalar(left)+" && "+fits, whole))
	}
	symbols := map[policy.Operator]string{
		policy.Less: "<", policy.LessOrEqual: "<=", policy.Greater: ">", policy.GreaterOrEqual: ">=",
	}
	switch c.Operator {
	case policy.Equal:
		return guard(sameScalar, left+" == "+right)
	case policy.NotEqual:
		return guard(sameScalar, left+" != "+right)
	case policy.In:
		return member
	case policy.NotIn:
		return "!" + member
	case policy.AnyOf:
		return overlap(fmt.Sprintf("%s.exists(e, e in %s)", left, right), left+" in "+right)
	case policy.AllOf:
		return overlap(fmt.Sprintf("%s.all(e, e in %s)", right, left), fmt.Sprintf("%s.all(e, e == %s)", right, left))
	case policy.Contains:
		return fmt.Sprintf("(%s ? %s : %s)", isList(left), guard(scalar(right), right+" in "+left), guard(strs, left+".contains("+right+")"))
	case policy.StartsWith:
		return guard(strs, left+".startsWith("+right+")")
	case policy.EndsWith:
		return guard(strs, left+".endsWith("+right+")")
	case policy.Matches:
		return guard("type("+left+") == string", left+".matches("+right+")")
	case policy.Between:
		bounds, _ := c.Value.([]any)
		lo, hi := literal(bounds[0]), literal(bounds[1])
		return guard(fmt.Sprintf("type(%s) == type(%s)", left, lo), fmt.Sprintf("%s >= %s && %s <= %s", left, lo, left, hi))
	default:
		return guard(ordered, left+" "+symbols[c.Operator]+" "+right)
	}
}

func literal(v any) string {
	switch t := v.(type) {
	case string:
		return "dyn(" + strconv.Quote(t) + ")"
	case float64:
		return fmt.Sprintf("dyn(double(%g))", t)
	case bool:
		return fmt.Sprintf("dyn(%t)", t)
	case []any:
		parts := make([]string, len(t))
		for i := range t {
			parts[i] = literal(t[i])
		}
		return "[" + strings.Join(parts, ", ") + "]"
	default:
		return "null"
	}
}

// TestStructuredAndCELMeanTheSame holds the two halves of the language to one
// meaning, UNKNOWN included.
func TestStructuredAndCELMeanTheSame(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		structured := anyCondition(rt, 2)
		expression := toCEL(structured)
		if len(expression) > 4000 {
			return // more than one expression may have
		}
		rank := policy.Effect{Rank: &policy.Rank{}}
		set := policy.Compile([]*policy.Policy{
			{Name: "a", Enabled: true, When: structured, Effect: rank},
			{Name: "b", Enabled: true, When: &policy.Condition{CEL: expression}, Effect: rank},
		}, 1)
		in := set.NewInput()
		for range 5 {
			f := anyFacts(rt)
			in.Load(f)
			trace := set.Trace(in, -1)
			if trace[0].State == event.Invalid || trace[1].State == event.Invalid {
				rt.Fatalf("does not compile: %+v", trace)
			}
			// What the oracle fails on is what the language calls UNKNOWN.
			if trace[1].State == event.Errored {
				trace[1].State = event.Unknown
			}
			if trace[0].State != trace[1].State {
				doc, _ := json.Marshal(structured)
				rt.Fatalf("%s is %s\n%s is %s\nfacts %v\n%+v", doc, trace[0].State, expression, trace[1].State, f.Attributes, trace)
			}
		}
	})
}

// TestIndexChangesNothing compares the walk over many policies with asking each
// of them alone.
func TestIndexChangesNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var policies []*policy.Policy
		for i := range rapid.IntRange(8, 30).Draw(rt, "policies") {
			p := &policy.Policy{
				Name: fmt.Sprintf("p%02d", i), Enabled: rapid.IntRange(0, 9).Draw(rt, "enabled") > 0,
				Effect: policy.Effect{Rank: &policy.Rank{}},
			}
			if rapid.Bool().Draw(rt, "deny") {
				p.Effect = policy.Effect{Deny: &policy.Deny{Targets: []string{"x"}}}
			}
			p.When = &policy.Condition{All: []*policy.Condition{anyEquality(rt), anyEquality(rt), anyCondition(rt, 1)}}
			p.When.All = p.When.All[rapid.IntRange(0, 2).Draw(rt, "fewer"):]
			policies = append(policies, p)
		}
		set := policy.Compile(policies, 1)
		in := set.NewInput()
		for range 5 {
			f := anyFacts(rt)
			f.Intent = rapid.SampledFrom([]string{"", "a", "b"}).Draw(rt, "intent")
			in.Load(f)
			var got, want []string
			for r := set.Next(in); r != nil; r = set.Next(in) {
				got = append(got, r.Policy().Name)
			}
			for _, p := range policies {
				one := policy.Compile([]*policy.Policy{p}, 1)
				alone := one.NewInput()
				alone.Load(f)
				if one.Next(alone) != nil {
					want = append(want, p.Name)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				rt.Fatalf("matched %v, one by one %v", got, want)
			}
		}
	})
}

// TestShadowsAreReal: what Check calls shadowed or unreachable never matches unless the
// one before it does.
func TestShadowsAreReal(t *testing.T) {
	found := 0
	rapid.Check(t, func(rt *rapid.T) {
		policies := []*policy.Policy{
			{Name: "a", Rank: 1, Enabled: true, When: anyCondition(rt, 1), Effect: policy.Effect{Rank: &policy.Rank{}}},
			{Name: "b", Rank: 2, Enabled: true, When: anyCondition(rt, 1), Effect: policy.Effect{Rank: &policy.Rank{}}},
		}
		if rapid.Bool().Draw(rt, "leaves") {
			policies[0].When, policies[1].When = anyLeaf(rt), anyLeaf(rt)
			if policies[0].When.Attribute != "" && policies[1].When.Attribute != "" {
				policies[1].When.Attribute = policies[0].When.Attribute
			}
			if at := rapid.IntRange(0, 3).Draw(rt, "negated"); at < 2 {
				policies[at].When = &policy.Condition{Not: policies[at].When}
			}
		} else if rapid.Bool().Draw(rt, "narrower") {
			policies[1].When = &policy.Condition{All: []*policy.Condition{policies[1].When, policies[0].When}}
		}
		if problems := policy.Check(policies, nil); len(problems) == 0 || problems[0].Policy != "b" {
			return
		}
		found++
		set := policy.Compile(policies, 1)
		in := set.NewInput()
		for range 10 {
			in.Load(anyFacts(rt))
			if trace := set.Trace(in, -1); trace[1].State == event.True && trace[0].State != event.True {
				rt.Fatalf("b matches and a does not: %+v", trace)
			}
		}
	})
	if found == 0 {
		t.Error("no shadow was found, the test shows nothing")
	}
}

// TestNeverIsNever: what Check calls NEVER_TRUE is not TRUE whatever the facts, and what
// it calls ALWAYS_TRUE is.
func TestNeverIsNever(t *testing.T) {
	found := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		parts := []*policy.Condition{anyCondition(rt, 1), anyCondition(rt, 1)}
		if rapid.Bool().Draw(rt, "leaf") {
			parts[0], parts[1] = anyLeaf(rt), anyLeaf(rt)
			parts[1].Attribute = parts[0].Attribute
		}
		when := &policy.Condition{All: parts}
		if rapid.IntRange(0, 9).Draw(rt, "or") == 0 {
			when = &policy.Condition{Any: append(parts, &policy.Condition{})}
		}
		p := &policy.Policy{Name: "a", Enabled: true, When: when, Effect: policy.Effect{Rank: &policy.Rank{}}}
		code := ""
		for _, problem := range policy.Check([]*policy.Policy{p}, nil) {
			if problem.Path == "when" {
				code = problem.Code
			}
		}
		if code == "" {
			return
		}
		found[code]++
		set := policy.Compile([]*policy.Policy{p}, 1)
		in := set.NewInput()
		for range 20 {
			in.Load(anyFacts(rt))
			if state := set.Trace(in, -1)[0].State; (state == event.True) != (code == policy.CodeAlwaysTrue) {
				rt.Fatalf("%s is %s", code, state)
			}
		}
	})
	if found[policy.CodeNeverTrue] == 0 || found[policy.CodeAlwaysTrue] == 0 {
		t.Errorf("found %v, the test shows little", found)
	}
}

// TestFoldingIsUnicodes compares folded comparisons with EqualFold over every part of a
// text.
func TestFoldingIsUnicodes(t *testing.T) {
	letters := rapid.StringOfN(rapid.SampledFrom([]rune("aAkKsSßſKéÉıİδΔςσΣ1 \uFFFD")), 0, 6, -1)
	rapid.Check(t, func(rt *rapid.T) {
		text, part := letters.Draw(rt, "text"), letters.Draw(rt, "part")
		runes, n := []rune(text), len([]rune(part))
		contained := false
		for i := 0; i+n <= len(runes); i++ {
			contained = contained || strings.EqualFold(string(runes[i:i+n]), part)
		}
		want := map[policy.Operator]bool{
			policy.Equal: strings.EqualFold(text, part), policy.Contains: contained,
			policy.StartsWith: n <= len(runes) && strings.EqualFold(string(runes[:min(n, len(runes))]), part),
			policy.EndsWith:   n <= len(runes) && strings.EqualFold(string(runes[max(0, len(runes)-n):]), part),
			policy.In:         strings.EqualFold(text, part),
		}
		for op, expected := range want {
			c := &policy.Condition{Attribute: "s", Operator: op, Value: part, Fold: true}
			if op == policy.In {
				c.Value = []any{part, "nothing of the kind"}
			}
			set := policy.Compile([]*policy.Policy{{Name: "p", Enabled: true, When: c, Effect: policy.Effect{Rank: &policy.Rank{}}}}, 1)
			in := set.NewInput()
			in.Load(&policy.Facts{Attributes: map[string]any{"s": text}})
			if got := set.Eval(in) != nil; got != expected {
				rt.Fatalf("%q %s %q is %v", text, op, part, got)
			}
		}
	})
}

func anyEquality(t *rapid.T) *policy.Condition {
	name := rapid.SampledFrom(attributeNames()).Draw(t, "of")
	text := rapid.SampledFrom([]any{"a", "b", "ab"})
	if rapid.Bool().Draw(t, "one") {
		return &policy.Condition{Attribute: name, Operator: policy.Equal, Value: text.Draw(t, "value")}
	}
	return &policy.Condition{Attribute: name, Operator: policy.In, Value: rapid.SliceOfN(text, 1, 3).Draw(t, "values")}
}

// FuzzParse holds Parse to never crash, and to a canonical form that is stable.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"name":"a","when":{"all":[{"attribute":"x","operator":"==","value":"{{y}}"},{"not":{"cel":"x > 3 && tags.exists(t, t == 'a')"}}]},"effect":{"rank":{"levers":{"a":1}}}}`,
		`{"when":{"time":{"from":"22:00","to":"06:00","zone":"Europe/Berlin","days":["MON"]}},"effect":{"deny":{"where":{"attribute":"candidate.key","operator":"in","value":["a"]}}}}`,
		`{"effect":{"fixed":{"actions":[{"type":"T","target":"{{x}}-{{","payload":{"a":[{"b":"{{c}}"}]}}]}}}`,
		`{"when":{"date":{"from":"2026-01-01","to":"2026-02-01T00:00:00Z","days":["SUN"]}},"schedule":{"from":"2026-01-01"},"effect":{"split":{"by":"tier","arms":[{"weight":1,"actions":[{"type":"close"}]}]}}}`,
		`{"exception":{"when":{"attribute":"t","operator":"any_of","value":["a"],"fold":true},"effect":{"rank":{}}},"effect":{"steps":[{"rank":{},"expires_after":"9s","skip_when":{"time":{"calendar":"c"}}},{"fixed":{"actions":[{"type":"SEND_MESSAGE","payload":{"message":"{{x}}"}}]}}]}}`,
		`{"name":"default","effect":{"fixed":{"actions":[{"type":"TRANSFER_TO_AGENT","payload":{"userId":3,"skillId":"-1"}},{"type":"SET_CONTEXT","payload":{"namespace":"n","properties":{"a":"{{x}}"}}}]}}}`,
		`{"when":{},"effect":{"rank":{}},"effect":{}}`, `[`, `{"when":{"any":[[[[]]]]}}`, "\xff", `{"name":1e999}`,
	} {
		f.Add([]byte(seed))
	}
	facts := someFacts()
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := policy.Parse(data)
		if err != nil {
			return
		}
		first, err := policy.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		again, err := policy.Parse(first)
		if err != nil {
			t.Fatalf("the canonical form %s is refused: %v", first, err)
		}
		second, err := policy.Marshal(again)
		if err != nil || string(first) != string(second) {
			t.Fatalf("the canonical form changes: %s, %s, %v", first, second, err)
		}
		set := policy.Compile([]*policy.Policy{p}, 1)
		in := set.NewInput()
		in.Load(facts)
		if p.Enabled && p.Name != policy.DefaultName && set.Live() != 1 {
			t.Fatalf("what Parse takes, Compile refuses: %+v", set.Trace(in, -1))
		}
		set.Trace(in, -1)
		if r := set.Eval(in); r != nil {
			r.Fixed(in)
			r.Step(in, time.Minute, func(s *policy.Rule) bool { s.Fixed(in); return s.IsFixed() })
			if r.IsSplit() {
				r.SplitKey(in)
				r.Arms(in)
			}
			in.Candidate(&event.Candidate{Action: event.Action{Target: "x"}})
			r.Selects(in, "x")
		}
		policy.Check([]*policy.Policy{p}, &policy.Environment{Attributes: map[string]policy.Attribute{"x": {Type: policy.TypeNumber}}})
	})
}

// FuzzExpressions holds CEL and templates to never crash, whatever the text, and to
// say the same twice.
func FuzzExpressions(f *testing.F) {
	for _, seed := range [][2]string{
		{"wait > limit && tags.exists(t, t == 'a')", "Hello {{customer.city}}"},
		{"attributes['x'] == 1 || has(customer.age)", "{{tags}} {{}} {{ {{vip}} }}"},
		{"[1,2].map(i, i * 2)[5] > 0", "{{candidate.key}}"},
		{"'a'.matches('(')", "{{custom.slow}}"},
		{"custom.slow == {'a': [vip]}", "}}{{"},
		{"\x00", "\xff{{wait}}"},
		{"type(wait) == double ? tier : 3", "{{attributes}}"},
	} {
		f.Add(seed[0], seed[1])
	}
	facts := someFacts()
	f.Fuzz(func(t *testing.T, expression, text string) {
		p := &policy.Policy{
			Name: "p", Enabled: true, When: &policy.Condition{CEL: expression},
			Effect: policy.Effect{Fixed: &policy.Fixed{Actions: []event.Action{
				{Type: policy.SendMessage, Payload: map[string]any{"text": text}}, {Type: policy.TransferToSkill, Target: text},
			}}},
		}
		env := &policy.Environment{Attributes: map[string]policy.Attribute{"wait": {Type: policy.TypeNumber}, "tags": {Type: policy.TypeList}}}
		policy.Check([]*policy.Policy{p}, env)
		set := policy.Compile([]*policy.Policy{p}, 1)
		in := set.NewInput()
		in.Load(facts)
		r := set.Eval(in)
		first := set.Trace(in, -1)[0]
		if (r != nil) != (first.State == event.True) {
			t.Fatalf("matched %v, trace %+v", r != nil, first)
		}
		if r != nil {
			r.Fixed(in)
		}
		in.Load(facts)
		if again := set.Trace(in, -1)[0]; again.State != first.State {
			t.Fatalf("%s, then %s", first.State, again.State)
		}
	})
}
