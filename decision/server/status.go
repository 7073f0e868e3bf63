package server

import (
	"strconv"
	"sync/atomic"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/internal/rpc"
	"github.com/usherhq/usher/pipeline/event"
)

// counts is what this process has done since it began.
type counts struct {
	decisions, byPolicy, byModel, explored, other, outcomes atomic.Int64
}

func (c *counts) decided(d *event.Decision) {
	c.decisions.Add(1)
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
}

// Status tells, for the page at /, how an account stands and what this process
// has done.
func (s *Server) Status(account string) []rpc.Fact {
	mode := decision.FreshMode()
	if m, ok := s.deps.Control.Mode(account, decision.ScopeAccount); ok {
		mode = m
	}
	version := "none: policy answers"
	if c, err := s.deps.Control.Champion(account); err == nil && c.Version != "" {
		version = c.Version
	}
	set := s.deps.Policies.Policies(account)
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	c := &s.counts
	return []rpc.Fact{
		{Name: "Account", Value: account},
		{Name: "Mode", Value: string(mode.Kind)},
		{Name: "Live model", Value: version},
		{Name: "Policies at work", Value: strconv.Itoa(set.Live()) + " of " + strconv.Itoa(set.Len())},
		{Name: "Policy revision", Value: number(set.Revision())},
		{Name: "Decisions since start", Value: number(c.decisions.Load())},
		{Name: "by policy", Value: number(c.byPolicy.Load())},
		{Name: "by the model", Value: number(c.byModel.Load())},
		{Name: "to explore", Value: number(c.explored.Load())},
		{Name: "by baseline or default", Value: number(c.other.Load())},
		{Name: "Outcomes since start", Value: number(c.outcomes.Load())},
	}
}
