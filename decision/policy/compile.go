package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// test is a compiled condition. It allocates nothing unless it is CEL.
type test func(*Input) truth

// leaf is what a trace needs to know of one leaf condition.
type leaf struct {
	path, attribute, operator string
	expected                  any
	slot, other               int // of the left side and of value_from; -1 for none
	test                      test
	expression                *celLeaf       // nil of anything but CEL
	broken                    string         // why it never runs
	zone                      *time.Location // of a condition on the clock
	filled                    bool           // asks for what a template needs
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
	check   findings
	env     *Environment // what names mean; may be nil
	audit   *Environment // what names are checked against; nil when they are not
	doubts  bool         // look for what is sound and can hardly be meant
	now     time.Time    // of the check; zero when nobody said
	slots   map[string]int
	sources []source
	cel     *celCompiler
	leaves  int
	// expressions counts the CEL leaves, each of which keeps its last result.
	expressions int
	calendars   map[string]*hours
	builtins    map[string]Attribute
	// keys are the attributes that expressions ask of the map of all, which have no
	// slot but must be looked up like the others.
	keys []string
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
		c.check.fail(CodeLimit, s.path, "is nested more than %d deep", maxDepth)
		return node{test: alwaysTrue}
	}
	if forms := cond.forms(); len(forms) > 1 {
		c.severalForms(forms, s)
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
	case cond.Date != nil:
		return c.dates(cond.Date, s)
	case cond.CEL != "":
		return c.expression(cond.CEL, s)
	case cond.compares():
		return c.comparison(cond, s)
	default:
		return node{test: alwaysTrue}
	}
}

// forms takes a condition apart into those of its forms that say something; a
// sound one has one at most.
func (c *Condition) forms() []*Condition {
	if c.kinds() < 2 {
		return nil
	}
	return slices.DeleteFunc([]*Condition{
		{All: c.All},
		{Any: c.Any},
		{Not: c.Not},
		{Attribute: c.Attribute, Operator: c.Operator, Value: c.Value, ValueFrom: c.ValueFrom, Fold: c.Fold},
		{Time: c.Time},
		{Date: c.Date},
		{CEL: c.CEL},
	}, func(form *Condition) bool { return form.kinds() == 0 })
}

// compares reports whether the condition has anything of a comparison.
func (c *Condition) compares() bool {
	return c.Attribute != "" || c.Operator != "" || c.ValueFrom != ""
}

// kinds counts the forms that the condition has.
func (c *Condition) kinds() (n int) {
	for _, there := range [...]bool{
		len(c.All) > 0, len(c.Any) > 0, c.Not != nil, c.compares(), c.Time != nil, c.Date != nil, c.CEL != "",
	} {
		if there {
			n++
		}
	}
	return n
}

// severalForms refuses a condition that is more than one thing, and looks for
// faults in each of them.
func (c *compiler) severalForms(forms []*Condition, s scope) {
	if !slices.ContainsFunc(c.check.list, func(p Problem) bool { return p.Path == s.path }) {
		c.check.Add(s.path, "is several conditions at once; a condition is one of %s", strings.Join(conditionForms(), ", "))
	}
	for _, form := range forms {
		c.condition(form, s)
	}
}

