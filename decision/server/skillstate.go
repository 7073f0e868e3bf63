package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/usherhq/usher/decision/skillstate"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/internal/rpc"
	"github.com/usherhq/usher/pipeline/event"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// SkillStates keeps live state; *skillstate.States is one.
type SkillStates interface {
	Report(account string, reports []*event.SkillState) error
	List(account string) []skillstate.Named
}

// maxReports bounds a batch.
const maxReports = 1000

func skillStateRules() map[string]rpc.Rule {
	return map[string]rpc.Rule{
		"ReportSkillStates": {Scope: rpc.ScopeIngest, Account: byParent},
		"ListSkillStates":   {Scope: rpc.ScopeRead, Account: byParent},
	}
}

// liveStates finds the part behind both methods, and the account.
func (s *catalogService) liveStates(parent string) (SkillStates, string, error) {
	account, err := parentAccount("parent", parent)
	if err == nil {
		err = s.account(account)
	}
	if err == nil && s.deps.Skills == nil {
		err = fault.New(fault.Unavailable, "NO_SKILL_STATES", "live state is not kept here")
	}
	return s.deps.Skills, account, err
}

// ReportSkillStates takes in reports, all or none. Decisions of this process see
// them at once, those of the others when the log has carried them.
func (s *catalogService) ReportSkillStates(_ context.Context, r *usherv1.ReportSkillStatesRequest) (*usherv1.ReportSkillStatesResponse, error) {
	states, account, err := s.liveStates(r.GetParent())
	if err != nil {
		return nil, err
	}
	if n := len(r.GetStates()); n == 0 || n > maxReports {
		return nil, invalid("states", "has %d elements, must have 1 to %d", n, maxReports)
	}
	var c fault.Check
	now := s.deps.Now().UTC()
	reports := make([]*event.SkillState, len(r.GetStates()))
	for i, one := range r.GetStates() {
		reports[i] = s.report(&c, fmt.Sprintf("states[%d].", i), one, now)
		reports[i].Account, reports[i].Source = account, r.GetSource()
		if reports[i].Source == "" {
			reports[i].Source = defaultSource
		}
		addViolations(&c, fmt.Sprintf("states[%d].", i), reports[i].Validate())
	}
	if err := c.Err("the reports are not valid"); err != nil {
		return nil, err
	}
	if err := states.Report(account, reports); err != nil {
		return nil, err
	}
	return &usherv1.ReportSkillStatesResponse{}, nil
}

// report reads one report and adds the faults that its event knows nothing of.
func (s *catalogService) report(c *fault.Check, path string, r *usherv1.SkillStateReport, now time.Time) *event.SkillState {
	live := r.GetState()
	out := &event.SkillState{ID: s.deps.NewID(), Skill: r.GetSkill(), State: event.Skill{
		AgentsOnline: int(live.GetAgentsOnline()), QueueSize: int(live.GetQueueSize()),
		Load: live.GetLoad(), WaitSeconds: live.GetWaitAvgSeconds(), HandleSeconds: live.GetHandleAvgSeconds(), At: now,
	}}
	if live == nil {
		c.Add(path+"state", "is required")
	}
	if live.GetAt() != nil {
		out.State.At = timeOf(c, path+"state.at", live.GetAt(), now)
	}
	if live.GetLoad() < 0 && !math.IsInf(live.GetLoad(), 0) {
		c.Add(path+"state.load", "is %g, must not be negative", live.GetLoad())
	}
	if live.GetWaitAvgSeconds() < 0 && !math.IsInf(live.GetWaitAvgSeconds(), 0) {
		c.Add(path+"state.wait_avg_seconds", "is %g, must not be negative", live.GetWaitAvgSeconds())
	}
	if live.GetHandleAvgSeconds() < 0 && !math.IsInf(live.GetHandleAvgSeconds(), 0) {
		c.Add(path+"state.handle_avg_seconds", "is %g, must not be negative", live.GetHandleAvgSeconds())
	}
	return out
}

// addViolations takes over the faults of a part under its path.
func addViolations(c *fault.Check, path string, err error) {
	e, ok := errors.AsType[*fault.Error](err)
	if !ok {
		return
	}
	for _, v := range e.Violations {
		c.Add(path+strings.TrimPrefix(v.Field, "."), "%s", v.Description)
	}
}

// ListSkillStates pages through what is known and fresh, ordered by skill.
func (s *catalogService) ListSkillStates(_ context.Context, r *usherv1.ListSkillStatesRequest) (*usherv1.ListSkillStatesResponse, error) {
	states, account, err := s.liveStates(r.GetParent())
	if err != nil {
		return nil, err
	}
	part, next, err := page(states.List(account), r.GetPageSize(), r.GetPageToken())
	if err != nil {
		return nil, err
	}
	resp := &usherv1.ListSkillStatesResponse{NextPageToken: next}
	for _, one := range part {
		resp.States = append(resp.States, &usherv1.SkillStateReport{Skill: one.Skill, State: &usherv1.LiveState{
			AgentsOnline: int32(one.State.AgentsOnline), QueueSize: int32(one.State.QueueSize), //nolint:gosec // validated
			Load: one.State.Load, WaitAvgSeconds: one.State.WaitSeconds, HandleAvgSeconds: one.State.HandleSeconds, At: timestamppb.New(one.State.At),
		}})
	}
	return resp, nil
}
