package server_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/usherhq/usher/decision/control"
	"github.com/usherhq/usher/decision/server"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

const vip = `{"name":"vip","display_name":"VIPs first","enabled":true,"when":{"all":[{"attribute":"tier","operator":"eq","value":"gold"}]},
	"effect":{"fixed":{"actions":[{"type":"TRANSFER_TO_SKILL","target":"vip-desk"}]}}}`

func names(a map[string]any, list string) string {
	var out []string
	items, _ := a[list].([]any)
	for _, i := range items {
		name := fmt.Sprint(i.(map[string]any)["name"])
		out = append(out, name[strings.LastIndex(name, "/")+1:])
	}
	return strings.Join(out, " ")
}

func TestPoliciesFromFirstToLast(t *testing.T) {
	f := start(t)
	p := f.rest(t, "POST", "/v1/accounts/default/policies", vip, 200)
	if p["name"] != "accounts/default/policies/vip" || p["enabled"] != true || p["etag"] == "" || p["position"] != 0.0 {
		t.Fatalf("created = %v", p)
	}
	a := f.rest(t, "POST", "/v1/accounts/default/nextActions", ask, 200)
	if a["policy"] != p["name"] || a["decided_by"] != "policy" || a["reason"] != "POLICY_MATCH" {
		t.Errorf("answer = %v", a)
	}
	first := a["actions"].([]any)[0].(map[string]any)
	if first["target"] != "vip-desk" || first["propensity"] != 1.0 || first["score"] != 0.0 {
		t.Errorf("first action = %v", first)
	}
	f.rest(t, "POST", "/v1/accounts/default/policies/vip:disable", `{"reason":"too many"}`, 200)
	if a := f.rest(t, "POST", "/v1/accounts/default/nextActions", ask, 200); a["policy"] != "" {
		t.Errorf("a disabled policy decides: %v", a)
	}
	if p = f.rest(t, "GET", "/v1/accounts/default/policies/vip", "", 200); p["enabled"] != false {
		t.Errorf("policy = %v", p)
	}
	// An update keeps the state unless it says otherwise, and is guarded.
	stale := p["etag"]
	p = f.rest(t, "PATCH", "/v1/accounts/default/policies/vip", `{"effect":{"rank":{}},"etag":"`+stale.(string)+`"}`, 200)
	if p["enabled"] != false || p["when"] == nil || p["display_name"] != "VIPs first" || p["etag"] == stale {
		t.Errorf("updated = %v", p)
	}
	conflict := f.rest(t, "PATCH", "/v1/accounts/default/policies/vip", `{"effect":{"rank":{}},"etag":"`+stale.(string)+`"}`, 409)
	if !strings.Contains(fmt.Sprint(conflict), fmt.Sprintf("etag:%v", p["etag"])) {
		t.Errorf("a conflict does not tell the etag: %v", conflict)
	}
	f.rest(t, "POST", "/v1/accounts/default/policies/vip:enable", `{}`, 200)
	for _, id := range []string{"b", "c"} {
		f.rest(t, "POST", "/v1/accounts/default/policies", `{"name":"`+id+`","effect":{"rank":{}}}`, 200)
	}
	f.rest(t, "POST", "/v1/accounts/default/policies/c:move", `{"position":0}`, 200)
	if got := names(f.rest(t, "GET", "/v1/accounts/default/policies", "", 200), "policies"); got != "c vip b" {
		t.Errorf("order = %q", got)
	}
	f.rest(t, "DELETE", "/v1/accounts/default/policies/vip", "", 200)
	f.rest(t, "GET", "/v1/accounts/default/policies/vip", "", 404)
	f.rest(t, "POST", "/v1/accounts/default/policies", `{"name":"b","effect":{"rank":{}}}`, 409)
}

func TestBadPolicyNamesEveryFault(t *testing.T) {
	f := start(t)
	a := f.rest(t, "POST", "/v1/accounts/default/policies", `{"name":"x","when":{"all":[{"attribute":"a","operator":"sounds_like","value":1}]},"effect":{"fixed":{"actions":[]}}}`, 400)
	got := violated(a)
	for _, want := range []string{"when.all[0].operator", "effect.fixed.actions"} {
		if !strings.Contains(got, want) {
			t.Errorf("violations = %q, want %q among them", got, want)
		}
	}
	client := usherv1.NewPolicyServiceClient(f.conn)
	_, err := client.CreatePolicy(as(t, f.admin), &usherv1.CreatePolicyRequest{Parent: "accounts/default", PolicyId: "x", Policy: &usherv1.Policy{Effect: &structpb.Struct{}}})
	if status.Code(err) != codes.InvalidArgument || len(status.Convert(err).Details()) != 2 {
		t.Errorf("an empty effect = %v", err)
	}
	for path, body := range map[string]string{
		"/v1/accounts/default/policies?page_size=-1":     "",
		"/v1/accounts/default/policies?page_token=never": "",
	} {
		f.rest(t, "GET", path, body, 400)
	}
}

