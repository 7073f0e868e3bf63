package replay

import (
	"reflect"
	"slices"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/decision/policystore"
	"github.com/usherhq/usher/pipeline/event"
)

// side is one of the two conditions that are compared: where it stands in its
// document, and what its leaves were worth.
type side struct {
	condition *policy.Condition
	path      string
	leaves    map[string]*event.ConditionTrace
}

func (s side) truth(path string) event.Truth {
	if l := s.leaves[path]; l != nil {
		return l.Truth
	}
	return event.Unknown
}

func (s side) worth() event.Truth { return worth(s.condition, s.path, s.truth) }

// part is a condition within the side.
func (s side) part(c *policy.Condition, path string) side {
	return side{condition: c, path: path, leaves: s.leaves}
}

// parts are what a group of the kind has: the members of such a group, else the
// condition alone, as if in a group of one.
func (s side) parts(kind string) []side {
	if s.condition == nil {
		return nil
	}
	if groupOf(s.condition) != kind {
		return []side{s}
	}
	var out []side
	conditions, paths := children(s.condition, s.path)
	for i := range conditions {
		out = append(out, s.part(conditions[i], paths[i]))
	}
	return out
}

// groupOf names what a condition is made of, "" when it is a leaf.
func groupOf(c *policy.Condition) string {
	switch {
	case c == nil:
		return ""
	case len(c.All) > 0:
		return "all"
	case len(c.Any) > 0:
		return "any"
	case c.Not != nil:
		return "not"
	}
	return ""
}

// overlaid is a former and a present condition laid over each other: what they share,
// and edits where they differ. The sides of an edit that adds or removes are nil.
type overlaid struct {
	group       string // "" of an edit, or of what stayed
	parts       []*overlaid
	former, now *side
	edited      bool
	number      int // of an edit
}

// merge lays two conditions over each other. Members of groups are matched by content,
// wherever they stand, then by what they look at.
func merge(former, now side) *overlaid {
	m := overlay(former, now)
	edits := 0
	m.each(func(e *overlaid) { e.number = edits; edits++ })
	return m
}

func overlay(former, now side) *overlaid {
	a, b := groupOf(former.condition), groupOf(now.condition)
	switch {
	case former.condition != nil && now.condition != nil && reflect.DeepEqual(former.condition, now.condition):
		return &overlaid{former: &former, now: &now}
	case a == "not" && b == "not":
		return &overlaid{group: "not", parts: []*overlaid{overlay(former.part(former.condition.Not, former.path+".not"), now.part(now.condition.Not, now.path+".not"))}}
	case former.condition != nil && now.condition != nil && a == "" && b == "" && lookAlike(former.condition, now.condition):
		return &overlaid{former: &former, now: &now, edited: true}
	case a == "any" && (b == "any" || b == ""), b == "any" && a == "":
		return members("any", former.parts("any"), now.parts("any"))
	case a != "any" && b != "any":
		return members("all", former.parts("all"), now.parts("all"))
	}
	return &overlaid{former: &former, now: &now, edited: true}
}

// members matches what two groups of a kind are made of.
func members(kind string, former, now []side) *overlaid {
	out := &overlaid{group: kind}
	for _, match := range []func(a, b *policy.Condition) bool{
		func(a, b *policy.Condition) bool { return reflect.DeepEqual(a, b) },
		func(a, b *policy.Condition) bool { return lookAlike(a, b) && a.Operator == b.Operator },
		lookAlike,
	} {
		now = slices.DeleteFunc(now, func(b side) bool {
			at := slices.IndexFunc(former, func(a side) bool { return match(a.condition, b.condition) })
			if at < 0 {
				return false
			}
			out.parts = append(out.parts, overlay(former[at], b))
			former = slices.Delete(former, at, at+1)
			return true
		})
	}
	for i := range former {
		out.parts = append(out.parts, &overlaid{former: &former[i], edited: true})
	}
	for i := range now {
		out.parts = append(out.parts, &overlaid{now: &now[i], edited: true})
	}
	return out
}

// lookAlike reports whether two conditions are groups of one kind, or leaves that look
// at the same.
func lookAlike(a, b *policy.Condition) bool {
	if group := groupOf(a); group != "" || groupOf(b) != "" {
		return group == groupOf(b)
	}
	return a.Attribute == b.Attribute && (a.Time != nil) == (b.Time != nil) && (a.Date != nil) == (b.Date != nil) && (a.CEL != "") == (b.CEL != "")
}

// each visits the edits.
func (m *overlaid) each(visit func(*overlaid)) {
	if m.edited {
		visit(m)
	}
	for _, part := range m.parts {
		part.each(visit)
	}
}

// worth is the value when the edits for which before holds are undone; there is false
// for one that leaves nothing.
func (m *overlaid) worth(before func(number int) bool) (v event.Truth, there bool) {
	switch {
	case m.edited:
		s := m.now
		if before(m.number) {
			s = m.former
		}
		if s == nil {
			return event.Unknown, false
		}
		return s.worth(), true
	case m.group == "":
		// The same condition on the same facts; what was not reached was not traced.
		if v = m.now.worth(); v == event.Unknown {
			v = m.former.worth()
		}
		return v, true
	}
	var values []event.Truth
	for _, part := range m.parts {
		if v, ok := part.worth(before); ok {
			values = append(values, v)
		}
	}
	return combined(m.group, values), true
}

// combined is the value of a group of values. One of none is as one that is not there:
// what holds always.
func combined(group string, values []event.Truth) event.Truth {
	has := func(v event.Truth) bool { return slices.Contains(values, v) }
	switch {
	case len(values) == 0:
		return event.True
	case group == "not" && values[0] != event.Unknown:
		return map[bool]event.Truth{true: event.False, false: event.True}[values[0] == event.True]
	case group == "all" && has(event.False), group == "any" && !has(event.True) && !has(event.Unknown):
		return event.False
	case group == "any" && has(event.True), group == "all" && !has(event.Unknown):
		return event.True
	}
	return event.Unknown
}

// decisive are the edits that make the difference: each one without which the outcome
// were the former one; else, as of two that both suffice, each that alone brings the
// present one about; else all of them. There are none when the outcome is the same.
func (m *overlaid) decisive() []*overlaid {
	holds := func(before func(int) bool) bool { v, _ := m.worth(before); return v == event.True }
	was, is := holds(func(int) bool { return true }), holds(func(int) bool { return false })
	if was == is {
		return nil
	}
	var needed, enough, all []*overlaid
	m.each(func(e *overlaid) {
		all = append(all, e)
		if holds(func(n int) bool { return n == e.number }) != is {
			needed = append(needed, e)
		}
		if holds(func(n int) bool { return n != e.number }) == is {
			enough = append(enough, e)
		}
	})
	switch {
	case len(needed) > 0:
		return needed
	case len(enough) > 0:
		return enough
	}
	return all
}

// causes names the conditions of an edit: those of the present side on which its value
// turns, of the former side when it is gone.
func (m *overlaid) causes(name string) []Cause {
	s, kind := m.now, policystore.Changed
	switch {
	case m.now == nil:
		s, kind = m.former, policystore.Removed
	case m.former == nil:
		kind = policystore.Added
	}
	var out []Cause
	for _, path := range pivots(s.condition, s.path, s.leaves) {
		out = append(out, Cause{Policy: name, Path: path, Attribute: attributeAt(s.leaves, path), Kind: string(kind)})
	}
	return out
}

func attributeAt(leaves map[string]*event.ConditionTrace, path string) string {
	if l := leaves[path]; l != nil {
		return l.Attribute
	}
	return ""
}
