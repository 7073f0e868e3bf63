package proto_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/usherhq/usher/proto"
)

type operation struct {
	Parameters []struct {
		Name     string `json:"name"`
		In       string `json:"in"`
		Required bool   `json:"required"`
	} `json:"parameters"`
	Responses map[string]json.RawMessage `json:"responses"`
}

type document struct {
	OpenAPI string `json:"openapi"`
	Info    struct {
		Title, Version string
		License        struct{ Name string }
	} `json:"info"`
	Servers    []struct{ URL string }          `json:"servers"`
	Security   []map[string][]string           `json:"security"`
	Paths      map[string]map[string]operation `json:"paths"`
	Components struct {
		SecuritySchemes map[string]struct{ Type, Scheme string } `json:"securitySchemes"`
		Schemas         map[string]struct {
			Properties map[string]json.RawMessage `json:"properties"`
		} `json:"schemas"`
	} `json:"components"`
}

func read(t *testing.T) document {
	t.Helper()
	var doc document
	if err := json.Unmarshal(proto.OpenAPI(), &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestOpenAPISaysWhatAClientNeeds(t *testing.T) {
	doc := read(t)
	if !strings.HasPrefix(doc.OpenAPI, "3.") || doc.Info.Title != "Usher" || doc.Info.Version == "" || doc.Info.License.Name != "Apache-2.0" {
		t.Errorf("OpenAPI %q, info %+v", doc.OpenAPI, doc.Info)
	}
	if len(doc.Servers) != 1 || doc.Servers[0].URL != "/" {
		t.Errorf("servers = %+v", doc.Servers)
	}
	s := doc.Components.SecuritySchemes["bearer"]
	if len(doc.Security) != 1 || doc.Security[0]["bearer"] == nil || s.Type != "http" || s.Scheme != "bearer" {
		t.Errorf("security = %v by %+v", doc.Security, s)
	}
	for _, field := range []string{"code", "message", "details"} {
		if doc.Components.Schemas["Status"].Properties[field] == nil {
			t.Errorf("an error has no %s", field)
		}
	}
	snake := regexp.MustCompile(`^@?[a-z][a-z0-9_]*$`)
	for name, schema := range doc.Components.Schemas {
		for field := range schema.Properties {
			if !snake.MatchString(field) {
				t.Errorf("%s.%s is not spelled as in the contract", name, field)
			}
		}
	}
	// What the contract says beside a reference to another message survives.
	if !strings.Contains(string(doc.Components.Schemas["NextActionsBody"].Properties["baseline"]), "without Usher") {
		t.Error("the description of baseline is lost")
	}
}

// TestOpenAPIPathsAreCallable holds that a path parameter is one segment, is
// declared, and bears the name of its resource.
func TestOpenAPIPathsAreCallable(t *testing.T) {
	doc := read(t)
	for _, path := range []string{
		"/v1/accounts", "/v1/accounts/{account}/nextActions", "/v1/accounts/{account}/outcomes:batchCreate",
		"/v1/accounts/{account}/policies/{policy}:enable", "/v1/accounts/{account}/modes/{scope}",
		"/v1/accounts/{account}/models/{model}:promote", "/v1/accounts/{account}/objectives/{objective}",
		"/v1/accounts/{account}/decisions/{decision}", "/v1/accounts/{account}/policies:simulate",
		"/v1/accounts/{account}/policyDrafts/{draft}:publish", "/v1/accounts/{account}/policyRevisions/{revision}",
		"/v1/accounts/{account}/namespaces/{namespace}/contexts/{session}", "/v1/accounts/{account}/functions/{function}:call",
		"/v1/accounts/{account}/tokens/{token}:regenerate",
	} {
		if len(doc.Paths[path]) == 0 {
			t.Errorf("no route %s", path)
		}
	}
	shape := regexp.MustCompile(`^/v1/accounts(/\{account\}(/[a-zA-Z]+(/\{[a-z]+\}(/[a-zA-Z]+(/\{session\})?)?)?)?)?(:[a-zA-Z]+)?$`)
	for path, verbs := range doc.Paths {
		if !shape.MatchString(path) {
			t.Errorf("no client can call %s", path)
		}
		for verb, op := range verbs {
			rest := path
			for _, p := range op.Parameters {
				if p.In == "path" {
					if !p.Required || !strings.Contains(rest, "{"+p.Name+"}") {
						t.Errorf("%s %s: parameter %s is optional or not in the path", verb, path, p.Name)
					}
					rest = strings.Replace(rest, "{"+p.Name+"}", "x", 1)
				}
			}
			if strings.Contains(rest, "{") {
				t.Errorf("%s %s: undeclared parameters", verb, path)
			}
			if op.Responses["200"] == nil || op.Responses["default"] == nil {
				t.Errorf("%s %s: answers = %v", verb, path, op.Responses)
			}
		}
	}
}
