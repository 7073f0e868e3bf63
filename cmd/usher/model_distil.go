package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

func newModelDistilCommand(w *world) *cobra.Command {
	var r reach
	var req usherv1.DistilModelRequest
	var out string
	asJSON := false
	c := &cobra.Command{
		Use:   "distil [VERSION]",
		Short: "Read a model as candidate policies",
		Long: `Fits a shallow tree to what the model, the live one without a version, would choose in
the newest decisions, and prints each way through it as a rule: how often the model does
choose so where the rule applies (counted on held-out decisions), the share of decisions
it applies to, and what doing so there is estimated to be worth against what was done.
A value that the log cannot tell is a dash; the interval is what is known then.

--out writes the rules as policies: one file, in YAML when it is called .yaml or .yml, or
a file for each when it is a folder. "usher policy check" reads them, and "usher policy
import FILE --draft ID" makes a draft of them. Personal attributes are never looked at.`,
		Example: `  usher model distil
  usher model distil 20260301T101500Z-1f0c2d3e --depth 2 --min-coverage 0.05
  usher model distil --out candidates.yaml && usher policy import candidates.yaml --draft candidates`,
		Args: cobra.MaximumNArgs(1),
	}
	r.bind(c)
	f := c.Flags()
	f.Int32Var(&req.Depth, "depth", 3, "conditions of a rule at the most, 1 to 6")
	f.Float64Var(&req.MinCoverage, "min-coverage", 0.01, "share of decisions that a rule must be about")
	f.Int32Var(&req.MaxRows, "max-rows", 5000, "newest decisions to read, at most 20000")
	f.StringVarP(&out, "out", "o", "", "file, or folder that exists, to write the policies to")
	f.BoolVar(&asJSON, "json", false, "print the answer as one JSON object")
	c.RunE = w.served(&r, func(ctx context.Context, a *api, args []string) error {
		version, err := a.versionOf(ctx, args)
		if err != nil {
			return err
		}
		var answer usherv1.DistilModelResponse
		if err := a.call(ctx, http.MethodPost, a.modelPath(version)+":distil", &req, &answer); err != nil {
			return err
		}
		if out != "" {
			if err := w.writeDistilled(out, &answer); err != nil {
				return err
			}
		}
		if asJSON {
			return w.protoJSON(&answer)
		}
		return w.distilled(version, &answer)
	})
	return c
}

// distilled prints the rules as a table, and what is doubtful about each below it.
func (w *world) distilled(version string, d *usherv1.DistilModelResponse) error {
	t := tabwriter.NewWriter(w.out, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(t, format+"\n", args...) } // an error stays with t until Flush
	line("model %s, read from %d decisions: the rules say what it says in %.1f %% of held-out ones, its most frequent choice alone in %.1f %%",
		shown(version), d.GetRows(), 100*d.GetAgreement(), 100*d.GetMajority())
	if len(d.GetPolicies()) == 0 {
		line("no rule covers enough decisions; a smaller --min-coverage tells narrower ones")
		return t.Flush()
	}
	line("\n#\tAGREES\tCOVERS\tVALUE\tDONE\tRULE")
	for i, p := range d.GetPolicies() {
		line("%d\t%.1f %%\t%.1f %%\t%s\t%.3f\t%s", i+1, 100*p.GetAgreement(), 100*p.GetCoverage(), worth(p.GetValue()), p.GetLoggedValue(), shown(p.GetText()))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for i, p := range d.GetPolicies() {
		for _, warning := range p.GetValue().GetWarnings() {
			if _, err := fmt.Fprintf(w.err, "rule %d: %s\n", i+1, shown(warning)); err != nil {
				return err
			}
		}
	}
	return nil
}

// worth is the trusted estimate with its interval; a dash in place of a value that the
// log cannot tell.
func worth(v *usherv1.ValueEstimate) string {
	e := v.GetEstimates()[v.GetDefault()]
	if e == nil {
		return "-"
	}
	value := "-"
	if e.Value != nil && v.GetTrusted() {
		value = fmt.Sprintf("%.3f", e.GetValue())
	}
	return fmt.Sprintf("%s (%.3f to %.3f)", value, e.GetLower(), e.GetUpper())
}

// writeDistilled writes the policies to one file, or to a file each in a folder.
func (w *world) writeDistilled(out string, d *usherv1.DistilModelResponse) error {
	documents := make([]any, len(d.GetPolicies()))
	for i, p := range d.GetPolicies() {
		documents[i] = p.GetPolicy().AsMap()
	}
	stat, err := os.Stat(out)
	switch {
	case err == nil && stat.IsDir():
		for i, p := range d.GetPolicies() {
			name := p.GetPolicy().GetFields()["name"].GetStringValue()
			if name == "" || strings.ContainsAny(name, `/\`) {
				name = fmt.Sprintf("distilled-%d", i+1)
			}
			if err := writeDocument(filepath.Join(out, name+".yaml"), documents[i]); err != nil {
				return err
			}
		}
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("write the policies: %w", err)
	case strings.HasSuffix(out, string(filepath.Separator)):
		return &usageError{fmt.Errorf("--out %q: there is no such folder", out)}
	default:
		if err := writeDocument(out, map[string]any{"policies": documents}); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(w.err, "wrote %s to %s\n", amount(len(documents), "policy", "policies"), shown(out))
	return err
}

// writeDocument writes JSON, or YAML where the file is called so.
func writeDocument(file string, document any) error {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(document); err != nil {
		return fmt.Errorf("write the policies: %w", err)
	}
	out := text.Bytes()
	if extension := filepath.Ext(file); extension == ".yaml" || extension == ".yml" {
		var err error
		if out, err = policyYAML(out); err != nil {
			return err
		}
	}
	return os.WriteFile(file, out, 0o600)
}
