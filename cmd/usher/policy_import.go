package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/decision/policy/foreign"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// taken says what an import did, by the ids of the policies.
type taken struct{ added, replaced, unchanged, removed []string }

func (t *taken) count() int { return len(t.added) + len(t.replaced) + len(t.unchanged) }

func (t *taken) parts() []struct {
	name string
	ids  []string
} {
	return []struct {
		name string
		ids  []string
	}{{"added", t.added}, {"replaced", t.replaced}, {"unchanged", t.unchanged}, {"removed", t.removed}}
}

// print names them, a line for each kind.
func (t *taken) print(out io.Writer) error {
	for _, p := range t.parts() {
		if len(p.ids) == 0 {
			continue
		}
		if _, err := fmt.Fprintf(out, "%s: %s\n", p.name, shown(strings.Join(p.ids, ", "))); err != nil {
			return err
		}
	}
	return nil
}

func (t *taken) summary() string {
	var parts []string
	for _, p := range t.parts() {
		if len(p.ids) > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", len(p.ids), p.name))
		}
	}
	if len(parts) == 0 {
		return "nothing changes"
	}
	return strings.Join(parts, ", ")
}

// takenOver compares what is stored with the live list as it was. What is stored
// may hold policies that the file does not have: a draft is a whole list.
func takenOver(req *usherv1.ImportPoliciesRequest, s *source, answer *usherv1.ImportPoliciesResponse, before map[string]string) (*taken, error) {
	read, err := foreign.Read(req.GetFormat(), s.json)
	if err != nil {
		return nil, err
	}
	brought := map[string]bool{}
	for _, p := range read.Policies {
		brought[p.Name] = true
	}
	t := &taken{}
	for _, m := range answer.GetPolicies() {
		id := path.Base(m.GetName())
		if !brought[id] {
			continue
		}
		now, err := documentOf(m)
		if err != nil {
			return nil, err
		}
		switch was, known := before[id]; {
		case !known:
			t.added = append(t.added, id)
		case was == now:
			t.unchanged = append(t.unchanged, id)
		default:
			t.replaced = append(t.replaced, id)
		}
	}
	if req.GetReplace() {
		for _, id := range keys(before) {
			// Only Usher's own documents can leave the default policy out on purpose.
			if !brought[id] && (id != policy.DefaultName || read.Format == foreign.FormatUsher) {
				t.removed = append(t.removed, id)
			}
		}
	}
	return t, nil
}

// liveDocuments are the policies in force, in canonical form without their places.
func (a *api) liveDocuments(ctx context.Context) (map[string]string, error) {
	out := map[string]string{}
	for token := ""; ; {
		var answer usherv1.ListPoliciesResponse
		if err := a.call(ctx, http.MethodGet, a.path("/policies?page_token="+token), nil, &answer); err != nil {
			return nil, err
		}
		for _, p := range answer.GetPolicies() {
			text, err := documentOf(p)
			if err != nil {
				return nil, err
			}
			out[path.Base(p.GetName())] = text
		}
		if token = answer.GetNextPageToken(); token == "" {
			return out, nil
		}
	}
}

// documentOf is what a policy says, the same text for the same policy.
func documentOf(m *usherv1.Policy) (string, error) {
	said := &usherv1.Policy{
		DisplayName: m.GetDisplayName(), Description: m.GetDescription(), Enabled: m.Enabled,
		When: m.GetWhen(), Effect: m.GetEffect(), Schedule: m.GetSchedule(), Exception: m.GetException(),
	}
	text, err := protojson.Marshal(said)
	if err != nil {
		return "", fmt.Errorf("read policy %q: %w", m.GetName(), err)
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		return "", fmt.Errorf("read policy %q: %w", m.GetName(), err)
	}
	return string(plainJSON(tree)), nil
}

