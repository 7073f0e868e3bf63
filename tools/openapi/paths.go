package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// anySegment is how the plugin writes the * of google.api.http.
const anySegment = "[^/]+"

// resource is what one segment after a collection names.
type resource struct{ name, description string }

// resources knows every collection of the contract. A new collection is added
// here; until then generation fails.
var resources = map[string]resource{
	"accounts":        {"account", "The account."},
	"agents":          {"agent", "The agent."},
	"attributes":      {"attribute", "The attribute, as policies write it."},
	"bots":            {"bot", "The bot."},
	"calendars":       {"calendar", "The calendar."},
	"contexts":        {"session", "The session: a conversation, consumer:{consumer} or __default__."},
	"decisions":       {"decision", "The decision, as nextActions answered it."},
	"functions":       {"function", "The function."},
	"models":          {"model", "The model."},
	"modes":           {"scope", "What the mode is for: account, policy:{policy} or skill:{skill}."},
	"namespaces":      {"namespace", "The namespace."},
	"objectives":      {"objective", "The objective."},
	"policies":        {"policy", "The policy."},
	"policyDrafts":    {"draft", "The draft."},
	"policyRevisions": {"revision", "The revision of the list."},
	"skills":          {"skill", "The skill."},
	"tokens":          {"token", "The token."},
}

// expandPaths puts in the place of every path parameter the segments that its
// pattern stands for. Operations that the plugin had to tell apart by numbers
// meet again under one path.
func expandPaths(doc *openapi3.T) error {
	paths, faults := openapi3.NewPaths(), []error(nil)
	for _, path := range doc.Paths.Keys() {
		operations := doc.Paths.Value(path).Operations()
		for _, verb := range slices.Sorted(maps.Keys(operations)) {
			faults = append(faults, place(paths, path, verb, operations[verb]))
		}
	}
	doc.Paths = paths
	return errors.Join(faults...)
}

// place adds an operation under the path that a client calls.
func place(paths *openapi3.Paths, path, verb string, op *openapi3.Operation) error {
	fault := func(format string, args ...any) error {
		return fmt.Errorf("%s %s: %w", verb, path, fmt.Errorf(format, args...))
	}
	full, params := path, openapi3.Parameters{}
	for _, ref := range op.Parameters {
		p := ref.Value
		if p.In != openapi3.ParameterInPath {
			params = append(params, ref)
			continue
		}
		if p.Schema == nil || p.Schema.Value == nil || !strings.Contains(full, "{"+p.Name+"}") {
			return fault("parameter %q is not in the path", p.Name)
		}
		segments, named, err := expand(p.Schema.Value.Pattern)
		if err != nil {
			return fault("parameter %q: %w", p.Name, err)
		}
		full = strings.Replace(full, "{"+p.Name+"}", segments, 1)
		params = append(params, named...)
	}
	slices.SortStableFunc(params, func(a, b *openapi3.ParameterRef) int {
		return rank(a.Value) - rank(b.Value)
	})
	op.Parameters = params
	item := paths.Value(full)
	if item == nil {
		item = &openapi3.PathItem{}
		paths.Set(full, item)
	}
	if taken := item.GetOperation(verb); taken != nil {
		return fault("%s is taken by %s", full, taken.OperationID)
	}
	item.SetOperation(verb, op)
	return nil
}

// rank keeps path parameters before the others, as they stand in the URL.
func rank(p *openapi3.Parameter) int {
	if p.In == openapi3.ParameterInPath {
		return 0
	}
	return 1
}

// expand returns the segments of a pattern and the parameters among them:
// accounts/[^/]+ becomes accounts/{account}.
func expand(pattern string) (string, openapi3.Parameters, error) {
	// The slash inside a bracket must not split.
	segments := strings.Split(strings.ReplaceAll(pattern, anySegment, "*"), "/")
	var params openapi3.Parameters
	for i, s := range segments {
		switch {
		case s == "*" && i > 0:
			r, known := resources[segments[i-1]]
			if !known {
				return "", nil, fmt.Errorf("the collection %q of pattern %q is not known", segments[i-1], pattern)
			}
			params = append(params, &openapi3.ParameterRef{Value: openapi3.NewPathParameter(r.name).
				WithDescription(r.description).WithSchema(openapi3.NewStringSchema().WithMinLength(1))})
			segments[i] = "{" + r.name + "}"
		case s == "" || strings.ContainsAny(s, `*[]{}()+?.\|`):
			return "", nil, fmt.Errorf("pattern %q is not made of collections and names", pattern)
		}
	}
	return strings.Join(segments, "/"), params, nil
}
