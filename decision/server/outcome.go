package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/event"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// maxOutcomes bounds a batch.
const maxOutcomes = 1000

// defaultSource is the source of outcomes whose reporter does not say.
const defaultSource = "api"

type outcomeService struct {
	usherv1.UnimplementedOutcomeServiceServer
	*Server
}

// ReportOutcomes checks all outcomes, puts them on disk, all or none, and
// answers their ids.
func (s *outcomeService) ReportOutcomes(_ context.Context, r *usherv1.ReportOutcomesRequest) (*usherv1.ReportOutcomesResponse, error) {
	account, err := parentAccount("parent", r.GetParent())
	if err != nil {
		return nil, err
	}
	if err := s.account(account); err != nil {
		return nil, err
	}
	list, err := s.outcomesOf(account, r)
	if err != nil {
		return nil, err
	}
	if err := s.deps.Recorder.Report(list...); err != nil {
		if _, known := errors.AsType[*fault.Error](err); known {
			return nil, err
		}
		return nil, unavailable("the outcomes cannot be kept at the moment; send them again", err)
	}
	s.counts.outcomes.Add(int64(len(list)))
	resp := &usherv1.ReportOutcomesResponse{Ids: make([]string, len(list))}
	for i, o := range list {
		resp.Ids[i] = o.ID
	}
	return resp, nil
}

// outcomesOf reads the one outcome or the batch and names every fault.
func (s *outcomeService) outcomesOf(account string, r *usherv1.ReportOutcomesRequest) ([]*event.Outcome, error) {
	var c fault.Check
	now := s.deps.Now().UTC()
	one := &usherv1.Outcome{
		Id: r.GetId(), Source: r.GetSource(), DecisionId: r.GetDecisionId(), ConversationId: r.GetConversationId(),
		Kind: r.GetKind(), Value: r.GetValue(), Label: r.GetLabel(), EventTime: r.GetEventTime(),
	}
	if len(r.GetOutcomes()) == 0 {
		if one.GetKind() == "" && one.GetDecisionId() == "" && one.GetConversationId() == "" {
			c.Add("outcomes", "the batch is empty, and the request itself holds no outcome either")
		}
		o := s.outcome(&c, "", account, one, now)
		return []*event.Outcome{o}, c.Err("the outcome is not valid")
	}
	if n := len(r.GetOutcomes()); n > maxOutcomes {
		return nil, invalid("outcomes", "has %d elements, at most %d are allowed", n, maxOutcomes)
	}
	// The idempotency key may have come with the header, so id alone is no fault.
	if r.GetKind() != "" || r.GetDecisionId() != "" || r.GetConversationId() != "" {
		c.Add("outcomes", "excludes an outcome in the request itself")
	}
	list := make([]*event.Outcome, len(r.GetOutcomes()))
	for i, o := range r.GetOutcomes() {
		list[i] = s.outcome(&c, fmt.Sprintf("outcomes[%d].", i), account, o, now)
	}
	return list, c.Err("the outcomes are not valid")
}

// outcome reads one outcome and adds its faults under the path.
func (s *outcomeService) outcome(c *fault.Check, path, account string, o *usherv1.Outcome, now time.Time) *event.Outcome {
	out := &event.Outcome{
		ID: o.GetId(), Source: o.GetSource(), Account: account, DecisionID: o.GetDecisionId(),
		ConversationID: o.GetConversationId(), Kind: o.GetKind(), Value: o.GetValue(), Label: o.GetLabel(), Time: now,
	}
	if out.ID == "" {
		out.ID = s.deps.NewID()
	}
	if out.Source == "" {
		out.Source = defaultSource
	}
	if t := o.GetEventTime(); t != nil {
		out.Time = timeOf(c, path+"event_time", t, now)
	}
	for _, err := range []error{out.Validate(), event.Ahead("time", out.Time, now, s.deps.MaxSkew)} {
		e, ok := errors.AsType[*fault.Error](err)
		if !ok {
			continue
		}
		for _, v := range e.Violations {
			field := v.Field
			if field == "time" {
				field = "event_time"
			}
			c.AddOnce(path+strings.TrimPrefix(field, "."), "%s", v.Description)
		}
	}
	return out
}

// timeOf reads a time, or adds a fault and returns other.
func timeOf(c *fault.Check, field string, t *timestamppb.Timestamp, other time.Time) time.Time {
	if err := t.CheckValid(); err != nil {
		c.Add(field, "is not a time")
		return other
	}
	return t.AsTime()
}
