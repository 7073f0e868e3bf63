package server

import (
	"context"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/event"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// DecisionQuery searches one account's decisions. Empty fields do not narrow.
type DecisionQuery struct {
	Account                                    string
	ConversationID, ConsumerID, Policy, Chosen string
	DecidedBy                                  string
	// From and To bound the time, From included, To excluded; zero does not.
	From, To time.Time
	// Before and BeforeID, when BeforeID is set, are the last decision that the
	// caller has; the order is newest first, by millisecond and then by id.
	Before   time.Time
	BeforeID string
	Limit    int
}

// DecisionSearch finds stored decisions, whole and newest first.
type DecisionSearch interface {
	Decisions(ctx context.Context, q *DecisionQuery) ([]*event.Decision, error)
}

// LatestDecisions finds decisions of the last moments, in any order: those that
// may not be stored yet. *decisionlog.Log does.
type LatestDecisions interface {
	Latest(account string, match func(*event.Decision) bool) []*event.Decision
}

// The sizes of a page of whole records.
const (
	defaultRecords = 20
	maxRecords     = 200
)

// ListDecisions searches the decision log, newest first. A decision that this
// process made a moment ago is found, stored or not.
func (s *decisionService) ListDecisions(ctx context.Context, r *usherv1.ListDecisionsRequest) (*usherv1.ListDecisionsResponse, error) {
	q, err := s.queryOf(r)
	if err != nil {
		return nil, err
	}
	size := q.Limit
	q.Limit++ // one more tells whether there is a next page
	var found []*event.Decision
	if s.deps.Latest != nil {
		found = s.deps.Latest.Latest(q.Account, q.matches)
	}
	if s.deps.Search != nil {
		stored, err := s.deps.Search.Decisions(ctx, q)
		if err != nil {
			return nil, unavailable("the decision log cannot be read at the moment", err)
		}
		found = append(found, stored...)
	}
	slices.SortStableFunc(found, newestFirst)
	// Decided again under the same request id, a decision has two times.
	seen := make(map[string]bool, len(found))
	found = slices.DeleteFunc(found, func(d *event.Decision) bool {
		was := seen[d.ID]
		seen[d.ID] = true
		return was
	})
	resp := &usherv1.ListDecisionsResponse{}
	if len(found) > size {
		found = found[:size]
		last := found[size-1]
		resp.NextPageToken = pageAfter(last.Time, last.ID)
	}
	for _, d := range found {
		resp.Decisions = append(resp.Decisions, event.DecisionToProto(d))
	}
	return resp, nil
}

// newestFirst is the order of the log. Stored times have milliseconds.
func newestFirst(a, b *event.Decision) int {
	switch x, y := a.Time.UnixMilli(), b.Time.UnixMilli(); {
	case x > y:
		return -1
	case x < y:
		return 1
	}
	return strings.Compare(b.ID, a.ID)
}

func (s *decisionService) queryOf(r *usherv1.ListDecisionsRequest) (*DecisionQuery, error) {
	account, err := parentAccount("parent", r.GetParent())
	if err == nil {
		err = s.account(account)
	}
	if err != nil {
		return nil, err
	}
	q := &DecisionQuery{
		Account: account, ConversationID: r.GetConversationId(), ConsumerID: r.GetConsumerId(),
		Policy: strings.TrimPrefix(r.GetPolicy(), "accounts/"+account+"/policies/"), Chosen: r.GetChosen(), DecidedBy: r.GetDecidedBy(),
	}
	var c fault.Check
	q.From, q.To = between(&c, r.GetStartTime(), r.GetEndTime())
	if r.GetPageSize() < 0 {
		c.Add("page_size", "must not be negative")
	}
	if q.Limit = int(min(r.GetPageSize(), maxRecords)); q.Limit == 0 {
		q.Limit = defaultRecords
	}
	if r.GetPageToken() != "" {
		var ok bool
		if q.Before, q.BeforeID, ok = pagePlace(r.GetPageToken()); !ok {
			c.Add("page_token", "is not one that this server gave")
		}
	}
	switch event.DecidedBy(q.DecidedBy) {
	case "", event.DecidedByPolicy, event.DecidedByModel, event.DecidedByExploration, event.DecidedByBaseline, event.DecidedByDefault:
	default:
		c.Add("decided_by", "%q must be policy, model, exploration, baseline or default", q.DecidedBy)
	}
	return q, c.Err("the request is not valid")
}

// between reads a window; times that are not given are zero.
func between(c *fault.Check, start, end *timestamppb.Timestamp) (from, to time.Time) {
	for field, at := range map[string]*timestamppb.Timestamp{"start_time": start, "end_time": end} {
		if at != nil && at.CheckValid() != nil {
			c.Add(field, "is not a time")
		}
	}
	if start != nil {
		from = start.AsTime()
	}
	if end != nil {
		to = end.AsTime()
	}
	if start != nil && end != nil && !from.Before(to) {
		c.Add("end_time", "must be after start_time")
	}
	return from, to
}

// matches says of a decision at hand what the search says of stored ones.
func (q *DecisionQuery) matches(d *event.Decision) bool {
	is := func(want, got string) bool { return want == "" || want == got }
	return is(q.ConversationID, d.ConversationID) && is(q.ConsumerID, d.ConsumerID) && is(q.Policy, policyOf(d)) &&
		is(q.Chosen, d.Chosen) && is(q.DecidedBy, string(d.DecidedBy)) &&
		(q.From.IsZero() || !d.Time.Before(q.From)) && (q.To.IsZero() || d.Time.Before(q.To)) &&
		(q.BeforeID == "" || newestFirst(&event.Decision{Time: q.Before, ID: q.BeforeID}, d) < 0)
}

// policyOf names the policy that decided: "default" where that one matched and no
// other did, although the record of such a decision names none.
func policyOf(d *event.Decision) string {
	isDefault := func(p event.PolicyTrace) bool { return p.Policy == policy.DefaultName && p.State == event.True }
	if d.Policy == "" && slices.ContainsFunc(d.Policies, isDefault) {
		return policy.DefaultName
	}
	return d.Policy
}

// pageAfter is the token of the page that follows a decision.
func pageAfter(at time.Time, id string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(at.UnixMilli(), 10) + "/" + id))
}

func pagePlace(token string) (at time.Time, id string, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return time.Time{}, "", false
	}
	text, id, _ := strings.Cut(string(raw), "/")
	millis, err := strconv.ParseInt(text, 10, 64)
	return time.UnixMilli(millis).UTC(), id, err == nil && id != ""
}

// decision finds a record: one of the last few from memory, older ones in the
// source of records.
func (s *decisionService) decision(ctx context.Context, account, id string) (d *event.Decision, err error) {
	d, ok := s.deps.Recorder.Recent(account, id)
	if !ok && s.deps.Records != nil {
		if d, err = s.deps.Records.Decision(ctx, account, id); err != nil && fault.KindOf(err) != fault.NotFound {
			return nil, unavailable("the decision cannot be read at the moment", err)
		}
	}
	if d == nil {
		return nil, fault.New(fault.NotFound, "DECISION_NOT_FOUND", "there is no decision %q; a new one can take a few seconds to arrive", id)
	}
	return d, nil
}
