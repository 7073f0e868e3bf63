package evaluate

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/usherhq/usher/internal/fault"
)

// targetPolicy holds a distribution over actions per context.
type targetPolicy struct {
	context []string // names of the context columns
	probs   map[string]map[string]float64
	order   []string // context keys as first met
}

// sumSlack is how far the probabilities of one context may be from 1: rounding
// to four decimals over a hundred actions.
const sumSlack = 1e-3

// readTarget reads the target file and checks that each context's probabilities
// are a distribution.
func readTarget(cfg OPEConfig, logColumns []string) (*targetPolicy, error) {
	t := &targetPolicy{probs: map[string]map[string]float64{}}
	faults := faultList{path: cfg.Target}
	firstLine := map[string]int{}
	var at, contextAt []int
	err := scanData(cfg.Target, func(columns []string) (err error) {
		own := []string{cfg.Action, cfg.Reward, cfg.Propensity, probColumn}
		for i, c := range columns {
			if slices.Contains(logColumns, c) && !slices.Contains(own, c) {
				t.context = append(t.context, c)
				contextAt = append(contextAt, i)
			}
		}
		at, err = locate(cfg.Target, columns, []string{cfg.Action, probColumn})
		return err
	}, func(line int, cells []string) {
		key, action := strings.Clone(contextKey(cells, contextAt)), strings.Clone(cells[at[0]])
		p := faults.number(line, probColumn, cells[at[1]])
		if p < 0 || p > 1 {
			faults.add(line, probColumn, "probability %s must be 0 to 1", cells[at[1]])
		}
		if t.probs[key] == nil {
			t.probs[key] = map[string]float64{}
			t.order = append(t.order, key)
			firstLine[key] = line
		}
		if _, twice := t.probs[key][action]; twice {
			faults.add(line, cfg.Action, "action %q is listed twice for %s; keep one row", action, t.spellContext(key))
		}
		t.probs[key][action] = p
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

func (t *targetPolicy) checkSums(faults *faultList, firstLine map[string]int) {
	for _, key := range t.order {
		sum := 0.0
		for _, p := range t.probs[key] {
			sum += p
		}
		if math.Abs(sum-1) > sumSlack {
			faults.add(firstLine[key], probColumn, "the probabilities of %s sum to %.6g, must sum to 1; "+
				"list every action with its probability", t.spellContext(key), sum)
		}
	}
}

// spellContext writes a context key as "position=1, device=phone".
func (t *targetPolicy) spellContext(key string) string {
	if len(t.context) == 0 {
		return "the whole log"
	}
	cells := strings.Split(key, keySeparator)
	parts := make([]string, len(t.context))
	for i, name := range t.context {
		parts[i] = name + "=" + cells[i]
	}
	return strings.Join(parts, ", ")
}

// support counts which actions the log shows in which context.
type support struct {
	target *targetPolicy
	rows   map[string]int            // by context
	seen   map[string]map[string]int // by context and action
	total  int
}

func newSupport(t *targetPolicy) *support {
	return &support{target: t, rows: map[string]int{}, seen: map[string]map[string]int{}}
}

func (s *support) count(key, action string) {
	if s.seen[key] == nil {
		key = strings.Clone(key)
		s.seen[key] = map[string]int{}
	}
	if s.seen[key][action] == 0 {
		action = strings.Clone(action)
	}
	s.rows[key]++
	s.seen[key][action]++
	s.total++
}

// warnings names what one of the two sides does and the other never does.
func (s *support) warnings() []string {
	var out []string
	lost, unseen := s.unseen()
	if len(unseen) > 0 {
		out = append(out, fmt.Sprintf("%.2g %% of the target's decisions would take actions that the log never shows there, "+
			"so their value is unknown and counted as nothing: %s", 100*lost, strings.Join(unseen, "; ")))
	}
	rows, foreign := s.foreign()
	if len(foreign) > 0 {
		out = append(out, fmt.Sprintf("%s logged rows have actions that the target does not list there and were given probability 0: %s",
			spell(float64(rows)), strings.Join(foreign, "; ")))
	}
	return out
}

// unseen lists actions that the target takes and the log does not show, with
// their share of the target's decisions.
func (s *support) unseen() (lost float64, list []string) {
	places := map[string][]string{}
	for _, key := range s.target.order {
		if s.rows[key] == 0 {
			continue // the log has no such context: nothing is weighed there
		}
		for action, p := range s.target.probs[key] {
			if p > 0 && s.seen[key][action] == 0 {
				lost += p * float64(s.rows[key]) / float64(s.total)
				places[action] = append(places[action], s.target.spellContext(key))
			}
		}
	}
	return lost, spellPlaces(places)
}

// foreign lists logged actions that the target does not know of.
func (s *support) foreign() (rows int, list []string) {
	places := map[string][]string{}
	for _, key := range s.target.order {
		for action, n := range s.seen[key] {
			if _, listed := s.target.probs[key][action]; !listed {
				rows += n
				places[action] = append(places[action], s.target.spellContext(key))
			}
		}
	}
	return rows, spellPlaces(places)
}

// maxPlaces bounds the contexts spelled per action; every action is named.
const maxPlaces = 5

func spellPlaces(places map[string][]string) []string {
	actions := make([]string, 0, len(places))
	for a := range places {
		actions = append(actions, a)
	}
	slices.SortFunc(actions, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	out := make([]string, len(actions))
	for i, a := range actions {
		where := places[a]
		if more := len(where) - maxPlaces; more > 0 {
			where = append(where[:maxPlaces:maxPlaces], fmt.Sprintf("%d more contexts", more))
		}
		out[i] = fmt.Sprintf("action %s at %s", a, strings.Join(where, " and "))
	}
	return out
}
