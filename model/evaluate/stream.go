package evaluate

import (
	"strconv"
	"strings"

	"github.com/usherhq/usher/model"
)

// Stream is a labelled table as a caller would bring it, row by row in the order
// of BanditConfig: what is known before a decision, as attributes of a request,
// and which option is right.
type Stream struct {
	// Arms are the labels in alphabetical order.
	Arms []string
	// Known is what is known of each row before the decision, Right the index of
	// its label in Arms. Both are in the order of play.
	Known []model.Facts
	Right []int
}

// codeSuffix names the attribute that holds a whole number as a name.
const codeSuffix = "_code"

// NewStream reads the table as attributes: numbers scaled to 0..1, text as a list of
// words, crossed columns joined by "|". Whole numbers are names when named, as a
// caller who knows them for ids would send them, and else numbers and names. Faults
// are those of RunBandit.
func NewStream(t *Table, cfg BanditConfig, named bool) (*Stream, error) {
	plan, err := newBanditPlan(t, cfg)
	if err != nil {
		return nil, err
	}
	s := &Stream{Arms: make([]string, len(plan.arms))}
	for i := range plan.arms {
		s.Arms[i] = plan.arms[i].ID
	}
	for _, row := range plan.order {
		s.Known = append(s.Known, model.Facts{Attributes: plan.attributes(row, named)})
		s.Right = append(s.Right, plan.right[row])
	}
	return s, nil
}

// attributes are the features of a row in the terms of a request.
func (p *banditPlan) attributes(row int, named bool) map[string]any {
	out := map[string]any{}
	cells := p.rows[row]
	for i := range p.uses {
		u := &p.uses[i]
		v := cells[u.at]
		switch {
		case u.text:
			out[u.name] = wordsOf(v)
			continue
		case named && u.category:
			out[u.name] = v
		case u.number && v != "":
			f, _ := strconv.ParseFloat(v, 64) // parsed before, when the column was detected
			out[u.name] = (f - u.lo) / u.span
			if u.category {
				out[u.name+codeSuffix] = v
			}
		default:
			out[u.name] = v
		}
	}
	if p.hours != nil {
		out["hour"] = p.hours[row]
	}
	for _, pair := range p.cross {
		var both [2]string
		for i := range p.uses {
			for k, name := range pair {
				if p.uses[i].name == name {
					both[k] = cells[p.uses[i].at]
				}
			}
		}
		out[pair[0]+"|"+pair[1]] = both[0] + "|" + both[1]
	}
	return out
}

// wordsOf splits text into its distinct runs of [a-z0-9'] after lower-casing, in the
// order of their first occurrence.
func wordsOf(text string) []string {
	var out []string
	seen := map[string]bool{}
	for _, w := range strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return r != '\'' && (r < '0' || r > '9') && (r < 'a' || r > 'z')
	}) {
		if !seen[w] {
			seen[w] = true
			out = append(out, w)
		}
	}
	return out
}
