package foreign

import (
	"errors"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/internal/fault"
)

// Expression translates a text of LivePerson's expression language. The error is
// an Invalid *fault.Error that names every fault by its character. nil is the
// condition that always holds. It is safe for concurrent use.
func Expression(text string) (*policy.Condition, []policy.Problem, error) {
	r := newReader()
	r.livePersonPolicy(map[string]any{"expression": text, "actions": []any{map[string]any{"type": "CLOSE"}}}, "")
	var check fault.Check
	var warnings []policy.Problem
	for _, p := range r.problems {
		p.Policy = ""
		if p.Severity != policy.Error {
			warnings = append(warnings, p)
			continue
		}
		check.Add(p.Path, "%s", p.Description)
	}
	if err := check.Err("the expression is not valid"); err != nil {
		return nil, warnings, err
	}
	if len(r.policies) == 0 {
		return nil, warnings, errors.New("translate expression: nothing came of it")
	}
	return r.policies[0].When, warnings, nil
}
