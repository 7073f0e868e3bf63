package replay

import (
	"cmp"
	"slices"
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
	if c := f.byPolicy[to]; c != nil {
		if causes := f.gained(c, d, out, from == to); len(causes) > 0 {
			return causes
		}
	}
	if c := f.byPolicy[from]; c != nil && from != to {
		if causes := f.lost(c, d, out); len(causes) > 0 {
			return causes
		}
	}
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
	if c.Kind == policystore.Removed {
		return nil
	}
	trace := traceOf(out, c.Policy)
	var p *policy.Policy
	if r := f.draft.Find(c.Policy); r != nil {
		p = r.Policy()
	}
	switch {
	case c.Kind == policystore.Moved:
		return []Cause{{Policy: c.Policy, Path: "position", Kind: string(c.Kind)}}
	case c.Kind == policystore.Added:
		return causesOf(c, p, trace, nil)
	case still && samePart(traceOf(d, c.Policy), trace):
		return fieldsOf(c, func(path string) bool { return strings.Contains(path, "effect") })
	}
	return orElse(causesOf(c, p, trace, c.Fields), func() []Cause { return fieldsOf(c, nil) })
}

// samePart reports whether the exception decided both times, or neither time.
func samePart(a, b *event.PolicyTrace) bool {
	return a != nil && b != nil && a.Exception == b.Exception
}

// lost is why a policy that decided does no more.
func (f *former) lost(c *policystore.Difference, d, out *event.Decision) []Cause {
	switch c.Kind {
	case policystore.Removed:
		return causesOf(c, f.policies[c.Policy], traceOf(d, c.Policy), nil)
	case policystore.Moved:
		return []Cause{{Policy: c.Policy, Path: "position", Kind: string(c.Kind)}}
	case policystore.Added, policystore.Changed:
	}
	trace := traceOf(out, c.Policy)
	if trace == nil || trace.State == event.NotReached {
		return nil
	}
	var p *policy.Policy
	if r := f.draft.Find(c.Policy); r != nil {
		p = r.Policy()
	}
	return orElse(causesOf(c, p, trace, c.Fields), func() []Cause { return fieldsOf(c, nil) })
}

func orElse(list []Cause, other func() []Cause) []Cause {
	if len(list) > 0 {
		return list
	}
	return other()
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

// causesOf are the conditions of a policy that its state turns on, of fields, when
// there are such, only the changed ones. A policy without conditions is its own cause.
func causesOf(c *policystore.Difference, p *policy.Policy, trace *event.PolicyTrace, fields []policystore.FieldDiff) []Cause {
	if p == nil || trace == nil {
		return nil
	}
	root, prefix := p.When, "when"
	if trace.Exception && p.Exception != nil {
		root, prefix = p.Exception.When, "exception.when"
	}
	leaves := leavesOf(trace)
	if root == nil && fields == nil {
		return []Cause{{Policy: c.Policy, Kind: string(c.Kind)}}
	}
	var out []Cause
	for _, path := range pivots(root, prefix, leaves) {
		if fields == nil || slices.ContainsFunc(fields, func(f policystore.FieldDiff) bool { return overlaps(f.Path, path) }) {
			out = append(out, Cause{Policy: c.Policy, Path: path, Attribute: leaves[path].Attribute, Kind: string(c.Kind)})
		}
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
