package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// modePath is the path of the mode of a scope.
func (a *api) modePath(scope string) string { return a.path("/modes/" + url.PathEscape(scope)) }

func newModelLadderCommand(w *world) *cobra.Command {
	var r reach
	asJSON := false
	c := &cobra.Command{
		Use:   "ladder",
		Short: "Show how far each scope is in the model's hands, and what the next step asks for",
		Long: `Prints every scope that has a mode: the step it is on and since when, how often the
model's choice is the baseline's, each entry test of the next step, and each guardrail
with both sides and bounds of their difference that hold at all times at once.`,
		Example: "  usher model ladder\n  usher model ladder --json",
		Args:    cobra.NoArgs,
	}
	r.bind(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print the scopes as one JSON object")
	c.RunE = w.served(&r, func(ctx context.Context, a *api, _ []string) error {
		var all usherv1.ListLadderResponse
		for token := ""; ; {
			var answer usherv1.ListLadderResponse
			query := url.Values{"page_token": {token}}
			if err := a.call(ctx, http.MethodGet, a.path("/ladder?"+query.Encode()), nil, &answer); err != nil {
				return err
			}
			all.Scopes = append(all.Scopes, answer.GetScopes()...)
			if token = answer.GetNextPageToken(); token == "" {
				break
			}
		}
		if asJSON {
			return w.protoJSON(&all)
		}
		_, err := w.out.Write([]byte(ladderPage(all.GetScopes())))
		return err
	})
	return c
}

// ladderPage tells the scopes for people.
func ladderPage(scopes []*usherv1.LadderScope) string {
	var text strings.Builder
	for i, s := range scopes {
		if i > 0 {
			text.WriteByte('\n')
		}
		_, scope, _ := strings.Cut(s.GetMode().GetName(), "/modes/")
		fmt.Fprintf(&text, "%s: %s", shown(scope), s.GetMode().GetMode())
		if share := s.GetMode().GetShare(); share > 0 {
			fmt.Fprintf(&text, " %g %%", 100*share)
		}
		if s.GetSince() != nil {
			fmt.Fprintf(&text, ", since %s by %s", stamp(s.GetSince().AsTime()), shown(s.GetAuthor()))
		}
		text.WriteByte('\n')
		if s.GetReason() != "" {
			fmt.Fprintf(&text, "  why: %s\n", shown(s.GetReason()))
		}
		if s.GetMatchRows() > 0 {
			fmt.Fprintf(&text, "  match rate with the baseline: %.1f %% of %d decisions\n", 100*s.GetMatchRate(), s.GetMatchRows())
		}
		guardrailLines(&text, s.GetGuardrails())
		if s.GetNext() != "" {
			fmt.Fprintf(&text, "  next: %s\n", s.GetNext())
		}
		t := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
		for _, test := range s.GetTests() {
			mark := "fails"
			if test.GetPassed() {
				mark = "holds"
			}
			_, _ = fmt.Fprintf(t, "    %s\t%s\t%s\n", mark, test.GetName(), shown(test.GetDetail())) // an error stays with t until Flush
		}
		_ = t.Flush() // into memory
	}
	return text.String()
}

func guardrailLines(text *strings.Builder, list []*usherv1.GuardrailState) {
	for _, g := range list {
		fmt.Fprintf(text, "  guardrail %s: %s, model %.4g of %d rows, policy %.4g of %d, difference %.4g to %.4g, allowed %.4g\n",
			shown(g.GetMetric()), g.GetState(), g.GetModelValue(), g.GetModelRows(), g.GetPolicyValue(), g.GetPolicyRows(),
			g.GetLower(), g.GetUpper(), -g.GetMaxDrop())
	}
}

func newModelAdvanceCommand(w *world) *cobra.Command {
	var r reach
	var req usherv1.AdvanceModeRequest
	c := &cobra.Command{
		Use:   "advance SCOPE",
		Short: "Take a scope one step up: OFF, SHADOW, COMPARE, HOLDOUT, ON",
		Long: `Takes a scope ("account", "skill:SKILL" or "policy:POLICY") one step up. It is refused
with every entry test that does not hold; --force goes up all the same, and the audit log
keeps which tests failed.`,
		Example: "  usher model advance account --reason 'match rate 84 %'\n  usher model advance skill:refunds --share 0.2",
		Args:    cobra.ExactArgs(1),
	}
	r.bind(c)
	changeReason(c, &req.Reason)
	c.Flags().Float64Var(&req.Share, "share", 0, "COMPARE: share of conversations the model decides; HOLDOUT: share kept on policy; 0.1 when 0")
	c.Flags().BoolVar(&req.Force, "force", false, "go up even where an entry test fails")
	c.RunE = w.served(&r, func(ctx context.Context, a *api, args []string) error {
		var m usherv1.Mode
		if err := a.call(ctx, http.MethodPost, a.modePath(args[0])+":advance", &req, &m); err != nil {
			return err
		}
		return w.moved(&m)
	})
	return c
}

func newModelRetreatCommand(w *world) *cobra.Command {
	var r reach
	var req usherv1.RetreatModeRequest
	c := &cobra.Command{
		Use:   "retreat SCOPE",
		Short: "Take a scope back from the model at once",
		Long: `Sets a scope ("account", "skill:SKILL" or "policy:POLICY") back to SHADOW, where the
model watches and policy answers, or with --to OFF further. Nothing is asked.`,
		Example: "  usher model retreat account --reason 'complaints about refunds'",
		Args:    cobra.ExactArgs(1),
	}
	r.bind(c)
	changeReason(c, &req.Reason)
	c.Flags().StringVar(&req.Mode, "to", "", "SHADOW, or OFF; SHADOW when empty")
	c.RunE = w.served(&r, func(ctx context.Context, a *api, args []string) error {
		var m usherv1.Mode
		if err := a.call(ctx, http.MethodPost, a.modePath(args[0])+":retreat", &req, &m); err != nil {
			return err
		}
		return w.moved(&m)
	})
	return c
}

// moved says where a scope is now.
func (w *world) moved(m *usherv1.Mode) error {
	_, scope, _ := strings.Cut(m.GetName(), "/modes/")
	text := fmt.Sprintf("%s is in %s", shown(scope), m.GetMode())
	if m.GetShare() > 0 {
		text += fmt.Sprintf(" with a share of %g %%", 100*m.GetShare())
	}
	_, err := fmt.Fprintln(w.err, text)
	return err
}
