package golearn

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Condition is what a rule asks of one attribute. A Text or Bool must be one of In, or
// with Not be there and be none of them. A Number must be above Low and at most High
// where those are set.
type Condition struct {
	Attribute string
	Kind      Kind
	In        []string
	Not       bool
	Low, High *float64
	// Absent says that the condition also holds where the attribute is not known. With
	// In, Not, Low and High unset it holds nowhere else.
	Absent bool
}

// Only reports whether the condition holds only where the attribute is not known.
func (c *Condition) Only() bool {
	return c.Absent && len(c.In) == 0 && !c.Not && c.Low == nil && c.High == nil
}

// String spells the condition: "tier = gold", "intent in {a, b}", "tenure > 3".
func (c *Condition) String() string {
	var parts []string
	switch {
	case c.Kind != Number && c.Not && len(c.In) == 0:
		parts = append(parts, c.Attribute+" is known")
	case c.Kind != Number && len(c.In) == 1:
		parts = append(parts, c.Attribute+map[bool]string{false: " = ", true: " is not "}[c.Not]+c.In[0])
	case c.Kind != Number && len(c.In) > 1:
		parts = append(parts, c.Attribute+map[bool]string{false: " in {", true: " not in {"}[c.Not]+strings.Join(c.In, ", ")+"}")
	case c.Low != nil && c.High != nil:
		parts = append(parts, fmt.Sprintf("%s < %s <= %s", spell(*c.Low), c.Attribute, spell(*c.High)))
	case c.Low != nil:
		parts = append(parts, c.Attribute+" > "+spell(*c.Low))
	case c.High != nil:
		parts = append(parts, c.Attribute+" <= "+spell(*c.High))
	}
	if c.Absent {
		parts = append(parts, c.Attribute+" is not known")
	}
	text := strings.Join(parts, " or ")
	if len(parts) > 1 {
		return "(" + text + ")"
	}
	return text
}

func spell(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// path is a way from the root to leaves of one class.
type path struct {
	class int
	steps []step
}

// step is what a path asks of one column: one of codes, or a side of a threshold.
type step struct {
	column    int
	codes     []uint16
	threshold float64
}

// read lists the ways below a node. Branches that go on alike become one way of
// several codes; where both sides of a threshold do, it is left out.
func read(n *Node) []path {
	if len(n.Kids) == 0 {
		return []path{{class: n.class()}}
	}
	var list []path
	at := map[string]int{} // in list, by how it goes on
	for _, kid := range n.Kids {
		for _, p := range read(kid.Node) {
			key := fmt.Sprint(p)
			i, met := at[key]
			if !met {
				i = len(list)
				at[key] = i
				list = append(list, path{p.class, append([]step{{column: n.Column, threshold: n.Threshold}}, p.steps...)})
			}
			list[i].steps[0].codes = append(list[i].steps[0].codes, kid.Code)
		}
	}
	for i := range list {
		if len(list[i].steps[0].codes) == len(n.Kids) {
			list[i].steps = list[i].steps[1:]
		}
	}
	return list
}

// matches tells whether a row goes this way.
func (p *path) matches(t *Table, row int) bool {
	for i := range p.steps {
		s := &p.steps[i]
		if !slices.Contains(s.codes, t.Columns[s.column].side(row, s.threshold)) {
			return false
		}
	}
	return true
}

// widen makes a way that takes rare values take every value that it does not name, so
// that it means what its condition says.
func (p *path) widen(t *Table, root *Node) {
	for i := range p.steps {
		s := &p.steps[i]
		c := &t.Columns[s.column]
		if c.Kind == Number || !slices.Contains(s.codes, codeRare) {
			continue
		}
		met := metCodes(root, s.column)
		for v := range c.Values {
			if code := uint16(v + firstCode); !met[code] { //nolint:gosec // maxValues bounds it
				s.codes = append(s.codes, code)
			}
		}
		slices.Sort(s.codes)
	}
}

// metCodes are the codes of a column that some split knows.
func metCodes(n *Node, column int) map[uint16]bool {
	met := map[uint16]bool{}
	for _, k := range n.Kids {
		if n.Column == column {
			met[k.Code] = true
		}
		for code := range metCodes(k.Node, column) {
			met[code] = true
		}
	}
	return met
}

// conditions says in words of attributes what a way asks.
func (p *path) conditions(t *Table) []Condition {
	out := make([]Condition, 0, len(p.steps))
	for i := range p.steps {
		s := &p.steps[i]
		if t.Columns[s.column].Kind == Number {
			out = append(out, s.number(&t.Columns[s.column]))
		} else {
			out = append(out, s.category(&t.Columns[s.column]))
		}
	}
	slices.SortStableFunc(out, func(a, b Condition) int { return strings.Compare(order(a.Attribute), order(b.Attribute)) })
	return out
}

// order puts what a conversation is about before everything else.
func order(attribute string) string {
	switch attribute {
	case "intent":
		return "\x00"
	case "channel":
		return "\x01"
	}
	return attribute
}

func (s *step) category(c *Column) Condition {
	out := Condition{Attribute: c.Name, Kind: c.Kind, Not: slices.Contains(s.codes, codeRare), Absent: slices.Contains(s.codes, codeAbsent)}
	for i, v := range c.Values {
		if slices.Contains(s.codes, uint16(i+firstCode)) != out.Not { //nolint:gosec // maxValues bounds it
			out.In = append(out.In, v)
		}
	}
	slices.Sort(out.In)
	return out
}

func (s *step) number(c *Column) Condition {
	out := Condition{Attribute: c.Name, Kind: Number}
	lows, highs := math.Inf(-1), math.Inf(1)
	for _, v := range c.Numbers {
		switch {
		case math.IsNaN(v):
			out.Absent = s.codes[0] == sideLow
		case v <= s.threshold:
			lows = max(lows, v)
		default:
			highs = min(highs, v)
		}
	}
	bound := short(s.threshold, lows, highs)
	switch {
	case s.codes[0] == sideHigh:
		out.Low = &bound
	case !math.IsInf(lows, -1):
		out.High = &bound
	} // else: there is nothing on the low side but what is not known
	return out
}

// short is the number of the fewest digits that parts the same values.
func short(threshold, low, high float64) float64 {
	for digits := 1; digits <= 15; digits++ {
		v, err := strconv.ParseFloat(strconv.FormatFloat(threshold, 'g', digits, 64), 64)
		if err == nil && low <= v && v < high {
			return v
		}
	}
	return threshold
}
