package policy

import (
	"reflect"
	"slices"
)

// shadows remembers the policies that end the evaluation whenever they match, to
// find those that are never asked.
type shadows struct {
	before []*Policy
}

func newShadows() *shadows { return &shadows{} }

// meet warns when an earlier policy leaves nothing for p, and remembers p.
func (s *shadows) meet(p *Policy, r *Rule, f *findings) {
	if p.Name == DefaultName {
		return
	}
	for _, earlier := range s.before {
		if !implies(p.When, earlier.When) || p.Exception != nil && !implies(p.Exception.When, earlier.When) {
			continue
		}
		if matchesAlways(earlier.When) {
			f.warn(CodeUnreachable, "", "is never asked while %q stands before it, which matches always%s", earlier.Name, unlessEmpty(earlier))
		} else {
			f.warn(CodeShadowed, "when", "holds only when that of %q holds, which stands before it%s", earlier.Name, unlessEmpty(earlier))
		}
		break
	}
	if s.casts(p, r) {
		s.before = append(s.before, p)
	}
}

// casts reports whether the policy surely ends the evaluation when its condition
// holds: at any time, whatever is missing, exception or not.
func (s *shadows) casts(p *Policy, r *Rule) bool {
	if p.Schedule != nil || !p.Effect.Terminal() || p.Exception != nil && !p.Exception.Effect.Terminal() {
		return false
	}
	branches := []*Rule{r}
	if r.exception != nil {
		branches = append(branches, r.exception)
	}
	for _, b := range branches {
		for i := range b.decisive {
			if b.leaves[i].filled {
				return false
			}
		}
		if n := len(b.steps); n > 0 && b.steps[n-1].expiry > 0 {
			return false
		}
	}
	return true
}

// unlessEmpty says when a policy that matches lets the next one decide after all.
func unlessEmpty(p *Policy) string {
	if p.Effect.Rank != nil || len(p.Effect.Steps) > 0 {
		return ", unless that has no candidate to offer"
	}
	return ""
}

func matchesAlways(c *Condition) bool { return c == nil || isTrivial(c) }

// isTrivial reports whether the condition is one that says nothing.
func isTrivial(c *Condition) bool {
	return len(c.All) == 0 && len(c.Any) == 0 && c.Not == nil && c.Attribute == "" && c.Time == nil && c.Date == nil && c.CEL == ""
}

// implies reports whether b surely holds whenever a does. It knows the structured
// forms and is careful: false means "not known".
func implies(a, b *Condition) bool {
	a, b = plainer(a), plainer(b)
	switch {
	case matchesAlways(b):
		return true
	case matchesAlways(a):
		return false
	case len(b.All) > 0:
		return every(b.All, func(part *Condition) bool { return implies(a, part) })
	case len(a.Any) > 0:
		return every(a.Any, func(part *Condition) bool { return implies(part, b) })
	case len(b.Any) > 0 && some(b.Any, func(part *Condition) bool { return implies(a, part) }):
		return true
	case len(a.All) > 0:
		return some(a.All, func(part *Condition) bool { return implies(part, b) })
	case a.Not != nil && b.Not != nil:
		// The contraposition would need "surely FALSE", so only the same will do.
		return same(a.Not, b.Not)
	}
	switch {
	case same(a, b):
		return true
	case a.Time != nil && b.Time != nil:
		return windowImplies(a.Time, b.Time)
	case a.Date != nil && b.Date != nil:
		return datesImply(a.Date, b.Date)
	case len(b.Any) > 0 && a.Operator == In:
		values, ok := readValues(a)
		return ok && everyOf(values, func(v any) bool {
			return implies(&Condition{Attribute: a.Attribute, Operator: Equal, Value: v, Fold: a.Fold}, b)
		})
	}
	return leafImplies(a, b)
}

func every(list []*Condition, f func(*Condition) bool) bool {
	for _, c := range list {
		if !f(c) {
			return false
		}
	}
	return true
}

func some(list []*Condition, f func(*Condition) bool) bool { return slices.ContainsFunc(list, f) }

// same reports whether two conditions are spelt the same. It runs for every pair of
// policies of an account, so what differs most often is compared first.
func same(a, b *Condition) bool {
	if a.Attribute != b.Attribute || a.Operator != b.Operator || a.CEL != b.CEL {
		return false
	}
	if left, ok := a.Value.(string); ok && b.Value != any(left) {
		return false
	}
	return reflect.DeepEqual(a, b)
}

// leafImplies compares two comparisons of one attribute with constants.
func leafImplies(a, b *Condition) bool {
	if a.Attribute == "" || a.Attribute != b.Attribute || a.ValueFrom != "" || b.ValueFrom != "" {
		return false
	}
	if b.Operator == Exists && b.Value != false {
		// Any comparison that is TRUE has read the attribute.
		return a.Operator != Exists || a.Value != false
	}
	if b.Operator == In && !a.Fold {
		list, _ := b.Value.([]any)
		return within(a, list, b.Fold)
	}
	if a.Operator == Equal && !a.Fold && !b.Fold {
		left, text := a.Value.(string)
		if right, too := b.Value.(string); text && too && b.Operator == Equal {
			return left == right // what most pairs of policies are
		}
		return holdsOf(a.Value, b)
	}
	if values, ok := readValues(a); ok && !a.Fold {
		return len(values) > 0 && everyOf(values, func(v any) bool { return holdsOf(v, b) })
	}
	return boundImplies(a, b) || textImplies(a, b)
}

// within reports whether all values that a allows are in the list.
func within(a *Condition, list []any, fold bool) bool {
	values := []any{a.Value}
	if a.Operator == In {
		values, _ = a.Value.([]any)
	} else if a.Operator != Equal {
		return false
	}
	for _, each := range values {
		if v := valueOf(each); !allowed(list, &v, fold) {
			return false
		}
	}
	return true
}

// holdsOf evaluates b for one constant value of its attribute.
func holdsOf(v any, b *Condition) bool {
	left, right := valueOf(v), valueOf(b.Value)
	if b.Operator == Between {
		list, _ := b.Value.([]any)
		if len(list) != 2 {
			return false
		}
		lo, hi := valueOf(list[0]), valueOf(list[1])
		return ordered(GreaterOrEqual)(&left, &lo) == isTrue && ordered(LessOrEqual)(&left, &hi) == isTrue
	}
	if b.Operator == NotIn {
		// Other types than that of the list are UNKNOWN; an empty one is of texts.
		of := value{kind: kindString}
		if list := right.list(); len(list) > 0 {
			of = valueOf(list[0])
		}
		if left.kind != of.kind {
			return false
		}
	}
	compare := binary(b.Operator, b.Fold)
	return compare != nil && compare(&left, &right) == isTrue
}

// boundImplies compares two ranges: over 10 implies over 5, and 6 to 7 does.
func boundImplies(a, b *Condition) bool {
	low, lowIn, hasLow := end(b, Greater, GreaterOrEqual, 0)
	high, highIn, hasHigh := end(b, Less, LessOrEqual, 1)
	if !hasLow && !hasHigh {
		return false
	}
	if hasLow {
		own, in, ok := end(a, Greater, GreaterOrEqual, 0)
		sign, alike := order(&own, &low)
		if !ok || !alike || sign < 0 || sign == 0 && in && !lowIn {
			return false
		}
	}
	if hasHigh {
		own, in, ok := end(a, Less, LessOrEqual, 1)
		sign, alike := order(&own, &high)
		if !ok || !alike || sign > 0 || sign == 0 && in && !highIn {
			return false
		}
	}
	return true
}
