package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/usherhq/usher/decision/policystore"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// changeReason is the flag that every command has that changes the list.
func changeReason(c *cobra.Command, at *string) {
	c.Flags().StringVar(at, "reason", "", "why; kept in the audit log")
}

// served makes the RunE of a command that talks to a server.
func (w *world) served(r *reach, do func(ctx context.Context, a *api, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		a, err := w.api(*r)
		if err != nil {
			return err
		}
		return do(c.Context(), a, args)
	}
}

func newPolicyPublishCommand(w *world) *cobra.Command {
	var r reach
	var req usherv1.PublishPolicyDraftRequest
	c := &cobra.Command{
		Use:   "publish DRAFT",
		Short: "Make a draft the live list, in one step",
		Long: `Puts a draft in the place of the live list and prints what that changed; the draft is
gone then. It is refused when the draft has errors, or when the list was changed since
the draft was taken from it: --rebase puts the draft's own changes on top of those,
as long as the two changed different policies.`,
		Example: "  usher policy publish move --reason 'moved from LivePerson'",
		Args:    cobra.ExactArgs(1),
	}
	r.bind(c)
	changeReason(c, &req.Reason)
	c.Flags().BoolVar(&req.Rebase, "rebase", false, "publish the draft's changes on top of what changed since")
	c.RunE = w.served(&r, func(ctx context.Context, a *api, args []string) error {
		var answer usherv1.PublishPolicyDraftResponse
		if err := a.call(ctx, http.MethodPost, a.draftPath(args[0])+":publish", &req, &answer); err != nil {
			return err
		}
		return w.published("published "+shown(args[0]), answer.GetRevision(), answer.GetChanges())
	})
	return c
}

func newPolicyRollbackCommand(w *world) *cobra.Command {
	var r reach
	var req usherv1.RollbackPoliciesRequest
	c := &cobra.Command{
		Use:     "rollback REVISION",
		Short:   "Make a former revision live again, as a new revision",
		Example: "  usher policy revisions\n  usher policy rollback 41 --reason 'refunds went to the wrong desk'",
		Args:    cobra.ExactArgs(1),
	}
	r.bind(c)
	changeReason(c, &req.Reason)
	c.RunE = func(c *cobra.Command, args []string) error {
		n, err := strconv.ParseInt(args[0], 10, 64)
		if err != nil || n < 1 {
			return &usageError{fmt.Errorf("%q is not a revision; \"usher policy revisions\" lists them", args[0])}
		}
		req.Revision = n
		return w.served(&r, func(ctx context.Context, a *api, _ []string) error {
			var answer usherv1.RollbackPoliciesResponse
			if err := a.call(ctx, http.MethodPost, a.path("/policies:rollback"), &req, &answer); err != nil {
				return err
			}
			return w.published(fmt.Sprintf("back to revision %d", n), answer.GetRevision(), answer.GetChanges())
		})(c, args)
	}
	return c
}

