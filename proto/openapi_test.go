package proto_test

import (
	"encoding/json"
	"testing"

	"github.com/usherhq/usher/proto"
)

func TestOpenAPIHasEveryRoute(t *testing.T) {
	var doc struct {
		Swagger string                    `json:"swagger"`
		Paths   map[string]map[string]any `json:"paths"`
	}
	if err := json.Unmarshal(proto.OpenAPI(), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Swagger != "2.0" {
		t.Errorf("swagger = %q", doc.Swagger)
	}
	for _, path := range []string{"/v1/accounts", "/v1/{parent}/nextActions", "/v1/{parent}/outcomes", "/v1/{parent}/policies"} {
		if len(doc.Paths[path]) == 0 {
			t.Errorf("no route %s", path)
		}
	}
}
