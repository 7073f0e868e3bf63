package golearn

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/sjwhitworth/golearn/base"
	"github.com/sjwhitworth/golearn/evaluation"
	"github.com/sjwhitworth/golearn/trees"
)

// shape bounds a tree.
type shape struct {
	Depth int
	Leaf  int // rows that at least two branches of a split must have
}

// grow has golearn infer a tree over some rows of the table. It panics where golearn
// does; the child makes errors of that.
func grow(t *Table, labels []int, classes int, rows []int, s shape) (*Node, error) {
	g, err := newGrid(t, labels, classes, rows)
	if err != nil {
		return nil, err
	}
	gen := &generator{grid: g, shape: s, columns: len(g.data.AllAttributes())}
	root := trees.InferID3Tree(g.data, gen)
	return g.convert(root), gen.fault
}

// grid is rows of a table as golearn wants them.
type grid struct {
	table   *Table
	labels  []int
	classes int
	rows    []int // by row of the grid
	data    *base.DenseInstances
	attrs   []base.Attribute // by column of the table
	place   base.AttributeSpec
	low     []float64 // by column: what stands for a number that is absent
}

// newGrid copies the rows. Every row carries its own place, so that the generator can
// put rows back in order; golearn also makes a leaf of what has one column left, and
// the place is never split on.
func newGrid(t *Table, labels []int, classes int, rows []int) (*grid, error) {
	g := &grid{table: t, labels: labels, classes: classes, rows: rows, data: base.NewDenseInstances(), low: make([]float64, len(t.Columns))}
	specs := make([]base.AttributeSpec, len(t.Columns))
	for i := range t.Columns {
		g.attrs = append(g.attrs, attributeOf(&t.Columns[i], i))
		specs[i] = g.data.AddAttribute(g.attrs[i])
		g.low[i] = belowAll(t.Columns[i].Numbers)
	}
	g.place = g.data.AddAttribute(base.NewFloatAttribute("place"))
	class := classAttribute(classes)
	classSpec := g.data.AddAttribute(class)
	if err := errors.Join(g.data.AddClassAttribute(class), g.data.Extend(len(rows))); err != nil {
		return nil, fmt.Errorf("lay out %d rows: %w", len(rows), err)
	}
	for i, row := range rows {
		for c := range t.Columns {
			g.data.Set(specs[c], i, g.cell(c, row))
		}
		g.data.Set(g.place, i, base.PackFloatToBytes(float64(i)))
		g.data.Set(classSpec, i, base.PackU64ToBytes(uint64(labels[row]))) //nolint:gosec // an index
	}
	return g, nil
}

func (g *grid) cell(column, row int) []byte {
	c := &g.table.Columns[column]
	if c.Kind != Number {
		return base.PackU64ToBytes(uint64(c.Codes[row]))
	}
	if math.IsNaN(c.Numbers[row]) {
		return base.PackFloatToBytes(g.low[column])
	}
	return base.PackFloatToBytes(c.Numbers[row])
}

// attributeOf names attributes by their column: golearn compares them by name.
func attributeOf(c *Column, at int) base.Attribute {
	name := strconv.Itoa(at)
	if c.Kind == Number {
		return base.NewFloatAttribute(name)
	}
	return categories(name, len(c.Values)+firstCode)
}

func classAttribute(classes int) base.Attribute { return categories("class", classes) }

// categories is an attribute whose values are the numbers from 0.
func categories(name string, n int) *base.CategoricalAttribute {
	a := base.NewCategoricalAttribute()
	a.SetName(name)
	for v := range n {
		a.GetSysValFromString(strconv.Itoa(v))
	}
	return a
}

// belowAll is a number that stands for an absent one: it sorts before all others.
func belowAll(numbers []float64) float64 {
	low := math.Inf(1)
	for _, v := range numbers {
		if v < low {
			low = v
		}
	}
	if math.IsInf(low, 1) {
		return 0
	}
	return low - 1 - math.Abs(low)
}

// generator tells golearn what to split on.
type generator struct {
	*grid
	shape
	columns int // of the grid, before any split
	fault   error
}

// GenerateSplitRule implements trees.RuleGenerator. It names the column whose split
// explains the classes best for the branches that it makes, nil when none explains
// more than it costs. golearn takes a column away when it splits on it, so the
// columns that are gone tell the depth.
func (g *generator) GenerateSplitRule(f base.FixedDataGrid) *trees.DecisionTreeRule {
	left := f.AllAttributes()
	if g.columns-len(left) >= g.Depth {
		return nil
	}
	rows := g.rowsOf(f)
	if len(rows) < 2*g.Leaf {
		return nil
	}
	var best *trees.DecisionTreeRule
	most := 0.0
	for column, attr := range g.attrs {
		if !slices.ContainsFunc(left, func(a base.Attribute) bool { return a.GetName() == attr.GetName() }) {
			continue
		}
		threshold := 0.0
		if g.table.Columns[column].Kind == Number {
			threshold = g.threshold(column, rows)
		}
		if worth := g.worth(column, threshold, rows); worth > most {
			most, best = worth, &trees.DecisionTreeRule{SplitAttr: attr, SplitVal: threshold}
		}
	}
	return best
}

