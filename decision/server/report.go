package server

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/usherhq/usher/decision/control"
	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/internal/fault"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// UsageQuery asks what became of an account's policies.
type UsageQuery struct {
	Account, Objective string
	From, To           time.Time
	// Hourly counts matches by hour, else by day.
	Hourly bool
}

// Usage counts a time by policy. A policy counts wherever it matched, whether it
// decided or took candidates away. Unmatched are the decisions that none decided, the
// policy "default" included.
type Usage struct {
	Decisions, Unmatched int64
	Policies             map[string]UsageCounts
	// All is over every decision, Baseline over those whose answer was the caller's
	// own choice.
	All, Baseline UsageCounts
	Unknown       []UnknownCount
}

// UsageCounts is what became of some decisions.
type UsageCounts struct {
	Matches  int64
	Periods  map[time.Time]int64
	Outcomes map[string]Sample // by kind
	Reward   Sample
}

// UnknownCount counts the decisions in which a condition on an attribute was UNKNOWN.
type UnknownCount struct {
	Attribute string
	Decisions int64
	Policies  []string
}

// Sample sums values up; Squares is the sum of squared distances from the mean.
type Sample struct {
	N                       int64
	Mean, Squares, Min, Max float64
}

// UsageSource counts decisions and what came of them.
type UsageSource interface {
	PolicyUsage(ctx context.Context, q *UsageQuery) (*Usage, error)
}

// maxPeriods bounds the periods of a report.
const maxPeriods = 1000

// ReportPolicies says how often each policy matched, and what came of it.
func (s *policyService) ReportPolicies(ctx context.Context, r *usherv1.ReportPoliciesRequest) (*usherv1.ReportPoliciesResponse, error) {
	account, err := s.parent(r)
	if err != nil {
		return nil, err
	}
	q, err := s.usageOf(account, r)
	if err != nil {
		return nil, err
	}
	if s.deps.Usage == nil {
		return nil, unavailable("decisions are not counted here", errNotHere)
	}
	u, err := s.deps.Usage.PolicyUsage(ctx, q)
	if err != nil {
		return nil, unavailable("decisions cannot be counted at the moment", err)
	}
	resp := &usherv1.ReportPoliciesResponse{
		Decisions: u.Decisions, Unmatched: u.Unmatched, StartTime: timestamppb.New(q.From), EndTime: timestamppb.New(q.To),
		Baseline: u.Baseline.Reward.mean(&u.All.Reward),
	}
	for name, c := range u.Policies {
		resp.Policies = append(resp.Policies, usageTo(name, &c, u))
	}
	slices.SortFunc(resp.GetPolicies(), func(a, b *usherv1.PolicyUsage) int {
		return cmp.Or(cmp.Compare(b.GetMatches(), a.GetMatches()), strings.Compare(a.GetPolicy(), b.GetPolicy()))
	})
	list, _ := s.deps.Policies.List(account)
	for _, p := range list {
		if _, matched := u.Policies[p.Name]; !matched && p.Enabled && p.Name != policy.DefaultName {
			resp.NeverMatched = append(resp.NeverMatched, p.Name)
		}
	}
	for _, n := range u.Unknown {
		resp.Unknown = append(resp.Unknown, &usherv1.UnknownAttribute{
			Attribute: n.Attribute, Decisions: n.Decisions, Policies: n.Policies, Share: share(n.Decisions, u.Decisions),
		})
	}
	return resp, nil
}

func (s *policyService) usageOf(account string, r *usherv1.ReportPoliciesRequest) (*UsageQuery, error) {
	q := &UsageQuery{Account: account, Objective: r.GetObjective(), Hourly: r.GetPeriod() == "hour"}
	var c fault.Check
	q.From, q.To = between(&c, r.GetStartTime(), r.GetEndTime())
	if q.To.IsZero() {
		q.To = s.deps.Now().UTC()
	}
	if q.From.IsZero() {
		q.From = q.To.Add(-defaultWindow)
	}
	period := 24 * time.Hour
	switch r.GetPeriod() {
	case "hour":
		period = time.Hour
	case "", "day":
	default:
		c.Add("period", "%q must be hour or day", r.GetPeriod())
	}
	if length := q.To.Sub(q.From); length <= 0 && r.GetEndTime() == nil {
		c.Add("start_time", "lies in the future")
	} else if length > maxPeriods*period {
		c.Add("start_time", "is %.0f periods before the end, at most %d are reported", length.Hours()/period.Hours(), maxPeriods)
	}
	if err := c.Err("the request is not valid"); err != nil {
		return nil, err
	}
	if q.Objective == "" {
		q.Objective = control.DefaultObjective
		return q, nil
	}
	_, err := s.deps.Control.GetObjective(account, q.Objective)
	return q, err
}

