package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// exitNotVerifiable is the exit code when something is gone that a decision needs
// to be told again.
const exitNotVerifiable = 4

func newExplainCommand(w *world) *cobra.Command {
	var r reach
	var asJSON, verify bool
	c := &cobra.Command{
		Use:   "explain ID",
		Short: "Tell why a decision was made, and prove it",
		Long: `Prints the record of a decision for people: what was known, what every policy said
with the value of each condition, what became of each candidate, what policy alone
and the model alone would have chosen, and which functions were asked.

With --verify the server decides again from the record alone and compares.
Exit code 0: told, or the same; 1: different, or it failed; 2: the input is wrong;
4: it cannot be verified because something it needs is gone.`,
		Example: "  usher explain 01JD...\n  usher explain accounts/default/decisions/01JD... --verify",
		Args:    cobra.ExactArgs(1),
	}
	r.bind(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print the answer as one JSON object")
	c.Flags().BoolVar(&verify, "verify", false, "decide again from the record and compare")
	c.RunE = func(c *cobra.Command, args []string) error {
		id, err := decisionID(args[0], &r)
		if err != nil {
			return err
		}
		a, err := w.api(r)
		if err != nil {
			return err
		}
		if verify {
			return w.verify(c.Context(), a, id, asJSON)
		}
		var d usherv1.DecisionRecord
		if err := a.call(c.Context(), http.MethodGet, a.path("/decisions/"+url.PathEscape(id)), nil, &d); err != nil {
			return err
		}
		if asJSON {
			return w.protoJSON(&d)
		}
		_, err = w.out.Write([]byte(explanation(&d)))
		return err
	}
	return c
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
