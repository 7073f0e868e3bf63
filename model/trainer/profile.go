package trainer

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/model/evaluate"
)

// profile is what the newest rows say of each attribute. It is a function of the
// rows alone, so that the same rows leave out the same attributes.
type profile struct {
	rows    []*Row
	columns map[string]*column
	names   []string // sorted
}

// column is one attribute over the profile's rows.
type column struct {
	cells           []uint64 // hash of each row's value, 0 where it is absent
	present, rises  int
	words, notWhole bool // texts and lists; numbers with a fraction
	number          bool
	last            float64
	values          int // distinct
}

const (
	// profileRows and profileColumns bound the work of looking at attributes.
	profileRows, profileColumns = 50_000, 500

	rareShare     = 0.005 // an attribute present in a smaller share teaches nothing
	enoughRows    = 100   // to call values too many
	tooManyShare  = 0.5   // distinct values per row from which each is hardly seen twice
	identityShare = 0.95
	leakedWeight  = 1.1  // mean weight from which an attribute knows the draw
	leakedReward  = 0.98 // share of the variance of rewards that one attribute explains
)

// profileOf looks at the newest rows. Attributes beyond the bound are not looked
// at, and learned from.
func profileOf(rows []*Row) *profile {
	p := &profile{rows: rows[max(0, len(rows)-profileRows):], columns: map[string]*column{}}
	for i, r := range p.rows {
		for name, v := range r.Facts.Attributes {
			c := p.columns[name]
			if c == nil {
				if len(p.columns) == profileColumns {
					continue
				}
				c = &column{cells: make([]uint64, len(p.rows)), last: math.Inf(-1)}
				p.columns[name] = c
			}
			c.note(i, v)
		}
	}
	for _, c := range p.columns {
		distinct := map[uint64]struct{}{}
		for _, cell := range c.cells {
			if cell != 0 {
				distinct[cell] = struct{}{}
			}
		}
		c.values = len(distinct)
	}
	p.names = slices.Sorted(maps.Keys(p.columns))
	return p
}

// note takes in the value of row i.
func (c *column) note(i int, v any) {
	var cell uint64
	switch v := v.(type) {
	case string:
		cell = xxhash.Sum64String(v)
		c.words = c.words || len(v) >= 40 && strings.IndexByte(v, ' ') >= 0
	case bool:
		cell = xxhash.Sum64String(fmt.Sprint(v))
	case float64:
		cell = c.noteNumber(v)
	case int:
		cell = c.noteNumber(float64(v))
	case int64:
		cell = c.noteNumber(float64(v))
	case []string, []any:
		cell, c.words = xxhash.Sum64String(fmt.Sprint(v)), true
	default:
		return
	}
	c.cells[i] = max(cell, 1)
	c.present++
}

func (c *column) noteNumber(v float64) uint64 {
	c.number = true
	c.notWhole = c.notWhole || v != math.Trunc(v)
	if v > c.last {
		c.rises++
	}
	c.last = v
	return math.Float64bits(v) ^ 0x9e3779b97f4a7c15
}

// uses says of each attribute whether to learn from it.
func (p *profile) uses(shares map[string]float64) []model.AttributeUse {
	var out []model.AttributeUse
	for _, name := range p.names {
		c := p.columns[name]
		reason := p.refuse(c)
		share, known := shares[name]
		if !known {
			share = float64(c.present) / float64(len(p.rows))
		}
		out = append(out, model.AttributeUse{Name: name, Share: share, Values: c.values, Used: reason == "", Reason: reason})
	}
	for _, field := range []string{"baseline", "channel", "intent"} {
		if share, ok := shares[field]; ok && p.columns[field] == nil {
			out = append(out, model.AttributeUse{Name: field, Share: share, Used: true, Reason: "a field of the request, always learned from"})
		}
	}
	slices.SortFunc(out, func(a, b model.AttributeUse) int {
		return cmp.Or(cmp.Compare(b.Share, a.Share), cmp.Compare(a.Name, b.Name))
	})
	return out[:min(len(out), maxCovered)]
}

