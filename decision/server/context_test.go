package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/usherhq/usher/decision/contextstore"
	"github.com/usherhq/usher/decision/contextstore/pebble"
	"github.com/usherhq/usher/decision/token"
	"github.com/usherhq/usher/internal/rpc"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// openContexts is a context store in a folder of the test.
func openContexts(t testing.TB, log *slog.Logger) *contextstore.Store {
	t.Helper()
	engine, err := pebble.Open(t.TempDir(), log)
	must(t, err)
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	store, err := contextstore.New(contextstore.DefaultConfig(), contextstore.Deps{Engine: engine, Now: time.Now, Log: log})
	must(t, err)
	return store
}

const contexts = "/v1/accounts/default/namespaces/"

// bot makes a token that may ask for decisions alone.
func (f *fixture) bot(t testing.TB, account string) string {
	t.Helper()
	plain, _, err := f.tokens.Create(t.Context(), token.Spec{Name: "bot", Account: account, Scopes: rpc.ScopeDecide}, "test")
	must(t, err)
	return plain
}

func properties(a map[string]any) map[string]any {
	p, _ := a["properties"].(map[string]any)
	return p
}

func TestContextRoundTrip(t *testing.T) {
	f := start(t)
	path := contexts + "orders/contexts/c1"
	const body = `{"properties":{"s":"é","n":-1.5,"b":true,"l":[1,"x",[]],"o":{"city":"Berlin","deep":{"a":null}},"gone":1}}`
	created := f.rest(t, "PATCH", path, body, 200)
	merged := f.rest(t, "PATCH", path, `{"properties":{"n":2,"gone":null,"never":null}}`, 200)
	want := map[string]any{
		"s": "é", "n": 2.0, "b": true, "l": []any{1.0, "x", []any{}}, "o": map[string]any{"city": "Berlin", "deep": map[string]any{"a": nil}},
	}
	if diff := cmp.Diff(want, properties(merged)); diff != "" {
		t.Errorf("merged (-want +got):\n%s", diff)
	}
	if got := f.rest(t, "GET", path, "", 200); cmp.Diff(merged, got) != "" {
		t.Errorf("read %v, written %v", got, merged)
	}
	if merged["etag"] == created["etag"] || merged["create_time"] != created["create_time"] || merged["ttl"] != nil {
		t.Errorf("after %v came %v", created, merged)
	}
	if got := f.rest(t, "GET", path+"?properties=n&properties=none", "", 200); len(properties(got)) != 1 {
		t.Errorf("one property is %v", got)
	}
	f.rest(t, "DELETE", path+"?properties=n&properties=o", "", 200)
	if got := f.rest(t, "PUT", path, `{"properties":{"only":1}}`, 200); len(properties(got)) != 1 {
		t.Errorf("replaced: %v", got)
	}
	f.rest(t, "DELETE", path, "", 200)
	f.rest(t, "GET", path, "", 404)
	f.rest(t, "DELETE", path, "", 404)
}

func TestContextCompareAndSet(t *testing.T) {
	f := start(t)
	path := contexts + "n/contexts/c1"
	first := f.rest(t, "PATCH", path, `{"etag":"0","properties":{"a":1}}`, 200)
	f.rest(t, "PATCH", path, `{"etag":"0","properties":{"a":2}}`, 409)
	etag := fmt.Sprint(first["etag"])
	f.restAs(t, f.admin, "PATCH", path, `{"properties":{"a":3}}`, 200, "If-Match", `"`+etag+`"`)
	conflict := f.restAs(t, f.admin, "PUT", path, `{"properties":{"a":4}}`, 409, "If-Match", etag)
	f.restAs(t, f.admin, "DELETE", path, "", 409, "If-Match", etag)
	now := f.rest(t, "GET", path, "", 200)
	if properties(now)["a"] != 3.0 || !strings.Contains(fmt.Sprint(conflict), fmt.Sprint(now["etag"])) {
		t.Errorf("%v is stored, the conflict says %v", now, conflict)
	}
	f.rest(t, "PATCH", path, `{"etag":"new"}`, 400)
	f.rest(t, "DELETE", path+"?etag="+fmt.Sprint(now["etag"]), "", 200)
}

