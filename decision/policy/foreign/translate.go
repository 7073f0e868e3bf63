package foreign

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/usherhq/usher/decision/policy"
)

// doc is a piece of a policy document in canonical form, before it is parsed.
type doc = map[string]any

// translator turns the tree of one expression into a condition.
type translator struct {
	out  *sink
	path string
	// text is the whole expression, for messages.
	text string
	// rename turns an attribute's name into Usher's.
	rename func(string) string
	// special takes over a comparison that a dialect gives a meaning of its own.
	special func(n *node) (doc, bool)
	// nulls says that a missing attribute is a value: unequal to every other and
	// in no list.
	nulls bool
	// negated is true under an odd number of nots.
	negated bool
}

// expression reads a text and translates it; one with faults, which are in out, is
// unread.
func (t *translator) expression(text string) doc {
	t.text = text
	before := t.out.errors
	n, faults := parseExpression(text)
	for _, one := range faults[:min(len(faults), maxFaults)] {
		t.out.err(t.path, policy.CodeBadExpression, "%s", one)
	}
	c := t.condition(n)
	if t.out.errors > before {
		return unread()
	}
	return c
}

func (t *translator) fail(n *node, code, format string, args ...any) doc {
	at := &syntaxError{at: n.at}
	t.out.err(t.path, code, "%s"+format, append([]any{at.Error()}, args...)...)
	return unread()
}

// condition translates a node that stands for a truth value.
func (t *translator) condition(n *node) doc {
	switch {
	case n.bad():
		return unread()
	case n.kind == nodeBinary && n.op == "or":
		return doc{"any": t.flat(n, "or")}
	case n.kind == nodeBinary && n.op == "and":
		return doc{"all": t.flat(n, "and")}
	case n.kind == nodeUnary && n.op == "not":
		t.negated = !t.negated
		defer func() { t.negated = !t.negated }()
		return doc{"not": t.condition(n.args[0])}
	case n.kind == nodeBinary && isComparator(n.op):
		return t.comparison(n)
	case n.kind == nodeName:
		return t.leaf(n.name, "equal", true)
	case n.kind == nodeLiteral:
		if b, ok := n.value.(bool); ok {
			return constant(b)
		}
	case n.kind == nodeCall && !strings.EqualFold(n.name, "sqrt"):
		return t.call(n)
	}
	return t.fail(n, CodeNotACondition, "a value stands where a condition is expected; compare it with something")
}

// unread stands for a condition that cannot be read: it has no fault of its own,
// and its policy is not kept.
func unread() doc { return constant(false) }

// constant is the condition that always, or never, holds.
func constant(holds bool) doc {
	if holds {
		return doc{}
	}
	return doc{"not": doc{}}
}

// bad reports whether a fault stands in a node that is no condition made of others,
// which are told of one by one.
func (n *node) bad() bool {
	if n.kind == nodeBinary && (n.op == "and" || n.op == "or") || n.kind == nodeUnary && n.op == "not" {
		return false
	}
	return n.kind == nodeBad || slices.ContainsFunc(n.args, (*node).broken)
}

// broken reports whether a fault stands anywhere in a node.
func (n *node) broken() bool { return n.kind == nodeBad || slices.ContainsFunc(n.args, (*node).broken) }

// flat lists the operands of a chain of the same operator: a and b and c is one
// list of three.
func (t *translator) flat(n *node, op string) []any {
	var out []any
	for _, arg := range n.args {
		if arg.kind == nodeBinary && arg.op == op {
			out = append(out, t.flat(arg, op)...)
			continue
		}
		out = append(out, t.condition(arg))
	}
	return out
}

func isComparator(op string) bool {
	switch op {
	case "==", "!=", "<", "<=", ">", ">=", "in", "notin", "has", "contains":
		return true
	}
	return false
}

// comparison translates a node with a comparison sign.
func (t *translator) comparison(n *node) doc {
	if n.single && !t.nulls {
		t.warn(n, CodeApproximated, "= is read as ==; use ==")
	}
	if t.special != nil {
		if c, taken := t.special(n); taken {
			return c
		}
	}
	left, right := fold(n.args[0]), fold(n.args[1])
	switch {
	case n.op == "in" || n.op == "notin":
		return t.membership(n, left, right)
	case n.op == "has" || n.op == "contains":
		return t.containing(n, left, right)
	case left.kind == nodeLiteral && right.kind == nodeLiteral:
		return t.constants(n, left, right)
	case t.isEither(right):
		return t.alternatives(n, left, right)
	case t.isEither(left):
		return t.alternatives(n, right, left)
	case left.kind == nodeLiteral:
		return t.sides(&node{op: mirror(n.op), at: n.at}, right, left)
	default:
		return t.sides(n, left, right)
	}
}

func isOr(n *node) bool { return n.kind == nodeBinary && n.op == "or" }

