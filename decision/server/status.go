package server

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/internal/rpc"
	"github.com/usherhq/usher/pipeline/event"
)

// counts is what this process has done since it began.
type counts struct {
	byPolicy, byModel, explored, other, outcomes atomic.Int64
	accounts                                     sync.Map // account -> *atomic.Int64, its decisions
}

func (c *counts) decided(d *event.Decision) {
	switch d.DecidedBy {
	case event.DecidedByPolicy:
		c.byPolicy.Add(1)
	case event.DecidedByModel:
		c.byModel.Add(1)
	case event.DecidedByExploration:
		c.explored.Add(1)
	case event.DecidedByBaseline, event.DecidedByDefault:
		c.other.Add(1)
	}
	n, ok := c.accounts.Load(d.Account)
	if !ok {
		n, _ = c.accounts.LoadOrStore(d.Account, new(atomic.Int64))
	}
	if n, ok := n.(*atomic.Int64); ok {
		n.Add(1)
	}
}

func (c *counts) of(account string) int64 {
	if v, ok := c.accounts.Load(account); ok {
		if n, ok := v.(*atomic.Int64); ok {
			return n.Load()
		}
	}
	return 0
}

// maxListed bounds the accounts that Status tells of.
const maxListed = 20

// Status tells, for the page at /, what this process has done since it began and
// how the accounts stand, the given one first.
func (s *Server) Status(account string) []rpc.Fact {
	c := &s.counts
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	policy, model, explored, other := c.byPolicy.Load(), c.byModel.Load(), c.explored.Load(), c.other.Load()
	facts := []rpc.Fact{
		{Name: "Decisions since start", Value: number(policy + model + explored + other)},
		{Name: "– by policy", Value: number(policy)},
		{Name: "– by the model", Value: number(model)},
		{Name: "– to explore", Value: number(explored)},
		{Name: "– by baseline or default", Value: number(other)},
		{Name: "Outcomes since start", Value: number(c.outcomes.Load())},
	}
	ids := []string{account}
	for _, a := range s.deps.Control.Accounts() {
		if a.ID != account {
			ids = append(ids, a.ID)
		}
	}
	slices.SortStableFunc(ids[1:], func(a, b string) int { return int(c.of(b) - c.of(a)) })
	for _, id := range ids[:min(len(ids), maxListed)] {
		facts = append(facts, rpc.Fact{Name: "Account " + id, Value: s.standing(id)})
	}
	return facts
}

// standing sums an account up in one line.
func (s *Server) standing(account string) string {
	mode := decision.FreshMode()
	if m, ok := s.deps.Control.Mode(account, decision.ScopeAccount); ok {
		mode = m
	}
	model := "no model yet"
	if c, err := s.deps.Control.Champion(account); err == nil && c.Version != "" {
		model = "model " + c.Version
	}
	set := s.deps.Policies.Policies(account)
	return fmt.Sprintf("mode %s, %s, %d of %d policies at work, policy revision %d, %d decisions",
		mode.Kind, model, set.Live(), set.Len(), set.Revision(), s.counts.of(account))
}
