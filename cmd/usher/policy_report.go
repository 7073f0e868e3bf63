package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

func newPolicyReportCommand(w *world) *cobra.Command {
	var r reach
	var since, period, objective string
	var asJSON bool
	c := &cobra.Command{
		Use:   "report",
		Short: "Say how often each policy decided, and what came of it",
		Long: `Counts the decisions of each policy and what they were worth under the objective. The
lift of a policy is its mean reward less that of all other decisions of the time, with
a 95 % interval. It compares conversations that differ in more than the policy, so it
is no proof that the policy did it; a split with a share for each arm is one.

Policies that never matched and attributes that were UNKNOWN are listed too.`,
		Example: "  usher policy report --since 30d\n  usher policy report --since 24h --period hour --json",
		Args:    cobra.NoArgs,
	}
	r.bind(c)
	f := c.Flags()
	f.StringVar(&since, "since", "7d", "decisions of this long until now, such as 12h, 7d, 2w")
	f.StringVar(&period, "period", "day", "count the matches by hour or day")
	f.StringVar(&objective, "objective", "", "objective of the rewards; default when empty")
	f.BoolVar(&asJSON, "json", false, "print the answer as one JSON object")
	c.RunE = func(c *cobra.Command, args []string) error {
		length, err := longDuration(since)
		if err != nil {
			return &usageError{fmt.Errorf("--since %w", err)}
		}
		if period != "day" && period != "hour" {
			return &usageError{fmt.Errorf("--period %q is neither hour nor day", period)}
		}
		return w.served(&r, func(ctx context.Context, a *api, _ []string) error {
			now := time.Now().UTC()
			query := url.Values{
				"period": {period}, "objective": {objective},
				"start_time": {now.Add(-length).Format(time.RFC3339Nano)}, "end_time": {now.Format(time.RFC3339Nano)},
			}
			var answer usherv1.ReportPoliciesResponse
			if err := a.call(ctx, http.MethodGet, a.path("/policies:report?"+query.Encode()), nil, &answer); err != nil {
				return a.objective(ctx, objective, err)
			}
			if asJSON {
				return w.protoJSON(&answer)
			}
			return w.policyReport(&answer, period)
		})(c, args)
	}
	return c
}

// policyReport prints what became of the policies' decisions, as tables.
func (w *world) policyReport(s *usherv1.ReportPoliciesResponse, period string) error {
	t := tabwriter.NewWriter(w.out, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(t, format+"\n", args...) } // an error stays with t until Flush
	line("%d decisions from %s to %s, %d of them by no policy", s.GetDecisions(), stamp(s.GetStartTime().AsTime()), stamp(s.GetEndTime().AsTime()), s.GetUnmatched())
	if len(s.GetPolicies()) > 0 {
		line("\nPOLICY\tMATCHES\tSHARE\tREWARD\tLIFT\tPER %s", strings.ToUpper(period))
	}
	for _, p := range s.GetPolicies() {
		line("%s\t%d\t%.1f %%\t%s\t%s\t%s", shown(p.GetPolicy()), p.GetMatches(), 100*p.GetShare(), mean(p.GetReward()), mean(p.GetLift()), periods(p.GetPeriods(), period))
	}
	if b := s.GetBaseline(); b.GetN() > 0 {
		line("\nreward of the decisions that answered the caller's own choice: %s, %d of them", mean(b), b.GetN())
	}
	if list := s.GetNeverMatched(); len(list) > 0 {
		line("\nnever matched: %s", shown(strings.Join(list, ", ")))
	}
	if list := s.GetUnknown(); len(list) > 0 {
		line("\nUNKNOWN ATTRIBUTE\tDECISIONS\tSHARE\tIN")
		for _, u := range list {
			line("%s\t%d\t%.1f %%\t%s", shown(u.GetAttribute()), u.GetDecisions(), 100*u.GetShare(), shown(strings.Join(u.GetPolicies(), ", ")))
		}
	}
	return t.Flush()
}

// mean is a mean with its interval; a dash when it is of nothing.
func mean(m *usherv1.Mean) string {
	if m.GetN() == 0 {
		return "-"
	}
	return fmt.Sprintf("%.3f (%.3f to %.3f)", m.GetValue(), m.GetLower(), m.GetUpper())
}

// periods lists the counts of the last few periods, each with its time.
func periods(list []*usherv1.PeriodCount, period string) string {
	const most = 7
	layout := "01-02"
	if period == "hour" {
		layout = "15h"
	}
	parts := make([]string, 0, most)
	for _, p := range list[max(0, len(list)-most):] {
		parts = append(parts, fmt.Sprintf("%s: %d", p.GetTime().AsTime().Format(layout), p.GetMatches()))
	}
	return strings.Join(parts, ", ")
}
