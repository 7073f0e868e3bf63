package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/usherhq/usher/internal/fault"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// exitNotVerifiable is the exit code when something is gone that a decision needs
// to be told again.
const exitNotVerifiable = 4

func newExplainCommand(w *world) *cobra.Command {
	var r reach
	var asJSON, verify bool
	conversation := ""
	c := &cobra.Command{
		Use:   "explain ID | --conversation ID",
		Short: "Tell why a decision was made, and prove it",
		Long: `Prints the record of a decision for people: what was known, what every policy said
with the value of each condition, what became of each candidate, what policy alone
and the model alone would have chosen, and which functions were asked.

With --conversation it lists the decisions of a conversation, the oldest first, and
tells them in full when there is one alone.

With --verify the server decides again from the record alone and compares.
Exit code 0: told, or the same; 1: different, or it failed; 2: the input is wrong;
4: it cannot be verified because something it needs is gone.`,
		Example: "  usher explain 01JD...\n  usher explain accounts/default/decisions/01JD... --verify\n  usher explain --conversation c-1029",
		Args:    cobra.MaximumNArgs(1),
	}
	r.bind(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print the answer as one JSON object")
	c.Flags().BoolVar(&verify, "verify", false, "decide again from the record and compare")
	c.Flags().StringVar(&conversation, "conversation", "", "the decisions of this conversation, in place of one by its id")
	c.RunE = func(c *cobra.Command, args []string) error {
		if (len(args) == 0) == (conversation == "") || conversation != "" && verify {
			return &usageError{errors.New("give the id of one decision, or --conversation without --verify; see usher explain --help")}
		}
		if conversation != "" {
			return w.served(&r, func(ctx context.Context, a *api, _ []string) error {
				return w.conversation(ctx, a, conversation, asJSON)
			})(c, args)
		}
		id, err := decisionID(args[0], &r)
		if err != nil {
			return err
		}
		a, err := w.api(r)
		if err != nil {
			return err
		}
		if verify {
			return hintConversation(w.verify(c.Context(), a, id, asJSON), id)
		}
		var d usherv1.DecisionRecord
		if err := a.call(c.Context(), http.MethodGet, a.path("/decisions/"+url.PathEscape(id)), nil, &d); err != nil {
			return hintConversation(err, id)
		}
		if asJSON {
			return w.protoJSON(&d)
		}
		_, err = w.out.Write([]byte(explanation(&d)))
		return err
	}
	return c
}

// hintConversation says how to look for a decision when what was given is the id
// of a conversation.
func hintConversation(err error, id string) error {
	if f, ok := errors.AsType[*fault.Error](err); ok && f.Kind == fault.NotFound {
		return fmt.Errorf("%w; the decisions of a conversation are listed by usher explain --conversation %s", err, shown(id))
	}
	return err
}

// maxConversation is the number of decisions of a conversation that are listed.
const maxConversation = 200

// conversation tells the decisions of one conversation.
func (w *world) conversation(ctx context.Context, a *api, id string, asJSON bool) error {
	query := url.Values{"conversation_id": {id}, "page_size": {strconv.Itoa(maxConversation)}}
	var answer usherv1.ListDecisionsResponse
	if err := a.call(ctx, http.MethodGet, a.path("/decisions?"+query.Encode()), nil, &answer); err != nil {
		return err
	}
	if asJSON {
		return w.protoJSON(&answer)
	}
	list := answer.GetDecisions()
	if len(list) == 0 {
		return fault.New(fault.NotFound, "DECISION_NOT_FOUND", "there is no decision of the conversation %s; a new one can take a few seconds to arrive", shown(id))
	}
	text := conversationPage(list)
	if answer.GetNextPageToken() != "" {
		text += fmt.Sprintf("only the newest %d are listed\n", maxConversation)
	}
	_, err := w.out.Write([]byte(text))
	return err
}

// conversationPage lists decisions, which come newest first, in the order they
// were made; one alone is told in full.
func conversationPage(list []*usherv1.DecisionRecord) string {
	if len(list) == 1 {
		return explanation(list[0])
	}
	var p page
	p.line("%s of conversation %s", amount(len(list), "decision", "decisions"), list[0].GetConversationId())
	rows := [][]string{{"DECISION", "TIME", "ANSWER", "BY", "REASONS"}}
	for _, d := range slices.Backward(list) {
		actions := make([]string, 0, len(d.GetActions()))
		for _, a := range d.GetActions() {
			actions = append(actions, key(a))
		}
		by := d.GetPolicy()
		if by == "" {
			by = d.GetDecidedBy()
		}
		rows = append(rows, []string{
			d.GetDecisionId(), d.GetTime().AsTime().Format("2006-01-02 15:04:05.000 MST"), orDash(strings.Join(actions, ", ")),
			orDash(by), strings.Join(d.GetReasons(), ", "),
		})
	}
	p.table(rows)
	return p.text.String()
}

// decisionID takes an id or a whole resource name, which names the account too.
func decisionID(name string, r *reach) (string, error) {
	parts := strings.Split(name, "/")
	switch {
	case len(parts) == 1 && name != "":
		return name, nil
	case len(parts) == 4 && parts[0] == "accounts" && parts[2] == "decisions" && parts[1] != "" && parts[3] != "":
		if r.account != "" && r.account != parts[1] {
			return "", &usageError{fmt.Errorf("%s is of another account than --account %s", name, r.account)}
		}
		r.account = parts[1]
		return parts[3], nil
	}
	return "", &usageError{fmt.Errorf("%q is neither a decision's id nor accounts/{account}/decisions/{decision}", name)}
}

func (w *world) verify(ctx context.Context, a *api, id string, asJSON bool) error {
	var v usherv1.VerifyDecisionResponse
	request := &usherv1.VerifyDecisionRequest{}
	if err := a.call(ctx, http.MethodPost, a.path("/decisions/"+url.PathEscape(id)+":verify"), request, &v); err != nil {
		return err
	}
	var err error
	if asJSON {
		err = w.protoJSON(&v)
	} else {
		_, err = w.out.Write([]byte(verification(&v)))
	}
	if err != nil {
		return err
	}
	switch v.GetVerdict() {
	case "SAME":
		return nil
	case "DIFFERENT":
		return &outcome{code: 1, text: "the decision comes out different: " + strings.Join(v.GetFindings(), "; ")}
	case "NOT_VERIFIABLE":
		return &outcome{code: exitNotVerifiable, text: "the decision cannot be verified: " + strings.Join(v.GetFindings(), "; ")}
	}
	return errors.New("the server answers the verdict " + v.GetVerdict() + ", which this version does not know")
}

func verification(v *usherv1.VerifyDecisionResponse) string {
	var p page
	if d := v.GetRecorded(); d != nil {
		p.record(d)
		p.line("")
	}
	p.line("Verified: %s", v.GetVerdict())
	for _, finding := range v.GetFindings() {
		p.line("  %s", finding)
	}
	if v.GetSummary() != "" {
		p.line("%s", v.GetSummary())
	}
	return p.text.String()
}

// protoJSON prints a message with the names of the API, the same bytes every time.
func (w *world) protoJSON(m proto.Message) error {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	enc := json.NewEncoder(w.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(tree)
}