// Ids of sessions may hold anything; the name in an answer is a path that works.
func TestSessionIDs(t *testing.T) {
	f := start(t)
	client := usherv1.NewContextServiceClient(f.conn)
	for i, id := range []string{"a/b", "a%2Fb", "a%252Fb", "100%", "consumer:42", "a b+c", "é/ü", "x:batchGet", "?#[]@!$&'()*,;=", "__default__", "..", "."} {
		name := contexts + "n/contexts/" + url.PathEscape(id)
		if id == ".." || id == "." { // which clients and servers take for folders
			name = contexts + "n/contexts/" + strings.ReplaceAll(id, ".", "%2E")
		}
		written := f.rest(t, "PATCH", name, fmt.Sprintf(`{"properties":{"i":%d}}`, i), 200)
		docs, err := f.contexts.Load(t.Context(), "default", []string{id}, []string{"n"})
		if err != nil || len(docs) != 1 || docs[0].Properties["i"] != float64(i) {
			t.Errorf("session %q is not where it should be: %v %v, answer %v", id, docs, err, written)
			continue
		}
		got, err := client.GetContext(as(t, f.admin), &usherv1.GetContextRequest{Name: fmt.Sprint(written["name"])})
		if err != nil || got.GetContext().GetName() != written["name"] {
			t.Errorf("session %q over gRPC: %v, %v", id, got, err)
		}
		if id != ".." && id != "." {
			f.rest(t, "GET", "/v1/"+fmt.Sprint(written["name"]), "", 200)
		}
	}
	f.rest(t, "GET", contexts+"n/contexts/never", "", 404)
}

func TestContextFaultsHavePaths(t *testing.T) {
	f := start(t)
	for _, c := range []struct{ method, path, body, fields string }{
		{"PATCH", "consumer/contexts/c", `{}`, "context.namespace"},
		{"PATCH", "operational/contexts/c", `{}`, "context.namespace"},
		{"PATCH", "conversation/contexts/c", `{}`, "context.namespace"},
		{"PATCH", "faas/contexts/c", `{}`, "context.namespace"},
		{"PATCH", "custom/contexts/c", `{}`, "context.namespace"},
		{"PUT", "sde/contexts/c", `{}`, "context.namespace"},
		{"PATCH", "SDE/contexts/c", `{}`, "context.namespace"},
		{"PATCH", "a-b/contexts/c", `{"ttl":"-1s","etag":"x"}`, "context.namespace context.ttl context.etag"},
		{"PATCH", "n/contexts/c", `{"properties":{"":1}}`, "context.properties"},
		{"PATCH", "custom", `{"ttl":"60s"}`, "namespace"},
		{"PATCH", "a-b", `{"ttl":"-60s"}`, "namespace ttl"},
		{"PATCH", "n?update_mask=pii,color", `{}`, "update_mask"},
		{"GET", "a-b/contexts/c", ``, "namespace"},
	} {
		a := f.rest(t, c.method, contexts+c.path, c.body, 400)
		if got := violated(a); got != c.fields {
			t.Errorf("%s %s %s names %q, want %q: %v", c.method, c.path, c.body, got, c.fields, a)
		}
	}
	f.rest(t, "GET", contexts+"n", "", 404)
	f.rest(t, "PATCH", "/v1/accounts/none/namespaces/n/contexts/c", `{}`, 404)
}

func TestTooLargeDocument(t *testing.T) {
	f := start(t)
	path := contexts + "n/contexts/c"
	f.rest(t, "PATCH", path, `{"properties":{"a":"kept"}}`, 200)
	body := fmt.Sprintf(`{"properties":{"b":%q}}`, strings.Repeat("x", 800_000))
	a := f.rest(t, "PATCH", path, body, 413)
	if a["code"] != float64(codes.ResourceExhausted) || !strings.Contains(fmt.Sprint(a["message"]), "document too large") {
		t.Errorf("the answer is %v", a)
	}
	if got := properties(f.rest(t, "GET", path, "", 200)); len(got) != 1 || got["a"] != "kept" {
		t.Errorf("stored: %v", got)
	}
}

