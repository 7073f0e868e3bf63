package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

func newModelCommand(w *world) *cobra.Command {
	c := &cobra.Command{
		Use:   "model",
		Short: "Look at models, read them as policies, promote them and take them back",
		Long: `Models are made by the trainer, which also promotes them when the gate lets them pass.
These commands show what there is and how it was judged, change which one is live, and
say how far each scope is in the model's hands. They talk to a running server, see
--server and --token.`,
		Example: `  usher model list
  usher model card 20260301T101500Z-1f0c2d3e
  usher model distil --depth 3 --out candidates.yaml
  usher model rollback --reason "refunds went to the wrong desk"`,
	}
	c.AddCommand(newModelListCommand(w), newModelCardCommand(w), newModelPromoteCommand(w), newModelRollbackCommand(w), newModelDistilCommand(w),
		newModelLadderCommand(w), newModelAdvanceCommand(w), newModelRetreatCommand(w))
	return c
}

func (a *api) modelPath(version string) string { return a.path("/models/" + url.PathEscape(version)) }

// models lists the account's models, newest first, at most so many.
func (a *api) models(ctx context.Context, most int) ([]*usherv1.Model, error) {
	var all []*usherv1.Model
	for token := ""; len(all) < most; {
		query := url.Values{"page_token": {token}, "page_size": {fmt.Sprint(min(most-len(all), 100))}}
		var answer usherv1.ListModelsResponse
		if err := a.call(ctx, http.MethodGet, a.path("/models?"+query.Encode()), nil, &answer); err != nil {
			return nil, err
		}
		all = append(all, answer.GetModels()...)
		if token = answer.GetNextPageToken(); token == "" {
			break
		}
	}
	return all, nil
}

// champion is the version of the live model.
func (a *api) champion(ctx context.Context) (string, error) {
	const most = 1000
	list, err := a.models(ctx, most)
	if err != nil {
		return "", err
	}
	for _, m := range list {
		if m.GetState() == "CHAMPION" {
			return path.Base(m.GetName()), nil
		}
	}
	return "", &outcome{code: 1, text: "no model is live; \"usher model list\" lists those that there are"}
}

func newModelListCommand(w *world) *cobra.Command {
	var r reach
	asJSON, most := false, 0
	c := &cobra.Command{
		Use: "list", Short: "List the models, the newest first", Args: cobra.NoArgs,
		Example: "  usher model list --limit 5\n  usher model list --json",
	}
	r.bind(c)
	c.Flags().IntVar(&most, "limit", 20, "how many to list at the most")
	c.Flags().BoolVar(&asJSON, "json", false, "print the models as one JSON object")
	c.RunE = w.served(&r, func(ctx context.Context, a *api, _ []string) error {
		list, err := a.models(ctx, most)
		if err != nil {
			return err
		}
		if asJSON {
			return w.protoJSON(&usherv1.ListModelsResponse{Models: list})
		}
		t := tabwriter.NewWriter(w.out, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(t, "MODEL\tSTATE\tMADE\tOBJECTIVE\tROWS\tLOSS\tCONSTANT\tGATE\tBECAUSE") // an error stays with t until Flush
		for _, m := range list {
			card := cardOf(m)
			_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", shown(path.Base(m.GetName())), m.GetState(), stamp(m.GetCreateTime().AsTime()),
				card.text("objective"), card.text("rows"), card.text("held_out.loss"), card.text("held_out.constant"), card.text("gate"), card.text("gate_reason"))
		}
		return t.Flush()
	})
	return c
}

