package policy

import "fmt"

// constants is the right side of in, not_in, any_of and all_of: values of one type.
type constants struct {
	kind kind
	strs words
	nums map[float64]struct{}
	list []value
}

// constants reads a constant list. It says what is wrong with it.
func (c *compiler) constants(cond *Condition, s scope, wrong func(string) test) (*constants, bool) {
	list, ok := cond.Value.([]any)
	if !ok {
		wrong("a list")
		return nil, false
	}
	if len(list) > maxList || len(list) == 0 {
		c.check.fail(CodeLimit, s.path+".value", "has %d elements; 1 to %d are allowed", len(list), maxList)
		return nil, false
	}
	// One type for all elements: in a mixed list every left side would be of the
	// wrong type for some, and UNKNOWN could not be told from FALSE.
	out := &constants{strs: words{fold: cond.Fold}, nums: map[float64]struct{}{}}
	for i, element := range list {
		v := valueOf(element)
		if out.kind == kindMissing && v.scalar() {
			out.kind = v.kind
		}
		if !v.scalar() || v.kind != out.kind {
			c.check.fail(CodeTypeMismatch, fmt.Sprintf("%s.value[%d]", s.path, i), "is %s; elements must be strings, numbers or booleans, all of one type", v.kind)
			ok = false
			continue
		}
		if out.list = append(out.list, v); v.kind == kindString {
			out.strs.add(v.str)
		} else {
			out.nums[v.num] = struct{}{}
		}
	}
	return out, ok
}

// has reports whether a value of the right kind is one of the constants.
func (k *constants) has(v *value) bool {
	if v.kind != k.kind {
		return false
	}
	if k.kind == kindString {
		return k.strs.has(v.str)
	}
	_, ok := k.nums[v.num]
	return ok
}

// membership compiles in and not_in over constants.
func (c *compiler) membership(cond *Condition, s scope, slot int, wrong func(string) test) test {
	k, ok := c.constants(cond, s, wrong)
	if !ok {
		return nil
	}
	hit := truthOf(cond.Operator == In)
	return func(in *Input) truth {
		at := &in.values[slot]
		if at.kind != k.kind {
			return isUnknown
		}
		if k.has(at) {
			return hit
		}
		return negate(hit)
	}
}

// overlap compiles any_of and all_of over constants.
func (c *compiler) overlap(cond *Condition, s scope, slot int, wrong func(string) test) test {
	k, ok := c.constants(cond, s, wrong)
	if !ok {
		return nil
	}
	all, fold := cond.Operator == AllOf, cond.Fold
	return func(in *Input) truth {
		at := &in.values[slot]
		switch {
		case at.kind != kindList && at.kind != k.kind:
			return isUnknown
		case all:
			return truthOf(holdsAll(at, k.list, fold))
		case at.kind != kindList:
			return truthOf(k.has(at))
		}
		for _, element := range at.list() {
			if v := valueOf(element); k.has(&v) {
				return isTrue
			}
		}
		return isFalse
	}
}

// holdsAll reports whether every wanted value is an element of a list, or is the
// one value that a scalar holds.
func holdsAll(at *value, wanted []value, fold bool) bool {
	for i := range wanted {
		if at.kind == kindList && !contained(&wanted[i], at.list(), fold) || at.kind != kindList && !alike(at, &wanted[i], fold) {
			return false
		}
	}
	return true
}

func contained(v *value, list []any, fold bool) bool {
	for _, element := range list {
		if e := valueOf(element); alike(v, &e, fold) {
			return true
		}
	}
	return false
}

// dynamicOverlap compares with a list that is an attribute.
func dynamicOverlap(all, fold bool) func(a, b *value) truth {
	return func(a, b *value) truth {
		if b.kind != kindList || a.kind != kindList && !a.scalar() {
			return isUnknown
		}
		if all {
			for _, element := range b.list() {
				e := valueOf(element)
				if !holdsAll(a, []value{e}, fold) {
					return isFalse
				}
			}
			return isTrue
		}
		if a.kind != kindList {
			return truthOf(contained(a, b.list(), fold))
		}
		for _, element := range a.list() {
			if e := valueOf(element); contained(&e, b.list(), fold) {
				return isTrue
			}
		}
		return isFalse
	}
}
