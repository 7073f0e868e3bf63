package policy

// contradiction finds two parts of a list of which both can never be TRUE at once:
// then all of them cannot either. It is careful: what it does not know may hold.
func contradiction(parts []*Condition) (first, second int, found bool) {
	for j := range parts {
		for i := range j {
			if excludes(parts[i], parts[j]) {
				return i, j, true
			}
		}
	}
	return 0, 0, false
}

// excludes reports whether a and b are surely never TRUE together.
func excludes(a, b *Condition) bool {
	a, b = plainer(a), plainer(b)
	switch {
	case len(a.All) > 0:
		return some(a.All, func(part *Condition) bool { return excludes(part, b) })
	case len(b.All) > 0:
		return some(b.All, func(part *Condition) bool { return excludes(a, part) })
	case len(a.Any) > 0:
		return every(a.Any, func(part *Condition) bool { return excludes(part, b) })
	case len(b.Any) > 0:
		return every(b.Any, func(part *Condition) bool { return excludes(a, part) })
	case a.Not != nil && b.Not != nil:
		return false
	case a.Not != nil:
		return implies(b, a.Not)
	case b.Not != nil:
		return implies(a, b.Not)
	}
	if a.Date != nil && b.Date != nil {
		return datesExclude(a.Date, b.Date)
	}
	if a.Attribute == "" || a.Attribute != b.Attribute {
		return false
	}
	if isAbsence(a) || isAbsence(b) {
		return isAbsence(a) != isAbsence(b)
	}
	return a.ValueFrom == "" && b.ValueFrom == "" && (otherKinds(a, b) || rules(a, b) || rules(b, a) || apart(a, b) || apart(b, a))
}

// isAbsence reports whether the condition wants the attribute not to be there. Any
// other comparison that is TRUE has read it.
func isAbsence(c *Condition) bool { return c.Operator == Exists && c.Value == false }

// otherKinds reports whether a and b hold for values of different types only.
func otherKinds(a, b *Condition) bool {
	x, y := kindFor(a), kindFor(b)
	return x != kindMissing && y != kindMissing && x != y
}

// kindFor is the only type of value for which a comparison can be TRUE; kindMissing
// when there are several, or nobody knows.
func kindFor(c *Condition) kind {
	switch c.Operator {
	case StartsWith, EndsWith, Matches:
		return kindString
	case Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual, In, NotIn, Between:
		v := valueOf(c.Value)
		if list := v.list(); len(list) > 0 {
			v = valueOf(list[0])
		}
		return v.kind
	default:
		return kindMissing
	}
}

// rules reports whether b holds for none of the values that a allows.
func rules(a, b *Condition) bool {
	if a.Fold || a.Operator != Equal && a.Operator != In {
		return false
	}
	if b.Operator != Between && binary(b.Operator, b.Fold) == nil {
		return false
	}
	values := []any{a.Value}
	if a.Operator == In {
		values, _ = a.Value.([]any)
	}
	for _, v := range values {
		if holdsOf(v, b) {
			return false
		}
	}
	return true
}

// apart reports whether the least value that a allows is beyond the greatest that b
// does.
func apart(a, b *Condition) bool {
	low, lowIn, ok := end(a, Greater, GreaterOrEqual, 0)
	high, highIn, too := end(b, Less, LessOrEqual, 1)
	if !ok || !too {
		return false
	}
	sign, ok := order(&low, &high)
	return ok && (sign > 0 || sign == 0 && !(lowIn && highIn))
}

// end is the bound that a comparison sets, and whether it is included; place is that
// of the bound in between's list.
func end(c *Condition, open, included Operator, place int) (bound value, in, ok bool) {
	if c.Operator == open || c.Operator == included {
		return valueOf(c.Value), c.Operator == included, true
	}
	if list, _ := c.Value.([]any); c.Operator == Between && len(list) == 2 {
		return valueOf(list[place]), true, true
	}
	return value{}, false, false
}
