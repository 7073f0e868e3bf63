package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// swagger is a document of the plugin with one operation per line of
// "VERB path parameter pattern".
func swagger(t *testing.T, lines ...string) []byte {
	t.Helper()
	paths := map[string]map[string]any{}
	for i, line := range lines {
		f := strings.Fields(line)
		if paths[f[1]] == nil {
			paths[f[1]] = map[string]any{}
		}
		params := []any{map[string]any{"name": "reason", "in": "query", "type": "string"}}
		if len(f) > 2 {
			params = append(params, map[string]any{"name": f[2], "in": "path", "required": true, "type": "string", "pattern": f[3]})
		}
		if f[0] == "post" {
			params = append(params, map[string]any{
				"name": "body", "in": "body", "required": true,
				"schema": map[string]any{"type": "object", "properties": map[string]any{
					"last": map[string]any{"$ref": "#/definitions/Status", "description": "The last error."},
				}},
			})
		}
		paths[f[1]][f[0]] = map[string]any{
			"operationId": "Op" + string(rune('A'+i)), "parameters": params,
			"responses": map[string]any{"200": map[string]any{"description": ""}},
		}
	}
	out, err := json.Marshal(map[string]any{
		"swagger": "2.0", "info": map[string]any{"title": "a", "version": "b"}, "paths": paths,
		"consumes": []string{"application/json"}, "produces": []string{"application/json"},
		"definitions": map[string]any{"Status": map[string]any{"type": "object"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestConvert(t *testing.T) {
	in := swagger(
		t,
		"get /v1/accounts",
		"get /v1/{name} name accounts/[^/]+",
		"delete /v1/{name} name accounts/[^/]+/policies/[^/]+",
		"get /v1/{name_1} name_1 accounts/[^/]+/policies/[^/]+",
		"post /v1/{name}:enable name accounts/[^/]+/policies/[^/]+",
		"put /v1/{mode.name} mode.name accounts/[^/]+/modes/[^/]+",
		"post /v1/{parent}/outcomes:batchCreate parent accounts/[^/]+",
	)
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, input), in, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), folder); err != nil {
		t.Fatal(err)
	}
	out, err := os.ReadFile(filepath.Join(folder, output))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(folder, input)); !os.IsNotExist(err) {
		t.Errorf("the Swagger document is still there: %v", err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(out)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"GET /v1/accounts":                                     "OpA reason",
		"GET /v1/accounts/{account}":                           "OpB account reason",
		"DELETE /v1/accounts/{account}/policies/{policy}":      "OpC account policy reason",
		"GET /v1/accounts/{account}/policies/{policy}":         "OpD account policy reason",
		"POST /v1/accounts/{account}/policies/{policy}:enable": "OpE account policy reason",
		"PUT /v1/accounts/{account}/modes/{scope}":             "OpF account scope reason",
		"POST /v1/accounts/{account}/outcomes:batchCreate":     "OpG account reason",
	} {
		verb, at, _ := strings.Cut(path, " ")
		item := doc.Paths.Value(at)
		if item == nil || item.GetOperation(verb) == nil {
			t.Errorf("no route %s", path)
			continue
		}
		op := item.GetOperation(verb)
		got := []string{op.OperationID}
		for _, p := range op.Parameters {
			got = append(got, p.Value.Name)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s = %v, want %s", path, got, want)
		}
		if op.Responses.Value("default").Ref == "" || *op.Responses.Value("200").Value.Description == "" {
			t.Errorf("%s: answers are not described", path)
		}
	}
	if !strings.Contains(string(out), "The last error.") {
		t.Error("a description beside a reference is lost")
	}
	again, err := convert(t.Context(), in)
	if err != nil || !bytes.Equal(again, out) {
		t.Errorf("a second run differs (%v)", err)
	}
}

func TestConvertRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		in   []byte
		want string
	}{
		"no JSON":            {[]byte("{"), "parse"},
		"unknown collection": {swagger(t, "get /v1/{name} name planets/[^/]+"), `"planets"`},
		"no pattern":         {swagger(t, "get /v1/{name} name x{1,2}"), "collections and names"},
		"deep wildcard":      {swagger(t, "get /v1/{name} name accounts/.+"), "collections and names"},
		"not in the path":    {swagger(t, "get /v1/{name} other accounts/[^/]+"), "not in the path"},
		"same route twice": {
			swagger(t, "get /v1/{name} name accounts/[^/]+", "get /v1/{name_1} name_1 accounts/[^/]+"),
			"is taken by",
		},
		"same segment twice": {swagger(t, "get /v1/{a}/{b} a accounts/[^/]+"), "b"},
	} {
		if _, err := convert(t.Context(), c.in); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", name, err, c.want)
		}
	}
}
