package policy

import (
	"fmt"
	"slices"
	"strings"
)

// closedFamilies have members that everybody knows, so that any other name is a
// mistake and not an attribute that somebody may yet send.
func closedFamilies() []string {
	return []string{conversationPrefix, sdePrefix, orchestratorPrefix}
}

// checkName checks an attribute against what the account declares.
func (c *compiler) checkName(name, path string) {
	if c.audit == nil || strings.HasPrefix(name, candidatePrefix) {
		return
	}
	if rest, ok := strings.CutPrefix(name, skillPrefix); ok {
		c.checkMetric(name, rest, path)
		return
	}
	if _, ok := c.declared(name); ok {
		return
	}
	for _, family := range closedFamilies() {
		if strings.HasPrefix(name, family) {
			c.check.fail(CodeUnknownAttribute, path, "%q is not one of %s*%s", name, family, c.didYouMean(name))
			return
		}
	}
	switch {
	case c.audit.Attributes == nil:
	case strings.HasPrefix(name, customPrefix):
		c.check.fail(CodeUnknownAttribute, path, "%q is not an attribute of the account; create it, with its value or function%s", name, c.didYouMean(name))
	case c.audit.Strict:
		c.check.fail(CodeUnknownAttribute, path, "%q is not an attribute of the account; declare it%s", name, c.didYouMean(name))
	default:
		c.check.warn(CodeUnknownAttribute, path, "%q is not declared: it is UNKNOWN unless requests bring it or the context store has it; declare it among the attributes of the account, or see that one of them does%s", name, c.didYouMean(name))
	}
}

// checkMetric checks skill.<skill>.<metric>.
func (c *compiler) checkMetric(name, rest, path string) {
	at := strings.LastIndexByte(rest, '.')
	if at <= 0 || !isMetric(rest[at+1:]) {
		if _, ok := c.declared(name); !ok {
			c.check.fail(CodeUnknownAttribute, path, "%q is not skill.<skill>.<metric> with a metric of %s", name, strings.Join(Metrics(), ", "))
		}
		return
	}
	c.known(c.skills(), rest[:at], path)
}

// declared finds the attribute, or the object of which it is a part: then its own
// type is any.
func (c *compiler) declared(name string) (Attribute, bool) {
	if c.builtins == nil {
		c.builtins = builtinTypes()
	}
	if a, ok := c.builtins[name]; ok {
		return a, true
	}
	if c.audit == nil {
		return Attribute{}, false
	}
	if a, ok := c.audit.Attributes[name]; ok {
		return a, true
	}
	for _, part := range cutsOf(name) {
		a, ok := c.audit.Attributes[part.prefix]
		if ok && (a.Type == TypeObject || a.Type == TypeAny || a.Type == "") {
			return Attribute{Source: a.Source, PII: a.PII}, true
		}
	}
	return Attribute{}, false
}

// typeOf returns the type that an attribute is known to have, TypeAny when it is not
// known.
func (c *compiler) typeOf(name string) AttributeType {
	if rest, ok := strings.CutPrefix(name, skillPrefix); ok && isMetric(rest[strings.LastIndexByte(rest, '.')+1:]) {
		return TypeNumber
	}
	if a, ok := c.declared(name); ok && a.Type != "" {
		return a.Type
	}
	return TypeAny
}

// mustBe checks that an attribute can have the type.
func (c *compiler) mustBe(name, path string, want AttributeType) {
	if c.audit == nil {
		return
	}
	if t := c.typeOf(name); t != TypeAny && t != want {
		c.check.fail(CodeTypeMismatch, path, "%q is of type %s, must be a %s here", name, t, want)
	}
}

// auditComparison checks a comparison against the declared types and values.
func (c *compiler) auditComparison(cond *Condition, path string) {
	if c.audit == nil {
		return
	}
	left := c.typeOf(cond.Attribute)
	if left == TypeAny {
		return
	}
	if !slices.Contains(leftTypes(cond.Operator), left) {
		c.check.fail(CodeTypeMismatch, path+".operator", "%q is of type %s, which %s cannot compare", cond.Attribute, left, cond.Operator)
		return
	}
	if cond.ValueFrom != "" {
		right := c.typeOf(cond.ValueFrom)
		if right != TypeAny && !slices.Contains(rightTypes(cond.Operator, left), right) {
			c.check.fail(CodeTypeMismatch, path+".value_from", "%q is of type %s, which %s cannot compare with %q of type %s", cond.ValueFrom, right, cond.Operator, cond.Attribute, left)
		}
		return
	}
	c.auditValue(cond, left, path)
}

