package policy

import "errors"

// Check finds every problem of a whole list of policies: what each has wrong on its
// own, what the account does not know (env may be nil), and what they do to each
// other; with [At] also what is over by then. Problems come in the order of the list, errors and warnings mixed; paths
// are those of each document. Policies that could not be parsed take part with
// their Fault and with everything else that can be told of their documents.
func Check(policies []*Policy, env *Environment, opts ...Option) []Problem {
	o := compileOptions{env: env}
	for _, opt := range opts {
		opt(&o)
	}
	c := newCompiler()
	c.env, c.audit, c.doubts, c.now = o.env, o.env, true, o.now
	var out []Problem
	seen := map[string]bool{}
	ordered := inOrder(policies)
	shadows := newShadows()
	for _, p := range ordered {
		for _, problem := range c.problems(p, seen, shadows) {
			problem.Policy = p.Name
			out = append(out, problem)
		}
	}
	return out
}

// problems finds those of one policy after those that stand before it.
func (c *compiler) problems(p *Policy, seen map[string]bool, before *shadows) []Problem {
	if p.Fault != nil {
		seen[p.Name] = true
		return c.faults(p)
	}
	c.check, c.leaves = findings{}, 0
	checkName(p.Name, &c.check)
	if p.Name != "" && seen[p.Name] {
		c.check.fail(CodeDuplicatePolicy, "name", "%q is the id of an earlier policy too", p.Name)
	}
	seen[p.Name] = true
	r := c.rule(p)
	if c.check.errors == 0 && p.Enabled {
		before.meet(p, r, &c.check)
	}
	return c.check.list
}

// faults finds what is wrong with a policy that could not be parsed. Its document is
// read once more: what the account does not know of it was not asked then.
func (c *compiler) faults(p *Policy) []Problem {
	d, ok := errors.AsType[*DocumentError](p.Fault)
	if !ok || len(d.document) == 0 {
		return ProblemsOf(p.Fault)
	}
	again := newCompiler()
	again.env, again.audit, again.doubts, again.now = c.env, c.audit, c.doubts, c.now
	if _, err := again.parse(d.document, func(d *decoder, tree any) *Policy { return d.policy(tree) }, ""); err == nil {
		return ProblemsOf(p.Fault)
	}
	return again.check.list
}

// CheckName finds what is wrong or doubtful about an attribute that is read by its
// name, as those in conditions are.
func CheckName(name string, env *Environment) []Problem {
	c := newCompiler()
	c.env, c.audit = env, env
	c.checkName(name, "")
	return c.check.list
}
