package evaluate

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/model"
)

// columnUse is how one column becomes features.
type columnUse struct {
	at       int
	name     string
	number   bool // every value parses: scaled to 0..1
	category bool // name=value; whole numbers may be codes, so they are both
	text     bool
	lo, span float64
}

// banditPlan is a table made ready to be played.
type banditPlan struct {
	unlabelled int // rows left out
	rows       [][]string
	order      []int
	right      []int // arm index by row
	arms       []model.Arm
	uses       []columnUse
	cross      [][2]string
	hours      []string // by row, nil without a time column
}

func newBanditPlan(t *Table, cfg BanditConfig) (*banditPlan, error) {
	if err := checkColumns(t, cfg); err != nil {
		return nil, err
	}
	rows, err := filterRows(t, cfg.Where)
	if err != nil {
		return nil, err
	}
	rows, unlabelled, err := labelled(t, rows, cfg.Label)
	if err != nil {
		return nil, err
	}
	p := &banditPlan{rows: rows, unlabelled: unlabelled, order: shuffled(len(rows), cfg.Seed), cross: cfg.Cross}
	if err := p.label(t, cfg.Label); err != nil {
		return nil, err
	}
	if cfg.Time != "" {
		if err := p.byTime(t, cfg.Time); err != nil {
			return nil, err
		}
	}
	p.chooseColumns(t, cfg)
	return p, nil
}

// checkColumns reports every column that is asked for and missing.
func checkColumns(t *Table, cfg BanditConfig) error {
	var check fault.Check
	need := func(flag, name string) {
		if _, err := t.Column(name); err != nil {
			check.Add(flag, "%v", err)
		}
	}
	need("label", cfg.Label)
	for _, f := range []struct{ flag, name string }{{"text", cfg.Text}, {"time", cfg.Time}} {
		if f.name != "" {
			need(f.flag, f.name)
		}
	}
	for _, f := range cfg.Where {
		need("where", f.Column)
	}
	for _, name := range cfg.Features {
		need("features", name)
		if name == cfg.Label {
			check.Add("features", "column %q is the label; the right answer cannot be a feature", name)
		}
	}
	for _, pair := range cfg.Cross {
		for _, name := range pair {
			need("cross", name)
			if name == cfg.Label {
				check.Add("cross", "column %q is the label; the right answer cannot be a feature", name)
			}
		}
	}
	return check.Err("cannot evaluate")
}

func filterRows(t *Table, filters []Filter) ([][]string, error) {
	rows := t.Rows
	for _, f := range filters {
		at, err := t.Column(f.Column)
		if err != nil {
			return nil, err
		}
		var kept [][]string
		for _, r := range rows {
			if (r[at] == f.Value) != f.Not {
				kept = append(kept, r)
			}
		}
		rows = kept
	}
	if len(rows) == 0 {
		return nil, fault.New(fault.Invalid, "NO_ROWS", "%q has no rows left to play (%d before filters)", t.Path, len(t.Rows))
	}
	return rows, nil
}

// labelled leaves out the rows whose right answer nobody knows, and counts them:
// no arm could be right there.
func labelled(t *Table, rows [][]string, label string) (kept [][]string, without int, err error) {
	at, err := t.Column(label)
	if err != nil {
		return nil, 0, err
	}
	kept = make([][]string, 0, len(rows))
	for _, r := range rows {
		if r[at] != "" {
			kept = append(kept, r)
		}
	}
	if len(kept) == 0 {
		return nil, 0, fault.New(fault.Invalid, "NO_ROWS", "column %q of %q is empty in every row left to play", label, t.Path)
	}
	return kept, len(rows) - len(kept), nil
}

// label numbers the arms in alphabetical order.
func (p *banditPlan) label(t *Table, name string) error {
	at, err := t.Column(name)
	if err != nil {
		return err
	}
	number := map[string]int{}
	var ids []string
	for _, r := range p.rows {
		if _, ok := number[r[at]]; !ok {
			number[r[at]] = 0
			ids = append(ids, r[at])
		}
	}
	if len(ids) > maxArms {
		return fault.New(fault.Invalid, "TOO_MANY_ARMS", "column %q of %q has %d different values; at most %d arms can be played",
			name, t.Path, len(ids), maxArms)
	}
	slices.Sort(ids)
	for i, id := range ids {
		number[id] = i
		p.arms = append(p.arms, model.Arm{ID: id})
	}
	p.right = make([]int, len(p.rows))
	for i, r := range p.rows {
		p.right[i] = number[r[at]]
	}
	return nil
}