func TestNamespaces(t *testing.T) {
	f := start(t)
	one := f.rest(t, "PUT", contexts+"one", `{"ttl":"60s","pii":["iban","iban"]}`, 200)
	again := f.rest(t, "PUT", contexts+"one", `{"ttl":"60s"}`, 200)
	if cmp.Diff(one, again) != "" || fmt.Sprint(one["pii"]) != "[iban]" || one["ttl"] != "60s" {
		t.Errorf("created as %v, again as %v", one, again)
	}
	f.rest(t, "PATCH", contexts+"two/contexts/c", `{"ttl":"3600s"}`, 200)
	list := f.rest(t, "GET", strings.TrimSuffix(contexts, "/")+"?page_size=1", "", 200)
	rest := f.rest(t, "GET", strings.TrimSuffix(contexts, "/")+"?page_token="+fmt.Sprint(list["next_page_token"]), "", 200)
	var names []string
	for _, page := range []map[string]any{list, rest} {
		for _, n := range page["namespaces"].([]any) {
			names = append(names, n.(map[string]any)["name"].(string))
		}
	}
	if fmt.Sprint(names) != "[accounts/default/namespaces/one accounts/default/namespaces/two]" {
		t.Errorf("namespaces %v", names)
	}
	changed := f.rest(t, "PATCH", contexts+"one?update_mask=ttl", `{}`, 200)
	if changed["ttl"] != nil || fmt.Sprint(changed["pii"]) != "[iban]" {
		t.Errorf("changed to %v", changed)
	}
	f.rest(t, "PATCH", contexts+"one", fmt.Sprintf(`{"etag":%q,"pii":["x"]}`, one["etag"]), 409)
	f.rest(t, "DELETE", contexts+"two", "", 200)
	f.rest(t, "GET", contexts+"two/contexts/c", "", 404)
	f.rest(t, "DELETE", contexts+"two", "", 404)
}

func TestContextPages(t *testing.T) {
	f := start(t)
	for i := range 7 {
		f.rest(t, "PATCH", fmt.Sprintf("%sn/contexts/c%d", contexts, i), `{"properties":{"a":1}}`, 200)
	}
	var got []string
	for token := ""; ; {
		page := f.rest(t, "GET", contexts+"n/contexts?page_size=3&names_only=true&page_token="+token, "", 200)
		for _, c := range page["contexts"].([]any) {
			c := c.(map[string]any)
			if c["properties"] != nil {
				t.Errorf("names alone were asked for: %v", c)
			}
			got = append(got, strings.TrimPrefix(c["name"].(string), "accounts/default/namespaces/n/contexts/"))
		}
		if token = page["next_page_token"].(string); token == "" {
			break
		}
	}
	if fmt.Sprint(got) != "[c0 c1 c2 c3 c4 c5 c6]" {
		t.Errorf("pages hold %v", got)
	}
	f.rest(t, "GET", contexts+"none/contexts", "", 404)
	f.rest(t, "GET", contexts+"n/contexts?page_token=*", "", 400)
	f.rest(t, "GET", contexts+"n/contexts?page_token=eA", "", 400) // readable, but not ours
	f.rest(t, "GET", contexts+"n/contexts?page_size=-1", "", 400)
}

func TestBatches(t *testing.T) {
	f := start(t)
	const batch = "/v1/accounts/default/contexts"
	update := func(body string, want int) map[string]any {
		return f.rest(t, "POST", batch+":batchUpdate", body, want)
	}
	const name = "accounts/default/namespaces/"
	update(`{"contexts":[
		{"name":"`+name+`n/contexts/c1","properties":{"a":1,"b":"conversation"}},
		{"name":"`+name+`n/contexts/consumer:7","properties":{"b":"consumer","c":3}},
		{"name":"`+name+`m/contexts/__default__","properties":{"x":true}}]}`, 200)
	got := f.rest(t, "POST", batch+":batchGet", `{"properties":["n.a","n.b","n.c","n.none","m.x"],"sessions":["c1","consumer:7","__default__"]}`, 200)
	want := map[string]any{"n.a": 1.0, "n.b": "conversation", "n.c": 3.0, "m.x": true}
	if diff := cmp.Diff(want, got["values"]); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	got = f.rest(t, "POST", batch+":batchGet", `{"namespaces":["m","n"]}`, 200)
	if diff := cmp.Diff(map[string]any{"m.x": true}, got["values"]); diff != "" {
		t.Errorf("values of everybody (-want +got):\n%s", diff)
	}
	// One that does not hold keeps the others from being written.
	update(`{"contexts":[{"name":"`+name+`n/contexts/new"},{"name":"`+name+`n/contexts/c1","etag":"0"}]}`, 409)
	f.rest(t, "GET", contexts+"n/contexts/new", "", 404)
	for body, fields := range map[string]string{
		`{}`: "contexts",
		`{"contexts":[{"name":"` + name + `n/contexts/a"},{"name":"accounts/other/namespaces/n/contexts/a"}]}`: "contexts[1].name",
		`{"contexts":[{"name":"` + name + `sde/contexts/a"},{"name":"` + name + `n/contexts/%"}]}`:             "contexts[1].name",
		`{"contexts":[{"name":"` + name + `n/contexts/a"},{"name":"` + name + `n/contexts/a"}]}`:               "contexts[1].session",
	} {
		if a := update(body, 400); violated(a) != fields {
			t.Errorf("%s names %q, want %q", body, violated(a), fields)
		}
	}
	for body, fields := range map[string]string{
		`{}`: "namespaces", `{"properties":["x"]}`: "properties[0]", `{"namespaces":["a.b"]}`: "namespace",
	} {
		if a := f.rest(t, "POST", batch+":batchGet", body, 400); violated(a) != fields {
			t.Errorf("%s names %q, want %q", body, violated(a), fields)
		}
	}
}

