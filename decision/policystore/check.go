package policystore

import (
	"fmt"
	"slices"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/internal/fault"
)

// Parse reads a policy document. The error names what the language refuses and,
// with it, what the account does not have.
func (s *Store) Parse(account string, document []byte) (*policy.Policy, error) {
	p, err := policy.Parse(document)
	if err == nil {
		return p, nil
	}
	if _, all := policy.ParseFor(document, s.Environment(account)); all != nil {
		err = all
	}
	return nil, err
}

// Check finds what is wrong or doubtful about policies that would take the place
// of the live ones with their names, the new ones last: their own problems, and
// those that they give to others. Without any it is [Store.Problems].
func (s *Store) Check(account string, brought ...*policy.Policy) []policy.Problem {
	if len(brought) == 0 {
		return s.Problems(account)
	}
	list, _ := s.List(account)
	next := slices.Clone(list)
	mine := map[string]bool{}
	for _, p := range brought {
		own := *p
		mine[p.Name] = true
		if at := find(next, p.Name); at >= 0 && p.Name != "" && at < len(list) && !slices.Contains(brought, next[at]) {
			own.Rank = next[at].Rank
			next[at] = &own
			continue
		}
		own.Rank = nextRank(next)
		next = append(next, &own)
	}
	known := map[policy.Problem]bool{}
	for _, p := range s.Problems(account) {
		known[p] = true
	}
	return slices.DeleteFunc(policy.Check(next, s.Environment(account), s.at()...), func(p policy.Problem) bool {
		return !mine[p.Policy] && known[p]
	})
}

// CheckList finds what is wrong or doubtful about a whole list, in its order, as
// if it were live.
func (s *Store) CheckList(account string, list []*policy.Policy) []policy.Problem {
	return policy.Check(inThisOrder(list), s.Environment(account), s.at()...)
}

// inThisOrder gives policies the ranks of their places.
func inThisOrder(list []*policy.Policy) []*policy.Policy {
	out := make([]*policy.Policy, len(list))
	for i, p := range list {
		own := *p
		own.Rank = float64(i + 1)
		out[i] = &own
	}
	return out
}

// check refuses a policy with an error that before, nil for a new one, did not
// have. What policies do to each other is a warning, so it is checked by itself:
// that costs nothing in a long list.
func (s *Store) check(account string, before, p *policy.Policy) error {
	// What the language itself refuses is told in its own words.
	if _, err := canonical(p); err != nil {
		return err
	}
	var check fault.Check
	for _, problem := range newErrors(before, p, s.Environment(account)) {
		check.Add(problem.Path, "%s", problem.Description)
	}
	return check.Err("policy is not valid")
}

// newErrors are those that a policy has and what stood in its place did not: the
// catalogue may have changed under a policy since, and who changes its name must
// not have to repair that first. What cannot be read is an error in any case.
func newErrors(before, p *policy.Policy, env *policy.Environment) []policy.Problem {
	found := errorsIn(p, env)
	if len(found) == 0 || before == nil || p.Fault != nil {
		return found
	}
	old := errorsIn(before, env)
	return slices.DeleteFunc(found, func(is policy.Problem) bool {
		return slices.ContainsFunc(old, func(was policy.Problem) bool {
			return is.Code == was.Code && is.Path == was.Path || is.Description == was.Description
		})
	})
}

func errorsIn(p *policy.Policy, env *policy.Environment) []policy.Problem {
	return slices.DeleteFunc(policy.Check([]*policy.Policy{p}, env), func(problem policy.Problem) bool {
		return problem.Severity != policy.Error
	})
}

// checkTarget refuses a list with every fault at once: names that cannot be, and
// errors of policies that would be written. What was live with an error already may
// stay: it hurts no more than before.
func (s *Store) checkTarget(account string, live, target []entry) error {
	if len(target) > MaxPolicies {
		return tooMany(len(target))
	}
	was, env, seen := byName(live), s.Environment(account), map[string]bool{}
	var check fault.Check
	for i := range target {
		e := &target[i]
		checkNameAt(&check, i, e.Name, seen)
		var before *policy.Policy
		if stood := was[e.Name]; stood != nil {
			if alike(stood, e) {
				continue
			}
			before = stood.Policy
		}
		for _, problem := range newErrors(before, e.Policy, env) {
			path := fmt.Sprintf("policies[%d]", i)
			switch problem.Path {
			case "name":
				continue // told by checkNameAt
			case "":
			default:
				path += "." + problem.Path
			}
			check.Add(path, "%s", problem.Description)
		}
	}
	return check.Err("the list of policies is not valid")
}