func newModelCardCommand(w *world) *cobra.Command {
	var r reach
	asJSON := false
	c := &cobra.Command{
		Use: "card [VERSION]", Short: "Show where a model came from and how it was judged", Args: cobra.MaximumNArgs(1),
		Long:    "Prints the card of a model, that of the live one without a version.",
		Example: "  usher model card\n  usher model card 20260301T101500Z-1f0c2d3e --json",
	}
	r.bind(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print the model as one JSON object")
	c.RunE = w.served(&r, func(ctx context.Context, a *api, args []string) error {
		version, err := a.versionOf(ctx, args)
		if err != nil {
			return err
		}
		var m usherv1.Model
		if err := a.call(ctx, http.MethodGet, a.modelPath(version), nil, &m); err != nil {
			return err
		}
		if asJSON {
			return w.protoJSON(&m)
		}
		return w.modelCard(&m)
	})
	return c
}

// versionOf is the version that was named, or the live one.
func (a *api) versionOf(ctx context.Context, args []string) (string, error) {
	if len(args) == 1 {
		return args[0], nil
	}
	return a.champion(ctx)
}

// modelCard prints a card: what everybody asks first, then everything, by name.
func (w *world) modelCard(m *usherv1.Model) error {
	t := tabwriter.NewWriter(w.out, 0, 0, 2, ' ', 0)
	line := func(name, value string) { _, _ = fmt.Fprintf(t, "%s\t%s\n", name, value) } // an error stays with t until Flush
	line("model", shown(path.Base(m.GetName())))
	line("state", m.GetState())
	line("made", stamp(m.GetCreateTime().AsTime()))
	if m.GetRetrainBy() != nil {
		line("retrain by", stamp(m.GetRetrainBy().AsTime())+", rows that it learned from were erased")
	}
	for _, l := range cardOf(m).withGaps().lines("", nil) {
		line(l[0], l[1])
	}
	return t.Flush()
}

// modelDocument is a card as it came: newer servers say more than this binary knows.
type modelDocument map[string]any

func cardOf(m *usherv1.Model) modelDocument { return m.GetCard().AsMap() }

// text spells one value, by its dotted name; a dash when it is not there.
func (d modelDocument) text(name string) string {
	head, rest, deeper := strings.Cut(name, ".")
	if !deeper {
		return orDash(scalar(d[head]))
	}
	inner, ok := d[head].(map[string]any)
	if !ok {
		return "-"
	}
	return modelDocument(inner).text(rest)
}

// lines spells every value with its dotted name, in order of names. Lists of objects
// have one line for each.
func (d modelDocument) lines(prefix string, list [][2]string) [][2]string {
	names := keys(d)
	slices.Sort(names)
	for _, name := range names {
		switch v := d[name].(type) {
		case map[string]any:
			list = modelDocument(v).lines(prefix+name+".", list)
		case []any:
			for i, one := range v {
				at := fmt.Sprintf("%s%s[%d]", prefix, name, i)
				if inner, ok := one.(map[string]any); ok {
					list = append(list, [2]string{shown(at), inline(inner)})
				} else {
					list = append(list, [2]string{shown(at), scalar(one)})
				}
			}
		default:
			if prefix != "" || name != "version" && name != "account" && name != "created_time" {
				list = append(list, [2]string{shown(prefix + name), orDash(scalar(v))})
			}
		}
	}
	return list
}

// withGaps puts in what a card leaves out where the log cannot tell, so that it is shown
// as a dash.
func (d modelDocument) withGaps() modelDocument {
	for part, names := range map[string][]string{"comparison": {"champion", "challenger", "gain"}, "held_out": {"champion", "challenger"}} {
		inner, ok := d[part].(map[string]any)
		if !ok {
			continue
		}
		for _, name := range names {
			if _, known := inner[name]; !known {
				inner[name] = nil
			}
		}
	}
	return d
}

// inline spells an object on one line.
func inline(m map[string]any) string {
	parts := make([]string, 0, len(m))
	for _, l := range modelDocument(m).lines("", nil) {
		parts = append(parts, l[0]+" "+l[1])
	}
	return strings.Join(parts, ", ")
}

// scalar spells a number with the digits that say something, and text as it is.
func scalar(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return shown(v)
	case float64:
		if v == float64(int64(v)) {
			return fmt.Sprintf("%d", int64(v))
		}
		return fmt.Sprintf("%.4g", v)
	case bool:
		return map[bool]string{true: "yes", false: "no"}[v]
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return shown(string(text))
}

func newModelPromoteCommand(w *world) *cobra.Command {
	var r reach
	var req usherv1.PromoteModelRequest
	c := &cobra.Command{
		Use: "promote VERSION", Short: "Make a model live, whatever the gate said", Args: cobra.ExactArgs(1),
		Long: `Makes a model of the catalogue the live one. After a rollback the trainer promotes
nothing until this command has.`,
		Example: "  usher model promote 20260301T101500Z-1f0c2d3e --reason 'looked at the card'",
	}
	r.bind(c)
	changeReason(c, &req.Reason)
	c.RunE = w.served(&r, func(ctx context.Context, a *api, args []string) error {
		var m usherv1.Model
		if err := a.call(ctx, http.MethodPost, a.modelPath(args[0])+":promote", &req, &m); err != nil {
			return err
		}
		_, err := fmt.Fprintf(w.err, "%s is live\n", shown(path.Base(m.GetName())))
		return err
	})
	return c
}

func newModelRollbackCommand(w *world) *cobra.Command {
	var r reach
	var req usherv1.RollbackModelRequest
	c := &cobra.Command{
		Use: "rollback", Short: "Make the model before live again", Args: cobra.NoArgs,
		Long: `Takes the live model away and makes the one before live again, which is still warm. Those
that were trained for another objective, or version of it, are passed over and named; with
none left policy alone decides. The trainer goes on, but promotes nothing until "usher model promote" has.`,
		Example: "  usher model rollback --reason 'refunds went to the wrong desk'",
	}
	r.bind(c)
	changeReason(c, &req.Reason)
	c.RunE = w.served(&r, func(ctx context.Context, a *api, _ []string) error {
		var m usherv1.Model
		if err := a.call(ctx, http.MethodPost, a.path("/models:rollback"), &req, &m); err != nil {
			return err
		}
		text := "no model is live any more: policy alone decides"
		if m.GetName() != "" {
			text = shown(path.Base(m.GetName())) + " is live again"
		}
		if m.GetReason() != "" {
			text += ": " + shown(m.GetReason())
		}
		_, err := fmt.Fprintln(w.err, text)
		return err
	})
	return c
}