// leftTypes lists what an operator compares.
func leftTypes(op Operator) []AttributeType {
	switch op {
	case Equal, NotEqual, In, NotIn:
		return []AttributeType{TypeString, TypeNumber, TypeBoolean}
	case Less, LessOrEqual, Greater, GreaterOrEqual, Between:
		return []AttributeType{TypeString, TypeNumber}
	case Contains:
		return []AttributeType{TypeString, TypeList}
	case AnyOf, AllOf:
		return []AttributeType{TypeString, TypeNumber, TypeBoolean, TypeList}
	case StartsWith, EndsWith, Matches:
		return []AttributeType{TypeString}
	default:
		return []AttributeType{TypeString, TypeNumber, TypeBoolean, TypeList, TypeObject}
	}
}

// rightTypes lists what can stand on the right of an attribute.
func rightTypes(op Operator, left AttributeType) []AttributeType {
	switch {
	case op == In, op == NotIn, op == AnyOf, op == AllOf:
		return []AttributeType{TypeList}
	case left == TypeList:
		return []AttributeType{TypeString, TypeNumber, TypeBoolean}
	default:
		return []AttributeType{left}
	}
}

// auditValue checks the constants of a comparison.
func (c *compiler) auditValue(cond *Condition, left AttributeType, path string) {
	if cond.Operator == Exists || left == TypeList || left == TypeObject {
		return
	}
	values, paths := []any{cond.Value}, []string{path + ".value"}
	if list, ok := cond.Value.([]any); ok {
		values, paths = list, nil
		for i := range list {
			paths = append(paths, fmt.Sprintf("%s.value[%d]", path, i))
		}
	}
	a, _ := c.declared(cond.Attribute)
	for i, value := range values {
		v := valueOf(value)
		if !v.is(left) {
			c.check.fail(CodeTypeMismatch, paths[i], "is %s; %q is of type %s", v.kind, cond.Attribute, left)
			continue
		}
		if len(a.Allowed) > 0 && picks(cond.Operator) && !allowed(a.Allowed, &v, cond.Fold) {
			c.check.fail(CodeTypeMismatch, paths[i], "is not one of the values that %q can have: %v", cond.Attribute, a.Allowed)
		}
	}
}

// picks reports whether the operator compares with whole values.
func picks(op Operator) bool {
	switch op {
	case Equal, NotEqual, In, NotIn, AnyOf, AllOf:
		return true
	default:
		return false
	}
}

func allowed(list []any, v *value, fold bool) bool {
	for _, each := range list {
		a := valueOf(each)
		if a.same(v) || fold && a.kind == kindString && v.kind == kindString && strings.EqualFold(a.str, v.str) {
			return true
		}
	}
	return false
}

// is reports whether the value is of a type; only for scalar ones.
func (v *value) is(t AttributeType) bool {
	switch t {
	case TypeString:
		return v.kind == kindString
	case TypeNumber:
		return v.kind == kindNumber
	case TypeBoolean:
		return v.kind == kindBool
	default:
		return true
	}
}

// didYouMean names the attribute that is spelt most like it, if one is near.
func (c *compiler) didYouMean(name string) string {
	return nearest(name, append(sortedKeys(c.builtins), sortedKeys(c.audit.Attributes)...))
}

// nearest names what is spelt most like the name, if something is near; the first of
// several.
func nearest(name string, others []string) string {
	best, least := "", min(3, len(name)) // of a letter alone any other is near
	for _, other := range others {
		if d := distance(strings.ToLower(name), strings.ToLower(other), least); d < least {
			best, least = other, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance counts the edits between two words, up to limit.
func distance(a, b string, limit int) int {
	if max(len(a)-len(b), len(b)-len(a)) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return min(row[len(b)], limit)
}
