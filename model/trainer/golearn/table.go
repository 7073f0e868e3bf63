package golearn

import (
	"cmp"
	"math"
	"slices"

	"github.com/usherhq/usher/model"
)

// Kind is how a column's values are told apart.
type Kind uint8

// The kinds of columns.
const (
	Text Kind = iota
	Bool
	Number
)

// Codes of a categorical column that stand for no value of its dictionary.
const (
	codeAbsent = 0 // the row does not have the attribute
	codeRare   = 1 // a value too rare to be told apart
	firstCode  = 2 // the first value of the dictionary
)

// Table is facts of decisions in columns, the form in which they go to the child.
type Table struct {
	Rows    int
	Columns []Column
}

// Column is one attribute over all rows: Codes when it is Text or Bool, else Numbers.
type Column struct {
	Name    string
	Kind    Kind
	Values  []string  // the dictionary, by code - firstCode
	Codes   []uint16  // by row
	Numbers []float64 // by row; NaN where the row does not have the attribute
}

// Bounds of a table. Attributes beyond them are left out, those that the fewest rows
// have first.
const (
	maxColumns = 48
	maxValues  = 60
	// leastRows and leastShare are how often a value must occur to be told apart.
	leastRows  = 5
	leastShare = 0.0025
	// leastKnown is the share of an attribute's occurrences that the values told apart
	// must make up; ids and free text fall below it.
	leastKnown = 0.5
)

// gather reads one attribute over all rows.
type gather struct {
	name    string
	count   int
	kind    Kind
	mixed   bool
	text    []string
	numbers []float64
	has     []bool
}

// tableOf puts facts in columns. Attributes for which leave says so are left out, as
// are lists, and whatever has no values that occur often enough in the first known
// rows. Of rows after those nothing is learned, not even that a value exists.
func tableOf(facts []*model.Facts, known int, leave func(name string) bool) *Table {
	found := map[string]*gather{}
	for row, f := range facts {
		note := func(name string, v any) {
			if leave != nil && leave(name) {
				return
			}
			g := found[name]
			if g == nil {
				g = &gather{name: name, has: make([]bool, len(facts)), text: make([]string, len(facts)), numbers: make([]float64, len(facts))}
				found[name] = g
			}
			g.add(row, v)
		}
		for name, v := range f.Attributes {
			if name == "channel" && f.Channel != "" || name == "intent" && f.Intent != "" {
				continue // the request's own field counts
			}
			note(name, v)
		}
		if f.Channel != "" {
			note("channel", f.Channel)
		}
		if f.Intent != "" {
			note("intent", f.Intent)
		}
	}
	list := make([]*gather, 0, len(found))
	for _, g := range found {
		list = append(list, g)
	}
	slices.SortFunc(list, func(a, b *gather) int { return cmp.Or(b.count-a.count, cmp.Compare(a.name, b.name)) })
	t := &Table{Rows: len(facts)}
	for _, g := range list {
		if c, ok := g.column(known); ok && len(t.Columns) < maxColumns {
			t.Columns = append(t.Columns, c)
		}
	}
	slices.SortFunc(t.Columns, func(a, b Column) int { return cmp.Compare(a.Name, b.Name) })
	return t
}

// add takes in the value of one row. Numbers are told from text by their type.
func (g *gather) add(row int, v any) {
	kind := Text
	switch v := v.(type) {
	case string:
		g.text[row] = v
	case bool:
		kind = Bool
		if g.text[row] = "false"; v {
			g.text[row] = "true"
		}
	case float64:
		kind, g.numbers[row] = Number, v
	case int:
		kind, g.numbers[row] = Number, float64(v)
	case int64:
		kind, g.numbers[row] = Number, float64(v)
	default:
		return // lists and objects have no value to compare with
	}
	if kind == Number && (math.IsNaN(g.numbers[row]) || math.IsInf(g.numbers[row], 0)) {
		return
	}
	if g.count > 0 && kind != g.kind {
		g.mixed = true
	}
	g.kind = kind
	g.count++
	g.has[row] = true
}

// column is what was gathered, unless nothing can be learned from it.
func (g *gather) column(known int) (Column, bool) {
	if g.mixed || g.count == 0 {
		return Column{}, false
	}
	c := Column{Name: g.name, Kind: g.kind}
	if g.kind == Number {
		c.Numbers = g.numbers
		for row, has := range g.has {
			if !has {
				c.Numbers[row] = math.NaN()
			}
		}
		return c, true
	}
	counts, present := map[string]int{}, 0
	for row := range known {
		if g.has[row] {
			counts[g.text[row]]++
			present++
		}
	}
	kept := 0
	least := max(leastRows, int(leastShare*float64(known)))
	for v, n := range counts {
		if n >= least {
			c.Values = append(c.Values, v)
		}
	}
	slices.SortFunc(c.Values, func(a, b string) int { return cmp.Or(counts[b]-counts[a], cmp.Compare(a, b)) })
	c.Values = c.Values[:min(len(c.Values), maxValues)]
	for _, v := range c.Values {
		kept += counts[v]
	}
	if present == 0 || float64(kept) < leastKnown*float64(present) {
		return Column{}, false
	}
	c.encode(g)
	return c, true
}

// encode turns values into codes.
func (c *Column) encode(g *gather) {
	code := make(map[string]uint16, len(c.Values))
	for i, v := range c.Values {
		code[v] = uint16(i + firstCode) //nolint:gosec // maxValues bounds it
	}
	c.Codes = make([]uint16, len(g.has))
	for row, has := range g.has {
		if !has {
			continue
		}
		c.Codes[row] = codeRare
		if known, ok := code[g.text[row]]; ok {
			c.Codes[row] = known
		}
	}
}