func TestListsPage(t *testing.T) {
	f := start(t)
	for i := range 7 {
		f.rest(t, "POST", "/v1/accounts/default/policies", fmt.Sprintf(`{"name":"p%d","effect":{"rank":{}}}`, i), 200)
	}
	var all []string
	token := ""
	for range 4 {
		a := f.rest(t, "GET", "/v1/accounts/default/policies?page_size=2&page_token="+token, "", 200)
		all = append(all, names(a, "policies"))
		token, _ = a["next_page_token"].(string)
	}
	if got := strings.Join(all, "|"); got != "p0 p1|p2 p3|p4 p5|p6" || token != "" {
		t.Errorf("pages = %q, token %q", got, token)
	}
}

func TestAccountsObjectivesAndModes(t *testing.T) {
	f := start(t)
	account := f.rest(t, "POST", "/v1/accounts", `{"name":"accounts/shop","default_effect":{"fixed":{"actions":[{"type":"TRANSFER_TO_SKILL","target":"general"}]}}}`, 200)
	if account["name"] != "accounts/shop" || account["etag"] == "" {
		t.Errorf("account = %v", account)
	}
	f.rest(t, "POST", "/v1/accounts", `{"name":"accounts/shop"}`, 409)
	for i, call := range []string{` {"name":"acme0"}`, ` {"account_id":"acme1"}`, `?account_id=acme2 {}`, `?account_id=acme3 {"name":"accounts/acme3"}`} {
		query, body, _ := strings.Cut(call, " ")
		a := f.rest(t, "POST", "/v1/accounts"+query, body, 200)
		if _, shown := a["account_id"]; a["name"] != fmt.Sprintf("accounts/acme%d", i) || shown {
			t.Errorf("%s opens %v", call, a)
		}
	}
	if got := violated(f.rest(t, "POST", "/v1/accounts", `{"name":"accounts/one","account_id":"two"}`, 400)); got != "account_id" {
		t.Errorf("violations = %q", got)
	}
	bad := f.rest(t, "POST", "/v1/accounts", `{"name":"accounts/x","default_effect":{"fixd":{}}}`, 400)
	if !strings.Contains(violated(bad), "default_effect.fixd") {
		t.Errorf("violations = %q", violated(bad))
	}
	a := f.rest(t, "POST", "/v1/accounts/shop/nextActions", `{"candidates":[{"target":"x"}]}`, 200)
	if got := a["actions"].([]any)[0].(map[string]any)["target"]; got != "general" {
		t.Errorf("the default effect answers %v", got)
	}

	o := f.rest(t, "POST", "/v1/accounts/shop/objectives", `{"name":"csat","terms":[{"kind":"csat","weight":0.2}],"max":1,"window":"86400s"}`, 200)
	if o["version"] != "1" || o["window"] != "86400s" {
		t.Errorf("objective = %v", o)
	}
	o = f.rest(t, "PATCH", "/v1/accounts/shop/objectives/csat", `{"terms":[{"kind":"csat","weight":0.25}],"default_reward":0.1}`, 200)
	if o["version"] != "2" || o["default_reward"] != 0.1 {
		t.Errorf("objective = %v", o)
	}
	card := `{"version":"m2","objective":"csat","objective_version":2}`
	f.warehouse.cards = append(f.warehouse.cards, server.ModelCard{Version: "m2", Card: json.RawMessage(card)})
	o = f.rest(t, "PATCH", "/v1/accounts/shop/objectives/csat", `{"description":"only words"}`, 200)
	versions := f.rest(t, "GET", "/v1/accounts/shop/objectives/csat/versions", "", 200)["versions"]
	if o["version"] != "2" || o["open_rows"] != "WAIT" || !strings.HasPrefix(fmt.Sprint(versions), "[map[author") || strings.Count(fmt.Sprint(versions), "[m2]") != 2 {
		t.Errorf("after other words: %v, versions %v", o, versions)
	}
	if got := names(f.rest(t, "GET", "/v1/accounts/shop/objectives", "", 200), "objectives"); got != "csat default" {
		t.Errorf("objectives = %q", got)
	}
	if got := violated(f.rest(t, "POST", "/v1/accounts/shop/objectives", `{"name":"e","terms":[{}]}`, 400)); got != "terms[0].kind terms[0].weight" {
		t.Errorf("violations = %q", got)
	}

	m := f.rest(t, "PATCH", "/v1/accounts/shop/modes/account", `{"mode":"HOLDOUT","share":0.1,"objective":"csat"}`, 200)
	if m["name"] != "accounts/shop/modes/account" || m["share"] != 0.1 {
		t.Errorf("mode = %v", m)
	}
	// A scope holds a colon, which must not be taken for a custom method.
	f.rest(t, "PUT", "/v1/accounts/shop/modes/policy:vip", `{"mode":"ON","exploration":0}`, 400)
	f.rest(t, "POST", "/v1/accounts/shop/policies", vip, 200)
	f.rest(t, "PUT", "/v1/accounts/shop/modes/policy:vip", `{"mode":"ON","exploration":0}`, 200)
	if m = f.rest(t, "GET", "/v1/accounts/shop/modes/policy:vip", "", 200); m["mode"] != "ON" || m["exploration"] != 0.0 {
		t.Errorf("mode = %v", m)
	}
	if got := names(f.rest(t, "GET", "/v1/accounts/shop/modes", "", 200), "modes"); got != "account policy:vip" {
		t.Errorf("modes = %q", got)
	}
	if got := violated(f.rest(t, "PATCH", "/v1/accounts/shop/modes/account", `{"mode":"MAYBE","share":2}`, 400)); got != "mode share" {
		t.Errorf("violations = %q", got)
	}
	for _, mode := range []string{"COMPARE", "HOLDOUT"} {
		a := f.rest(t, "PATCH", "/v1/accounts/shop/modes/skill:desk", `{"mode":"`+mode+`"}`, 400)
		if violated(a) != "share" || !strings.Contains(fmt.Sprint(a), "in "+mode+" it is the share") {
			t.Errorf("%s without a share = %v", mode, a)
		}
	}
	f.rest(t, "PATCH", "/v1/accounts/shop/modes/policy:vip", `{"mode":"COMPARE","share":1}`, 200)
	f.rest(t, "DELETE", "/v1/accounts/shop/modes/policy:vip?etag=1", "", 409)
	f.rest(t, "DELETE", "/v1/accounts/shop/modes/policy:vip?reason=done", "", 200)
	f.rest(t, "DELETE", "/v1/accounts/shop/modes/policy:vip", "", 404)
	f.rest(t, "DELETE", "/v1/accounts/shop/modes/account", "", 400)
	if _, ok := f.control.Mode("shop", "policy:vip"); ok {
		t.Error("a deleted mode is live")
	}
	f.rest(t, "PATCH", "/v1/accounts/shop/modes/policy:vip", `{"mode":"ON"}`, 200)
	for _, path := range []string{"objectives", "modes", "models", "policies"} {
		f.rest(t, "GET", "/v1/accounts/nobody/"+path, "", 404)
	}
}

