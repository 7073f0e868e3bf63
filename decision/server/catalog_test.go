package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/usherhq/usher/decision/catalog"
	"github.com/usherhq/usher/decision/function"
	"github.com/usherhq/usher/pipeline/configlog"
)

func openCatalog(t testing.TB, store *configlog.Store) (*function.Caller, *catalog.Catalog) {
	t.Helper()
	cfg := function.DefaultConfig()
	cfg.PrivateHosts = []string{"127.0.0.1", "crm.lan"}
	functions, err := function.New(cfg, function.Deps{})
	must(t, err)
	t.Cleanup(func() { must(t, functions.Close()) })
	return functions, catalog.New(store, catalog.WithFunctionCheck(functions.Check))
}

const catalogueOf = "/v1/accounts/default/"

// TestCatalogueCollections: the six collections obey the same rules.
func TestCatalogueCollections(t *testing.T) {
	f := start(t)
	for _, c := range []struct{ plural, id, body, changed, field, broken string }{
		{"skills", "1234", `"display_name":"Sales"`, `"display_name":"Selling"`, "display_name", `"display_name":"` + strings.Repeat("x", 300) + `"`},
		{"agents", "ann", `"display_name":"Ann","skills":["1234"]`, `"display_name":"Anne"`, "display_name", `"skills":["9"]`},
		{"bots", "greeter", `"display_name":"Hello","description":"greets"`, `"display_name":"Hi"`, "display_name", `"skills":["9"]`},
		{"calendars", "support", `"zone":"Europe/Berlin","hours":[{"days":["MON"],"from":"09:00","to":"17:00"}]`, `"zone":"UTC"`, "zone", `"zone":"Mars"`},
		{"functions", "double", `"javascript":{"source":"function main(a) { return a.n * 2 }"},"timeout":"0.200s"`, `"description":"twice"`, "description", `"timeout":"5s"`},
		{"attributes", "tier", `"type":"string","source":"request","allowed_values":["gold","silver"]`, `"description":"of the customer"`, "description", `"source":"nowhere"`},
	} {
		path := catalogueOf + c.plural
		made := f.rest(t, "POST", path, `{"name":"`+c.id+`",`+c.body+`}`, 200)
		if made["name"] != "accounts/default/"+c.plural+"/"+c.id || made["etag"] == "" || made["update_time"] == nil {
			t.Errorf("%s: made %v", c.plural, made)
		}
		f.rest(t, "POST", path, `{"name":"`+c.id+`",`+c.body+`}`, 409)
		changed := f.rest(t, "PATCH", path+"/"+c.id, `{`+c.changed+`}`, 200)
		if changed["etag"] == made["etag"] {
			t.Errorf("%s: the etag stays %v", c.plural, changed["etag"])
		}
		if got := f.rest(t, "GET", path+"/"+c.id, "", 200); fmt.Sprint(got) != fmt.Sprint(changed) || len(got) < len(made) {
			t.Errorf("%s: got %v, want %v", c.plural, got, changed)
		}
		etag, _ := made["etag"].(string)
		stale := f.rest(t, "PATCH", path+"/"+c.id, `{"etag":"`+etag+`",`+c.changed+`}`, 409)
		if text := fmt.Sprint(stale); !strings.Contains(text, "ABORTED") || !strings.Contains(text, changed["etag"].(string)) { //nolint:forcetypeassert // a string
			t.Errorf("%s: %v", c.plural, stale)
		}
		f.rest(t, "PATCH", path+"/"+c.id, `{`+c.broken+`}`, 400)
		f.rest(t, "PATCH", path+"/nobody", `{`+c.changed+`}`, 404)
		// PUT replaces, and creates.
		replaced := f.rest(t, "PUT", path+"/"+c.id, `{`+c.body+`}`, 200)
		if c.field != "zone" && replaced[c.field] == changed[c.field] {
			t.Errorf("%s: PUT left %v", c.plural, replaced)
		}
		f.rest(t, "PUT", path+"/another", `{`+c.body+`}`, 200)
		list := f.rest(t, "GET", path+"?page_size=1000", "", 200)[c.plural].([]any) //nolint:forcetypeassert // a list
		if c.plural != "attributes" && len(list) != 2 {
			t.Errorf("%s: listed %v", c.plural, list)
		}
		f.rest(t, "DELETE", path+"/another?etag="+etag, "", 409)
		f.rest(t, "DELETE", path+"/another", "", 200)
		f.rest(t, "DELETE", path+"/another", "", 404)
		f.rest(t, "GET", path+"/another", "", 404)
		f.rest(t, "GET", strings.Replace(path, "default", "nobody", 1), "", 404)
	}
}

