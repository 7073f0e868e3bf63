package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// newEvalValueCommand is `usher eval value`: what another way of deciding would have
// been worth, from the decisions that a running Usher logged.
func newEvalValueCommand(w *world) *cobra.Command {
	var r reach
	var since string
	var asJSON bool
	q := &usherv1.EstimateValueRequest{}
	c := &cobra.Command{
		Use:   "value",
		Short: "Estimate from the decisions of a running Usher what others would have been worth",
		Long: `Estimates what always deciding like the target would have been worth, from logged
decisions, their propensities and what came of them. The target is policy (policy
alone), baseline (the caller's own choice), logged (what was done) or a model's version;
the live model when none is given.

Where the log cannot tell, no value is printed, only how far it may lie.`,
		Example: "  usher eval value --target policy --since 30d\n  usher eval value --account retail --segment-by intent",
		Args:    cobra.NoArgs,
	}
	r.bind(c)
	f := c.Flags()
	f.StringVar(&q.Target, "target", "", "policy, baseline, logged or a model's version; the live model when empty")
	f.StringVar(&since, "since", "7d", "decisions of this long until now, such as 12h, 7d, 2w")
	f.StringVar(&q.Objective, "objective", "", "objective of the rewards; default when empty")
	f.StringVar(&q.SegmentBy, "segment-by", "", "also by intent, channel, policy or chosen")
	f.Float64Var(&q.Confidence, "confidence", 0.95, "confidence of the intervals")
	f.Int32Var(&q.MaxRows, "max-rows", 0, "newest decisions to read; 100,000 when 0, at most 1,000,000")
	f.BoolVar(&asJSON, "json", false, "print the answer as one JSON object")
	c.RunE = func(c *cobra.Command, args []string) error {
		length, err := longDuration(since)
		if err != nil {
			return &usageError{fmt.Errorf("--since %w", err)}
		}
		return w.served(&r, func(ctx context.Context, a *api, _ []string) error {
			q.FromTime = timestamppb.New(time.Now().Add(-length))
			var answer usherv1.EstimateValueResponse
			if err := a.call(ctx, http.MethodPost, a.path(":estimateValue"), q, &answer); err != nil {
				return a.objective(ctx, q.GetObjective(), err)
			}
			if asJSON {
				return w.protoJSON(&answer)
			}
			return w.valueReport(&answer, q.GetTarget())
		})(c, args)
	}
	return c
}

// valueReport prints estimates as tables, and no value that cannot be trusted.
func (w *world) valueReport(s *usherv1.EstimateValueResponse, target string) error {
	t := tabwriter.NewWriter(w.out, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(t, format+"\n", args...) } // an error stays with t until Flush
	if target == "" {
		target = "the live model"
	}
	e := s.GetEstimate()
	line("%s under objective %s (version %d), %d decisions from %s to %s", target, s.GetObjective(), s.GetObjectiveVersion(),
		e.GetRows(), stamp(s.GetFromTime().AsTime()), stamp(s.GetToTime().AsTime()))
	line("what was done was worth %.4g", s.GetLoggedValue())
	if !e.GetTrusted() {
		line("the log cannot tell the value")
	}
	line("\nESTIMATOR\tVALUE\tINTERVAL\tBY")
	names := make([]string, 0, len(e.GetEstimates()))
	for name := range e.GetEstimates() {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		one := e.GetEstimates()[name]
		if name == e.GetDefault() {
			name += " *"
		}
		line("%s\t%s\t%.4g to %.4g\t%s", name, valueOf(one), one.GetLower(), one.GetUpper(), one.GetInterval())
	}
	star := "to be trusted"
	if !e.GetTrusted() {
		star = "the default, not to be trusted here"
	}
	line("\n* %s; effective sample size %.4g, largest weight %.4g, clipped share %.2g, mean weight %.4g", star,
		e.GetEffectiveSampleSize(), e.GetLargestWeight(), e.GetClippedShare(), e.GetMeanWeight())
	for _, warning := range e.GetWarnings() {
		line("warning: %s", warning)
	}
	if len(s.GetSegments()) > 0 {
		line("\nSEGMENT\tDECISIONS\tDONE\tVALUE\tINTERVAL")
	}
	for _, part := range s.GetSegments() {
		one := part.GetEstimate().GetEstimates()[part.GetEstimate().GetDefault()]
		line("%s\t%d\t%.4g\t%s\t%.4g to %.4g", shown(part.GetSegment()), part.GetEstimate().GetRows(), part.GetLoggedValue(), valueOf(one), one.GetLower(), one.GetUpper())
	}
	return t.Flush()
}

// valueOf spells a value, or that there is none.
func valueOf(e *usherv1.Estimate) string {
	if e.Value == nil {
		return "unknown"
	}
	return strings.TrimSpace(fmt.Sprintf("%.4g", e.GetValue()))
}