func (c *compiler) all(conds []*Condition, s scope) node {
	tests := make([]test, len(conds))
	var out node
	faults := c.check.errors
	for i, cond := range conds {
		n := c.condition(cond, s.at(fmt.Sprintf(".all[%d]", i)))
		// What one part needs the whole needs.
		tests[i] = n.test
		out.leaves = append(out.leaves, n.leaves...)
		out.needs = append(out.needs, n.needs...)
	}
	if c.doubts && c.check.errors == faults {
		if i, j, found := contradiction(conds); found {
			c.check.warn(CodeNeverTrue, s.path, "can never hold: all[%d] and all[%d] exclude each other", i, j)
		}
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
	tests, needs := make([]test, len(conds)), make([][]need, len(conds))
	var out node
	for i, cond := range conds {
		n := c.condition(cond, s.at(fmt.Sprintf(".any[%d]", i)))
		tests[i], needs[i] = n.test, n.needs
		out.leaves = append(out.leaves, n.leaves...)
	}
	out.needs = eitherNeeds(needs)
	if c.doubts && slices.ContainsFunc(conds, matchesAlways) {
		c.check.warn(CodeAlwaysTrue, s.path, "always holds: one of its parts is empty")
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
		c.check.fail(CodeLimit, l.path, "is condition number %d; the limit is %d", c.leaves, maxLeaves)
	}
	return node{test: l.test, leaves: []leaf{l}, needs: needs}
}

// eitherNeeds returns what a choice between branches needs: of a slot that all of
// them need, the values of all.
func eitherNeeds(branches [][]need) []need {
	if len(branches) == 0 {
		return nil
	}
	var out []need
	for _, first := range branches[0] {
		union := need{slot: first.slot, values: slices.Clone(first.values)}
		everywhere := true
		for _, other := range branches[1:] {
			at := slices.IndexFunc(other, func(n need) bool { return n.slot == first.slot })
			if everywhere = at >= 0; !everywhere {
				break
			}
			union.values = append(union.values, other[at].values...)
		}
		if everywhere {
			out = append(out, union)
		}
	}
	return out
}

// opening is what tells whether a time is inside: hours, a window or dates.
type opening interface{ holds(t time.Time) bool }

func (c *compiler) window(w *Window, s scope) node {
	l := leaf{path: s.path, attribute: "time", operator: "time", expected: w.String(), slot: -1, other: -1}
	var open opening
	if w.Calendar == "" {
		own := compileWindow(w, s.path+".time", &c.check)
		open, l.zone = own, own.zone
	} else if open = c.calendar(w, s.path+".time", &l); l.broken == "" {
		if named, ok := open.(*hours); ok {
			l.zone = named.zone
		}
	}
	return c.during(open, w.Attribute, scope{path: s.path + ".time", candidate: s.candidate}, l, time.UTC)
}

func (c *compiler) dates(w *DateWindow, s scope) node {
	l := leaf{path: s.path, attribute: "date", operator: "date", expected: w.String(), slot: -1, other: -1}
	open := compileDates(w, s.path+".date", &c.check)
	l.zone = open.zone
	return c.during(open, w.Attribute, scope{path: s.path + ".date", candidate: s.candidate}, l, open.zone)
}

// calendar finds named business hours. Without them the condition is UNKNOWN: a
// calendar that was taken away must not open or close anything.
func (c *compiler) calendar(w *Window, path string, l *leaf) opening {
	if w.From != "" || w.To != "" || w.Zone != "" || len(w.Days) > 0 {
		c.check.Add(path+".calendar", "stands beside from, to, zone or days; the calendar has its own")
	}
	if open, ok := c.calendars[w.Calendar]; ok {
		return open
	}
	var found *Calendar
	if c.env != nil {
		found = c.env.Calendars[w.Calendar]
	}
	if found == nil {
		l.broken = "calendar " + strconv.Quote(w.Calendar) + " is not known"
		if c.audit != nil {
			c.check.fail(CodeUnknownCalendar, path+".calendar", "%q is not a calendar of the account; create it, with its hours%s", w.Calendar, nearest(w.Calendar, sortedKeys(c.env.Calendars)))
		}
		return nil
	}
	var f findings
	open := compileCalendar(found, &f)
	if f.errors > 0 {
		l.broken = "calendar " + strconv.Quote(w.Calendar) + " is not valid: " + f.list[0].Path + ": " + f.list[0].Description
		return nil
	}
	if c.calendars == nil {
		c.calendars = map[string]*hours{}
	}
	c.calendars[w.Calendar] = open
	return open
}

// during makes the leaf of a time inside or outside of something: the decision's
// own, or that of an attribute.
func (c *compiler) during(open opening, attribute string, s scope, l leaf, zone *time.Location) node {
	switch {
	case l.broken != "":
		l.test = func(*Input) truth { return isUnknown }
	case attribute == "":
		l.test = func(in *Input) truth { return truthOf(open.holds(in.facts.Now)) }
	default:
		at := c.attribute(attribute, s, ".attribute")
		l.attribute, l.slot = attribute, at
		c.mustBe(attribute, s.path+".attribute", TypeString)
		l.test = func(in *Input) truth {
			t, ok := dateTime(&in.values[at], zone)
			if !ok {
				return isUnknown
			}
			return truthOf(open.holds(t))
		}
	}
	return c.leafNode(l)
}

// attribute checks a name and returns its slot.
func (c *compiler) attribute(name string, s scope, suffix string) int {
	switch {
	case name == "":
		c.check.fail(CodeMissing, s.path+suffix, "is missing")
	case len(name) > maxName:
		c.check.fail(CodeLimit, s.path+suffix, "is longer than %d bytes", maxName)
	case name == "attributes" || name == "candidate":
		c.check.fail(CodeUnknownAttribute, s.path+suffix, "%q is not an attribute but a family of them", name)
	case strings.HasPrefix(name, candidatePrefix) && !s.candidate:
		c.check.fail(CodeUnknownAttribute, s.path+suffix, "%q is known only inside deny.where and rank.where", name)
	default:
		c.checkName(name, s.path+suffix)
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
		l := leaf{path: path, attribute: t[i].attribute, operator: string(Exists), expected: true, slot: at, other: -1, filled: true}
		l.test = fillable(at, strings.HasSuffix(path, ".target"), len(t) > 1)
		leaves = append(leaves, l)
	}
	for i := range t {
		if strings.Contains(t[i].text, "{{") {
			c.check.warn(CodeInvalid, path, "has braces that name no attribute and are sent as they are; write {{name}}")
			break
		}
	}
	return t, leaves
}

// fillable says whether the attribute in a slot can stand in a template: in a
// target a text that is not empty or a number, within a text anything that can be
// spelled, and on its own whatever there is.
func fillable(slot int, target, within bool) test {
	return func(in *Input) truth {
		v := &in.values[slot]
		switch {
		case v.kind == kindMissing && in.failure(slot) != "":
			return isUnknown
		case v.kind == kindMissing, within && v.kind == kindOther:
			return isFalse
		case target:
			return truthOf(v.kind == kindNumber || v.kind == kindString && v.str != "")
		}
		return isTrue
	}
}
