package evaluate

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/usherhq/usher/internal/fault"
)

// actions numbers the names of actions as they are met.
type actions struct {
	number map[string]int32
	names  []string
}

func (a *actions) intern(name string) int32 {
	if at, ok := a.number[name]; ok {
		return at
	}
	if a.number == nil {
		a.number = map[string]int32{}
	}
	name = strings.Clone(name)
	at := int32(len(a.names)) //nolint:gosec // as many as a file has names
	a.number[name] = at
	a.names = append(a.names, name)
	return at
}

// chance is the probability of one action.
type chance struct {
	action int32
	p      float64
}

// distribution holds the actions of one context.
type distribution []chance

func (d distribution) of(action int32) (p float64, listed bool) {
	for i := range d {
		if d[i].action == action {
			return d[i].p, true
		}
	}
	return 0, false
}

// targetPolicy holds a distribution over actions per context.
type targetPolicy struct {
	context []string // names of the context columns
	actions actions  // the target's, and as the log is read also its own
	probs   map[string]distribution
	order   []string // context keys as first met
}

// sumSlack is how far the probabilities of one context may be from 1: rounding
// to four decimals over a hundred actions.
const sumSlack = 1e-3

// readTarget reads the target file and checks that each context's probabilities
// are a distribution.
func readTarget(cfg OPEConfig, logColumns []string) (*targetPolicy, error) {
	t := &targetPolicy{probs: map[string]distribution{}}
	faults := faultList{path: cfg.Target}
	firstLine := map[string]int{}
	var at, contextAt []int
	err := scanData(cfg.Target, func(columns []string) (err error) {
		t.context, contextAt = sharedColumns(columns, logColumns, cfg.Action, cfg.Reward, cfg.Propensity, probColumn)
		at, err = locate(cfg.Target, columns, []string{cfg.Action, probColumn})
		return err
	}, func(line int, cells []string) {
		key := contextKey(cells, contextAt)
		p := faults.number(line, probColumn, cells[at[1]])
		if p < 0 || p > 1 {
			faults.add(line, probColumn, "probability %s must be 0 to 1", cells[at[1]])
		}
		d, known := t.probs[key]
		if !known {
			key = strings.Clone(key)
			t.order = append(t.order, key)
			firstLine[key] = line
		}
		action := t.actions.intern(cells[at[0]])
		if _, twice := d.of(action); twice {
			faults.add(line, cfg.Action, "action %q is listed twice for %s; keep one row", cells[at[0]], t.spellContext(key))
			return
		}
		t.probs[key] = append(d, chance{action, p})
	})
	if err != nil {
		return nil, err
	}
	if len(t.order) == 0 {
		return nil, fault.New(fault.Invalid, "NO_ROWS", "%q has no rows; list the target's actions and their probabilities", cfg.Target)
	}
	t.checkSums(&faults, firstLine)
	return t, faults.err()
}

// sharedColumns are the columns that a file shares with the log, without those
// that mean something else.
func sharedColumns(columns, logColumns []string, but ...string) (names []string, at []int) {
	for i, c := range columns {
		if slices.Contains(logColumns, c) && !slices.Contains(but, c) {
			names, at = append(names, c), append(at, i)
		}
	}
	return names, at
}

func (t *targetPolicy) checkSums(faults *faultList, firstLine map[string]int) {
	for _, key := range t.order {
		sum := 0.0
		for _, s := range t.probs[key] {
			sum += s.p
		}
		if math.Abs(sum-1) > sumSlack {
			faults.add(firstLine[key], probColumn, "the probabilities of %s sum to %.6g, must sum to 1; "+
				"list every action with its probability", t.spellContext(key), sum)
		}
	}
}

func (t *targetPolicy) spellContext(key string) string { return spellContext(t.context, key) }

// spellContext writes a context key as "position=1, device=phone".
func spellContext(names []string, key string) string {
	if len(names) == 0 {
		return "the whole log"
	}
	cells := strings.Split(key, keySeparator)
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = name + "=" + cells[i]
	}
	return strings.Join(parts, ", ")
}

// support counts which actions the log shows in which context.
type support struct {
	target *targetPolicy
	rows   map[string]int
	seen   map[string][]int32 // actions by context
	shown  []bool             // by action, anywhere
	alien  map[string][]int32 // actions that the target does not list, one per row
	total  int
}

func newSupport(t *targetPolicy) *support {
	return &support{target: t, rows: map[string]int{}, seen: map[string][]int32{}, alien: map[string][]int32{}}
}