// options lists what stands between the ors of a chain.
func options(n *node) []*node {
	if !isOr(n) {
		return []*node{fold(n)}
	}
	return append(options(n.args[0]), options(n.args[1])...)
}

// isEither tells (b || c), values to be equal to, from a condition.
func (t *translator) isEither(n *node) bool {
	return isOr(n) && !slices.ContainsFunc(options(n), t.isCondition)
}

// isCondition reports whether a node stands for a truth value by its form.
func (t *translator) isCondition(n *node) bool {
	switch n.kind {
	case nodeBinary:
		return n.op == "or" || n.op == "and" || isComparator(n.op)
	case nodeUnary:
		return n.op == "not"
	case nodeCall:
		return strings.EqualFold(n.name, "isTimeRange") || strings.EqualFold(n.name, "isDateRange")
	default:
		return false
	}
}

func isArithmetic(op string) bool {
	switch op {
	case "+", "-", "*", "/", "%", "^":
		return true
	}
	return false
}

// mirror is the operator with its sides exchanged.
func mirror(op string) string {
	switch op {
	case "<":
		return ">"
	case "<=":
		return ">="
	case ">":
		return "<"
	case ">=":
		return "<="
	}
	return op
}

func operatorOf(sign string) string {
	switch sign {
	case "==":
		return "equal"
	case "!=":
		return "not_equal"
	case "<":
		return "less_than"
	case "<=":
		return "less_than_or_equal"
	case ">":
		return "greater_than"
	default:
		return "greater_than_or_equal"
	}
}

// sides compares an attribute with a constant or an attribute where it can, and
// falls back to an expression. A literal stands on the right.
func (t *translator) sides(n, left, right *node) doc {
	switch {
	case t.isCondition(left) || t.isCondition(right):
		return t.truths(n, left, right)
	case left.kind == nodeName && right.kind == nodeLiteral && right.value == nil:
		return t.null(n, left)
	case left.kind == nodeName && right.kind == nodeLiteral:
		return t.leaf(left.name, operatorOf(n.op), t.ordered(n, right.value))
	case left.kind == nodeName && right.kind == nodeName:
		return t.pair(left.name, operatorOf(n.op), right.name)
	case left.kind == nodeList || right.kind == nodeList:
		return t.fail(n, CodeNotSayable, "a list is compared with %s; test one element with in", n.op)
	}
	return t.arithmetic(n, left, right)
}

// ordered is the value right of a comparison. Only numbers have an order that
// LivePerson documents; TaskRouter orders texts too.
func (t *translator) ordered(n *node, value any) any {
	text, isText := value.(string)
	switch n.op {
	case "<", "<=", ">", ">=":
	default:
		return value
	}
	if !isText {
		return value
	}
	if number, ok := numberOf(text); ok && !t.nulls {
		t.warn(n, CodeConverted, "'%s' is taken for the number %s, which is what %s compares", text, number, n.op)
		return number
	}
	t.warn(n, policy.CodeTypeMismatch, "'%s' is a text: %s compares it character by character, so that '10' comes before '9'", text, n.op)
	return value
}

// truths compares a condition with true or false.
func (t *translator) truths(n, left, right *node) doc {
	want, ok := right.value.(bool)
	if right.kind != nodeLiteral || !ok || n.op != "==" && n.op != "!=" {
		return t.fail(n, CodeNotSayable, "a condition can be compared with true or false alone; write it with and, or, not")
	}
	if want == (n.op == "==") {
		return t.condition(left)
	}
	return t.condition(&node{kind: nodeUnary, op: "not", args: []*node{left}, at: n.at})
}

func (t *translator) null(n, left *node) doc {
	if n.op != "==" && n.op != "!=" {
		return t.fail(n, CodeNotSayable, "null can only be compared with == and !=")
	}
	return doc{"attribute": t.rename(left.name), "operator": "exists", "value": n.op == "!="}
}

// leaf is one comparison with a constant.
func (t *translator) leaf(name, operator string, value any) doc {
	return t.guard(doc{"attribute": t.rename(name), "operator": operator, "value": value})
}

// pair is one comparison of two attributes.
func (t *translator) pair(name, operator, other string) doc {
	return t.guard(doc{"attribute": t.rename(name), "operator": operator, "value_from": t.rename(other)})
}

// guard makes a comparison two-valued where a missing attribute is a value: an
// inequality then holds, and the negation of an equality too.
func (t *translator) guard(leaf doc) doc {
	if !t.nulls {
		return leaf
	}
	var missing, there []any
	for _, key := range []string{"attribute", "value_from"} {
		if name, ok := leaf[key].(string); ok {
			missing = append(missing, doc{"attribute": name, "operator": "exists", "value": false})
			there = append(there, doc{"attribute": name, "operator": "exists"})
		}
	}
	operator, _ := leaf["operator"].(string)
	switch {
	case operator == "not_equal" || operator == "not_in":
		return doc{"any": append(missing, leaf)}
	case t.negated:
		return doc{"all": append(there, leaf)}
	}
	return leaf
}

