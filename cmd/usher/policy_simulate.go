package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/internal/fault"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// exitChanged is the exit code when a simulation changes too much.
const exitChanged = 3

func newPolicySimulateCommand(w *world) *cobra.Command {
	var r reach
	var req usherv1.SimulatePoliciesRequest
	var draft, since, format string
	var most float64
	var asJSON bool
	c := &cobra.Command{
		Use:   "simulate --draft FILE|ID",
		Short: "Replay logged decisions against a draft: what would have changed?",
		Long: `Decides the logged decisions again, with the draft in place of the policies, and
tells how many change, by which condition, from where to where, and what the
outcome would have been under the objective, with an interval.

A decision that no policy made is said to be "by default".

Exit code 0: within bounds; 1: it failed; 2: the input is wrong; 3: more than
--max-changed percent of the decisions change, or the draft has errors.`,
		Example: "  usher policy simulate --since 7d --draft policies.yaml --max-changed 5\n  usher policy simulate --draft holiday-draft --json",
		Args:    cobra.NoArgs,
	}
	r.bind(c)
	f := c.Flags()
	f.StringVar(&draft, "draft", "", "file with the whole list, or the id of a draft")
	f.StringVar(&format, "format", "", formatUsage())
	f.StringVar(&since, "since", "7d", "decisions of this long until now, such as 12h, 7d, 2w")
	f.Float64Var(&most, "max-changed", 100, "percent of the decisions that may change, 0 to 100")
	f.Int32Var(&req.Limit, "limit", 0, "how many decisions to replay at the most, the newest first; 0 means 10,000")
	f.Int32Var(&req.Examples, "examples", 0, "how many changed decisions to list; 0 means 20")
	f.StringVar(&req.Objective, "objective", "", "objective of the estimate; default when empty")
	f.BoolVar(&asJSON, "json", false, "print the answer as one JSON object")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if draft == "" {
			return &usageError{fmt.Errorf("--draft is missing: name a file or a draft")}
		}
		if math.IsNaN(most) || most < 0 || most > 100 {
			return &usageError{fmt.Errorf("--max-changed %g is not a percentage from 0 to 100", most)}
		}
		d, err := longDuration(since)
		if err != nil {
			return &usageError{fmt.Errorf("--since %w", err)}
		}
		req.Since = durationpb.New(d)
		answer, err := w.simulate(c.Context(), r, draft, format, &req)
		if err != nil {
			return err
		}
		if asJSON {
			err = w.protoJSON(answer)
		} else {
			err = w.simulation(answer)
		}
		if err != nil {
			return err
		}
		return bounds(answer, most)
	}
	return c
}

// longDuration reads 7d and 2w beside Go's durations.
func longDuration(text string) (time.Duration, error) {
	for unit, length := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if number, ok := strings.CutSuffix(text, unit); ok {
			if n, err := strconv.ParseFloat(number, 64); err == nil && n > 0 && n < 5000 {
				return time.Duration(n * float64(length)), nil
			}
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%q is not a time such as 12h, 7d or 2w", text)
	}
	return d, nil
}

func (w *world) simulate(ctx context.Context, r reach, draft, format string, req *usherv1.SimulatePoliciesRequest) (*usherv1.SimulatePoliciesResponse, error) {
	var list *policyFiles
	if isFile(draft) {
		var err error
		if list, err = w.readPolicies([]string{draft}, format, nil); err != nil {
			return nil, err
		}
		list.check(nil)
		if n := list.count(policy.Error); n > 0 || len(list.policies) == 0 {
			printProblems(&world{streams: streams{out: w.err, err: w.err}}, list.problems)
			return nil, &outcome{code: exitChanged, text: fmt.Sprintf("%s has %s", draft, amount(n, "error", "errors"))}
		}
	}
	a, err := w.api(r)
	if err != nil {
		return nil, err
	}
	if list == nil {
		req.Draft = draft
	} else if req.Policies, err = a.messages(list.policies); err != nil {
		return nil, err
	}
	var answer usherv1.SimulatePoliciesResponse
	if err := a.call(ctx, http.MethodPost, a.path("/policies:simulate"), req, &answer); err != nil {
		return nil, a.objective(ctx, req.GetObjective(), err)
	}
	return &answer, nil
}

// objective says which objectives there are when a call failed because of one that
// is not.
func (a *api) objective(ctx context.Context, name string, failure error) error {
	if name == "" || fault.KindOf(failure) != fault.NotFound {
		return failure
	}
	var answer usherv1.ListObjectivesResponse
	if err := a.call(ctx, http.MethodGet, a.path("/objectives?page_size=100"), nil, &answer); err != nil {
		return failure //nolint:nilerr // the first failure is the one to tell
	}
	known := []string{"default"}
	for _, o := range answer.GetObjectives() {
		known = append(known, path.Base(o.GetName()))
	}
	slices.Sort(known)
	known = slices.Compact(known)
	if slices.Contains(known, name) {
		return failure
	}
	return &usageError{fmt.Errorf("--objective: there is no objective %q, only %s", name, strings.Join(known, ", "))}
}