func (s *support) count(key string, action int32, listed bool) {
	for int(action) >= len(s.shown) {
		s.shown = append(s.shown, false)
	}
	s.shown[action] = true
	if s.rows[key] == 0 {
		key = strings.Clone(key)
	}
	s.rows[key]++
	s.total++
	if !slices.Contains(s.seen[key], action) {
		s.seen[key] = append(s.seen[key], action)
	}
	if !listed {
		s.alien[key] = append(s.alien[key], action)
	}
}

// apply puts what the log does not show into a result: beyond maxUnsupported
// nothing is claimed, up to it intervals reach as far as the worst and the best
// reward could move them.
func (s *support) apply(res *OPEResult, rewards reach) {
	lost, unseen := s.unseen()
	res.UnsupportedShare = lost
	if len(unseen) > 0 {
		res.Warnings = append(res.Warnings, fmt.Sprintf("%.2g %% of the target's decisions would take actions that the log never shows there, "+
			"so their value is unknown: %s", 100*lost, strings.Join(unseen, "; ")))
		res.widen(lost, rewards)
	}
	if lost > maxUnsupported {
		res.withhold()
	}
	rows, foreign := s.foreign()
	if len(foreign) > 0 {
		res.Warnings = append(res.Warnings, fmt.Sprintf("%s logged rows have actions that the target does not list there and were given probability 0: %s",
			spell(float64(rows)), strings.Join(foreign, "; ")))
	}
}

// widen makes room for a share of the decisions of which nothing is known.
func (r *OPEResult) widen(lost float64, rewards reach) {
	widened := func(b Bounds) Bounds {
		return Bounds{min(b.Lower, (1-lost)*b.Lower+lost*rewards.lo), max(b.Upper, (1-lost)*b.Upper+lost*rewards.hi)}
	}
	for name, e := range r.Estimates {
		for kind, b := range e.Intervals {
			e.Intervals[kind] = widened(b)
		}
		b := widened(Bounds{e.Lower, e.Upper})
		e.Lower, e.Upper = b.Lower, b.Upper
		r.Estimates[name] = e
	}
}

// expectedDraws is how often the target would have taken an action in a context
// before it counts that the log never did there: rarer actions, and contexts of a
// row or two, are missed by chance.
const expectedDraws = 5

// unseen lists actions that the target takes and the log does not show, with
// their share of the target's decisions.
func (s *support) unseen() (lost float64, list []string) {
	places := map[int32][]string{}
	for _, key := range s.target.order {
		rows := float64(s.rows[key])
		if rows == 0 {
			continue // the log has no such context: nothing is weighed there
		}
		for _, d := range s.target.probs[key] {
			anywhere := int(d.action) < len(s.shown) && s.shown[d.action]
			if d.p > 0 && !slices.Contains(s.seen[key], d.action) && (!anywhere || d.p*rows >= expectedDraws) {
				lost += d.p * rows / float64(s.total)
				places[d.action] = append(places[d.action], key)
			}
		}
	}
	return lost, s.spellPlaces(places)
}

// foreign lists logged actions that the target does not know of.
func (s *support) foreign() (rows int, list []string) {
	places := map[int32][]string{}
	for _, key := range s.target.order {
		rows += len(s.alien[key])
		for _, action := range s.alien[key] {
			if !slices.Contains(places[action], key) {
				places[action] = append(places[action], key)
			}
		}
	}
	return rows, s.spellPlaces(places)
}

// maxPlaces bounds the contexts spelled per action, maxNamed the actions.
const (
	maxPlaces = 5
	maxNamed  = 50
)

func (s *support) spellPlaces(places map[int32][]string) []string {
	named := make([]string, 0, len(places))
	for a := range places {
		named = append(named, s.target.actions.names[a])
	}
	slices.SortFunc(named, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	var out []string
	for i, a := range named {
		if i == maxNamed {
			return append(out, fmt.Sprintf("and %d more actions", len(named)-i))
		}
		keys := places[s.target.actions.number[a]]
		var where []string
		for _, key := range keys[:min(len(keys), maxPlaces)] {
			where = append(where, s.target.spellContext(key))
		}
		if more := len(keys) - maxPlaces; more > 0 {
			where = append(where, fmt.Sprintf("%d more contexts", more))
		}
		out = append(out, fmt.Sprintf("action %s at %s", a, strings.Join(where, " and ")))
	}
	return out
}
