package policy

// plainer takes a negation apart: what it becomes is TRUE, FALSE and UNKNOWN for the
// same facts.
func plainer(c *Condition) *Condition {
	if c == nil || c.Not == nil {
		return c
	}
	inner := c.Not
	switch {
	case inner.Not != nil:
		return plainer(inner.Not)
	case len(inner.All) > 0:
		return &Condition{Any: negated(inner.All)}
	case len(inner.Any) > 0:
		return &Condition{All: negated(inner.Any)}
	}
	if opposite, ok := oppositeOf(inner.Operator); ok {
		out := *inner
		out.Operator = opposite
		return &out
	}
	return c
}

func negated(list []*Condition) []*Condition {
	out := make([]*Condition, len(list))
	for i := range list {
		out[i] = plainer(&Condition{Not: list[i]})
	}
	return out
}

// oppositeOf is the operator that holds for the same types just when the other does
// not.
func oppositeOf(op Operator) (Operator, bool) {
	switch op {
	case Less:
		return GreaterOrEqual, true
	case LessOrEqual:
		return Greater, true
	case Greater:
		return LessOrEqual, true
	case GreaterOrEqual:
		return Less, true
	case Equal:
		return NotEqual, true
	case NotEqual:
		return Equal, true
	case In:
		return NotIn, true
	case NotIn:
		return In, true
	default:
		return "", false
	}
}

// readValues are the values of which a comparison that holds has read one; ok is false
// when they are not known.
func readValues(c *Condition) (values []any, ok bool) {
	switch {
	case c.Attribute == "" || c.ValueFrom != "":
		return nil, false
	case c.Operator == Equal:
		return []any{c.Value}, true
	case c.Operator == In:
		values, ok = c.Value.([]any)
		return values, ok
	}
	return nil, false
}

// textImplies compares two comparisons with parts of a text, or with lists of which the
// attribute has some or all.
func textImplies(a, b *Condition) bool {
	if a.Fold && !b.Fold {
		return false
	}
	switch b.Operator {
	case AnyOf, AllOf:
		return listImplies(a, b)
	case StartsWith, EndsWith, Contains:
		// A list contains elements and not parts of them: only what is surely a text does.
		if a.Operator != StartsWith && a.Operator != EndsWith || b.Operator != Contains && b.Operator != a.Operator {
			return false
		}
		x, y := valueOf(a.Value), valueOf(b.Value)
		return binary(b.Operator, b.Fold)(&x, &y) == isTrue
	default:
		return false
	}
}

// listImplies: having one of some is having one of more, having all of some is having
// all of fewer, and one of any of them.
func listImplies(a, b *Condition) bool {
	x, okA := a.Value.([]any)
	y, okB := b.Value.([]any)
	if !okA || !okB || len(x) == 0 || len(y) == 0 {
		return false
	}
	has := func(list []any) func(any) bool {
		return func(v any) bool { each := valueOf(v); return allowed(list, &each, b.Fold) }
	}
	switch {
	case a.Operator == AnyOf && b.Operator == AnyOf:
		return everyOf(x, has(y))
	case a.Operator == AllOf && b.Operator == AllOf:
		return everyOf(y, has(x))
	case a.Operator == AllOf && b.Operator == AnyOf:
		return !everyOf(x, func(v any) bool { return !has(y)(v) })
	}
	return false
}

func everyOf(list []any, f func(any) bool) bool {
	for _, v := range list {
		if !f(v) {
			return false
		}
	}
	return true
}

// windowImplies reports whether a time of day in one window is surely in the other.
func windowImplies(a, b *Window) bool {
	if a.Calendar != "" || b.Calendar != "" || a.Attribute != b.Attribute || orElse(a.Zone, "UTC") != orElse(b.Zone, "UTC") {
		return false
	}
	var f findings
	x, y := compileWindow(a, "", &f), compileWindow(b, "", &f)
	if f.errors > 0 {
		return false
	}
	for day, on := range x.days {
		if on && !(y.days[day] && y.from <= x.from && x.to <= y.to) {
			return false
		}
	}
	return true
}

// comparableDates compiles two windows of dates that look at the same time and count
// days alike.
func comparableDates(a, b *DateWindow) (x, y *dates, ok bool) {
	if a.Attribute != b.Attribute || orElse(a.Zone, "UTC") != orElse(b.Zone, "UTC") {
		return nil, nil, false
	}
	var f findings
	x, y = compileDates(a, "", &f), compileDates(b, "", &f)
	return x, y, f.errors == 0
}

// datesImply reports whether what is in one window of dates is surely in the other.
func datesImply(a, b *DateWindow) bool {
	x, y, ok := comparableDates(a, b)
	if !ok || !y.from.open() && (x.from.open() || x.first().Before(y.first())) || !y.to.open() && (x.to.open() || x.last().After(y.last())) {
		return false
	}
	for day, on := range x.days {
		if on && !y.days[day] {
			return false
		}
	}
	return true
}

// datesExclude reports whether nothing is in both windows of dates.
func datesExclude(a, b *DateWindow) bool {
	x, y, ok := comparableDates(a, b)
	if !ok {
		return false
	}
	apart := func(x, y *dates) bool { return !x.to.open() && !y.from.open() && x.last().Before(y.first()) }
	together := false
	for day, on := range x.days {
		together = together || on && y.days[day]
	}
	return !together || apart(x, y) || apart(y, x)
}