// refuse returns why an attribute is left out, empty when it is not.
func (p *profile) refuse(c *column) string {
	n, seen := float64(len(p.rows)), float64(c.present)
	perRow := float64(c.values) / max(1, seen)
	switch {
	case seen < rareShare*n:
		return fmt.Sprintf("absent in more than %.1f %% of rows", 100*(1-rareShare))
	case c.values <= 1 && c.present == len(p.rows):
		return "constant: one value in all rows"
	case c.number && !c.notWhole && perRow >= identityShare && c.present >= enoughRows && float64(c.rises) >= 0.98*seen:
		return "identifier-like: a whole number that rises with every decision"
	case !c.number && !c.words && perRow >= identityShare && c.present >= enoughRows:
		return fmt.Sprintf("identifier-like: %d values in %d rows", c.values, c.present)
	case !c.number && !c.words && perRow > tooManyShare && c.present >= enoughRows:
		return fmt.Sprintf("too many values: %d in %d rows, most are seen once", c.values, c.present)
	}
	if c.words {
		return ""
	}
	return p.leak(c)
}

// leak tells whether an attribute knows what a decision could not know yet: it is
// held against the later half of the rows after reading the earlier half.
func (p *profile) leak(c *column) string {
	if len(p.rows) < enoughRows {
		return ""
	}
	half := len(p.rows) / 2
	cells := c.grouped()
	if why := p.leakedChoice(cells, half); why != "" {
		return why
	}
	return p.leakedOutcome(cells, half)
}

// leakedChoice uses that a draw is independent of all that was known before it:
// whatever an attribute points at, 1 / propensity over the rows in which just that
// was drawn averages at most 1. An attribute written after the draw beats that.
func (p *profile) leakedChoice(cells []uint64, half int) string {
	type pair struct {
		cell uint64
		arm  string
	}
	counts, points := map[pair]int{}, map[uint64]string{}
	for i, r := range p.rows[:half] {
		k := pair{cells[i], r.Chosen}
		counts[k]++
		if was, ok := points[k.cell]; !ok || counts[k] > counts[pair{k.cell, was}] {
			points[k.cell] = r.Chosen
		}
	}
	floor := evaluate.NewFloor(0, leakError)
	for i, r := range p.rows[half:] {
		arm, known := points[cells[half+i]]
		switch {
		case r.Propensity <= 0 || !known:
		case arm == r.Chosen:
			floor.Add(1 / min(r.Propensity, 1))
		default:
			floor.Add(0)
		}
	}
	if floor.N() < enoughRows/2 || floor.Lower() < leakedWeight {
		return ""
	}
	return fmt.Sprintf("leaks the choice: it points at what was drawn %.1f times as often as it could have known", floor.Mean())
}

// leakError is the probability of calling an honest attribute a leak.
const leakError = 0.0001

// leakedOutcome finds attributes that alone foretell the reward all but exactly.
func (p *profile) leakedOutcome(cells []uint64, half int) string {
	type sums struct{ n, reward float64 }
	known := map[uint64]sums{}
	for i, r := range p.rows[:half] {
		s := known[cells[i]]
		known[cells[i]] = sums{s.n + 1, s.reward + r.Reward}
	}
	var mean, n, total, left float64
	for _, r := range p.rows[half:] {
		mean += r.Reward
		n++
	}
	mean /= n
	for i, r := range p.rows[half:] {
		foretold := mean
		if s := known[cells[half+i]]; s.n > 0 {
			foretold = s.reward / s.n
		}
		total += (r.Reward - mean) * (r.Reward - mean)
		left += (r.Reward - foretold) * (r.Reward - foretold)
	}
	if total/n < 1e-6 || left > (1-leakedReward)*total {
		return ""
	}
	return fmt.Sprintf("leaks the outcome: it alone explains %.1f %% of the rewards of later rows", 100*(1-left/total))
}

// manyNumbers is from how many distinct values on numbers are looked at in groups.
const manyNumbers, numberGroups = 64, 20

// grouped returns the cells, for a number of many values by its group.
func (c *column) grouped() []uint64 {
	if !c.number || c.values <= manyNumbers {
		return c.cells
	}
	var numbers []float64
	for _, cell := range c.cells {
		if cell != 0 {
			numbers = append(numbers, math.Float64frombits(cell^0x9e3779b97f4a7c15))
		}
	}
	slices.Sort(numbers)
	out := make([]uint64, len(c.cells))
	for i, cell := range c.cells {
		if cell != 0 {
			at, _ := slices.BinarySearch(numbers, math.Float64frombits(cell^0x9e3779b97f4a7c15))
			out[i] = 1 + uint64(at*numberGroups/len(numbers)) //nolint:gosec // a small group number
		}
	}
	return out
}

// ignored returns the names of the attributes that are left out, nil for none.
func ignored(uses []model.AttributeUse) map[string]bool {
	var out map[string]bool
	for _, u := range uses {
		if !u.Used {
			if out == nil {
				out = map[string]bool{}
			}
			out[u.Name] = true
		}
	}
	return out
}