func TestCaptureAttributes(t *testing.T) {
	f := start(t)
	const path = "/v1/accounts/default/sdes:capture"
	a := f.rest(t, "POST", path, `{"customer_id":"k1","entities":[
		{"type":"ctmrinfo","info":{"cType":"vip","customerId":"138","balance":-400.99,"lastPaymentDate":{"day":15,"month":10,"year":2014},"currency":"USD"}},
		{"type":"personal","personal":{"firstname":"John","age":{"age":34,"year":1980},"gender":"MALE"}},
		{"type":"cart","total":11}]}`, 200)
	f.rest(t, "POST", path, `{"customer_id":"k1","sde":{"VisitorInfo":{"customerInfo":{"role":"broker","ctype":"gold","age":35,"balance":null}}}}`, 200)
	want := []any{
		"sde.visitorinfo.customerinfo.balance", "sde.visitorinfo.customerinfo.ctype", "sde.visitorinfo.customerinfo.customerid",
		"sde.visitorinfo.customerinfo.lastpaymentdate.day", "sde.visitorinfo.customerinfo.lastpaymentdate.month",
		"sde.visitorinfo.customerinfo.lastpaymentdate.year", "sde.visitorinfo.personalinfo.age.age",
		"sde.visitorinfo.personalinfo.age.year", "sde.visitorinfo.personalinfo.gender",
	}
	if diff := cmp.Diff(want, a["attributes"]); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	docs, err := f.contexts.Load(t.Context(), "default", []string{contextstore.Customer("k1")}, []string{contextstore.CaptureNamespace})
	must(t, err)
	for name, want := range map[string]any{
		"visitorinfo.customerinfo.ctype": "gold", "visitorinfo.customerinfo.role": "broker", "visitorinfo.customerinfo.balance": nil,
		"visitorinfo.customerinfo.lastpaymentdate.year": 2014.0, "visitorinfo.personalinfo.age.age": 35.0, "visitorinfo.customerinfo.currency": nil,
	} {
		if got, _ := docs[0].Lookup(name); got != want {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
	f.rest(t, "POST", path, `{"visitor_id":"v","sde":{"visitorinfo":{"personalinfo":{"language":"en"}}}}`, 200)
	for body, fields := range map[string]string{
		`{}`: "customer_id sde",
		`{"visitor_id":"v","entities":[{"type":"ctmrinfo"},{}]}`:                                                                       "entities[0].info entities[1].type",
		`{"visitor_id":"v","sde":{"visitorinfo":{"customerinfo":{"ctype":[1],"registrationdate":"x","lastpaymentdate":{"day":1.5}}}}}`: "sde.visitorinfo.customerinfo.ctype sde.visitorinfo.customerinfo.lastpaymentdate.day sde.visitorinfo.customerinfo.registrationdate",
	} {
		if a := f.rest(t, "POST", path, body, 400); violated(a) != fields {
			t.Errorf("%s names %q, want %q", body, violated(a), fields)
		}
	}
	// People may ask to be forgotten.
	f.rest(t, "DELETE", contexts+"sde/contexts/customer:k1", "", 200)
}

// What one bot saves, the next one reads, and so does the next conversation of the
// same consumer; nobody who may only read, and nobody of another account.
func TestCarryOver(t *testing.T) {
	f := start(t)
	botA, botB := f.bot(t, "default"), f.bot(t, "default")
	f.restAs(t, botA, "PATCH", contexts+"booking/contexts/conversation-1", `{"properties":{"city":"Rome"}}`, 200)
	f.restAs(t, botA, "PATCH", contexts+"booking/contexts/consumer:anna", `{"properties":{"seat":"aisle"}}`, 200)
	if got := f.restAs(t, botB, "GET", contexts+"booking/contexts/conversation-1", "", 200); properties(got)["city"] != "Rome" {
		t.Errorf("bot B reads %v", got)
	}
	for conversation, want := range map[string]string{"conversation-1": "Rome aisle", "conversation-2": "<nil> aisle"} {
		body, err := json.Marshal(map[string]any{"namespaces": []string{"booking"}, "sessions": contextstore.Sessions("", conversation, "anna")})
		must(t, err)
		values, _ := f.restAs(t, botB, "POST", "/v1/accounts/default/contexts:batchGet", string(body), 200)["values"].(map[string]any)
		if got := fmt.Sprintf("%v %v", values["booking.city"], values["booking.seat"]); got != want {
			t.Errorf("%s reads %q, want %q", conversation, got, want)
		}
	}
	f.rest(t, "POST", "/v1/accounts", `{"account_id":"other"}`, 200)
	f.restAs(t, f.bot(t, "other"), "GET", contexts+"booking/contexts/conversation-1", "", 403)
	reader, _, err := f.tokens.Create(t.Context(), token.Spec{Name: "r", Account: "default", Scopes: rpc.ScopeRead}, "test")
	must(t, err)
	f.restAs(t, reader, "GET", contexts+"booking/contexts/conversation-1", "", 403)
}

func TestContextOverGRPC(t *testing.T) {
	f := start(t)
	client := usherv1.NewContextServiceClient(f.conn)
	set, err := structpb.NewStruct(map[string]any{"a": 1})
	must(t, err)
	c := &usherv1.Context{Name: "accounts/default/namespaces/n/contexts/a/b", Properties: set}
	written, err := client.UpdateContext(as(t, f.admin), &usherv1.UpdateContextRequest{Context: c})
	must(t, err)
	if got := written.GetContext().GetName(); got != "accounts/default/namespaces/n/contexts/a%2Fb" {
		t.Errorf("the name is %s", got)
	}
	for _, name := range []string{"", "accounts/default/namespaces/n", "accounts/default/namespaces/n/contexts/", "accounts/default/x/n/contexts/a"} {
		if _, err := client.GetContext(as(t, f.admin), &usherv1.GetContextRequest{Name: name}); status.Code(err) != codes.InvalidArgument {
			t.Errorf("name %q answers %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(as(t, f.admin))
	cancel()
	if _, err := client.GetContext(ctx, &usherv1.GetContextRequest{Name: written.GetContext().GetName()}); status.Code(err) != codes.Canceled {
		t.Errorf("a call that was cancelled answers %v", err)
	}
}

// TestCaptureIsOffWithItsSwitch wants nothing kept of what an account does not want.
func TestCaptureIsOffWithItsSwitch(t *testing.T) {
	f := start(t)
	const path, body = "/v1/accounts/default/sdes:capture", `{"customer_id":"off","sde":{"visitorinfo":{"customerinfo":{"ctype":"gold"}}}}`
	f.rest(t, "PATCH", "/v1/accounts/default", `{"sde_attributes":false}`, 200)
	if a := f.rest(t, "POST", path, body, 400); !strings.Contains(fmt.Sprint(a["details"]), "SDE_ATTRIBUTES_OFF") {
		t.Errorf("refused with %v", a)
	}
	docs, err := f.contexts.Load(t.Context(), "default", []string{contextstore.Customer("off")}, []string{contextstore.CaptureNamespace})
	must(t, err)
	if len(docs) != 0 {
		t.Errorf("kept %v", docs)
	}
	f.rest(t, "PATCH", "/v1/accounts/default", `{"sde_attributes":true}`, 200)
	f.rest(t, "POST", path, body, 200)
}

// TestEndlessTimesToLiveAreTheCeiling holds on to durations beyond the clock's type.
func TestEndlessTimesToLiveAreTheCeiling(t *testing.T) {
	f := start(t)
	f.rest(t, "PUT", "/v1/accounts/default/namespaces/endless", `{"ttl":"20000000000s"}`, 200)
	a := f.rest(t, "GET", "/v1/accounts/default/namespaces/endless", "", 200)
	if want := fmt.Sprintf("%ds", int(contextstore.Ceiling.Seconds())); a["ttl"] != want {
		t.Errorf("a namespace's time to live is %v, want %s", a["ttl"], want)
	}
	f.rest(t, "PUT", "/v1/accounts/default/namespaces/short", `{"ttl":"60s"}`, 200)
	f.rest(t, "PATCH", "/v1/accounts/default/namespaces/short/contexts/s", `{"properties":{"a":1},"ttl":"20000000000s"}`, 200)
	doc := f.rest(t, "GET", "/v1/accounts/default/namespaces/short/contexts/s", "", 200)
	until, err := time.Parse(time.RFC3339, fmt.Sprint(doc["expire_time"]))
	if err != nil || time.Until(until) < contextstore.Ceiling-24*time.Hour {
		t.Errorf("it expires at %v (%v)", doc["expire_time"], err)
	}
}
