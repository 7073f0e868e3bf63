package policy

import (
	"regexp"
	"strings"
	"time"
)

// Limits of one policy document.
const (
	maxDocument = 64 << 10
	maxDepth    = 16
	maxLeaves   = 200
	maxList     = 1000
	maxName     = 128
	maxPattern  = 1000
	maxCEL      = 4000
	maxActions  = 20
)

// comparison compiles attribute, operator and right side.
func (c *compiler) comparison(cond *Condition, s scope) node {
	slot := c.attribute(cond.Attribute, s, ".attribute")
	l := leaf{
		path: s.path, attribute: cond.Attribute, operator: string(cond.Operator),
		expected: cond.Value, slot: slot, other: -1,
	}
	if cond.Operator == "" {
		c.check.fail(CodeMissing, s.path+".operator", "is missing")
		if cond.ValueFrom != "" {
			c.attribute(cond.ValueFrom, s, ".value_from")
		}
		return node{test: alwaysTrue}
	}
	c.checkFold(cond, s)
	if cond.ValueFrom != "" {
		if cond.Value != nil {
			c.check.Add(s.path+".value_from", "stands beside value; give one of them")
		}
		return c.dynamic(cond, s, l)
	}
	c.auditComparison(cond, s.path)
	if l.test = c.constant(cond, s, slot); l.test == nil {
		return node{test: alwaysTrue}
	}
	if n, ok := needOf(cond, slot); ok {
		return c.leafNode(l, n)
	}
	return c.leafNode(l)
}

// checkFold refuses case folding where there is no case.
func (c *compiler) checkFold(cond *Condition, s scope) {
	if !cond.Fold {
		return
	}
	if !folds(cond.Operator) {
		c.check.Add(s.path+".fold", "does nothing for %s%s", cond.Operator, map[bool]string{true: "; begin the pattern with (?i)"}[cond.Operator == Matches])
		return
	}
	v := valueOf(cond.Value)
	if list := v.list(); len(list) > 0 {
		v = valueOf(list[0])
	}
	if v.kind == kindNumber || v.kind == kindBool {
		c.check.fail(CodeTypeMismatch, s.path+".fold", "is for strings, the value is %s", v.kind)
	}
}

// folds reports whether the operator can compare without regard to case.
func folds(op Operator) bool {
	switch op {
	case Equal, NotEqual, In, NotIn, AnyOf, AllOf, Contains, StartsWith, EndsWith:
		return true
	default:
		return false
	}
}

// needOf tells the index which strings an equality or a membership asks for.
func needOf(cond *Condition, slot int) (need, bool) {
	if cond.Fold {
		return need{}, false
	}
	switch v := cond.Value.(type) {
	case string:
		return need{slot, []string{v}}, cond.Operator == Equal
	case []any:
		out := make([]string, 0, len(v))
		for _, e := range v {
			text, ok := e.(string)
			if !ok {
				return need{}, false
			}
			out = append(out, text)
		}
		return need{slot, out}, cond.Operator == In
	}
	return need{}, false
}

// dynamic compiles a comparison whose right side is another attribute.
func (c *compiler) dynamic(cond *Condition, s scope, l leaf) node {
	other, slot := c.attribute(cond.ValueFrom, s, ".value_from"), l.slot
	l.other = other
	c.auditComparison(cond, s.path)
	compare := binary(cond.Operator, cond.Fold)
	if compare == nil {
		c.check.fail(CodeTypeMismatch, s.path+".operator", "%q needs value, not value_from", cond.Operator)
		return node{test: alwaysTrue}
	}
	l.test = func(in *Input) truth { return compare(&in.values[slot], &in.values[other]) }
	return c.leafNode(l)
}

// binary returns the operators that can compare any two values, nil for others.
func binary(op Operator, fold bool) func(a, b *value) truth {
	switch op {
	case Equal:
		return equalTo(fold)
	case NotEqual:
		equal := equalTo(fold)
		return func(a, b *value) truth { return negate(equal(a, b)) }
	case Less, LessOrEqual, Greater, GreaterOrEqual:
		return ordered(op)
	case In:
		return memberOf(fold)
	case NotIn:
		member := memberOf(fold)
		return func(a, b *value) truth { return negate(member(a, b)) }
	case AnyOf, AllOf:
		return dynamicOverlap(op == AllOf, fold)
	case Contains:
		return contains(fold)
	case StartsWith:
		return textual(either(fold, prefixFold, strings.HasPrefix))
	case EndsWith:
		return textual(either(fold, suffixFold, strings.HasSuffix))
	default:
		return nil
	}
}

func either(fold bool, folded, plain func(s, part string) bool) func(s, part string) bool {
	if fold {
		return folded
	}
	return plain
}

// ordered makes the four comparisons of order from one.
func ordered(op Operator) func(a, b *value) truth {
	return func(a, b *value) truth {
		sign, ok := order(a, b)
		if !ok {
			return isUnknown
		}
		switch op {
		case Less:
			return truthOf(sign < 0)
		case LessOrEqual:
			return truthOf(sign <= 0)
		case Greater:
			return truthOf(sign > 0)
		default:
			return truthOf(sign >= 0)
		}
	}
}

