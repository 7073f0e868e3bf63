package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path"
	"path/filepath"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/usherhq/usher/internal/fault"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

func newPolicyImportCommand(w *world) *cobra.Command {
	var r reach
	var req usherv1.ImportPoliciesRequest
	overwrite := false
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Bring policies of a file into the list or into a draft",
		Long: `Reads policies of Usher, LivePerson, Twilio TaskRouter or Amazon Connect, all of them
or none. Policies with a known id are replaced in their place, new ones go last. What
cannot be taken over word by word is printed with file and line.

New policies are disabled unless the document or --enable says otherwise.
Exit code 0: done; 1: the server refused; 2: the document is not valid.`,
		Example: "  usher policy import liveperson.json --draft move\n  usher policy import policies.yaml --replace --reason 'as in git' --dry-run",
		Args:    cobra.ExactArgs(1),
	}
	r.bind(c)
	f := c.Flags()
	f.StringVar(&req.Format, "format", "", formatUsage())
	f.StringVar(&req.Draft, "draft", "", "put them into a new draft of this id, not into the list")
	f.BoolVar(&overwrite, "overwrite", false, "with --draft: put them in the place of a draft of that id")
	f.BoolVar(&req.Replace, "replace", false, "take away the policies that the file does not have")
	f.BoolVar(&req.Enable, "enable", false, "enable what the file does not say to be disabled")
	f.BoolVar(&req.ValidateOnly, "dry-run", false, "only tell what would be stored")
	f.StringVar(&req.Reason, "reason", "", "why; kept in the audit log")
	c.RunE = func(c *cobra.Command, args []string) error {
		if overwrite && req.GetDraft() == "" {
			return &usageError{errors.New("--overwrite is about a draft; name it with --draft")}
		}
		s, err := w.readSource(args[0])
		if err != nil {
			return err
		}
		if s.fault != nil {
			return s.unreadable()
		}
		a, err := w.api(r)
		if err != nil {
			return err
		}
		return w.importPolicies(c.Context(), a, s, &req, overwrite && !req.GetValidateOnly())
	}
	return c
}

func (w *world) importPolicies(ctx context.Context, a *api, s *source, req *usherv1.ImportPoliciesRequest, overwrite bool) error {
	// As a text the document keeps the digits of long ids, and keys that stand twice
	// are found.
	req.Document = structpb.NewStringValue(string(s.json))
	before, err := a.liveDocuments(ctx)
	if err != nil {
		return err
	}
	if overwrite {
		if err := a.vacate(ctx, req); err != nil {
			return s.place(err, nil)
		}
	}
	var answer usherv1.ImportPoliciesResponse
	if err := a.call(ctx, http.MethodPost, a.path("/policies:import"), req, &answer); err != nil {
		if f, ok := errors.AsType[*fault.Error](err); ok && f.Kind == fault.Conflict && req.GetDraft() != "" {
			return fmt.Errorf("%w; --overwrite replaces the draft, \"usher policy draft delete %s\" throws it away", err, shown(req.GetDraft()))
		}
		return s.place(err, nil)
	}
	errs := w.importProblems(s, req.GetFormat(), &answer)
	done := "imported"
	if req.GetValidateOnly() {
		done = "would import"
	}
	where := fmt.Sprintf("the list, revision %d", answer.GetRevision())
	if answer.GetDraft() != "" {
		where = "the draft " + path.Base(answer.GetDraft())
	}
	// A draft may hold faults; a dry run answers them in place of refusing them.
	if errs > 0 && req.GetDraft() == "" {
		return &outcome{code: 2, text: fmt.Sprintf("%s has %s", s.name, amount(errs, "error", "errors"))}
	}
	t, err := takenOver(req, s, &answer, before)
	if err != nil {
		return err
	}
	if err := t.print(w.out); err != nil {
		return err
	}
	rest := ""
	if errs > 0 {
		rest = fmt.Sprintf("; it cannot be published before %s mended", amount(errs, "error is", "errors are"))
	}
	_, err = fmt.Fprintf(w.err, "%s %s into %s: %s%s\n", done, amount(t.count(), "policy", "policies"), where, t.summary(), rest)
	return err
}

func newPolicyExportCommand(w *world) *cobra.Command {
	var r reach
	var revision int64
	var draft, file string
	c := &cobra.Command{
		Use:     "export",
		Short:   "Write the list, a revision or a draft in canonical form",
		Example: "  usher policy export -o policies.json\n  usher policy export --revision 41",
		Args:    cobra.NoArgs,
	}
	r.bind(c)
	c.Flags().Int64Var(&revision, "revision", 0, "the list as it was; the live one when 0")
	c.Flags().StringVar(&draft, "draft", "", "the draft of this id")
	c.Flags().StringVarP(&file, "output", "o", "", "file to write, in YAML when it is called .yaml or .yml; JSON on standard output when empty")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if revision != 0 && draft != "" {
			return &usageError{fmt.Errorf("--revision and --draft are two lists; give one")}
		}
		a, err := w.api(r)
		if err != nil {
			return err
		}
		document, err := a.export(c.Context(), revision, draft)
		if err != nil {
			return err
		}
		// encoding/json sorts keys and writes the same bytes every time; protojson
		// promises neither.
		var text bytes.Buffer
		enc := json.NewEncoder(&text)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(document.AsMap()); err != nil {
			return fmt.Errorf("write the policies: %w", err)
		}
		if file == "" {
			_, err = w.out.Write(text.Bytes())
			return err
		}
		out := text.Bytes()
		if extension := filepath.Ext(file); extension == ".yaml" || extension == ".yml" {
			if out, err = policyYAML(out); err != nil {
				return err
			}
		}
		return os.WriteFile(file, out, 0o600)
	}
	return c
}
