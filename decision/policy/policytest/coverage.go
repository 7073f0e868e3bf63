package policytest

import (
	"fmt"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/pipeline/event"
)

// Coverage counts what cases saw of the conditions of enabled policies. A
// condition is covered half when it was seen TRUE or FALSE, whole when both. A
// policy without a condition is covered when it decided.
type Coverage struct {
	Conditions []Condition
	// Unmatched are the policies that no case was decided by, in list order.
	// A deny never decides and counts once it was TRUE.
	Unmatched []string
	places    map[string]int
	matched   map[string]bool
	order     []string
}

// Condition is one leaf condition and how often it was seen.
type Condition struct {
	Policy, Path string
	// Text is the condition for people.
	Text string
	// True, False and Unknown count decisions that asked it.
	True, False, Unknown int
}

// Covered reports whether it was seen TRUE and FALSE.
func (c *Condition) Covered() bool { return c.True > 0 && c.False > 0 }

func newCoverage(policies []*policy.Policy) Coverage {
	c := Coverage{places: map[string]int{}, matched: map[string]bool{}}
	for _, p := range policies {
		if !p.Enabled {
			continue
		}
		c.order = append(c.order, p.Name)
		c.walk(p.Name, "when", p.When)
		if p.Exception != nil {
			c.walk(p.Name, "exception.when", p.Exception.When)
		}
		for i := range p.Effect.Steps {
			c.walk(p.Name, fmt.Sprintf("effect.steps[%d].skip_when", i), p.Effect.Steps[i].SkipWhen)
		}
	}
	return c
}

// walk lists the leaves of a condition under the paths that traces use.
func (c *Coverage) walk(name, path string, cond *policy.Condition) {
	switch {
	case cond == nil:
	case len(cond.All) > 0:
		for i, inner := range cond.All {
			c.walk(name, fmt.Sprintf("%s.all[%d]", path, i), inner)
		}
	case len(cond.Any) > 0:
		for i, inner := range cond.Any {
			c.walk(name, fmt.Sprintf("%s.any[%d]", path, i), inner)
		}
	case cond.Not != nil:
		c.walk(name, path+".not", cond.Not)
	default:
		text := describe(cond)
		if text == "" {
			return
		}
		c.places[name+"/"+path] = len(c.Conditions)
		c.Conditions = append(c.Conditions, Condition{Policy: name, Path: path, Text: text})
	}
}

func describe(c *policy.Condition) string {
	switch {
	case c.CEL != "":
		return c.CEL
	case c.Time != nil:
		return "time " + c.Time.String()
	case c.Date != nil:
		return "date " + c.Date.String()
	case c.ValueFrom != "":
		return fmt.Sprintf("%s %s {{%s}}", c.Attribute, c.Operator, c.ValueFrom)
	case c.Attribute != "":
		return fmt.Sprintf("%s %s %v", c.Attribute, c.Operator, c.Value)
	}
	return ""
}

// count adds what one decision saw, which the policy of this id made.
func (c *Coverage) count(d *event.Decision, by string) {
	c.matched[by] = true
	for i := range d.Policies {
		t := &d.Policies[i]
		if t.State == event.NotReached || t.State == event.Disabled || t.State == event.Invalid {
			continue
		}
		if t.State == event.True {
			c.matched[t.Policy] = true
		}
		for j := range t.Conditions {
			at, ok := c.places[t.Policy+"/"+t.Conditions[j].Path]
			if !ok {
				continue
			}
			switch t.Conditions[j].Truth {
			case event.True:
				c.Conditions[at].True++
			case event.False:
				c.Conditions[at].False++
			default:
				c.Conditions[at].Unknown++
			}
		}
	}
	c.Unmatched = nil
	for _, name := range c.order {
		if !c.matched[name] {
			c.Unmatched = append(c.Unmatched, name)
		}
	}
}

// Percent is the share of truth values seen, 0 to 100; 100 without conditions.
func (c *Coverage) Percent() float64 {
	if len(c.Conditions) == 0 {
		return 100
	}
	seen := 0
	for i := range c.Conditions {
		if c.Conditions[i].True > 0 {
			seen++
		}
		if c.Conditions[i].False > 0 {
			seen++
		}
	}
	return 100 * float64(seen) / float64(2*len(c.Conditions))
}

// Uncovered lists the conditions that were not seen both TRUE and FALSE.
func (c *Coverage) Uncovered() (out []Condition) {
	for i := range c.Conditions {
		if !c.Conditions[i].Covered() {
			out = append(out, c.Conditions[i])
		}
	}
	return out
}
