package server_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	contract "github.com/usherhq/usher/proto"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// documented returns the operation of every "VERB path" of the OpenAPI document.
func documented(t *testing.T) map[string]string {
	t.Helper()
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
		} `json:"paths"`
	}
	must(t, json.Unmarshal(contract.OpenAPI(), &doc))
	routes := map[string]string{}
	for path, verbs := range doc.Paths {
		for verb, op := range verbs {
			routes[strings.ToUpper(verb)+" "+path] = op.OperationID
		}
	}
	return routes
}

// annotated returns the method of every "VERB path" that the contract binds,
// with * for what a caller fills in.
func annotated() map[string]string {
	routes := map[string]string{}
	template := regexp.MustCompile(`\{[^=}]+=([^}]+)\}`)
	for _, file := range []protoreflect.FileDescriptor{
		usherv1.File_usher_v1_control_proto, usherv1.File_usher_v1_decision_proto,
		usherv1.File_usher_v1_outcome_proto, usherv1.File_usher_v1_policy_proto, usherv1.File_usher_v1_catalog_proto,
		usherv1.File_usher_v1_context_proto, usherv1.File_usher_v1_token_proto, usherv1.File_usher_v1_learning_proto,
	} {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				m := methods.Get(j)
				rule, _ := proto.GetExtension(m.Options(), annotations.E_Http).(*annotations.HttpRule)
				for _, r := range append([]*annotations.HttpRule{rule}, rule.GetAdditionalBindings()...) {
					for verb, path := range map[string]string{
						"GET": r.GetGet(), "PUT": r.GetPut(), "POST": r.GetPost(), "PATCH": r.GetPatch(), "DELETE": r.GetDelete(),
					} {
						if path != "" {
							routes[verb+" "+template.ReplaceAllString(path, "$1")] = string(m.Parent().Name() + "_" + m.Name())
						}
					}
				}
			}
		}
	}
	return routes
}

func TestOpenAPIHasEveryRouteAndNoOther(t *testing.T) {
	parameter := regexp.MustCompile(`\{[a-z]+\}`)
	got := map[string]string{}
	for route, op := range documented(t) {
		// A second binding of a method has a number.
		got[parameter.ReplaceAllString(route, "*")] = strings.TrimRight(op, "0123456789")
	}
	want := annotated()
	if len(want) < 25 || !maps.Equal(got, want) {
		t.Errorf("documented: %v\nbound: %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
}

// TestEveryDocumentedRouteAnswers calls each route as a generated client does,
// with every value escaped, and holds that a service took the call.
func TestEveryDocumentedRouteAnswers(t *testing.T) {
	f := start(t)
	fill, other := strings.NewReplacer("{account}", "default", "{scope}", "skill%3Adesk"), regexp.MustCompile(`\{[a-z]+\}`)
	for _, route := range slices.Sorted(maps.Keys(documented(t))) {
		verb, path, _ := strings.Cut(route, " ")
		path = other.ReplaceAllString(fill.Replace(path), "x-1")
		req, err := http.NewRequestWithContext(t.Context(), verb, f.url+path, strings.NewReader("{}"))
		must(t, err)
		req.Header.Set("Authorization", "Bearer "+f.admin)
		resp, err := http.DefaultClient.Do(req)
		must(t, err)
		text, err := io.ReadAll(resp.Body)
		must(t, err)
		must(t, resp.Body.Close())
		lost := resp.StatusCode == http.StatusNotFound && strings.Contains(string(text), "no such path")
		// Unavailable is a service's own word: the part behind it is not in this fixture.
		broken := resp.StatusCode >= 500 && resp.StatusCode != http.StatusServiceUnavailable
		if lost || resp.StatusCode == http.StatusMethodNotAllowed || broken {
			t.Errorf("%s %s = %d %s", verb, path, resp.StatusCode, text)
		}
	}
	// The colon of a scope arrives, escaped or not.
	for _, scope := range []string{"skill:billing", "skill%3Abilling"} {
		m := f.rest(t, "PUT", "/v1/accounts/default/modes/"+scope, `{"mode":"SHADOW"}`, 200)
		if m["name"] != "accounts/default/modes/skill:billing" {
			t.Errorf("scope %s became %v", scope, m["name"])
		}
	}
}