// vacate makes room for a draft that is there already. The import is tried under
// another id first, so that the old draft is only gone when the new one is sound.
func (a *api) vacate(ctx context.Context, req *usherv1.ImportPoliciesRequest) error {
	id := req.GetDraft()
	var drafts usherv1.PolicyDraft
	if err := a.call(ctx, http.MethodGet, a.draftPath(id), nil, &drafts); err != nil {
		return nil //nolint:nilerr // no such draft: nothing is in the way, and the import tells any other fault
	}
	const suffix = "-next"
	trial := id[:min(len(id), 63-len(suffix))] + suffix
	defer func() { req.Draft = id }()
	req.Draft = trial
	if err := a.call(ctx, http.MethodPost, a.path("/policies:import"), req, nil); err != nil {
		return err
	}
	for _, gone := range []string{id, trial} {
		if err := a.call(ctx, http.MethodDelete, a.draftPath(gone), nil, nil); err != nil {
			return fmt.Errorf("make room for the draft %s: %w", id, err)
		}
	}
	return nil
}

// importProblems prints what the server found, in the order of the file, and
// counts the errors. Problems of policies that the file does not have stand last,
// without a line.
func (w *world) importProblems(s *source, format string, answer *usherv1.ImportPoliciesResponse) (errs int) {
	titles := map[string]string{}
	for _, p := range answer.GetPolicies() {
		titles[path.Base(p.GetName())] = p.GetDisplayName()
	}
	// What cannot be read has no policies, and was refused before.
	brought := map[string]bool{}
	if read, err := foreign.Read(format, s.json); err == nil {
		for _, p := range read.Policies {
			brought[p.Name] = true
		}
	}
	var list []placed
	for _, p := range answer.GetProblems() {
		if p.GetSeverity() == string(policy.Error) {
			errs++
		}
		one := placed{Problem: policy.Problem{
			Severity: policy.Severity(p.GetSeverity()), Policy: p.GetPolicy(), Path: p.GetPath(), Code: p.GetCode(), Description: p.GetDescription(),
		}}
		if one.line = s.lineOf(&one.Problem, titles[p.GetPolicy()]); one.line > 0 {
			one.file = s.name
		} else if brought[p.GetPolicy()] { // its name was made up, as for Amazon Connect
			one.file, one.line = s.name, 1
		} else {
			one.file = "on the server"
		}
		list = append(list, one)
	}
	sortPlaced(list, []string{s.name})
	printProblems(w, list)
	return errs
}

// lineOf finds the line of a problem: its path is one of the file, or one within
// its policy. 0 when the file has no such policy.
func (s *source) lineOf(p *policy.Problem, title string) int {
	at := inDocument(p.Path)
	if s.holds(at) {
		return s.line(at)
	}
	home, ok := s.names[p.Policy]
	if !ok && title != "" {
		home, ok = s.names[title]
	}
	if !ok && p.Policy != "" {
		return 0
	}
	return s.within(home, at)
}

// within is the line of a place of a policy. LivePerson's documents call some
// places otherwise.
func (s *source) within(home, at string) int {
	if _, ok := s.lines[joinPath(home, at)]; !ok {
		at = strings.NewReplacer("when.all[", "conditions[", "effect.fixed.actions", "actions").Replace(at)
	}
	return s.line(joinPath(home, at))
}

// holds reports whether a path begins with something of the file.
func (s *source) holds(at string) bool {
	cut := strings.IndexAny(at, ".")
	if cut < 0 {
		cut = len(at)
	}
	_, ok := s.lines[at[:cut]]
	return ok && at != ""
}

// sortPlaced orders problems by file, in the order of names, and line; those
// without a line go last. Problems of one line keep their order.
func sortPlaced(list []placed, names []string) {
	rank := func(p *placed) (int, int) {
		file := slices.Index(names, p.file)
		if file < 0 || p.line == 0 {
			return len(names), 0
		}
		return file, p.line
	}
	slices.SortStableFunc(list, func(a, b placed) int {
		fa, la := rank(&a)
		fb, lb := rank(&b)
		if fa != fb {
			return fa - fb
		}
		return la - lb
	})
}