// rowsOf are the places in a view, in order: golearn shuffles them.
func (g *generator) rowsOf(f base.FixedDataGrid) []int {
	_, n := f.Size()
	rows := make([]int, n)
	for i := range rows {
		rows[i] = int(base.UnpackBytesToFloat(f.Get(g.place, i)))
	}
	slices.Sort(rows)
	return rows
}

// threshold has golearn find the best one of a number, over rows in order.
func (g *generator) threshold(column int, rows []int) float64 {
	at := make([]int, len(rows))
	for i, place := range rows {
		at[i] = g.rows[place]
	}
	numbers := g.table.Columns[column].Numbers
	one := &Table{Rows: g.table.Rows, Columns: []Column{{Kind: Number, Numbers: numbers}}}
	part, err := newGrid(one, g.labels, g.classes, at)
	if err != nil {
		g.fault = err
		return 0
	}
	var ig trees.InformationGainRuleGenerator
	return ig.GetSplitRuleFromSelection(part.attrs[:1], part.data).SplitVal
}

// worth is the log-likelihood that a split gains, less half the logarithm of the rows
// for each number that it takes to write down (Schwarz's criterion). Columns of many
// values pay for them.
func (g *generator) worth(column int, threshold float64, rows []int) float64 {
	c := &g.table.Columns[column]
	branches := max(2, len(c.Values)+firstCode)
	counts := make([][]int, branches)
	whole := make([]int, g.classes)
	for _, place := range rows {
		row := g.rows[place]
		side := sideLow
		if c.Kind != Number {
			side = int(c.Codes[row])
		} else if base.UnpackBytesToFloat(g.cell(column, row)) > threshold {
			side = sideHigh
		}
		if counts[side] == nil {
			counts[side] = make([]int, g.classes)
		}
		counts[side][g.labels[row]]++
		whole[g.labels[row]]++
	}
	used, large, split := 0, 0, 0.0
	for _, part := range counts {
		if part == nil {
			continue
		}
		used++
		n, loss := deviance(part)
		split += loss
		if n >= g.Leaf {
			large++
		}
	}
	if large < 2 {
		return 0
	}
	n, before := deviance(whole)
	present := 0
	for _, k := range whole {
		if k > 0 {
			present++
		}
	}
	numbers := float64((used - 1) * (present - 1))
	if c.Kind == Number {
		numbers++ // the threshold
	}
	return before - split - numbers*math.Log(float64(n))/2
}

// deviance is the rows and how far they are from being of one class, in nats.
func deviance(counts []int) (n int, loss float64) {
	for _, k := range counts {
		n += k
	}
	for _, k := range counts {
		if k > 0 {
			loss -= float64(k) * math.Log(float64(k)/float64(n))
		}
	}
	return n, loss
}

// convert reads golearn's tree into ours.
func (g *grid) convert(d *trees.DecisionTreeNode) *Node {
	n := &Node{Counts: make([]int, g.classes)}
	for name, count := range d.ClassDist {
		n.Counts[number(name)] = count
	}
	if len(d.Children) == 0 || d.SplitRule == nil || d.SplitRule.SplitAttr == nil {
		return n
	}
	n.Column, n.Threshold = number(d.SplitRule.SplitAttr.GetName()), d.SplitRule.SplitVal
	for name, child := range d.Children {
		n.Kids = append(n.Kids, Kid{Code: uint16(number(name)), Node: g.convert(child)}) //nolint:gosec // a code
	}
	slices.SortFunc(n.Kids, func(a, b Kid) int { return cmp.Compare(a.Code, b.Code) })
	return n
}

// number reads a name that was written here, so it cannot be anything else.
func number(name string) int {
	v, _ := strconv.Atoi(name)
	return v
}

// confusion has golearn count what the tree names against what is true: rows by true
// class, then by the class named.
func confusion(t *Table, labels []int, classes int, root *Node, rows []int) (counts [][]int, accuracy float64, err error) {
	truth, err := verdicts(classes, len(rows))
	if err != nil {
		return nil, 0, err
	}
	named, err := verdicts(classes, len(rows))
	if err != nil {
		return nil, 0, err
	}
	for i, row := range rows {
		base.SetClass(truth, i, strconv.Itoa(labels[row]))
		base.SetClass(named, i, strconv.Itoa(root.walk(t, row, nil).class()))
	}
	matrix, err := evaluation.GetConfusionMatrix(truth, named)
	if err != nil {
		return nil, 0, fmt.Errorf("count what the tree says: %w", err)
	}
	counts = make([][]int, classes)
	for i := range counts {
		counts[i] = make([]int, classes)
	}
	for is, row := range matrix {
		for says, n := range row {
			counts[number(is)][number(says)] = n
		}
	}
	return counts, evaluation.GetAccuracy(matrix), nil
}

// verdicts is a grid of one class per row.
func verdicts(classes, rows int) (*base.DenseInstances, error) {
	d := base.NewDenseInstances()
	class := classAttribute(classes)
	d.AddAttribute(class)
	if err := errors.Join(d.AddClassAttribute(class), d.Extend(rows)); err != nil {
		return nil, fmt.Errorf("lay out %d verdicts: %w", rows, err)
	}
	return d, nil
}