// alternatives translates a == (b || c): equal to any of them.
func (t *translator) alternatives(n, one, either *node) doc {
	if n.op != "==" && n.op != "!=" {
		return t.fail(n, CodeNotSayable, "alternatives can stand beside == and != alone, not beside %s", n.op)
	}
	op := "in"
	if n.op == "!=" {
		op = "notin"
	}
	return t.membership(&node{op: op, at: n.at}, one, &node{kind: nodeList, args: options(either), at: either.at})
}

// constants is a comparison of two constants, such as TaskRouter's 1 == 1.
func (t *translator) constants(n, left, right *node) doc {
	switch a := left.value.(type) {
	case float64:
		if b, ok := right.value.(float64); ok {
			return t.settled(n, holds(n.op, compareNumbers(a, b)))
		}
	case string:
		if b, ok := right.value.(string); ok {
			return t.settled(n, holds(n.op, strings.Compare(a, b)))
		}
	case bool:
		if b, ok := right.value.(bool); ok && (n.op == "==" || n.op == "!=") {
			return t.settled(n, (a == b) == (n.op == "=="))
		}
	}
	return t.fail(n, CodeNotSayable, "two constants of different types are compared")
}

// settled is a comparison whose outcome is known here. TaskRouter has no other way
// to say always than 1 == 1.
func (t *translator) settled(n *node, holds bool) doc {
	idiom := t.nulls && holds && n.kind == nodeBinary && n.args[0].kind == nodeLiteral && n.args[1].kind == nodeLiteral
	if !idiom {
		t.warn(n, CodeConstant, "%s compares constants alone: it %s holds", n.op, map[bool]string{true: "always", false: "never"}[holds])
	}
	return constant(holds)
}

// warn tells a doubt with its place.
func (t *translator) warn(n *node, code, format string, args ...any) {
	t.out.warn(t.path, code, "%s%s", (&syntaxError{at: n.at}).Error(), fmt.Sprintf(format, args...))
}

func compareNumbers(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func holds(op string, sign int) bool {
	switch op {
	case "==":
		return sign == 0
	case "!=":
		return sign != 0
	case "<":
		return sign < 0
	case "<=":
		return sign <= 0
	case ">":
		return sign > 0
	default:
		return sign >= 0
	}
}

// fold computes what has only constants in it: 24 * 60 is 1440.
func fold(n *node) *node {
	number := func(n *node) (float64, bool) {
		n = fold(n)
		f, ok := n.value.(float64)
		return f, ok && n.kind == nodeLiteral
	}
	result, ok := math.NaN(), false
	switch {
	case n.kind == nodeUnary && n.op == "-":
		var a float64
		if a, ok = number(n.args[0]); ok {
			result = -a
		}
	case n.kind == nodeCall && strings.EqualFold(n.name, "sqrt") && len(n.args) == 1:
		var a float64
		if a, ok = number(n.args[0]); ok {
			result = math.Sqrt(a)
		}
	case n.kind == nodeBinary && isArithmetic(n.op):
		a, isA := number(n.args[0])
		b, isB := number(n.args[1])
		if ok = isA && isB; ok {
			result = calculate(n.op, a, b)
		}
	}
	if !ok || math.IsNaN(result) || math.IsInf(result, 0) {
		return n
	}
	return &node{kind: nodeLiteral, value: result, at: n.at}
}

func calculate(op string, a, b float64) float64 {
	switch op {
	case "+":
		return a + b
	case "-":
		return a - b
	case "*":
		return a * b
	case "/":
		return a / b
	case "%":
		return math.Mod(a, b)
	default:
		return math.Pow(a, b)
	}
}

// arithmetic compares what has to be computed, in CEL.
func (t *translator) arithmetic(n, left, right *node) doc {
	a, err := t.cel(left)
	b, err2 := t.cel(right)
	if err = errors.Join(err, err2); err != nil {
		for _, one := range unwrapAll(err) {
			t.out.err(t.path, CodeNotSayable, "%s", one)
		}
		return unread()
	}
	if !named(left) && !named(right) {
		t.warn(n, CodeConstant, "%s compares constants alone: it always holds, or never", n.op)
	}
	return doc{"cel": a + " " + n.op + " " + b}
}

// named reports whether an attribute stands somewhere in a node.
func named(n *node) bool { return n.kind == nodeName || slices.ContainsFunc(n.args, named) }

func unwrapAll(err error) []error {
	if list, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, one := range list.Unwrap() {
			out = append(out, unwrapAll(one)...)
		}
		return out
	}
	return []error{err}
}