// published prints what a change of the whole list did.
func (w *world) published(what string, revision int64, changes []*usherv1.PolicyDiff) error {
	if len(changes) > 0 {
		if err := w.diffText(differences(changes)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w.err, "%s: %s, the list is at revision %d\n", what, amount(len(changes), "policy differs", "policies differ"), revision)
	return err
}

func newPolicyRevisionsCommand(w *world) *cobra.Command {
	var r reach
	var only string
	most := 0
	c := &cobra.Command{
		Use:     "revisions",
		Short:   "List the changes of the list, the newest first",
		Example: "  usher policy revisions --limit 10\n  usher policy revisions --policy gold",
		Args:    cobra.NoArgs,
	}
	r.bind(c)
	c.Flags().StringVar(&only, "policy", "", "only changes of the policy with this id")
	c.Flags().IntVar(&most, "limit", 50, "how many to list at the most")
	c.RunE = w.served(&r, func(ctx context.Context, a *api, _ []string) error {
		t := tabwriter.NewWriter(w.out, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(t, "REVISION\tTIME\tAUTHOR\tCHANGED\tREASON") // an error stays with t until Flush
		for token := ""; most > 0; {
			query := url.Values{"policy": {only}, "page_token": {token}, "page_size": {strconv.Itoa(min(most, 100))}}
			var answer usherv1.ListPolicyRevisionsResponse
			if err := a.call(ctx, http.MethodGet, a.path("/policyRevisions?"+query.Encode()), nil, &answer); err != nil {
				return err
			}
			for _, v := range answer.GetRevisions() {
				_, _ = fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\n", v.GetRevision(), stamp(v.GetCreateTime().AsTime()), shown(v.GetAuthor()),
					changed(v.GetChanges()), orDash(shown(v.GetReason())))
			}
			most -= len(answer.GetRevisions())
			if token = answer.GetNextPageToken(); token == "" {
				break
			}
		}
		return t.Flush()
	})
	return c
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// changed names the policies of a change, a few of them.
func changed(list []*usherv1.PolicyDiff) string {
	const most = 3
	text := ""
	for i, d := range list {
		if i == most {
			return fmt.Sprintf("%s and %d more", text, len(list)-most)
		}
		if i > 0 {
			text += ", "
		}
		text += diffMark(policystore.DiffKind(d.GetKind())) + shown(d.GetPolicy())
	}
	return orDash(text)
}

func newPolicyDraftCommand(w *world) *cobra.Command {
	c := &cobra.Command{
		Use:   "draft",
		Short: "List and delete drafts",
		Long: `A draft is a list of policies in the making. "usher policy import FILE --draft ID"
makes one, "usher policy diff live ID" and "usher policy simulate --draft ID" say what
it would change, "usher policy publish ID" makes it the live list.`,
		Example: "  usher policy draft list\n  usher policy draft delete move",
	}
	c.AddCommand(newDraftListCommand(w), newDraftDeleteCommand(w))
	return c
}

func newDraftListCommand(w *world) *cobra.Command {
	var r reach
	c := &cobra.Command{Use: "list", Short: "List the drafts", Args: cobra.NoArgs, Example: "  usher policy draft list"}
	r.bind(c)
	c.RunE = w.served(&r, func(ctx context.Context, a *api, _ []string) error {
		t := tabwriter.NewWriter(w.out, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(t, "DRAFT\tTAKEN FROM\tCHANGED\tAUTHOR\tDESCRIPTION") // an error stays with t until Flush
		for token := ""; ; {
			var answer usherv1.ListPolicyDraftsResponse
			if err := a.call(ctx, http.MethodGet, a.path("/policyDrafts?"+url.Values{"page_token": {token}}.Encode()), nil, &answer); err != nil {
				return err
			}
			for _, d := range answer.GetDrafts() {
				base := fmt.Sprintf("revision %d", d.GetBaseRevision())
				if d.GetStale() {
					base += ", changed since"
				}
				_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", path.Base(d.GetName()), base, stamp(d.GetUpdateTime().AsTime()),
					shown(d.GetAuthor()), orDash(shown(d.GetDescription())))
			}
			if token = answer.GetNextPageToken(); token == "" {
				return t.Flush()
			}
		}
	})
	return c
}

func newDraftDeleteCommand(w *world) *cobra.Command {
	var r reach
	c := &cobra.Command{Use: "delete DRAFT", Short: "Throw a draft away; the live list stays as it is", Args: cobra.ExactArgs(1), Example: "  usher policy draft delete move"}
	r.bind(c)
	c.RunE = w.served(&r, func(ctx context.Context, a *api, args []string) error {
		if err := a.call(ctx, http.MethodDelete, a.draftPath(args[0]), nil, nil); err != nil {
			return err
		}
		_, err := fmt.Fprintf(w.err, "deleted the draft %s\n", shown(args[0]))
		return err
	})
	return c
}

func (a *api) draftPath(id string) string { return a.path("/policyDrafts/" + url.PathEscape(id)) }

// newPolicySwitchCommand enables or disables one policy.
func newPolicySwitchCommand(w *world, verb, short string) *cobra.Command {
	var r reach
	var req usherv1.EnablePolicyRequest // that of disabling has the same fields
	c := &cobra.Command{Use: verb + " ID", Short: short, Args: cobra.ExactArgs(1), Example: "  usher policy " + verb + " outage --reason 'by the desk'"}
	r.bind(c)
	changeReason(c, &req.Reason)
	c.RunE = w.served(&r, func(ctx context.Context, a *api, args []string) error {
		if err := a.call(ctx, http.MethodPost, a.path("/policies/"+url.PathEscape(args[0])+":"+verb), &req, nil); err != nil {
			return err
		}
		_, err := fmt.Fprintf(w.err, "%sd %s\n", verb, shown(args[0]))
		return err
	})
	return c
}

func newPolicyMoveCommand(w *world) *cobra.Command {
	var r reach
	var req usherv1.MovePolicyRequest
	c := &cobra.Command{
		Use: "move ID POSITION", Short: "Put a policy at another place of the list, counted from 0", Args: cobra.ExactArgs(2),
		Example: "  usher policy move outage 0 --reason 'before everything else'",
	}
	r.bind(c)
	changeReason(c, &req.Reason)
	c.RunE = func(c *cobra.Command, args []string) error {
		n, err := strconv.ParseInt(args[1], 10, 32)
		if err != nil || n < 0 {
			return &usageError{fmt.Errorf("%q is not a place in the list, which is a number from 0", args[1])}
		}
		req.Position = int32(n)
		return w.served(&r, func(ctx context.Context, a *api, args []string) error {
			if err := a.call(ctx, http.MethodPost, a.path("/policies/"+url.PathEscape(args[0])+":move"), &req, nil); err != nil {
				return err
			}
			_, err := fmt.Fprintf(w.err, "moved %s to %d\n", shown(args[0]), n)
			return err
		})(c, args)
	}
	return c
}
