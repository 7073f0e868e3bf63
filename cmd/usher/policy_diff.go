package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/decision/policy/foreign"
	"github.com/usherhq/usher/decision/policystore"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// liveList is how people call the list in force.
const liveList = "live"

func newPolicyDiffCommand(w *world) *cobra.Command {
	var r reach
	var asJSON, exitCode bool
	var format string
	c := &cobra.Command{
		Use:   "diff A B",
		Short: "Say what differs between two lists of policies",
		Long: `A and B are each a file, the word live, the number of a revision, or the id of a
draft. Two files need no server.`,
		Example: "  usher policy diff live policies.yaml\n  usher policy diff 41 42\n  usher policy diff live holiday-draft --exit-code",
		Args:    cobra.ExactArgs(2),
	}
	r.bind(c)
	c.Flags().StringVar(&format, "format", "", formatUsage())
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	c.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 1 when something differs")
	c.RunE = func(c *cobra.Command, args []string) error {
		list, err := w.diff(c.Context(), r, args[0], args[1], format)
		if err != nil {
			return err
		}
		if asJSON {
			err = w.diffJSON(list)
		} else {
			err = w.diffText(list)
		}
		if err == nil && exitCode && len(list) > 0 {
			return &outcome{code: 1, text: amount(len(list), "policy differs", "policies differ")}
		}
		return err
	}
	return c
}

// diff compares two lists: here when one is a file, else the server does.
func (w *world) diff(ctx context.Context, r reach, from, to, format string) ([]policystore.Difference, error) {
	if !isFile(from) && !isFile(to) {
		return w.diffOnServer(ctx, r, from, to)
	}
	a, err := w.listOf(ctx, r, from, format)
	if err != nil {
		return nil, err
	}
	b, err := w.listOf(ctx, r, to, format)
	if err != nil {
		return nil, err
	}
	return policystore.Diff(a, b)
}

func (w *world) diffOnServer(ctx context.Context, r reach, from, to string) ([]policystore.Difference, error) {
	a, err := w.api(r)
	if err != nil {
		return nil, err
	}
	var answer usherv1.DiffPoliciesResponse
	query := url.Values{"from": {from}, "to": {to}}
	if err := a.call(ctx, http.MethodGet, a.path("/policies:diff?"+query.Encode()), nil, &answer); err != nil {
		return nil, err
	}
	return differences(answer.GetPolicies()), nil
}

// differences are those of the API as those made here.
func differences(list []*usherv1.PolicyDiff) []policystore.Difference {
	var out []policystore.Difference
	for _, p := range list {
		d := policystore.Difference{Policy: p.GetPolicy(), Kind: policystore.DiffKind(p.GetKind())}
		for _, f := range p.GetFields() {
			d.Fields = append(d.Fields, policystore.FieldDiff{Path: f.GetPath(), Before: raw(f.GetBefore()), After: raw(f.GetAfter())})
		}
		out = append(out, d)
	}
	return out
}

// raw is a value as JSON, nil when there is none. protojson puts spaces where it
// likes, so encoding/json writes.
func raw(v *structpb.Value) json.RawMessage {
	if v == nil {
		return nil
	}
	return plainJSON(v.AsInterface())
}

// listOf reads a list of policies from a file or from the server.
func (w *world) listOf(ctx context.Context, r reach, name, format string) ([]*policy.Policy, error) {
	if isFile(name) {
		list, err := w.soundPolicies(name, format)
		if err != nil {
			return nil, err
		}
		return list.policies, nil
	}
	a, err := w.api(r)
	if err != nil {
		return nil, err
	}
	revision, draft := int64(0), ""
	if name != liveList {
		if n, err := strconv.ParseInt(name, 10, 64); err == nil {
			revision = n
		} else {
			draft = name
		}
	}
	document, err := a.export(ctx, revision, draft)
	if err != nil {
		return nil, err
	}
	text, err := protojson.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	result, err := foreign.Read(foreign.FormatUsher, text)
	if err == nil && result.Errors() > 0 {
		err = fmt.Errorf("%s holds policies with errors; \"usher policy check\" names them", name)
	}
	return result.Policies, err
}

// export asks the server for a list in canonical form.
func (a *api) export(ctx context.Context, revision int64, draft string) (*structpb.Struct, error) {
	query := url.Values{}
	if revision > 0 {
		query.Set("revision", strconv.FormatInt(revision, 10))
	}
	if draft != "" {
		query.Set("draft", draft)
	}
	var document structpb.Struct
	if err := a.call(ctx, http.MethodGet, a.path("/policies:export?"+query.Encode()), nil, &document); err != nil {
		return nil, err
	}
	return &document, nil
}