func TestModels(t *testing.T) {
	f := start(t)
	for _, v := range []string{"v3", "v2", "v1"} {
		f.warehouse.cards = append(f.warehouse.cards, server.ModelCard{Version: v, Created: time.Unix(1, 0), Card: json.RawMessage(`{"rows":10}`)})
	}
	states := func() string {
		a := f.rest(t, "GET", "/v1/accounts/default/models", "", 200)
		var out []string
		for _, m := range a["models"].([]any) {
			out = append(out, fmt.Sprint(m.(map[string]any)["state"]))
		}
		return strings.Join(out, " ")
	}
	if got := states(); got != "CANDIDATE CANDIDATE CANDIDATE" {
		t.Errorf("states = %s", got)
	}
	f.rest(t, "POST", "/v1/accounts/default/models/v1:promote", `{}`, 200)
	m := f.rest(t, "POST", "/v1/accounts/default/models/v3:promote", `{"reason":"better"}`, 200)
	if m["state"] != "CHAMPION" || m["card"].(map[string]any)["rows"] != 10.0 {
		t.Errorf("promoted = %v", m)
	}
	if got := states(); got != "CHAMPION CANDIDATE PREVIOUS" {
		t.Errorf("states = %s", got)
	}
	f.rest(t, "POST", "/v1/accounts/default/models/v9:promote", `{}`, 404)
	f.warehouse.away = fmt.Errorf("no route to host")
	f.rest(t, "GET", "/v1/accounts/default/models", "", 503)
	if m = f.rest(t, "POST", "/v1/accounts/default/models:rollback", `{"reason":"worse"}`, 200); !strings.HasSuffix(fmt.Sprint(m["name"]), "/v1") {
		t.Errorf("with the warehouse away a rollback answers %v", m)
	}
	if m = f.rest(t, "POST", "/v1/accounts/default/models:rollback", `{}`, 200); m["name"] != "" {
		t.Errorf("rolled back to none = %v", m)
	}
	f.rest(t, "POST", "/v1/accounts/default/models:rollback", `{}`, 400)
	if c, err := f.control.Champion(control.DefaultAccount); err != nil || c.Version != "" {
		t.Errorf("champion = %+v, %v", c, err)
	}
}

func TestNamesThatMakeNoSense(t *testing.T) {
	f := start(t)
	client := usherv1.NewControlServiceClient(f.conn)
	for _, name := range []string{"", "default", "accounts/", "accounts/default", "accounts/default/policies/x", "accounts/default/objectives/"} {
		_, err := client.GetObjective(as(t, f.admin), &usherv1.GetObjectiveRequest{Name: name})
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("GetObjective(%q) = %v", name, err)
		}
	}
	_, err := client.UpdateMode(as(t, f.admin), &usherv1.UpdateModeRequest{})
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("UpdateMode of nothing = %v", err)
	}
	_, err = client.UpdateObjective(as(t, f.admin), &usherv1.UpdateObjectiveRequest{Objective: &usherv1.Objective{Name: "accounts/default/objectives/default", Etag: "W/x"}})
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("UpdateObjective with a strange etag = %v", err)
	}
}