// textual is UNKNOWN unless both sides are strings.
func textual(f func(s, part string) bool) func(a, b *value) truth {
	return func(a, b *value) truth {
		if a.kind != kindString || b.kind != kindString {
			return isUnknown
		}
		return truthOf(f(a.str, b.str))
	}
}

// constant compiles a comparison with a constant. It returns nil when the value
// does not suit the operator, after saying so.
func (c *compiler) constant(cond *Condition, s scope, slot int) test {
	v := valueOf(cond.Value)
	wrong := func(want string) test {
		c.check.fail(CodeTypeMismatch, s.path+".value", "is %s; %s needs %s", v.kind, cond.Operator, want)
		return nil
	}
	switch cond.Operator {
	case Equal, NotEqual:
		if !v.scalar() {
			return wrong("a string, a number or a boolean")
		}
		return equality(cond, slot, v)
	case Less, LessOrEqual, Greater, GreaterOrEqual:
		if v.kind != kindNumber && v.kind != kindString {
			return wrong("a number or a string")
		}
		return withConstant(ordered(cond.Operator), slot, v)
	case In, NotIn:
		return c.membership(cond, s, slot, wrong)
	case AnyOf, AllOf:
		return c.overlap(cond, s, slot, wrong)
	case Contains:
		if !v.scalar() {
			return wrong("a string, a number or a boolean")
		}
		return withConstant(contains(cond.Fold), slot, v)
	case StartsWith, EndsWith:
		if v.kind != kindString {
			return wrong("a string")
		}
		return withConstant(binary(cond.Operator, cond.Fold), slot, v)
	case Matches, Exists, Between:
		return c.special(cond, s, slot, wrong)
	}
	c.check.fail(CodeUnknownOperator, s.path+".operator", "%q is not an operator; one of %s", cond.Operator, operatorNames())
	return nil
}

// withConstant closes over the right side. The value is typed once, here, and
// never again on the hot path.
func withConstant(f func(a, b *value) truth, slot int, v value) test {
	return func(in *Input) truth { return f(&in.values[slot], &v) }
}

// equality is the commonest leaf, so strings get a closure of their own.
func equality(cond *Condition, slot int, v value) test {
	if v.kind != kindString || cond.Fold {
		return withConstant(binary(cond.Operator, cond.Fold), slot, v)
	}
	text, hit := v.str, truthOf(cond.Operator == Equal)
	return func(in *Input) truth {
		at := &in.values[slot]
		if at.kind != kindString {
			return isUnknown
		}
		if at.str == text {
			return hit
		}
		return negate(hit)
	}
}

// special compiles the operators whose right side is more than a value.
func (c *compiler) special(cond *Condition, s scope, slot int, wrong func(string) test) test {
	switch cond.Operator {
	case Exists:
		want, ok := true, true
		if cond.Value != nil {
			want, ok = cond.Value.(bool)
		}
		if !ok {
			return wrong("true or false")
		}
		return func(in *Input) truth {
			there := in.values[slot].kind != kindMissing
			// What could not be looked up is not known to be absent.
			if !there && in.failure(slot) != "" {
				return isUnknown
			}
			return truthOf(there == want)
		}
	case Matches:
		return c.pattern(cond, s, slot, wrong)
	default:
		return c.between(cond, s, slot, wrong)
	}
}

func (c *compiler) pattern(cond *Condition, s scope, slot int, wrong func(string) test) test {
	text, ok := cond.Value.(string)
	if !ok {
		return wrong("a regular expression (RE2)")
	}
	if len(text) > maxPattern {
		c.check.fail(CodeLimit, s.path+".value", "is longer than %d bytes", maxPattern)
		return nil
	}
	// RE2 has no backtracking: a pattern costs what the text is long.
	re, err := regexp.Compile(text)
	if err != nil {
		c.check.fail(CodeBadPattern, s.path+".value", "is not a regular expression: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
		return nil
	}
	return func(in *Input) truth {
		if in.values[slot].kind != kindString {
			return isUnknown
		}
		return truthOf(re.MatchString(in.values[slot].str))
	}
}

func (c *compiler) between(cond *Condition, s scope, slot int, wrong func(string) test) test {
	list, ok := cond.Value.([]any)
	if !ok || len(list) != 2 {
		return wrong("a list of two: the least and the greatest")
	}
	lo, hi := valueOf(list[0]), valueOf(list[1])
	sign, ok := order(&lo, &hi)
	if !ok {
		return wrong("two numbers or two strings")
	}
	if sign > 0 {
		c.check.Add(s.path+".value", "has its bounds in the wrong order")
		return nil
	}
	return func(in *Input) truth {
		at := &in.values[slot]
		// hi has the type of lo, so one check serves both.
		low, ok := order(at, &lo)
		if !ok {
			return isUnknown
		}
		high, _ := order(at, &hi)
		return truthOf(low >= 0 && high <= 0)
	}
}

func parseTime(v *value) (time.Time, bool) {
	if v.kind != kindString {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339, v.str)
	return t, err == nil
}
