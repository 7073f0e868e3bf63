package replay

import (
	"cmp"
	"reflect"
	"strconv"
	"strings"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/decision/policystore"
	"github.com/usherhq/usher/pipeline/event"
)

// blame names the parts of policies that made a decision another one: of the policy
// that decides now, else of the one that decided then, else of those that took
// candidates away. out has the traces of all policies.
func (f *former) blame(d, out *event.Decision) []Cause {
	from, to := cmp.Or(d.Policy, policy.DefaultName), cmp.Or(out.Policy, policy.DefaultName)
	now, then := f.byPolicy[to], f.byPolicy[from]
	// A policy that was not asked then may have held all along.
	asked := reached(traceOf(d, to))
	if now != nil && (asked || now.Kind != policystore.Changed) {
		if causes := f.gained(now, d, out, from == to); len(causes) > 0 {
			return causes
		}
	}
	if then != nil && from != to {
		if causes := f.lost(then, d, out); len(causes) > 0 {
			return causes
		}
	}
	if now != nil && !asked {
		if causes := f.gained(now, d, out, from == to); len(causes) > 0 {
			return causes
		}
	}
	return f.denied(d, out, from, to)
}

// denied blames the policies that let others decide, or take candidates away.
func (f *former) denied(d, out *event.Decision, from, to string) []Cause {
	var causes []Cause
	for i := range f.changes {
		c := &f.changes[i]
		if c.Policy == from || c.Policy == to {
			continue
		}
		now, then := traceOf(out, c.Policy), traceOf(d, c.Policy)
		switch {
		case matched(now):
			causes = append(causes, f.gained(c, d, out, matched(then))...)
		case matched(then):
			causes = append(causes, f.lost(c, d, out)...)
		}
	}
	if len(causes) == 0 {
		causes = append(causes, Cause{Policy: to, Kind: string(policystore.Changed)})
	}
	return causes
}

func reached(t *event.PolicyTrace) bool { return t != nil && t.State != event.NotReached }

func traceOf(d *event.Decision, name string) *event.PolicyTrace {
	for i := range d.Policies {
		if d.Policies[i].Policy == name {
			return &d.Policies[i]
		}
	}
	return nil
}

func matched(t *event.PolicyTrace) bool { return t != nil && t.State == event.True }

// gained is why a policy holds now; still says that it held before, too.
func (f *former) gained(c *policystore.Difference, d, out *event.Decision, still bool) []Cause {
	switch {
	case c.Kind == policystore.Removed:
		return nil
	case c.Kind == policystore.Moved:
		return []Cause{{Policy: c.Policy, Path: "position", Kind: string(c.Kind)}}
	case c.Kind == policystore.Added:
		return causesOf(c, f.drafted(c.Policy), traceOf(out, c.Policy))
	case still && samePart(traceOf(d, c.Policy), traceOf(out, c.Policy)):
		return fieldsOf(c, func(path string) bool { return strings.Contains(path, "effect") })
	}
	return f.turned(c, d, out)
}

// drafted is the policy as the draft has it, nil when it has none of that name.
func (f *former) drafted(name string) *policy.Policy {
	if r := f.draft.Find(name); r != nil {
		return r.Policy()
	}
	return nil
}

// turned is why a policy that both lists have holds, or its exception does, in one of
// them alone.
func (f *former) turned(c *policystore.Difference, d, out *event.Decision) []Cause {
	then, now := traceOf(d, c.Policy), traceOf(out, c.Policy)
	var causes []Cause
	if disabled(then) || disabled(now) {
		causes = fieldsOf(c, func(path string) bool { return overlaps(path, "enabled") || overlaps(path, "schedule") })
	} else if causes = f.edited(c.Policy, then, now); len(causes) == 0 {
		causes = fieldsOf(c, func(path string) bool { return !overlaps(path, "when") && !overlaps(path, "exception.when") })
	}
	if len(causes) == 0 {
		return fieldsOf(c, nil)
	}
	return causes
}

func disabled(t *event.PolicyTrace) bool { return t != nil && t.State == event.Disabled }

// edited are the changed conditions of a policy that its state turns on.
func (f *former) edited(name string, then, now *event.PolicyTrace) []Cause {
	before, after := f.policies[name], f.drafted(name)
	if before == nil || after == nil || then == nil || now == nil {
		return nil
	}
	was := side{condition: before.When, path: "when", leaves: leavesOf(then)}
	is := side{condition: after.When, path: "when", leaves: leavesOf(now)}
	if then.Exception || now.Exception {
		was.path, is.path = "exception.when", "exception.when"
		switch {
		case before.Exception == nil && after.Exception == nil:
			return nil
		case before.Exception == nil:
			is.condition = after.Exception.When
			return (&overlaid{now: &is}).causes(name)
		case after.Exception == nil:
			was.condition = before.Exception.When
			return (&overlaid{former: &was}).causes(name)
		}
		was.condition, is.condition = before.Exception.When, after.Exception.When
	}
	var causes []Cause
	for _, e := range merge(was, is).decisive() {
		causes = append(causes, e.causes(name)...)
	}
	return causes
}

