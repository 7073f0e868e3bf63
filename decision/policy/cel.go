package policy

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/ext"

	"github.com/usherhq/usher/pipeline/event"
)

// celCost bounds one evaluation, in cel-go's cost units: far above any sensible
// condition, and a fraction of a millisecond.
const celCost = 20_000

// celCompiler holds the environment that every expression extends with its own
// variables.
type celCompiler struct {
	env *cel.Env
	err error
}

func newCELCompiler() *celCompiler {
	env, err := cel.NewEnv(
		cel.CrossTypeNumericComparisons(true), cel.DefaultUTCTimeZone(true),
		cel.ParserExpressionSizeLimit(maxCEL), cel.ParserRecursionLimit(50), ext.Strings(), ext.Math(), power(),
	)
	return &celCompiler{env: env, err: err}
}

// everyType is that of the map of all attributes. Were it any, the checker would take
// the sum of two of them for bytes.
func everyType() *cel.Type { return cel.MapType(cel.StringType, cel.DynType) }

// celOperator is how traces call a CEL leaf.
const celOperator = "cel"

// celVars is the activation of one evaluation: it lends CEL the slots that the
// running leaf uses. It lives in the Input so that evaluating makes no new one.
type celVars struct {
	in    *Input
	names []string
	slots []int
	// missing has a bit for each of the first names that was asked for and not there.
	missing uint64
}

// ResolveName returns the value of a variable, false when it is missing.
func (v *celVars) ResolveName(name string) (any, bool) {
	for i, n := range v.names {
		if n == name {
			at := &v.in.values[v.slots[i]]
			if at.kind == kindMissing {
				v.missing |= 1 << i // of names beyond the 64th nothing is noted
			}
			return at.boxed(), at.kind != kindMissing
		}
	}
	return nil, false
}

// Parent returns nil: there are no outer variables.
func (*celVars) Parent() cel.Activation { return nil }

// celResult is what an expression was worth: it costs too much to be evaluated
// again for the trace.
type celResult struct {
	load   uint64
	truth  truth
	failed bool // went wrong, as opposed to missing something
	cause  string
}

// expression compiles a CEL leaf. Its free names become attributes of unknown
// type; a.b.c is one attribute.
func (c *compiler) expression(text string, s scope) node {
	path := s.path + ".cel"
	program, names, keys, ok := c.program(text, path)
	slots := make([]int, len(names))
	for i, name := range names {
		if name == everyAttribute {
			slots[i] = c.slot(name)
			continue
		}
		slots[i] = c.attribute(name, scope{path: path, candidate: s.candidate}, "")
	}
	if !ok {
		return node{test: alwaysTrue}
	}
	e := &celLeaf{text: text, program: program, names: names, slots: slots, keys: keys, result: c.expressions, kept: !s.candidate}
	c.expressions++
	return c.leafNode(leaf{
		path: s.path, attribute: e.looksAt(), operator: celOperator, expected: text, slot: -1, other: -1, expression: e, test: e.evaluate,
	})
}

type celLeaf struct {
	text    string
	program cel.Program
	names   []string
	slots   []int
	keys    []string // asked of the map of all attributes
	result  int      // place among the results of the input
	kept    bool     // the result stays right until the next facts: no candidate is in it
}

// looksAt lists the attributes that the expression reads, as traces name them.
func (l *celLeaf) looksAt() string {
	names := slices.DeleteFunc(slices.Clone(l.names), func(name string) bool { return name == everyAttribute })
	for _, key := range l.keys {
		if !slices.Contains(names, key) {
			names = append(names, key)
		}
	}
	return event.JoinAttributes(names)
}

// seen is what a trace says that the expression saw: the values of its attributes by
// their names, personal ones redacted, nil when there is none. Expected hides a
// constant that says the personal value, too.
func (l *celLeaf) seen(in *Input, t *event.ConditionTrace) {
	seen := map[string]any{}
	put := func(name string, v any) {
		if v == nil {
			return
		}
		if in.facts.Personal != nil && in.facts.Personal(name) {
			if said, ok := v.(string); ok && said != "" && strings.Contains(l.text, said) {
				t.Expected = Redacted
			}
			v = Redacted
		}
		seen[name] = v
	}
	for i, slot := range l.slots {
		if l.names[i] != everyAttribute {
			put(l.names[i], in.values[slot].boxed())
			continue
		}
		all, _ := in.values[slot].boxed().(map[string]any)
		for _, key := range l.keys {
			put(key, all[key])
		}
	}
	if len(seen) > 0 {
		t.Actual = seen
	}
}

