package main

import (
	"context"
	"fmt"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/pipeline/event"
)

// desk is an engine over one list of policies: no model, nothing to look up.
type desk struct {
	set     *policy.Set
	engine  *decision.Engine
	request decision.Request
}

func (d *desk) Policies(string) *policy.Set               { return d.set }
func (d *desk) Current(string) *model.Model               { return nil }
func (d *desk) Account(string) (decision.Account, bool)   { return decision.Account{}, true }
func (d *desk) Mode(string, string) (decision.Mode, bool) { return decision.Mode{}, false }
func (d *desk) Skill(_, _ string) (event.Skill, bool)     { return event.Skill{}, false }

// newDesk makes an engine over n policies of which the last one matches. traced says
// whether records carry what every policy said, as they do by default up to a limit.
func newDesk(n int, traced bool) (*desk, error) {
	rules, asks := lastMatches(n)
	o, err := newOurs(rules)
	if err != nil {
		return nil, err
	}
	d := &desk{set: o.set}
	cfg := decision.DefaultConfig()
	if !traced {
		cfg.TraceLimit = 0
	}
	ids := 0
	if d.engine, err = decision.New(cfg, decision.Deps{
		Policies: d, Models: d, Control: d, Skills: d, Now: time.Now,
		NewID: func() string { ids++; return strconv.Itoa(ids) },
	}); err != nil {
		return nil, fmt.Errorf("make engine: %w", err)
	}
	a := asks[0]
	d.request = decision.Request{
		Account: "acme", RequestID: "r-1", ConversationID: "c-1", ConsumerID: "u-1",
		Channel: a.Channel, Intent: a.Intent, Attributes: a.attributes,
	}
	for i := range 8 {
		d.request.Candidates = append(d.request.Candidates, event.Candidate{
			Action: event.Action{Type: "TRANSFER_TO_SKILL", Target: "skill-" + strconv.Itoa(i)}, Attributes: map[string]any{"team": "sales"},
		})
	}
	return d, nil
}

func (d *desk) ask(explain bool) (*event.Decision, error) {
	r := d.request
	r.Explain = explain
	return d.engine.Decide(context.Background(), &r)
}

// gcPercent is what the program sets for serving.
const gcPercent = 400

// benchExplain compares whole decisions: with the explanation of every policy and
// condition in the answer, as they are by default, and with nothing traced at all.
func benchExplain(rounds int, slice time.Duration) ([]row, error) {
	// As the program serves: traces are memory, and the collector is what they cost.
	defer debug.SetGCPercent(debug.SetGCPercent(gcPercent))
	var rows []row
	for _, n := range []int{10, 100, 1000} {
		d, err := newDesk(n, true)
		if err != nil {
			return nil, err
		}
		bare, err := newDesk(n, false)
		if err != nil {
			return nil, err
		}
		conditions := 0
		full, err := d.ask(true)
		if err != nil {
			return nil, fmt.Errorf("decide: %w", err)
		}
		for _, p := range full.Policies {
			conditions += len(p.Conditions)
		}
		res := duel(rounds, slice, []contestant{
			{"explained", decideLoop(d, true)}, {"plain", decideLoop(d, false)}, {"untraced", decideLoop(bare, false)},
		})
		plain := row{
			what: fmt.Sprintf("decision of %d policies, explained / plain", n),
			ours: nsText(res[0].ns), theirs: nsText(res[1].ns), ratio: res[1].ratio,
			note: fmt.Sprintf("%d conditions; %.0f allocs against %.0f; over one that keeps no trace: %.1f", conditions, res[0].allocs, res[1].allocs, res[2].ratio),
		}
		// Beyond the trace limit the record of a plain decision has only the policies
		// that matched; there the ratio is what an explanation costs, not a promise.
		if n <= decision.DefaultConfig().TraceLimit {
			plain.goal, plain.met = "<= 3", res[1].ratio <= 3
		}
		rows = append(rows, plain)
	}
	return rows, nil
}

func decideLoop(d *desk, explain bool) func(n int) {
	return func(n int) {
		for range n {
			if _, err := d.ask(explain); err != nil {
				panic(err)
			}
		}
	}
}
