package policy

import (
	"fmt"
	"strings"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/event"
)

// test is a compiled condition. It allocates nothing unless it is CEL.
type test func(*Input) truth

// leaf is what a trace needs to know of one leaf condition.
type leaf struct {
	path, attribute, operator string
	expected                  any
	slot, other               int // of the left side and of value_from; -1 for none
	test                      test
	isCEL                     bool
}

// node is a compiled condition: test for the decision, the rest for the index
// and for traces.
type node struct {
	test   test
	leaves []leaf
	// needs lists, for the index, equalities without which it cannot be TRUE.
	needs []need
}

// need says that a slot must hold one of these strings.
type need struct {
	slot   int
	values []string
}

// compiler turns conditions into nodes and collects every fault on the way.
type compiler struct {
	check   fault.Check
	slots   map[string]int
	sources []source
	cel     *celCompiler
	leaves  int
}

func newCompiler() *compiler { return &compiler{slots: map[string]int{}} }

// slot returns the number of an attribute, a new one at its first use.
func (c *compiler) slot(name string) int {
	if at, ok := c.slots[name]; ok {
		return at
	}
	at := len(c.sources)
	c.slots[name] = at
	c.sources = append(c.sources, sourceOf(name))
	return at
}

// scope says which attributes a condition may use.
type scope struct {
	path      string
	candidate bool
	depth     int
}

func (s scope) at(suffix string) scope {
	s.path += suffix
	s.depth++
	return s
}

func alwaysTrue(*Input) truth { return isTrue }

// condition compiles any condition. After a fault it returns one that is always
// true and goes on, so that all faults come out at once; nobody evaluates it.
func (c *compiler) condition(cond *Condition, s scope) node {
	if cond == nil {
		return node{test: alwaysTrue}
	}
	if s.depth > maxDepth {
		c.check.Add(s.path, "is nested more than %d deep", maxDepth)
		return node{test: alwaysTrue}
	}
	switch {
	case len(cond.All) > 0:
		return c.all(cond.All, s)
	case len(cond.Any) > 0:
		return c.any(cond.Any, s)
	case cond.Not != nil:
		n := c.condition(cond.Not, s.at(".not"))
		inner := n.test
		return node{leaves: n.leaves, test: func(in *Input) truth { return negate(inner(in)) }}
	case cond.Time != nil:
		return c.window(cond.Time, s)
	case cond.CEL != "":
		return c.expression(cond.CEL, s)
	case cond.Attribute != "" || cond.Operator != "":
		return c.comparison(cond, s)
	default:
		return node{test: alwaysTrue}
	}
}

func (c *compiler) all(conds []*Condition, s scope) node {
	tests := make([]test, len(conds))
	var out node
	for i, cond := range conds {
		n := c.condition(cond, s.at(fmt.Sprintf(".all[%d]", i)))
		// What one part needs the whole needs: that is why needs pass through
		// all, and through nothing else.
		tests[i] = n.test
		out.leaves = append(out.leaves, n.leaves...)
		out.needs = append(out.needs, n.needs...)
	}
	out.test = func(in *Input) truth {
		result := isTrue
		for _, t := range tests {
			// UNKNOWN does not end the loop: a FALSE after it decides.
			if result = min(result, t(in)); result == isFalse {
				break
			}
		}
		return result
	}
	return out
}

func (c *compiler) any(conds []*Condition, s scope) node {
	tests := make([]test, len(conds))
	var out node
	for i, cond := range conds {
		n := c.condition(cond, s.at(fmt.Sprintf(".any[%d]", i)))
		tests[i] = n.test
		out.leaves = append(out.leaves, n.leaves...)
	}
	out.test = func(in *Input) truth {
		result := isFalse
		for _, t := range tests {
			if result = max(result, t(in)); result == isTrue {
				break
			}
		}
		return result
	}
	return out
}

// leafNode makes the node of a leaf. It counts the leaf against the limit and wraps it.
func (c *compiler) leafNode(l leaf, needs ...need) node {
	if c.leaves++; c.leaves == maxLeaves+1 {
		c.check.Add(l.path, "is condition number %d; the limit is %d", c.leaves, maxLeaves)
	}
	return node{test: l.test, leaves: []leaf{l}, needs: needs}
}

func (c *compiler) window(w *Window, s scope) node {
	clock := compileWindow(w, s.path+".time", &c.check)
	l := leaf{path: s.path, attribute: "time", operator: "time", expected: w.String(), slot: -1, other: -1}
	l.test = func(in *Input) truth { return truthOf(clock.holds(in.facts.Now)) }
	if w.Attribute != "" {
		at := c.attribute(w.Attribute, s, ".time.attribute")
		l.attribute, l.slot = w.Attribute, at
		l.test = func(in *Input) truth {
			t, ok := parseTime(&in.values[at])
			if !ok {
				return isUnknown
			}
			return truthOf(clock.holds(t))
		}
	}
	return c.leafNode(l)
}

// attribute checks a name and returns its slot.
func (c *compiler) attribute(name string, s scope, suffix string) int {
	switch {
	case name == "":
		c.check.Add(s.path+suffix, "is missing")
	case len(name) > maxName:
		c.check.Add(s.path+suffix, "is longer than %d bytes", maxName)
	case name == "attributes" || name == "candidate":
		c.check.Add(s.path+suffix, "%q is not an attribute but a family of them", name)
	case strings.HasPrefix(name, candidatePrefix) && !s.candidate:
		c.check.Add(s.path+suffix, "%q is known only inside deny.where and rank.where", name)
	}
	return c.slot(name)
}

// template compiles a text that may hold {{attribute}}.
func (c *compiler) template(text, path string) (template, []leaf) {
	t := parseTemplate(text)
	var leaves []leaf
	for i := range t {
		if t[i].attribute == "" {
			continue
		}
		at := c.attribute(t[i].attribute, scope{path: path}, "")
		t[i].slot = at
		l := leaf{path: path, attribute: t[i].attribute, operator: string(Exists), expected: true, slot: at, other: -1}
		l.test = func(in *Input) truth { return truthOf(in.values[at].kind != kindMissing) }
		leaves = append(leaves, l)
	}
	return t, leaves
}

// causeOf says why the leaf, just evaluated, was UNKNOWN.
func causeOf(l *leaf, in *Input) string {
	if l.isCEL {
		return in.vars.cause
	}
	if l.slot >= 0 && in.values[l.slot].kind == kindMissing {
		return "missing"
	}
	if l.other >= 0 && in.values[l.other].kind == kindMissing {
		return "value_from missing"
	}
	if l.slot >= 0 {
		return "wrong type: " + in.values[l.slot].kind.String()
	}
	return ""
}

// trace evaluates the leaf, whatever its neighbours say, and writes it in place:
// a record holds many of these.
func (l *leaf) trace(in *Input, t *event.ConditionTrace) {
	t.Path, t.Attribute, t.Operator, t.Expected = l.path, l.attribute, l.operator, l.expected
	switch l.test(in) {
	case isTrue:
		t.Truth = event.True
	case isFalse:
		t.Truth = event.False
	default:
		t.Truth = event.Unknown
		t.Cause = causeOf(l, in)
	}
	switch {
	case l.slot >= 0:
		t.Actual = in.values[l.slot].boxed()
	case l.attribute == "time":
		t.Actual = in.facts.Now.UTC().Format("Mon 15:04:05")
	}
	if l.other >= 0 {
		t.Expected = in.values[l.other].boxed()
	}
}
