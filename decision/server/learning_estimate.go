package server

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/usherhq/usher/decision/control"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/model/evaluate"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// ValueSource estimates from logged decisions what always doing something else would
// have been worth. It may take a minute.
type ValueSource interface {
	EstimateValue(ctx context.Context, q *ValueQuery) (*Valued, error)
}

// The targets that are not a model's version.
const (
	TargetPolicy   = "policy"
	TargetBaseline = "baseline"
	TargetLogged   = "logged"
)

// ValueQuery says whose worth to estimate, by which rewards, from which decisions.
type ValueQuery struct {
	Account, Objective string
	Lowest, Highest    float64 // of the rewards
	// Target is one of the above or a model's version; Trained is when the model was
	// made.
	Target     string
	Trained    time.Time
	From, To   time.Time
	Confidence float64
	// SegmentBy is intent, channel, policy or chosen; empty for the whole alone.
	SegmentBy string
	MaxRows   int
}

// Valued is what the log says, in all and by segment.
type Valued struct {
	All      evaluate.OPEResult
	Segments map[string]evaluate.OPEResult
}

// Limits of one estimate.
const (
	defaultValued     = 100_000
	maxValued         = 1_000_000
	defaultConfidence = 0.95
)

// EstimateValue estimates another way of deciding from the log.
func (s *learningService) EstimateValue(ctx context.Context, r *usherv1.EstimateValueRequest) (*usherv1.EstimateValueResponse, error) {
	account, err := parentAccount("parent", r.GetParent())
	if err == nil {
		err = s.account(account)
	}
	if err != nil {
		return nil, err
	}
	q, err := s.valueQueryOf(account, r)
	if err != nil {
		return nil, err
	}
	version, err := s.rewardsOf(q)
	if err != nil {
		return nil, err
	}
	if err := s.targetOf(ctx, q); err != nil {
		return nil, err
	}
	if s.deps.Values == nil {
		return nil, errNoLearning()
	}
	if !s.simulating.TryLock() {
		return nil, fault.New(fault.Exhausted, "SIMULATION_RUNNING", "a simulation or another estimate runs in this process; try again when it is done")
	}
	defer s.simulating.Unlock()
	found, err := s.deps.Values.EstimateValue(ctx, q)
	if _, told := errors.AsType[*fault.Error](err); err != nil && !told && ctx.Err() == nil {
		err = unavailable("values cannot be estimated at the moment", err)
	}
	if err != nil {
		return nil, err
	}
	return valuedTo(q, version, found), nil
}

func (s *learningService) valueQueryOf(account string, r *usherv1.EstimateValueRequest) (*ValueQuery, error) {
	q := &ValueQuery{
		Account: account, Objective: cmp.Or(r.GetObjective(), control.DefaultObjective), Target: r.GetTarget(),
		Confidence: cmp.Or(r.GetConfidence(), defaultConfidence), SegmentBy: r.GetSegmentBy(), MaxRows: int(cmp.Or(r.GetMaxRows(), defaultValued)),
	}
	var c fault.Check
	for field, at := range map[string]*timestamppb.Timestamp{"from_time": r.GetFromTime(), "to_time": r.GetToTime()} {
		if at != nil && at.CheckValid() != nil {
			c.Add(field, "is not a time")
		}
	}
	q.From, q.To = r.GetFromTime().AsTime(), r.GetToTime().AsTime()
	if r.GetToTime() == nil {
		q.To = s.deps.Now().UTC()
	}
	if r.GetFromTime() == nil {
		q.From = q.To.Add(-defaultWindow)
	}
	if !q.From.Before(q.To) {
		c.Add("to_time", "must be after from_time")
	}
	if !(q.Confidence > 0 && q.Confidence < 1) {
		c.Add("confidence", "is %g, must be between 0 and 1, such as 0.95", q.Confidence)
	}
	if !slices.Contains([]string{"", "intent", "channel", "policy", "chosen"}, q.SegmentBy) {
		c.Add("segment_by", "%q must be intent, channel, policy or chosen", q.SegmentBy)
	}
	if q.MaxRows < 1 || q.MaxRows > maxValued {
		c.Add("max_rows", "is %d, must be 1 to %d", q.MaxRows, maxValued)
	}
	return q, c.Err("the request is not valid")
}

// rewardsOf fills in the range of the rewards and returns the objective's version.
func (s *learningService) rewardsOf(q *ValueQuery) (version int64, err error) {
	o, err := s.deps.Control.GetObjective(q.Account, q.Objective)
	if err != nil {
		return 0, err
	}
	q.Lowest, q.Highest = o.Min, o.Max
	if !(q.Lowest < q.Highest) {
		q.Highest = q.Lowest + 1
	}
	return o.Version, nil
}

// targetOf finds the live model where none is named, and checks that a named one is
// there.
func (s *learningService) targetOf(ctx context.Context, q *ValueQuery) error {
	switch q.Target {
	case TargetPolicy, TargetBaseline, TargetLogged:
		return nil
	case "":
		champion, err := s.deps.Control.Champion(q.Account)
		if err != nil {
			return err
		}
		if q.Target = champion.Version; q.Target == "" {
			return fault.New(fault.Precondition, "NO_LIVE_MODEL", "no model is live, policy alone answers; name a target: policy, baseline, logged or a model's version")
		}
	}
	card, err := (&controlService{Server: s.Server}).card(ctx, q.Account, q.Target)
	q.Trained = card.Created
	return err
}

func valuedTo(q *ValueQuery, version int64, found *Valued) *usherv1.EstimateValueResponse {
	resp := &usherv1.EstimateValueResponse{
		Estimate: worthTo(&found.All), LoggedValue: found.All.Logged, Objective: q.Objective, ObjectiveVersion: version,
		FromTime: timestamppb.New(q.From), ToTime: timestamppb.New(q.To),
	}
	for name, e := range found.Segments {
		resp.Segments = append(resp.Segments, &usherv1.SegmentEstimate{Segment: name, Estimate: worthTo(&e), LoggedValue: e.Logged})
	}
	slices.SortFunc(resp.GetSegments(), func(a, b *usherv1.SegmentEstimate) int {
		return cmp.Or(cmp.Compare(b.GetEstimate().GetRows(), a.GetEstimate().GetRows()), cmp.Compare(a.GetSegment(), b.GetSegment()))
	})
	return resp
}
