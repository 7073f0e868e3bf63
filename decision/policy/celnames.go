package policy

import (
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
)

// everyAttribute is the name of the map of all attributes.
const everyAttribute = "attributes"

// freeNames lists the variables of an expression: identifiers that no macro
// binds, with the fields selected from them, each once and in order. keys are the
// names by which the map of all attributes is asked.
func freeNames(e ast.Expr) (names, keys []string) {
	w := nameWalk{bound: map[string]int{}, seen: map[string]bool{}}
	w.walk(e)
	return w.names, w.keys
}

type nameWalk struct {
	bound map[string]int
	seen  map[string]bool
	names []string
	keys  []string
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
		return name, w.bound[name] == 0 && name != everyAttribute
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

// indexed notes the name of attributes["a name"].
func (w *nameWalk) indexed(call ast.CallExpr) {
	if call.FunctionName() != operators.Index || len(call.Args()) != 2 {
		return
	}
	of, key := call.Args()[0], call.Args()[1]
	if of.Kind() != ast.IdentKind || of.AsIdent() != everyAttribute || w.bound[everyAttribute] > 0 || key.Kind() != ast.LiteralKind {
		return
	}
	if name, ok := key.AsLiteral().Value().(string); ok && name != "" {
		w.keys = append(w.keys, name)
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
		w.indexed(call)
		if call.IsMemberFunction() && !isNamespace(call.Target()) {
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

// isNamespace tells math.sqrt(x), where math is part of the function's name, from a
// method of an attribute.
func isNamespace(target ast.Expr) bool {
	return target.Kind() == ast.IdentKind && target.AsIdent() == "math"
}

// isTypeName lists the names that CEL itself gives a meaning.
func isTypeName(name string) bool {
	switch name {
	case "bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type":
		return true
	}
	return strings.HasPrefix(name, "google.protobuf.")
}