func (l *celLeaf) evaluate(in *Input) truth {
	out := &in.cels[l.result]
	if l.kept && out.load == in.loads {
		return out.truth
	}
	// Lending the one activation makes an input single-threaded, which it is
	// anyway, and saves an allocation per expression.
	v := &in.vars
	v.names, v.slots, v.missing = l.names, l.slots, 0
	*out = celResult{load: in.loads}
	result, _, err := l.program.Eval(v)
	if err != nil {
		l.explain(in, out, err)
		return out.truth
	}
	b, ok := result.Value().(bool)
	if !ok {
		out.truth, out.failed, out.cause = isUnknown, true, "the result is not a boolean"
		return isUnknown
	}
	out.truth = truthOf(b)
	return out.truth
}

// explain tells an attribute that is missing from an expression that went wrong.
func (l *celLeaf) explain(in *Input, out *celResult, err error) {
	out.truth, out.failed, out.cause = isUnknown, true, err.Error()
	switch {
	case strings.Contains(out.cause, "cost limit"):
		out.cause = "cost limit exceeded"
	case strings.Contains(out.cause, "no such key"):
		out.failed = false
		if _, key, ok := strings.Cut(out.cause, "no such key: "); ok && slices.Contains(l.keys, key) {
			out.cause = event.MissingAttributes([]string{key})
			return
		}
	case strings.Contains(out.cause, "no such attribute"):
		out.failed = false
		for i, slot := range l.slots {
			if why := in.failure(slot); why != "" {
				out.failed, out.cause = true, l.names[i]+": "+why
				return
			}
		}
		var missing []string
		for i, name := range l.names {
			if in.vars.missing&(1<<i) != 0 {
				missing = append(missing, name)
			}
		}
		if len(missing) > 0 {
			out.cause = event.MissingAttributes(missing)
			return
		}
	}
	if l.personal(in) {
		out.cause = causePersonal
	}
}

// celFault says in one line, with its column, what the first thing wrong with an
// expression is; the others mostly follow from it.
func celFault(issues *cel.Issues) string {
	found := issues.Errors()
	if len(found) == 0 {
		return issues.Err().Error()
	}
	first := found[0]
	at := fmt.Sprintf("line %d, column %d", first.Location.Line(), first.Location.Column()+1)
	if first.Location.Line() <= 1 {
		at = fmt.Sprintf("column %d", first.Location.Column()+1)
	}
	message, _, _ := strings.Cut(first.Message, "\n")
	if strings.Contains(message, "token recognition error at: '=") || strings.Contains(message, "'='") {
		return "at " + at + ": a single = compares nothing; use =="
	}
	message, _, _ = strings.Cut(strings.TrimPrefix(message, "Syntax error: "), " expecting ")
	plain := strings.NewReplacer("'<EOF>'", "the end", "mismatched input", "unexpected", "extraneous input", "unexpected", "token recognition error at:", "cannot read")
	return "at " + at + ": " + strings.Replace(plain.Replace(message), "unexpected the end", "ends unexpectedly", 1)
}

func (c *compiler) program(text, path string) (program cel.Program, names, keys []string, ok bool) {
	if c.cel == nil {
		c.cel = newCELCompiler()
	}
	fail := func(why string) (cel.Program, []string, []string, bool) {
		c.check.fail(CodeBadExpression, path, "%s", why)
		return nil, names, keys, false
	}
	if c.cel.err != nil {
		return fail(c.cel.err.Error())
	}
	parsed, issues := c.cel.env.Parse(text)
	if issues.Err() != nil {
		return fail(celFault(issues))
	}
	// The names are declared after parsing: there is no catalogue of attributes
	// to declare before, and a name that nobody sends is UNKNOWN, not a fault.
	names, keys = freeNames(parsed.NativeRep().Expr())
	c.keys = append(c.keys, keys...)
	for _, key := range keys {
		c.checkName(key, path)
	}
	variables := make([]cel.EnvOption, len(names))
	for i, name := range names {
		variables[i] = cel.Variable(name, cel.DynType)
		if name == everyAttribute {
			variables[i] = cel.Variable(name, everyType())
		}
	}
	env, err := c.cel.env.Extend(variables...)
	if err != nil {
		return fail(err.Error())
	}
	checked, issues := env.Check(parsed)
	if issues.Err() != nil {
		return fail(celFault(issues))
	}
	// An expression of unknown type may still turn out to be a boolean; one of
	// another type never does.
	if t := checked.OutputType(); t != cel.BoolType && t != cel.DynType {
		c.check.fail(CodeTypeMismatch, path, "is of type %s, must be a boolean", t)
		return nil, names, keys, false
	}
	c.auditExpression(parsed, checked, names, path)
	program, err = env.Program(checked, cel.CustomDecoratorV2(finite), cel.EvalOptions(cel.OptOptimize), cel.CostLimit(celCost))
	if err != nil {
		return fail(err.Error())
	}
	return program, names, keys, true
}