// soundPolicies reads a file of policies that must not have errors. They are
// printed.
func (w *world) soundPolicies(name, format string) (*policyFiles, error) {
	list, err := w.readPolicies([]string{name}, format, nil)
	if err != nil {
		return nil, err
	}
	if n := list.count(policy.Error); n > 0 {
		printProblems(&world{streams: streams{out: w.err, err: w.err}}, list.problems)
		return nil, &usageError{fmt.Errorf("%s has %s", name, amount(n, "error", "errors"))}
	}
	if len(list.policies) == 0 {
		return nil, &usageError{errors.New(name + " has no policies")}
	}
	return list, nil
}

// diffText prints one block for each policy that differs.
func (w *world) diffText(list []policystore.Difference) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w.err, "no difference")
		return err
	}
	for _, d := range list {
		if _, err := fmt.Fprintf(w.out, "%s %s  %s\n", diffMark(d.Kind), shown(d.Policy), d.Kind); err != nil {
			return err
		}
		for _, f := range d.Fields {
			for _, leaf := range leaves(f) {
				if _, err := fmt.Fprintf(w.out, "    %s: %s -> %s\n", leaf.Path, orNothing(leaf.Before), orNothing(leaf.After)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// diffMark is what stands before a policy that differs.
func diffMark(kind policystore.DiffKind) string {
	switch kind {
	case policystore.Added:
		return "+"
	case policystore.Removed:
		return "-"
	case policystore.Moved:
		return ">"
	case policystore.Changed:
	}
	return "~"
}

// leaves takes a difference apart: a line for each value that was changed, not one
// for a whole effect. What is only on one side is told leaf by leaf too.
func leaves(f policystore.FieldDiff) []policystore.FieldDiff {
	before, after := map[string]any{}, map[string]any{}
	scatter(f.Path, f.Before, before)
	scatter(f.Path, f.After, after)
	paths := slices.AppendSeq(slices.Collect(maps.Keys(before)), maps.Keys(after))
	slices.SortFunc(paths, naturally)
	var out []policystore.FieldDiff
	for _, at := range slices.Compact(paths) {
		one := policystore.FieldDiff{Path: at}
		if v, ok := before[at]; ok {
			one.Before = plainJSON(v)
		}
		if v, ok := after[at]; ok {
			one.After = plainJSON(v)
		}
		if !bytes.Equal(one.Before, one.After) {
			out = append(out, one)
		}
	}
	return out
}

// naturally orders the paths of a document, with the tenth of a list after the ninth.
func naturally(a, b string) int {
	number := regexp.MustCompile(`\d+`)
	wide := func(text string) string { return fmt.Sprintf("%012s", text) }
	return strings.Compare(number.ReplaceAllStringFunc(a, wide), number.ReplaceAllStringFunc(b, wide))
}

// scatter notes every value of a document that holds no others under its path. A
// list of plain values is one: that is how people read it.
func scatter(path string, text json.RawMessage, into map[string]any) {
	if len(text) == 0 {
		return
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		into[path] = string(text)
		return
	}
	scatterValue(path, v, into)
}

func scatterValue(path string, v any, into map[string]any) {
	switch t := v.(type) {
	case map[string]any:
		if len(t) > 0 {
			for key, inner := range t {
				scatterValue(joinPath(path, key), inner, into)
			}
			return
		}
	case []any:
		if slices.ContainsFunc(t, isBranch) {
			for i, inner := range t {
				scatterValue(path+"["+strconv.Itoa(i)+"]", inner, into)
			}
			return
		}
	}
	into[path] = v
}

func isBranch(v any) bool {
	switch v.(type) {
	case map[string]any, []any:
		return true
	}
	return false
}

// plainJSON writes a value without the escapes that only a web page needs; nil
// when it has no JSON.
func plainJSON(v any) json.RawMessage {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil
	}
	return bytes.TrimSpace(text.Bytes())
}

func orNothing(text json.RawMessage) string {
	if len(text) == 0 {
		return "(nothing)"
	}
	return shown(string(text))
}

// shownDiff is a difference as JSON, with the names of the API.
type shownDiff struct {
	Policy string           `json:"policy"`
	Kind   string           `json:"kind"`
	Fields []shownFieldDiff `json:"fields,omitempty"`
}

type shownFieldDiff struct {
	Path   string          `json:"path"`
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

func (w *world) diffJSON(list []policystore.Difference) error {
	out := struct {
		Policies []shownDiff `json:"policies"`
	}{Policies: []shownDiff{}}
	for _, d := range list {
		shown := shownDiff{Policy: d.Policy, Kind: string(d.Kind)}
		for _, f := range d.Fields {
			shown.Fields = append(shown.Fields, shownFieldDiff(f))
		}
		out.Policies = append(out.Policies, shown)
	}
	enc := json.NewEncoder(w.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}
