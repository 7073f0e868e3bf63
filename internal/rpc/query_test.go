package rpc_test

import (
	"fmt"
	"strings"
	"testing"
)

// Nothing that a caller sends is lost silently: not what follows the first JSON
// value, and no parameter that the call does not have.
func TestNothingIsIgnored(t *testing.T) {
	f := start(t, nil)
	for _, c := range []struct{ method, path, body, field string }{
		{"POST", "/v1/accounts/a/outcomes", "{\"kind\":\"a\"}\n{\"kind\":\"b\"}", "body"},
		{"POST", "/v1/accounts/a/outcomes", `{"kind":"a"} x`, "body"},
		{"POST", "/v1/accounts/a/policies", `{"name":"a"}{}`, "body"},
		{"PATCH", "/v1/accounts/a/policies/p", `{"name":"a"}]`, "body"},
		{"POST", "/v1/accounts/a/nextActions?dry_run=true", `{}`, "dry_run"},
		{"POST", "/v1/accounts/a/outcomes?kind=a&foo=1", `{}`, "foo kind"},
		{"POST", "/v1/accounts/a/policies?display_name=x", `{}`, "display_name"},
		{"POST", "/v1/accounts/a/policies?policy=x", `{}`, "policy"},
		{"GET", "/v1/accounts/a/policies?page_sze=3", ``, "page_sze"},
		{"GET", "/v1/accounts/a/policies/p?name=x&explain=1", ``, "explain name"},
		{"GET", "/v1/accounts/a/policies/p?a=%25;b", ``, "query"},
		{"DELETE", "/v1/accounts/a/policies/p?force=true", ``, "force"},
	} {
		a := f.rest(t, c.method, c.path, "owner", c.body)
		for field := range strings.FieldsSeq(c.field) {
			if a.code != 400 || !strings.Contains(fmt.Sprint(a.Detail), "field:"+field+" ") {
				t.Errorf("%s %s %s = %d %s, want a violation of %q", c.method, c.path, c.body, a.code, a.text, field)
			}
		}
	}
	if f.impl.seen != nil {
		t.Error("a call reached the service")
	}
	// What the calls do have passes; the services of this test offer nothing (501).
	for _, call := range []string{
		"GET /v1/accounts/a/policies?page_size=3&pageToken=x", "DELETE /v1/accounts/a/policies/p?etag=3&reason=old",
		"POST /v1/accounts/a/policies?policy_id=x", "PATCH /v1/accounts/a/policies/p?update_mask=when",
		"PATCH /v1/accounts/a/modes/account?reason=why", "PUT /v1/accounts/a/modes/account?reason=why",
	} {
		method, path, _ := strings.Cut(call, " ")
		if a := f.rest(t, method, path, "owner", `{}`); a.code != 501 {
			t.Errorf("%s = %d %s", call, a.code, a.text)
		}
	}
	if a := f.rest(t, "POST", "/v1/accounts/b/outcomes?foo=1", "good", `{}`); a.code != 403 {
		t.Errorf("with a token of another account = %d %s", a.code, a.text)
	}
}
