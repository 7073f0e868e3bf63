package policy

import (
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/ext"
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
		cel.ParserExpressionSizeLimit(maxCEL), cel.ParserRecursionLimit(50), ext.Strings(),
	)
	return &celCompiler{env: env, err: err}
}

// celVars is the activation of one evaluation: it lends CEL the slots that the
// running leaf uses. It lives in the Input so that evaluating makes no new one.
type celVars struct {
	in    *Input
	names []string
	slots []int
	cause string
}

// ResolveName returns the value of a variable, false when it is missing.
func (v *celVars) ResolveName(name string) (any, bool) {
	for i, n := range v.names {
		if n == name {
			at := &v.in.values[v.slots[i]]
			return at.boxed(), at.kind != kindMissing
		}
	}
	return nil, false
}

// Parent returns nil: there are no outer variables.
func (*celVars) Parent() cel.Activation { return nil }

// expression compiles a CEL leaf. Its free names become attributes of unknown
// type; a.b.c is one attribute.
func (c *compiler) expression(text string, s scope) node {
	path := s.path + ".cel"
	program, names, ok := c.program(text, path)
	if !ok {
		return node{test: alwaysTrue}
	}
	slots := make([]int, len(names))
	for i, name := range names {
		if name == "attributes" {
			slots[i] = c.slot(name)
			continue
		}
		slots[i] = c.attribute(name, scope{path: path, candidate: s.candidate}, "")
	}
	l := leaf{path: s.path, operator: "cel", expected: text, slot: -1, other: -1, isCEL: true}
	l.test = func(in *Input) truth { return evaluate(program, in, names, slots) }
	return c.leafNode(l)
}

func evaluate(program cel.Program, in *Input, names []string, slots []int) truth {
	// Lending the one activation makes an input single-threaded, which it is
	// anyway, and saves an allocation per expression.
	v := &in.vars
	v.names, v.slots, v.cause = names, slots, ""
	out, _, err := program.Eval(v)
	if err != nil {
		v.cause = err.Error()
		if strings.Contains(v.cause, "cost limit") {
			v.cause = "cost limit exceeded"
		}
		return isUnknown
	}
	result, ok := out.Value().(bool)
	if !ok {
		v.cause = "the result is not a boolean"
		return isUnknown
	}
	return truthOf(result)
}

func (c *compiler) program(text, path string) (cel.Program, []string, bool) {
	if c.cel == nil {
		c.cel = newCELCompiler()
	}
	fail := func(err error) (cel.Program, []string, bool) {
		c.check.Add(path, "%s", strings.TrimPrefix(err.Error(), "ERROR: "))
		return nil, nil, false
	}
	if c.cel.err != nil {
		return fail(c.cel.err)
	}
	parsed, issues := c.cel.env.Parse(text)
	if issues.Err() != nil {
		return fail(issues.Err())
	}
	// The names are declared after parsing: there is no catalogue of attributes
	// to declare before, and a name that nobody sends is UNKNOWN, not a fault.
	names := freeNames(parsed.NativeRep().Expr())
	variables := make([]cel.EnvOption, len(names))
	for i, name := range names {
		variables[i] = cel.Variable(name, cel.DynType)
	}
	env, err := c.cel.env.Extend(variables...)
	if err != nil {
		return fail(err)
	}
	checked, issues := env.Check(parsed)
	if issues.Err() != nil {
		return fail(issues.Err())
	}
	// An expression of unknown type may still turn out to be a boolean; one of
	// another type never does.
	if t := checked.OutputType(); t != cel.BoolType && t != cel.DynType {
		c.check.Add(path, "is of type %s, must be a boolean", t)
		return nil, nil, false
	}
	program, err := env.Program(checked, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(celCost))
	if err != nil {
		return fail(err)
	}
	return program, names, true
}

// freeNames lists the variables of an expression: identifiers that no macro
// binds, with the fields selected from them, each once and in order.
func freeNames(e ast.Expr) []string {
	w := nameWalk{bound: map[string]int{}, seen: map[string]bool{}}
	w.walk(e)
	return w.names
}

type nameWalk struct {
	bound map[string]int
	seen  map[string]bool
	names []string
}

func (w *nameWalk) add(name string) {
	if !w.seen[name] && !isTypeName(name) {
		w.seen[name] = true
		w.names = append(w.names, name)
	}
}

// chain spells a.b.c, or returns false when e is not such a chain of a free name.
func (w *nameWalk) chain(e ast.Expr) (string, bool) {
	switch e.Kind() {
	case ast.IdentKind:
		name := e.AsIdent()
		return name, w.bound[name] == 0 && name != "attributes"
	case ast.SelectKind:
		sel := e.AsSelect()
		if sel.IsTestOnly() {
			return "", false
		}
		prefix, ok := w.chain(sel.Operand())
		return prefix + "." + sel.FieldName(), ok
	default:
		return "", false
	}
}

// walk visits the whole expression. Macros such as exists are expanded by now, so
// what they bind shows as comprehensions.
func (w *nameWalk) walk(e ast.Expr) {
	switch e.Kind() {
	case ast.IdentKind:
		if w.bound[e.AsIdent()] == 0 {
			w.add(e.AsIdent())
		}
	case ast.SelectKind:
		if name, ok := w.chain(e); ok {
			w.add(name)
			return
		}
		w.walk(e.AsSelect().Operand())
	case ast.CallKind:
		call := e.AsCall()
		if call.IsMemberFunction() {
			w.walk(call.Target())
		}
		for _, arg := range call.Args() {
			w.walk(arg)
		}
	case ast.ListKind:
		for _, element := range e.AsList().Elements() {
			w.walk(element)
		}
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			w.walk(entry.AsMapEntry().Key())
			w.walk(entry.AsMapEntry().Value())
		}
	case ast.ComprehensionKind:
		w.comprehension(e.AsComprehension())
	case ast.StructKind:
		for _, f := range e.AsStruct().Fields() {
			w.walk(f.AsStructField().Value())
		}
	case ast.LiteralKind, ast.UnspecifiedExprKind:
	}
}

// comprehension walks the range outside of the names that the macro binds, and
// the rest inside.
func (w *nameWalk) comprehension(c ast.ComprehensionExpr) {
	w.walk(c.IterRange())
	w.walk(c.AccuInit())
	bound := []string{c.IterVar(), c.IterVar2(), c.AccuVar()}
	for _, name := range bound {
		w.bound[name]++
	}
	w.walk(c.LoopCondition())
	w.walk(c.LoopStep())
	w.walk(c.Result())
	for _, name := range bound {
		w.bound[name]--
	}
}

// isTypeName lists the names that CEL itself gives a meaning.
func isTypeName(name string) bool {
	switch name {
	case "bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type":
		return true
	}
	return strings.HasPrefix(name, "google.protobuf.")
}
