package liveperson_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/usherhq/usher/decision/token"
	"github.com/usherhq/usher/internal/rpc"
)

// at is a route's path, its account and all else filled in, and a body for it.
func at(r rpc.Route, account string) (path, body string) {
	path = strings.NewReplacer("{account}", account, "{namespace}", "bag", "{session}", "s", "{property}", "p").Replace(r.Path)
	body = `{"accountId":"` + account + `","nameSpace":"bag","sessionId":"s","name":"bag","payload":{"p":1},"propertyToDelete":["p"]}`
	return path, body
}

// TestNoRouteReachesAnotherAccount: row 72. Each route of the facade, with a key
// of another account, with one that lacks the right, and with none.
func TestNoRouteReachesAnotherAccount(t *testing.T) {
	f := start(t)
	if r := f.v1(t, "PATCH", "/v1/account/acme/bag/s/properties", `{"p":"ours"}`); r.status != 204 {
		t.Fatalf("write = %+v", r)
	}
	reader, _, err := f.tokens.Create(t.Context(), token.Spec{Account: "acme", Scopes: rpc.ScopeRead}, "test")
	must(t, err)
	if len(f.facade.Routes) < 25 {
		t.Fatalf("%d routes, they were not all found", len(f.facade.Routes))
	}
	for _, route := range f.facade.Routes {
		path, body := at(route, "acme")
		for _, c := range []struct {
			name, header, key string
			want              int
		}{
			{"of another account", "maven-api-key", f.other, 403},
			{"of another account", "Authorization", "Bearer " + f.other, 403},
			{"without the right", "maven-api-key", reader, 403},
			{"unknown", "maven-api-key", "usher_x", 403},
			{"unknown", "Authorization", "Bearer usher_x", 401},
			{"of another scheme", "Authorization", "Basic " + f.key, 401},
			{"missing", "X-Nothing", "", 401},
		} {
			r := f.call(t, route.Method, path, body, c.header, c.key)
			if r.status != c.want || strings.Contains(r.text, "ours") || !strings.Contains(r.text, `"message"`) {
				t.Errorf("%s %s with a key %s in %s = %d %s, want %d", route.Method, path, c.name, c.header, r.status, r.text, c.want)
			}
		}
	}
	if r := f.v1(t, "GET", "/v1/account/acme/bag/s/properties", ""); r.text != `{"p":"ours"}` {
		t.Errorf("afterwards the context is %s", r.text)
	}
}

// TestEveryRouteAnswersItsOwnAccount: the walk above refuses for the right reason.
func TestEveryRouteAnswersItsOwnAccount(t *testing.T) {
	f := start(t)
	for _, route := range f.facade.Routes {
		path, body := at(route, "acme")
		f.v1(t, "PATCH", "/v1/account/acme/bag/s/properties", `{"p":1}`)
		f.v1(t, "PATCH", "/v1/account/acme/bag/properties", `{"p":1}`)
		for name, key := range map[string]string{"maven-api-key": f.key, "Authorization": "Bearer " + f.key} {
			r := f.call(t, route.Method, path, body, name, key, "X-REQUEST-ID", "r-1")
			if r.status >= 300 && (route.Method != http.MethodDelete || r.status != 404) || r.header.Get("X-Request-Id") != "r-1" {
				t.Errorf("%s %s by %s = %d %s %v", route.Method, path, name, r.status, r.text, r.header)
			}
		}
	}
}

// TestTokenInTheQueryIsRefused: row 93, in the one place where the original
// documents it.
func TestTokenInTheQueryIsRefused(t *testing.T) {
	f := start(t)
	for _, key := range []string{"", f.key} {
		r := f.call(t, "POST", "/v2/policy/nextaction?access_token="+f.key, `{"accountId":"acme"}`, "maven-api-key", key)
		if r.status != http.StatusUnauthorized || !strings.Contains(r.text, "Authorization: Bearer") || strings.Contains(r.text, f.key) {
			t.Errorf("access_token = %d %s", r.status, r.text)
		}
	}
}

// TestErrorsAreInWordsForCallers: without names of our code's types and without
// escapes.
func TestErrorsAreInWordsForCallers(t *testing.T) {
	f := start(t)
	for _, c := range []struct{ method, path, body, want string }{
		{"PATCH", "/v1/account/acme/bag/s/properties", `["a"]`, "must be a JSON object of properties, not an array"},
		{"PATCH", "/v1/account/acme/bag/s/properties", `12`, "must be a JSON object of properties, not a number"},
		{"PATCH", "/v1/account/acme/bag/s/properties", `null`, "must be a JSON object of properties"},
		{"POST", "/v1/account/acme", `{"name":{}}`, "must be a text, not an object"},
		{"POST", "/v2/context/document/create", `{"accountId":"acme","nameSpace":"bag","payload":[1]}`, "must be a JSON object of properties, not an array"},
		{"POST", "/v2/context/document/create", `[]`, "must be a JSON object, not an array"},
	} {
		r := f.call(t, c.method, c.path, c.body, "maven-api-key", f.key)
		if r.status != 400 || !strings.Contains(r.text, c.want) || strings.Contains(r.text, "Go ") {
			t.Errorf("%s %s with %s = %d %s, want %s", c.method, c.path, c.body, r.status, r.text, c.want)
		}
	}
	if r := f.call(t, "GET", "/v1/account/acme", ""); r.status != 401 || !strings.Contains(r.text, "Bearer <token>") {
		t.Errorf("without a key = %d %s", r.status, r.text)
	}
}