const maxArms = 4000

// byTime orders the rows by a time column, ties in file order.
func (p *banditPlan) byTime(t *Table, name string) error {
	at, err := t.Column(name)
	if err != nil {
		return err
	}
	times := make([]time.Time, len(p.rows))
	p.hours = make([]string, len(p.rows))
	for i, r := range p.rows {
		if times[i], err = parseTime(r[at]); err != nil {
			return fault.New(fault.Invalid, "BAD_TIME", "column %q of %q: %v", name, t.Path, err)
		}
		p.hours[i] = strconv.Itoa(times[i].Hour())
	}
	for i := range p.order {
		p.order[i] = i
	}
	slices.SortStableFunc(p.order, func(a, b int) int { return times[a].Compare(times[b]) })
	return nil
}

func parseTime(s string) (time.Time, error) {
	for _, layout := range []string{
		time.RFC3339Nano, "2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02 15:04:05.999999999", "2006-01-02",
	} {
		if at, err := time.Parse(layout, s); err == nil {
			return at, nil
		}
	}
	if n, err := strconv.ParseFloat(s, 64); err == nil && math.Abs(n) < 1e11 {
		return time.Unix(int64(n), 0).UTC(), nil
	}
	return time.Time{}, fmt.Errorf("%q is not a time; use 2026-01-31T15:04:05Z, 2026-01-31 15:04 or seconds since 1970", s)
}

func (p *banditPlan) chooseColumns(t *Table, cfg BanditConfig) {
	for at, name := range t.Columns {
		picked := len(cfg.Features) == 0 || slices.Contains(cfg.Features, name) || name == cfg.Text
		if name == cfg.Label || name == cfg.Time || !picked {
			continue
		}
		u := columnUse{at: at, name: name, text: name == cfg.Text}
		if !u.text {
			u.detect(p.rows)
		}
		p.uses = append(p.uses, u)
	}
	// A crossed column that is not a feature of its own still has to be there.
	for _, pair := range cfg.Cross {
		for _, name := range pair {
			if !slices.ContainsFunc(p.uses, func(u columnUse) bool { return u.name == name }) {
				at := slices.Index(t.Columns, name)
				p.uses = append(p.uses, columnUse{at: at, name: name, category: true})
			}
		}
	}
}

// detect reads a column's kind from its values: numbers when all that are not
// empty parse, categories otherwise. Whole numbers are taken as both, since
// nothing in a file tells a count from a code.
func (u *columnUse) detect(rows [][]string) {
	lo, hi, whole := math.Inf(1), math.Inf(-1), true
	for _, r := range rows {
		if r[u.at] == "" {
			continue
		}
		v, err := strconv.ParseFloat(r[u.at], 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			u.category = true
			return
		}
		lo, hi = min(lo, v), max(hi, v)
		whole = whole && v == math.Trunc(v)
	}
	if lo > hi {
		u.category = true
		return
	}
	u.number, u.category = true, whole
	u.lo, u.span = lo, cmp.Or(hi-lo, 1)
}

// features fills ctx with what may be known of a row before deciding.
func (p *banditPlan) features(ctx *model.Features, row int) {
	ctx.Reset()
	cells := p.rows[row]
	for i := range p.uses {
		u := &p.uses[i]
		v := cells[u.at]
		switch {
		case u.text:
			ctx.AddText(u.name, v)
			continue
		case u.number && v != "":
			f, _ := strconv.ParseFloat(v, 64) // parsed before, when the column was detected
			f = (f - u.lo) / u.span
			if u.category {
				ctx.AddCode(u.name, v, f)
			} else {
				ctx.AddNumber(u.name, f)
			}
		default:
			ctx.AddString(u.name, v)
		}
	}
	if p.hours != nil {
		ctx.AddString("hour", p.hours[row])
	}
	for _, pair := range p.cross {
		ctx.Cross(pair[0], pair[1])
	}
}