// samePart reports whether the exception decided both times, or neither time.
func samePart(a, b *event.PolicyTrace) bool {
	return a != nil && b != nil && a.Exception == b.Exception
}

// lost is why a policy that decided does no more.
func (f *former) lost(c *policystore.Difference, d, out *event.Decision) []Cause {
	switch c.Kind {
	case policystore.Removed:
		return causesOf(c, f.policies[c.Policy], traceOf(d, c.Policy))
	case policystore.Moved:
		return []Cause{{Policy: c.Policy, Path: "position", Kind: string(c.Kind)}}
	case policystore.Added, policystore.Changed:
	}
	if !reached(traceOf(out, c.Policy)) {
		return nil
	}
	return f.turned(c, d, out)
}

// fieldsOf are the changed places of a policy that keep says.
func fieldsOf(c *policystore.Difference, keep func(path string) bool) []Cause {
	var out []Cause
	for _, field := range c.Fields {
		if keep == nil || keep(field.Path) {
			out = append(out, Cause{Policy: c.Policy, Path: field.Path, Kind: string(c.Kind)})
		}
	}
	return out
}

// causesOf are the conditions that the state of a policy turns on which one list has
// alone. A policy without conditions is its own cause.
func causesOf(c *policystore.Difference, p *policy.Policy, trace *event.PolicyTrace) []Cause {
	if p == nil || trace == nil {
		return nil
	}
	root, prefix := p.When, "when"
	if trace.Exception && p.Exception != nil {
		root, prefix = p.Exception.When, "exception.when"
	}
	if root == nil {
		return []Cause{{Policy: c.Policy, Kind: string(c.Kind)}}
	}
	var out []Cause
	leaves := leavesOf(trace)
	for _, path := range pivots(root, prefix, leaves) {
		out = append(out, Cause{Policy: c.Policy, Path: path, Attribute: attributeAt(leaves, path), Kind: string(c.Kind)})
	}
	return out
}

// overlaps reports whether one place of a document lies in the other.
func overlaps(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	return strings.HasPrefix(b, a) && (len(a) == len(b) || b[len(a)] == '.' || b[len(a)] == '[')
}

func leavesOf(t *event.PolicyTrace) map[string]*event.ConditionTrace {
	out := make(map[string]*event.ConditionTrace, len(t.Conditions))
	for i := range t.Conditions {
		out[t.Conditions[i].Path] = &t.Conditions[i]
	}
	return out
}

// pivots lists the leaves without whose value the whole would be another: flipping
// one flips it. Where no single one does, as of two alternatives that both hold, all
// that agree with the whole are listed.
func pivots(root *policy.Condition, prefix string, leaves map[string]*event.ConditionTrace) []string {
	truth := func(path string) event.Truth {
		if l := leaves[path]; l != nil {
			return l.Truth
		}
		return event.Unknown
	}
	whole := worth(root, prefix, truth)
	var single, agreeing []string
	for _, path := range leafPaths(root, prefix) {
		own := truth(path)
		flipped := event.True
		if own == event.True {
			flipped = event.False
		}
		other := worth(root, prefix, func(at string) event.Truth {
			if at == path {
				return flipped
			}
			return truth(at)
		})
		if (other == event.True) != (whole == event.True) {
			single = append(single, path)
		}
		if (own == event.True) == (whole == event.True) {
			agreeing = append(agreeing, path)
		}
	}
	if len(single) > 0 {
		return single
	}
	return agreeing
}

// children are the parts of a condition with their paths, none of a leaf.
func children(c *policy.Condition, path string) (parts []*policy.Condition, paths []string) {
	name := ".all"
	switch {
	case len(c.All) > 0:
		parts = c.All
	case len(c.Any) > 0:
		parts, name = c.Any, ".any"
	case c.Not != nil:
		return []*policy.Condition{c.Not}, []string{path + ".not"}
	}
	for i := range parts {
		paths = append(paths, path+name+"["+strconv.Itoa(i)+"]")
	}
	return parts, paths
}

func leafPaths(c *policy.Condition, path string) []string {
	if c == nil {
		return nil
	}
	parts, paths := children(c, path)
	if len(parts) == 0 {
		return []string{path}
	}
	var out []string
	for i := range parts {
		out = append(out, leafPaths(parts[i], paths[i])...)
	}
	return out
}

// worth is the value of a condition, given those of its leaves.
func worth(c *policy.Condition, path string, truth func(string) event.Truth) event.Truth {
	if c == nil {
		return event.True
	}
	parts, paths := children(c, path)
	if len(parts) == 0 {
		if reflect.ValueOf(*c).IsZero() {
			return event.True // it says nothing, and no trace tells of it
		}
		return truth(path)
	}
	trues, falses := 0, 0
	for i := range parts {
		if v := worth(parts[i], paths[i], truth); v == event.True {
			trues++
		} else if v == event.False {
			falses++
		}
	}
	switch {
	case c.Not != nil && trues == 1, len(c.All) > 0 && falses > 0, len(c.Any) > 0 && falses == len(parts):
		return event.False
	case c.Not != nil && falses == 1, len(c.All) > 0 && trues == len(parts), len(c.Any) > 0 && trues > 0:
		return event.True
	}
	return event.Unknown
}
