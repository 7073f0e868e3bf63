package policy

// Check finds every problem of a whole list of policies: what each has wrong on its
// own, what the account does not know (env may be nil), and what they do to each
// other. Problems come in the order of the list, errors and warnings mixed; paths
// are those of each document. Policies that could not be parsed take part with
// their Fault.
func Check(policies []*Policy, env *Environment) []Problem {
	c := newCompiler()
	c.env, c.audit = env, env
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
		return ProblemsOf(p.Fault)
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

// HasErrors reports whether one of the problems is an error.
func HasErrors(problems []Problem) bool {
	for _, p := range problems {
		if p.Severity == Error {
			return true
		}
	}
	return false
}