// TestEveryFaultOfAFacadeBody: an answer names all fields that are wrong.
func TestEveryFaultOfAFacadeBody(t *testing.T) {
	f := start(t)
	const create = "/v2/context/document/create"
	for _, c := range []struct{ method, path, body, want string }{
		{"POST", create, `{"accountId":"acme","nameSpace":[1],"ttlSeconds":"x","payload":[1]}`, "nameSpace ttlSeconds payload"},
		{"POST", create, `{"accountId":{},"nameSpace":[1]}`, "accountId nameSpace"},
		{"POST", create, `{"accountId":"acme","nameSpace":"custom","ttlSeconds":-3}`, "ttlSeconds payload namespace"},
		{"POST", create, `{"accountId":"acme","nameSpace":"a-b","sessionId":"x\u0000","payload":{"":1}}`, "namespace session properties"},
		{"POST", create, `{"accountId":"acme","nameSpace":"n","ttlSeconds":1e400,"payload":{}}`, "ttlSeconds"},
		{"POST", "/v2/context/document/properties", `{"accountId":"acme","filter":"a","sessionId":{}}`, "sessionId filter"},
		{"POST", "/v2/policy/nextaction", `{"accountId":"acme","conversationId":[],"policyId":true,"sessionId":{}}`, "conversationId sessionId policyId"},
		{"PATCH", "/v1/account/acme/n/properties", `{"a":`, "body"},
		{"PUT", "/v1/account/acme/n/properties/x", ``, "body"},
		{"PATCH", "/v1/account/acme/n/properties", `{"a":1e400}`, "body"},
	} {
		r := f.call(t, c.method, c.path, c.body, "maven-api-key", f.key)
		var got struct {
			Fields []struct{ Field, Description string }
		}
		if err := json.Unmarshal([]byte(r.text), &got); err != nil {
			t.Fatalf("%s: %v", r.text, err)
		}
		var fields []string
		for _, v := range got.Fields {
			fields = append(fields, v.Field)
		}
		if strings.Join(fields, " ") != c.want || r.status != 400 || strings.Contains(r.text, "json:") {
			t.Errorf("%s with %s = %d %s, want %s", c.path, c.body, r.status, r.text, c.want)
		}
	}
}

// TestHeadDecidesNothing: a question that decides, records and writes is not
// offered as HEAD, and what only reads is.
func TestHeadDecidesNothing(t *testing.T) {
	f := start(t)
	if r := f.v1(t, "HEAD", "/v1/account/acme/next-actions?conversationId=c", ""); r.status != http.StatusMethodNotAllowed || r.header.Get("Usher-Decision-Id") != "" {
		t.Errorf("next-actions = %d %v", r.status, r.header)
	}
	if r := f.v1(t, "HEAD", "/v1/account/acme", ""); r.status != 200 {
		t.Errorf("namespaces = %d", r.status)
	}
}

// TestRegenerateEndsTheKey: row 60, as a client of the facade meets it.
func TestRegenerateEndsTheKey(t *testing.T) {
	f := start(t)
	if r := f.v1(t, "GET", "/v1/account/acme", ""); r.status != 200 {
		t.Fatalf("before = %+v", r)
	}
	plain, _, err := f.tokens.Regenerate(t.Context(), f.keyID, "test", "")
	must(t, err)
	if r := f.v1(t, "GET", "/v1/account/acme", ""); r.status != 403 {
		t.Errorf("the former key = %+v", r)
	}
	f.key = plain
	if r := f.v1(t, "GET", "/v1/account/acme", ""); r.status != 200 {
		t.Errorf("the new key = %+v", r)
	}
}

// TestDocumentTooLarge: row 15. 413, and the document stays as it was.
func TestDocumentTooLarge(t *testing.T) {
	f := start(t)
	half := `"` + strings.Repeat("ü", 399_000) + `"`
	if r := f.v1(t, "PUT", "/v1/account/acme/bag/s/properties/a", half); r.status != 204 {
		t.Fatalf("half of it = %d %.200s", r.status, r.text)
	}
	for i := range 3 {
		r := f.v1(t, "PATCH", "/v1/account/acme/bag/s/properties", `{"b":`+half+`,"c":`+half+`}`)
		if r.status != http.StatusRequestEntityTooLarge || !strings.Contains(r.text, "document too large") || len(r.text) > 500 {
			t.Errorf("try %d = %d %.300s", i, r.status, r.text)
		}
	}
	r := f.call(t, "POST", "/v2/context/document/create", `{"accountId":"acme","nameSpace":"bag","sessionId":"s","payload":{"b":`+half+`,"c":`+half+`}}`, "Authorization", "Bearer "+f.key)
	if r.status != http.StatusRequestEntityTooLarge {
		t.Errorf("v2 = %d %.200s", r.status, r.text)
	}
	if r := f.v1(t, "GET", "/v1/account/acme/bag/s/properties", ""); r.text != `{"a":`+half+`}` {
		t.Errorf("afterwards there are %d bytes", len(r.text))
	}
	if r := f.v1(t, "PUT", "/v1/account/acme/bag/s/properties/a", `"short"`); r.status != 204 {
		t.Errorf("a shorter one = %d %s", r.status, r.text)
	}
}

// TestUnknownAccountOfTheInstallation: a key of the whole installation may name
// any account, and one that is not there is not found.
func TestUnknownAccountOfTheInstallation(t *testing.T) {
	f := start(t)
	all, _, err := f.tokens.Create(t.Context(), token.Spec{Scopes: rpc.ScopeAdmin}, "test")
	must(t, err)
	for path, want := range map[string]int{"acme": 200, "shop": 200, "nobody": 404, "%2e%2e": 404, "": 404} {
		if r := f.call(t, "GET", "/v1/account/"+path, "", "maven-api-key", all); r.status != want {
			t.Errorf("account %q = %d %s, want %d", path, r.status, r.text, want)
		}
	}
}
