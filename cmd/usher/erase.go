package main

import (
	"context"
	"fmt"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

func newEraseCommand(w *world) *cobra.Command {
	var r reach
	var reason string
	var list, wait, asJSON bool
	c := &cobra.Command{
		Use:   "erase CONSUMER",
		Short: "Forget a person: their decisions, outcomes and context, and in time what models learned from them",
		Long: `Asks the server to forget a person, by the consumer_id (or visitor_id) that requests
carried. Their decisions, all others of the same conversations, the outcomes of both, dead
letters that carry the ids, and their context are removed in the background; what comes
again from the log is dropped. Models that learned from the rows get a date by which they
are trained anew.

Nothing keeps the id: requests are listed by a keyed hash. Do not write a name into --reason.`,
		Example: "  usher erase c-4711 --account acme --reason 'ticket 88' --wait\n  usher erase --list --account acme",
		Args:    cobra.MaximumNArgs(1),
	}
	r.bind(c)
	f := c.Flags()
	f.StringVar(&reason, "reason", "", "kept in the audit log for ever")
	f.BoolVar(&list, "list", false, "list the requests instead, newest first")
	f.BoolVar(&wait, "wait", false, "return when the person is forgotten")
	f.BoolVar(&asJSON, "json", false, "print the answer as one JSON object")
	c.RunE = func(c *cobra.Command, args []string) error {
		if list == (len(args) == 1) {
			return &usageError{fmt.Errorf("give a consumer, or --list")}
		}
		return w.served(&r, func(ctx context.Context, a *api, args []string) error {
			if list {
				return w.listErasures(ctx, a, asJSON)
			}
			in := &usherv1.EraseConsumerRequest{ConsumerId: args[0], Reason: reason}
			var e usherv1.Erasure
			if err := a.call(ctx, http.MethodPost, a.path(":eraseConsumer"), in, &e); err != nil {
				return err
			}
			if wait {
				if err := a.awaitErasure(ctx, &e); err != nil {
					return err
				}
			}
			if asJSON {
				return w.protoJSON(&e)
			}
			return w.erasures([]*usherv1.Erasure{&e})
		})(c, args)
	}
	return c
}

// erasurePoll is how often a command looks whether an erasure is done.
const erasurePoll = 500 * time.Millisecond

// awaitErasure returns when the request has ended, with what became of it in e.
func (a *api) awaitErasure(ctx context.Context, e *usherv1.Erasure) error {
	for e.GetState() == "RUNNING" {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(erasurePoll):
		}
		var page usherv1.ListErasuresResponse
		if err := a.call(ctx, http.MethodGet, a.path("/erasures?page_size=1000"), nil, &page); err != nil {
			return err
		}
		for _, one := range page.GetErasures() {
			// Asked for again while it runs it has a later time.
			if one.GetConsumerHash() == e.GetConsumerHash() && !one.GetRequestTime().AsTime().Before(e.GetRequestTime().AsTime()) {
				e.State, e.Detail, e.DoneTime, e.RetrainBy = one.State, one.Detail, one.DoneTime, one.RetrainBy
				e.Decisions, e.Outcomes, e.Contexts, e.Models = one.Decisions, one.Outcomes, one.Contexts, one.Models
			}
		}
	}
	if e.GetState() == "FAILED" {
		return fmt.Errorf("erase: the request failed: %s", e.GetDetail())
	}
	return nil
}

func (w *world) listErasures(ctx context.Context, a *api, asJSON bool) error {
	var page usherv1.ListErasuresResponse
	if err := a.call(ctx, http.MethodGet, a.path("/erasures?page_size=1000"), nil, &page); err != nil {
		return err
	}
	if asJSON {
		return w.protoJSON(&page)
	}
	return w.erasures(page.GetErasures())
}

// erasures prints requests as a table.
func (w *world) erasures(list []*usherv1.Erasure) error {
	t := tabwriter.NewWriter(w.out, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(t, format+"\n", args...) } // an error stays with t until Flush
	line("PERSON\tREQUESTED\tSTATE\tDECISIONS\tOUTCOMES\tCONTEXTS\tMODELS\tRETRAIN BY")
	for _, e := range list {
		by := "-"
		if e.GetRetrainBy() != nil {
			by = stamp(e.GetRetrainBy().AsTime())
		}
		line("%s\t%s\t%s\t%d\t%d\t%d\t%d\t%s", e.GetConsumerHash(), stamp(e.GetRequestTime().AsTime()), e.GetState(),
			e.GetDecisions(), e.GetOutcomes(), e.GetContexts(), len(e.GetModels()), by)
	}
	return t.Flush()
}
