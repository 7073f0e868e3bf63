package decision_test

import (
	"slices"
	"testing"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/policy"
)

// TestLoopsMadeByTemplates: a target that only the facts know must not lead back to the
// bot that asks.
func TestLoopsMadeByTemplates(t *testing.T) {
	var list []*policy.Policy
	for _, document := range []string{
		`{"name":"skill","rank":1,"effect":{"fixed":{"actions":[{"target":"{{next}}"}]}}}`,
		`{"name":"bot","rank":2,"effect":{"fixed":{"actions":[{"type":"TRANSFER_TO_BOT","target":"{{bot}}"}]}}}`,
		`{"name":"default","effect":{"fixed":{"actions":[{"target":"desk"}]}}}`,
	} {
		p, err := policy.Parse([]byte(document))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	w := newWorld()
	w.set = policy.Compile(list, 1, policy.WithEnvironment(&policy.Environment{RoutingSkills: []string{"front"}, RoutingBots: []string{"greeter"}}))
	e := w.engine(t)
	for _, c := range []struct {
		next, bot, want string
		looped          bool
	}{
		{"sales", "offers", "sales", false},
		{"front", "offers", "offers", true},
		{"front", "greeter", "desk", true},
	} {
		d, err := e.Decide(t.Context(), &decision.Request{Account: "acme", Attributes: map[string]any{"next": c.next, "bot": c.bot}})
		if err != nil {
			t.Fatal(err)
		}
		if d.Chosen != c.want || slices.Contains(d.Reasons, decision.ReasonLoop) != c.looped {
			t.Errorf("%+v: chose %q for %v", c, d.Chosen, d.Reasons)
		}
	}
}