func usageTo(name string, c *UsageCounts, u *Usage) *usherv1.PolicyUsage {
	out := &usherv1.PolicyUsage{
		Policy: name, Matches: c.Matches, Share: share(c.Matches, u.Decisions), Outcomes: map[string]*usherv1.Mean{},
		Reward: c.Reward.mean(&u.All.Reward), Lift: c.Reward.lift(u.All.Reward),
	}
	for at, n := range c.Periods {
		out.Periods = append(out.Periods, &usherv1.PeriodCount{Time: timestamppb.New(at), Matches: n})
	}
	slices.SortFunc(out.GetPeriods(), func(a, b *usherv1.PeriodCount) int {
		return cmp.Compare(a.GetTime().GetSeconds(), b.GetTime().GetSeconds())
	})
	for kind, sample := range c.Outcomes {
		all := u.All.Outcomes[kind]
		out.Outcomes[kind] = sample.mean(&all)
	}
	return out
}

func share(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// mean is the mean with its 95 % interval, which never leaves the range of all the
// values that were seen; of fewer than two values it is that range. Nil without any.
func (s Sample) mean(all *Sample) *usherv1.Mean {
	if s.N == 0 {
		return nil
	}
	half := math.Inf(1)
	if s.N > 1 {
		half = quantile(s.N-1) * math.Sqrt(s.variance())
	}
	return &usherv1.Mean{N: s.N, Value: s.Mean, Lower: max(s.Mean-half, min(all.Min, s.Min)), Upper: min(s.Mean+half, max(all.Max, s.Max))}
}

// variance is that of the mean.
func (s Sample) variance() float64 { return s.Squares / float64(s.N-1) / float64(s.N) }

// lift is the mean less that of the other values of all, with its 95 % interval
// (Welch); nil where either side has fewer than two.
func (s Sample) lift(all Sample) *usherv1.Mean {
	rest := all.without(s)
	if s.N < 2 || rest.N < 2 {
		return nil
	}
	a, b := s.variance(), rest.variance()
	freedom := float64(s.N + rest.N - 2)
	if a+b > 0 {
		freedom = (a + b) * (a + b) / (a*a/float64(s.N-1) + b*b/float64(rest.N-1))
	}
	d, half := s.Mean-rest.Mean, quantile(int64(max(freedom, 1)))*math.Sqrt(a+b)
	return &usherv1.Mean{N: s.N, Value: d, Lower: d - half, Upper: d + half}
}

// without takes a part away again.
func (s Sample) without(part Sample) Sample {
	n := s.N - part.N
	if n <= 0 {
		return Sample{}
	}
	rest := Sample{N: n, Min: s.Min, Max: s.Max}
	rest.Mean = (s.Mean*float64(s.N) - part.Mean*float64(part.N)) / float64(n)
	d := rest.Mean - part.Mean
	rest.Squares = max(0, s.Squares-part.Squares-d*d*float64(part.N)*float64(n)/float64(s.N))
	return rest
}

// quantile is Student's at 97.5 %: exact for the few degrees of freedom at which
// its expansion is not, else right to three digits.
func quantile(freedom int64) float64 {
	switch freedom {
	case 1:
		return 12.706
	case 2:
		return 4.303
	case 3:
		return 3.182
	}
	const z = 1.959964
	v := float64(freedom)
	z3, z5 := z*z*z, z*z*z*z*z
	return z + (z3+z)/(4*v) + (5*z5+16*z3+3*z)/(96*v*v)
}