// messages are policies as the API takes them.
func (a *api) messages(list []*policy.Policy) ([]*usherv1.Policy, error) {
	out := make([]*usherv1.Policy, len(list))
	for i, p := range list {
		text, err := policy.Marshal(p)
		if err != nil {
			return nil, err
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(text, &fields); err != nil {
			return nil, fmt.Errorf("read policy %q: %w", p.Name, err)
		}
		m := &usherv1.Policy{
			Name: "accounts/" + a.account + "/policies/" + p.Name, DisplayName: p.DisplayName, Description: p.Description, Enabled: &p.Enabled,
		}
		for name, at := range map[string]**structpb.Struct{"when": &m.When, "effect": &m.Effect, "schedule": &m.Schedule, "exception": &m.Exception} {
			if fields[name] == nil {
				continue
			}
			*at = &structpb.Struct{}
			if err := protojson.Unmarshal(fields[name], *at); err != nil {
				return nil, fmt.Errorf("write policy %q: %w", p.Name, err)
			}
		}
		out[i] = m
	}
	return out, nil
}

// bounds turns a simulation into the exit code for a pipeline.
func bounds(s *usherv1.SimulatePoliciesResponse, most float64) error {
	if n := s.GetDraftErrors(); n > 0 {
		return &outcome{code: exitChanged, text: fmt.Sprintf("the draft has %s", amount(int(n), "error", "errors"))}
	}
	if share := percent(s.GetChanged(), s.GetDecisions()); share > most {
		return &outcome{code: exitChanged, text: fmt.Sprintf("%.2f %% of the decisions change, more than %g %%", share, most)}
	}
	return nil
}

func percent(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}

// simulation prints what would have been, as tables.
func (w *world) simulation(s *usherv1.SimulatePoliciesResponse) error {
	t := tabwriter.NewWriter(w.out, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(t, format+"\n", printable(args)...) } // an error stays with t until Flush
	line("%d of %d decisions change (%.2f %%)", s.GetChanged(), s.GetDecisions(), percent(s.GetChanged(), s.GetDecisions()))
	causes := make([]string, 0, len(s.GetSkipped()))
	for cause := range s.GetSkipped() {
		causes = append(causes, cause)
	}
	slices.Sort(causes)
	for _, cause := range causes {
		line("%d could not be replayed: %s", s.GetSkipped()[cause], cause)
	}
	if list := s.GetConditions(); len(list) > 0 {
		line("\nCHANGED\tBY CONDITION\tATTRIBUTE\tWHICH IS")
		for _, c := range list {
			line("%d\t%s %s\t%s\t%s", c.GetChanged(), c.GetPolicy(), c.GetPath(), orDash(c.GetAttribute()), strings.ToLower(c.GetKind()))
		}
	}
	if list := s.GetRoutes(); len(list) > 0 {
		line("\nCHANGED\tFROM\tTO")
		for _, r := range list {
			line("%d\t%s\t%s", r.GetChanged(), route(r.GetFromPolicy(), r.GetFromAction()), route(r.GetToPolicy(), r.GetToAction()))
		}
	}
	if list := s.GetExamples(); len(list) > 0 {
		line("\nDECISION\tTIME\tCONVERSATION\tFROM\tTO")
		for _, e := range list {
			line("%s\t%s\t%s\t%s\t%s", e.GetDecisionId(), e.GetTime().AsTime().Format(time.RFC3339), orDash(e.GetConversationId()),
				route(e.GetFromPolicy(), e.GetFromAction()), route(e.GetToPolicy(), e.GetToAction()))
		}
	}
	if e := s.GetEstimate(); e != nil {
		estimate(line, e)
	}
	return t.Flush()
}

func estimate(line func(string, ...any), e *usherv1.PolicyEstimate) {
	line("\nREWARD under %s, %s", e.GetObjective(), amount(int(e.GetRewards()), "decision with a reward", "decisions with a reward"))
	if e.GetRewards() == 0 {
		line("as it was\tnot known: no decision has a reward yet")
	} else {
		line("as it was\t%.4f", e.GetLogged())
	}
	if e.GetTrusted() {
		line("as it would have been\t%.4f\t(%.4f to %.4f, %s)", e.GetSimulated(), e.GetLower(), e.GetUpper(), e.GetMethod())
	} else {
		line("as it would have been\tnot known: the log says too little")
	}
	for _, text := range e.GetWarnings() {
		line("note: %s", text)
	}
}

// route names where a decision goes. Where no policy decided the default did: the
// policy of that name, or what holds without one.
func route(name, action string) string {
	if name == "" {
		name = policy.DefaultName
	}
	return orDash(action) + " by " + name
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