func TestBuiltInAttributesAreListed(t *testing.T) {
	f := start(t)
	f.rest(t, "POST", catalogueOf+"attributes", `{"name":"custom.vips","source":"static","type":"list","value":["a","b"]}`, 200)
	sources := map[string]int{}
	for token := ""; ; {
		page := f.rest(t, "GET", catalogueOf+"attributes?page_size=20&page_token="+token, "", 200)
		for _, a := range page["attributes"].([]any) { //nolint:forcetypeassert // a list
			a, _ := a.(map[string]any)
			sources[fmt.Sprint(a["source"])]++
		}
		if token, _ = page["next_page_token"].(string); token == "" {
			break
		}
	}
	if sources["static"] != 1 || sources["builtin"] < 29 {
		t.Errorf("listed %v", sources)
	}
	weekday := f.rest(t, "GET", catalogueOf+"attributes/weekday", "", 200)
	if values, _ := weekday["allowed_values"].([]any); len(values) != 7 || weekday["type"] != "string" {
		t.Errorf("weekday %v", weekday)
	}
	f.rest(t, "DELETE", catalogueOf+"attributes/weekday", "", 400)
	f.rest(t, "PATCH", catalogueOf+"attributes/weekday", `{"description":"mine"}`, 400)
}

// TestSecretsDoNotComeOut: not when a function is made, read, listed, changed or
// called, and not when it fails.
func TestSecretsDoNotComeOut(t *testing.T) {
	f := start(t)
	const secret = "s3cret-value"
	key := ""
	crm := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key = r.Header.Get("X-Key")
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"tier":"gold"}`)
	}))
	t.Cleanup(crm.Close)
	seen := func(answer map[string]any) map[string]any {
		t.Helper()
		if text, _ := json.Marshal(answer); strings.Contains(string(text), secret) {
			t.Errorf("the secret is in %s", text)
		}
		return answer
	}
	path := catalogueOf + "functions/crm"
	seen(f.rest(t, "PUT", path, `{"http":{"url":"`+crm.URL+`/{{id}}","secret_headers":{"X-Key":"`+secret+`"}},"timeout":"1s","on_error":"none"}`, 200))
	read := seen(f.rest(t, "GET", path, "", 200))
	seen(f.rest(t, "GET", catalogueOf+"functions", "", 200))
	// What was read can be written: the secret stays.
	delete(read, "update_time")
	delete(read, "etag")
	back, err := json.Marshal(read)
	must(t, err)
	seen(f.rest(t, "PUT", path, string(back), 200))
	seen(f.rest(t, "PATCH", path, `{"http":{"url":"`+crm.URL+`/v2/{{id}}"}}`, 200))
	called := seen(f.rest(t, "POST", path+":call", `{"arguments":{"id":"7"}}`, 200))
	if key != secret || fmt.Sprint(called["result"]) != "map[tier:gold]" || fmt.Sprint(called["call"].(map[string]any)["result"]) != "OK" { //nolint:forcetypeassert // an object
		t.Errorf("sent %q, got %v", key, called)
	}
	failed := seen(f.rest(t, "POST", path+":call", `{}`, 200))
	if fmt.Sprint(failed["call"].(map[string]any)["result"]) != "ERROR" || failed["result"] != nil { //nolint:forcetypeassert // an object
		t.Errorf("without its argument: %v", failed)
	}
	// It does not follow the address to another host.
	moved := seen(f.rest(t, "PATCH", path, `{"http":{"url":"http://crm.lan/{{id}}"}}`, 400))
	if !strings.Contains(fmt.Sprint(moved), "http.secret_headers.X-Key") {
		t.Errorf("moved: %v", moved)
	}
}

// TestWhatIsUsedStays: a deletion that would break a policy names it.
func TestWhatIsUsedStays(t *testing.T) {
	f := start(t)
	f.rest(t, "PUT", catalogueOf+"calendars/support", `{"hours":[{"from":"09:00","to":"17:00"}]}`, 200)
	f.rest(t, "PUT", catalogueOf+"functions/double", `{"javascript":{"source":"function main(a) { return 1 }"}}`, 200)
	f.rest(t, "PUT", catalogueOf+"attributes/custom.n", `{"source":"function","function":"double","type":"number"}`, 200)
	f.rest(t, "POST", catalogueOf+"policies", `{"name":"p","enabled":true,"when":{"all":[{"attribute":"custom.n","operator":"less_than","value":3},{"time":{"calendar":"support"}}]},"effect":{"fixed":{"actions":[{"type":"CLOSE"}]}}}`, 200)
	for path, want := range map[string]string{"calendars/support": "policy p", "functions/double": "attribute custom.n", "attributes/custom.n": "policy p"} {
		if got := fmt.Sprint(f.rest(t, "DELETE", catalogueOf+path, "", 400)); !strings.Contains(got, want) || !strings.Contains(got, "_IN_USE") {
			t.Errorf("%s: %s", path, got)
		}
	}
	if got := fmt.Sprint(f.rest(t, "PATCH", catalogueOf+"attributes/custom.n", `{"type":"string"}`, 400)); !strings.Contains(got, "policy p") {
		t.Errorf("its type: %s", got)
	}
	f.rest(t, "PATCH", catalogueOf+"attributes/custom.n", `{"description":"n"}`, 200)
	f.rest(t, "DELETE", catalogueOf+"policies/p", "", 200)
	for _, path := range []string{"attributes/custom.n", "functions/double", "calendars/support"} {
		f.rest(t, "DELETE", catalogueOf+path, "", 200)
	}
}

// TestNoLoopIsMadeBehindAPolicy: naming a skill as that of a routing bot, or giving a
// bot such a skill, is refused when a policy that works sends conversations there.
func TestNoLoopIsMadeBehindAPolicy(t *testing.T) {
	f := start(t)
	f.rest(t, "POST", catalogueOf+"policies", `{"name":"p","enabled":true,"effect":{"fixed":{"actions":[{"type":"TRANSFER_TO_SKILL","target":"s1"}]}}}`, 200)
	f.rest(t, "POST", catalogueOf+"policies", `{"name":"q","enabled":true,"effect":{"fixed":{"actions":[{"type":"TRANSFER_TO_BOT","target":"b1"}]}}}`, 200)
	const account = "/v1/accounts/default"
	if got := fmt.Sprint(f.rest(t, "PATCH", account, `{"routing_skills":["s1"]}`, 400)); !strings.Contains(got, "policy p") || !strings.Contains(got, "ACCOUNT_IN_USE") {
		t.Errorf("routing skill: %s", got)
	}
	f.rest(t, "PATCH", account, `{"routing_skills":["s2"]}`, 200)
	if got := fmt.Sprint(f.rest(t, "PUT", catalogueOf+"bots/b1", `{"skills":["s2"]}`, 400)); !strings.Contains(got, "policy q") || !strings.Contains(got, "BOT_IN_USE") {
		t.Errorf("bot: %s", got)
	}
	f.rest(t, "POST", catalogueOf+"policies/q:disable", `{}`, 200)
	f.rest(t, "PUT", catalogueOf+"bots/b1", `{"skills":["s2"]}`, 200)
	f.rest(t, "PATCH", account, `{"display_name":"Shop"}`, 200)
}

// TestAccountSettings: what an account's policies may speak of is set with it.
func TestAccountSettings(t *testing.T) {
	f := start(t)
	const path = "/v1/accounts/default"
	if got := f.rest(t, "GET", path, "", 200); got["sde_attributes"] != nil || got["strict_attributes"] != nil {
		t.Errorf("at first %v", got)
	}
	f.rest(t, "PATCH", path, `{"sde_attributes":false,"strict_attributes":true,"routing_skills":["1","2"]}`, 200)
	f.rest(t, "PATCH", path, `{"display_name":"Mine"}`, 200)
	got := f.rest(t, "GET", path, "", 200)
	if got["sde_attributes"] != false || got["strict_attributes"] != true || fmt.Sprint(got["routing_skills"]) != "[1 2]" || got["default_effect"] == nil {
		t.Errorf("then %v", got)
	}
	bad := f.rest(t, "PATCH", path, `{"routing_skills":["1","1"," x"]}`, 400)
	if text := fmt.Sprint(bad); !strings.Contains(text, "routing_skills[1]") || !strings.Contains(text, "routing_skills[2]") {
		t.Errorf("bad %v", bad)
	}
	f.rest(t, "PATCH", path+"?update_mask=sde_attributes", `{}`, 200)
	if got := f.rest(t, "GET", path, "", 200); got["sde_attributes"] != nil || got["strict_attributes"] != true {
		t.Errorf("at last %v", got)
	}
}
