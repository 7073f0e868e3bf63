package server

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/contextstore"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/event"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// Limits of what one dry run may be given.
const (
	maxSuppliedContexts = 100
	maxSuppliedSkills   = 1000
)

// supplied is what a dry run takes for given, nil for nothing. Faults are those that
// writing the context and reporting the skills would have.
func (s *decisionService) supplied(c *fault.Check, q *decision.Request, o *usherv1.DryRunOptions) *decision.Supplied {
	const path = "dry_run_options"
	if o == nil {
		return nil
	}
	if !q.DryRun {
		c.Add(path, "can be given in a dry run only: set dry_run")
		return nil
	}
	out := &decision.Supplied{Now: s.deps.Now().UTC()}
	if o.GetNow() != nil {
		out.Now = timeOf(c, path+".now", o.GetNow(), out.Now)
		if year := out.Now.Year(); year < 2000 || year > 2099 {
			c.Add(path+".now", "is in the year %d, must be between 2000 and 2099", year)
			out.Now = s.deps.Now().UTC()
		}
	}
	out.Contexts = suppliedContexts(c, path+".contexts", q, o.GetContexts())
	out.Skills = suppliedSkills(c, path+".skills", out.Now, o.GetSkills())
	return out
}

func suppliedContexts(c *fault.Check, path string, q *decision.Request, list []*usherv1.SuppliedContext) []decision.SuppliedContext {
	if len(list) > maxSuppliedContexts {
		c.Add(path, "has %d elements, at most %d are allowed", len(list), maxSuppliedContexts)
		return nil
	}
	out := make([]decision.SuppliedContext, len(list))
	changes := make([]contextstore.Change, len(list))
	for i, one := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		out[i] = decision.SuppliedContext{Namespace: one.GetNamespace(), Session: one.GetSession(), Properties: one.GetProperties().AsMap()}
		if out[i].Session == "" {
			if q.SessionID == "" && q.ConversationID == "" {
				c.Add(at+".session", "is empty, and the request has no session_id or conversation_id")
				continue
			}
			out[i].Session = contextstore.Sessions(q.SessionID, q.ConversationID, "")[0]
		}
		change := contextstore.Change{Key: contextstore.Key{Namespace: out[i].Namespace, Session: out[i].Session}, Path: at, Set: map[string]any{}}
		for name, v := range out[i].Properties {
			if v == nil {
				change.Remove = append(change.Remove, name)
			} else {
				change.Set[name] = v
			}
		}
		changes[i] = change
	}
	changes = slices.DeleteFunc(changes, func(one contextstore.Change) bool { return one.Path == "" })
	addViolations(c, "", contextstore.Check(changes...))
	return out
}

func suppliedSkills(c *fault.Check, path string, now time.Time, skills map[string]*usherv1.LiveState) map[string]event.Skill {
	if len(skills) > maxSuppliedSkills {
		c.Add(path, "has %d entries, at most %d are allowed", len(skills), maxSuppliedSkills)
		return nil
	}
	out := make(map[string]event.Skill, len(skills))
	for _, id := range slices.Sorted(maps.Keys(skills)) {
		live, at := skills[id], fmt.Sprintf("%s[%q].", path, id)
		state := event.Skill{
			AgentsOnline: int(live.GetAgentsOnline()), QueueSize: int(live.GetQueueSize()),
			Load: live.GetLoad(), WaitSeconds: live.GetWaitAvgSeconds(), HandleSeconds: live.GetHandleAvgSeconds(), At: now,
		}
		if live.GetAt() != nil {
			state.At = timeOf(c, at+"at", live.GetAt(), now)
		}
		report := event.SkillState{ID: "dry", Source: "dry", Account: "dry", Skill: id, State: state}
		if e, ok := errors.AsType[*fault.Error](report.Validate()); ok {
			for _, v := range e.Violations {
				c.Add(at+strings.TrimPrefix(v.Field, "state."), "%s", v.Description)
			}
		}
		if state.Load < 0 {
			c.Add(at+"load", "is %g, must not be negative", state.Load)
		}
		if state.WaitSeconds < 0 {
			c.Add(at+"wait_avg_seconds", "is %g, must not be negative", state.WaitSeconds)
		}
		if state.HandleSeconds < 0 {
			c.Add(at+"handle_avg_seconds", "is %g, must not be negative", state.HandleSeconds)
		}
		out[id] = state
	}
	return out
}
