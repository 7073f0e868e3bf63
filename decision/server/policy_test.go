package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/usherhq/usher/decision/token"
	"github.com/usherhq/usher/internal/rpc"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

const account = "/v1/accounts/default"

// text shows an answer for comparison by substring.
func text(a any) string {
	out, err := json.Marshal(a)
	if err != nil {
		return err.Error()
	}
	return string(out)
}

// holds returns a check that an answer holds these pieces of JSON.
func holds(t *testing.T, want ...string) func(any) {
	return func(got any) {
		t.Helper()
		for _, w := range want {
			if !strings.Contains(text(got), w) {
				t.Errorf("no %s in %s", w, text(got))
			}
		}
	}
}

// list creates enabled policies that rank, in order.
func (f *fixture) list(t *testing.T, ids ...string) {
	t.Helper()
	for _, id := range ids {
		f.rest(t, "POST", account+"/policies", `{"name":"`+id+`","enabled":true,"when":{"attribute":"intent","operator":"equal","value":"`+id+`"},"effect":{"rank":{}}}`, 200)
	}
}

func (f *fixture) order(t *testing.T) string {
	t.Helper()
	return names(f.rest(t, "GET", account+"/policies?page_size=1000", "", 200), "policies")
}

// TestANewPolicyIsLastAndDisabled unless it says otherwise, and gets an id of its
// display name.
func TestANewPolicyIsLastAndDisabled(t *testing.T) {
	f := start(t)
	one := f.rest(t, "POST", account+"/policies?reason=spring", `{"display_name":"Größte Kunden zuerst!","effect":{"rank":{}}}`, 200)
	if one["name"] != "accounts/default/policies/groesste-kunden-zuerst" && !strings.Contains(fmt.Sprint(one["name"]), "kunden-zuerst") {
		t.Errorf("named %v", one["name"])
	}
	if one["enabled"] != false || one["position"] != 0.0 || one["change_reason"] != "spring" || !strings.HasPrefix(fmt.Sprint(one["author"]), "token:") {
		t.Errorf("created %v", one)
	}
	two := f.rest(t, "POST", account+"/policies", `{"display_name":"Größte Kunden zuerst!","effect":{"rank":{}}}`, 200)
	if two["name"] != fmt.Sprint(one["name"])+"-2" || two["position"] != 1.0 {
		t.Errorf("the second is %v", two)
	}
	last := f.rest(t, "POST", account+"/policies", `{"name":"default","effect":{"rank":{}}}`, 200)
	if last["enabled"] != true || last["position"] != 2.0 {
		t.Errorf("the default policy is %v", last)
	}
	three := f.rest(t, "POST", account+"/policies", `{"name":"c","effect":{"rank":{}}}`, 200)
	if three["position"] != 2.0 {
		t.Errorf("behind the default policy: %v", three)
	}
	f.rest(t, "POST", account+"/policies/default:disable", `{}`, 400)
	f.rest(t, "POST", account+"/policies/default:move", `{"position":0}`, 400)
	f.rest(t, "POST", account+"/policies", `{"name":"default","effect":{"rank":{}}}`, 409)
}

func TestPoliciesAreFoundByTheirNames(t *testing.T) {
	f := start(t)
	for _, p := range []string{
		`{"name":"vip-desk","display_name":"Gold customers"}`, `{"name":"night","description":"After hours, gold or not"}`, `{"name":"rest"}`,
	} {
		f.rest(t, "POST", account+"/policies", strings.TrimSuffix(p, "}")+`,"effect":{"rank":{}}}`, 200)
	}
	for query, want := range map[string]string{"GOLD": "vip-desk night", "gold+after": "night", "desk": "vip-desk", "nothing": "", "": "vip-desk night rest"} {
		a := f.rest(t, "GET", account+"/policies?query="+query, "", 200)
		if got := names(a, "policies"); got != want {
			t.Errorf("query %q finds %q, want %q", query, got, want)
		}
	}
	if p := f.rest(t, "GET", account+"/policies?query=rest", "", 200)["policies"].([]any)[0].(map[string]any); p["position"] != 2.0 {
		t.Errorf("found at %v", p["position"])
	}
}

// TestLivePersonsGrammarIsTaken where a policy may be written, and answered in the
// canonical form.
func TestLivePersonsGrammarIsTaken(t *testing.T) {
	f := start(t)
	p := f.rest(t, "POST", account+"/policies", `{
		"name": "VIP / Gold", "enabled": true,
		"conditions": [{"type":"EQUALS","property":"sde.customerInfo.customerType","value":"VIP"}],
		"actions": [{"type":"TRANSFER_TO_SKILL","payload":{"skillId":4711}}],
		"exception": {"conditions":[{"type":"EQUALS","property":"intent","value":"fraud"}],"actions":[{"type":"TRANSFER_TO_SKILL","payload":{"skillId":"fraud"}}]}
	}`, 200)
	if p["name"] != "accounts/default/policies/vip-gold" || p["display_name"] != "VIP / Gold" || len(p["conditions"].([]any)) != 0 {
		t.Errorf("created %v", p)
	}
	holds(t, `"attribute":"sde.customerInfo.customerType"`, `"target":"4711"`)(p)
	holds(t, `"target":"fraud"`, `"when":`)(p["exception"])
	// Of a change in that grammar the rest stays.
	p = f.rest(t, "PATCH", account+"/policies/vip-gold", `{"conditions":[{"type":"CONTAINS","property":"intent","value":"{{tier}}"}]}`, 200)
	holds(t, `"target":"4711"`)(p["effect"])
	if strings.Contains(text(p["when"]), "customerType") || text(p["exception"]) == "null" {
		t.Errorf("changed to %v", p)
	}
	p = f.rest(t, "PATCH", account+"/policies/vip-gold", `{"actions":[{"type":"TRANSFER_TO_AGENT","payload":{"agentId":"7","fallbackSkillId":"9"}}]}`, 200)
	holds(t, `"fallback_skill":"9"`, `"target":"7"`)(p["effect"])
	for body, want := range map[string]string{
		`{"name":"x","when":{"attribute":"a","operator":"exists"},"conditions":[{"type":"EQUALS","property":"a","value":"b"}],"actions":[{"type":"CLOSE"}]}`: "conditions",
		`{"name":"x","effect":{"rank":{}},"actions":[{"type":"CLOSE"}]}`:                                                                                     "actions",
		`{"name":"x","conditions":[{"type":"SOUNDS_LIKE","property":"a","value":"b"}],"actions":[]}`:                                                         "conditions[0].type",
	} {
		if got := violated(f.rest(t, "POST", account+"/policies", body, 400)); !strings.HasPrefix(got, want) {
			t.Errorf("%s violates %q, want %q", body, got, want)
		}
	}
}

func TestValidateOnlyStoresNothing(t *testing.T) {
	f := start(t)
	f.list(t, "a")
	before := f.config.State().Revision()
	p := f.rest(t, "POST", account+"/policies?validate_only=true", `{"name":"b","enabled":true,"when":{"attribute":"intent","operator":"equal","value":"a"},"effect":{"rank":{}}}`, 200)
	if p["position"] != 1.0 || p["etag"] != "" {
		t.Errorf("would be %v", p)
	}
	holds(t, `"SHADOWED"`, `"WARNING"`)(p["warnings"])
	p = f.rest(t, "PATCH", account+"/policies/a?validate_only=true", `{"description":"new"}`, 200)
	if p["description"] != "new" {
		t.Errorf("would be %v", p)
	}
	f.rest(t, "POST", account+"/policies?validate_only=true", `{"name":"a","effect":{"rank":{}}}`, 409)
	f.rest(t, "POST", account+"/policies?validate_only=true", `{"name":"c","effect":{}}`, 400)
	a := f.rest(t, "POST", account+"/policies:import", `{"validate_only":true,"draft":"x","document":{"policies":[{"name":"z","effect":{"rank":{}}},{"name":"y","effect":{}}]}}`, 200)
	holds(t, `policies[1].effect`, `"ERROR"`)(a["problems"])
	if after := f.config.State().Revision(); after != before {
		t.Errorf("the config log went from %d to %d", before, after)
	}
}

func TestCheckFindsEverythingAndStoresNothing(t *testing.T) {
	f := start(t)
	f.list(t, "a")
	before := f.config.State().Revision()
	a := f.rest(t, "POST", account+"/policies:check", `{"policies":[
		{"name":"a","when":{"attribute":"x","operator":"sounds_like","value":1},"effect":{"teleport":{}}},
		{"display_name":"Same","when":{"attribute":"y","operator":"equal","value":"a"},"effect":{"rank":{}}},
		{"display_name":"Same","when":{"attribute":"y","operator":"equal","value":"a"},"effect":{"rank":{}}}
	]}`, 200)
	if a["errors"].(float64) < 2 || a["warnings"].(float64) < 1 {
		t.Errorf("found %v", a)
	}
	first := a["problems"].([]any)[0].(map[string]any)
	if first["severity"] != "ERROR" || first["policy"] != "a" || first["path"] != "when.operator" || first["code"] != "UNKNOWN_OPERATOR" {
		t.Errorf("first is %v", first)
	}
	holds(t, `"policy":"same-2"`, `"SHADOWED"`)(a["problems"])
	if a = f.rest(t, "POST", account+"/policies:check", `{}`, 200); a["errors"] != 0.0 {
		t.Errorf("the live list has %v", a)
	}
	f.rest(t, "POST", account+"/policyDrafts", `{"name":"d","policies":[{"name":"q","effect":{}}]}`, 200)
	for _, name := range []string{"d", "accounts/default/policyDrafts/d"} {
		if a = f.rest(t, "POST", account+"/policies:check", `{"draft":"`+name+`"}`, 200); a["errors"] != 1.0 {
			t.Errorf("draft %s has %v", name, a)
		}
	}
	f.rest(t, "POST", account+"/policies:check", `{"draft":"none"}`, 404)
	f.rest(t, "POST", account+"/policies:check", `{"draft":"accounts/other/policyDrafts/d"}`, 400)
	if after := f.config.State().Revision(); after != before+1 {
		t.Errorf("the config log went from %d to %d", before, after)
	}
}

func TestRevisionsDiffAndRollback(t *testing.T) {
	f := start(t)
	f.list(t, "a", "b", "c")
	start := f.rest(t, "GET", account+"/policies", "", 200)["revision"].(string)
	f.rest(t, "PATCH", account+"/policies/b?reason=tune", `{"when":{"attribute":"intent","operator":"equal","value":"z"}}`, 200)
	f.rest(t, "POST", account+"/policies/c:move", `{"position":0,"reason":"first"}`, 200)
	f.rest(t, "DELETE", account+"/policies/a?reason=gone", "", 200)

	all := f.rest(t, "GET", account+"/policyRevisions", "", 200)["revisions"].([]any)
	if len(all) != 6 {
		t.Fatalf("%d revisions, want 6", len(all))
	}
	holds(t, `"reason":"gone"`, `"kind":"REMOVED"`, `"policy":"a"`, `"author":"token:`)(all[0])
	holds(t, `"kind":"MOVED"`, `"path":"position"`, `"before":2`, `"after":0`, `"policies":[]`)(all[1])
	holds(t, `"kind":"CHANGED"`, `"path":"when.value"`, `"before":"b"`, `"after":"z"`)(all[2])
	holds(t, `"kind":"ADDED"`)(all[5])

	// Pages hold while new revisions come.
	page := f.rest(t, "GET", account+"/policyRevisions?page_size=4", "", 200)
	f.rest(t, "PATCH", account+"/policies/b", `{"description":"more"}`, 200)
	rest := f.rest(t, "GET", account+"/policyRevisions?page_size=4&page_token="+page["next_page_token"].(string), "", 200)
	if names(page, "revisions")+" "+names(rest, "revisions") != names(map[string]any{"revisions": all}, "revisions") || rest["next_page_token"] != "" {
		t.Errorf("pages %s and %s", names(page, "revisions"), names(rest, "revisions"))
	}
	if got := f.rest(t, "GET", account+"/policyRevisions?policy=c", "", 200)["revisions"].([]any); len(got) != 2 {
		t.Errorf("%d revisions of c", len(got))
	}
	f.rest(t, "GET", account+"/policyRevisions?page_token=never", "", 400)

	was := f.rest(t, "GET", account+"/policyRevisions/"+start, "", 200)
	if names(was, "policies") != "a b c" {
		t.Errorf("at %s the list was %s", start, names(was, "policies"))
	}
	f.rest(t, "GET", account+"/policyRevisions/1", "", 404)
	f.rest(t, "GET", account+"/policyRevisions/x", "", 400)

	d := f.rest(t, "GET", account+"/policies:diff?from="+start, "", 200)
	holds(t, `"policy":"b"`, `"path":"description"`, `"kind":"REMOVED"`)(d)
	if back := f.rest(t, "GET", account+"/policies:diff?from=live&to="+start, "", 200); !strings.Contains(text(back), `"ADDED"`) {
		t.Errorf("the other way %v", back)
	}
	f.rest(t, "GET", account+"/policies:diff", "", 400)
	f.rest(t, "GET", account+"/policies:diff?from=99999", "", 404)

	f.restAs(t, f.admin, "POST", account+"/policies:rollback", `{"revision":"`+start+`"}`, 409, "If-Match", `"`+start+`"`)
	a := f.rest(t, "POST", account+"/policies:rollback", `{"revision":"`+start+`","reason":"it was better"}`, 200)
	if f.order(t) != "a b c" {
		t.Errorf("rolled back to %q", f.order(t))
	}
	r := f.rest(t, "GET", account+"/policyRevisions/"+a["revision"].(string), "", 200)
	holds(t, `"reason":"it was better"`)(r)
	again := f.rest(t, "POST", account+"/policies:rollback", `{"revision":"`+start+`"}`, 200)
	if again["revision"] != a["revision"] || len(again["changes"].([]any)) != 0 {
		t.Errorf("rolled back twice: %v", again)
	}
	f.rest(t, "POST", account+"/policies:rollback", `{"revision":"1"}`, 404)
	f.rest(t, "POST", account+"/policies:rollback", `{}`, 400)
}

func TestDraftsFromFirstToPublished(t *testing.T) {
	f := start(t)
	f.list(t, "a", "b")
	d := f.rest(t, "POST", account+"/policyDrafts", `{"name":"spring","description":"What changes in spring"}`, 200)
	if d["name"] != "accounts/default/policyDrafts/spring" || names(d, "policies") != "a b" || d["stale"] != false || d["base_revision"] == "0" {
		t.Fatalf("draft %v", d)
	}
	f.rest(t, "POST", account+"/policyDrafts", `{"name":"spring"}`, 409)
	if made := f.rest(t, "POST", account+"/policyDrafts", `{}`, 200); len(fmt.Sprint(made["name"])) < 30 {
		t.Errorf("an id is made up: %v", made["name"])
	}
	stale := d["etag"].(string)
	d = f.rest(t, "PATCH", account+"/policyDrafts/spring", `{"etag":"`+stale+`","policies":[
		{"name":"accounts/default/policies/b","enabled":true,"effect":{"rank":{}},"revision":"3","warnings":[]},
		{"name":"default","effect":{"rank":{}}},
		{"display_name":"New one","conditions":[{"type":"EQUALS","property":"intent","value":"x"}],"actions":[{"type":"CLOSE"}]},
		{"name":"broken","effect":{"teleport":{}}}
	]}`, 200)
	if names(d, "policies") != "b new-one broken default" || d["description"] != "What changes in spring" {
		t.Errorf("draft %v", d)
	}
	for _, d := range []map[string]any{d, f.rest(t, "GET", account+"/policyDrafts/spring", "", 200)} {
		holds(t, `"path":"effect.teleport"`, `"ERROR"`)(d["policies"])
	}
	odd := f.rest(t, "POST", account+"/policyDrafts", `{"name":"odd","policies":[{"name":"A","effect":{"rank":{}}},{"name":"ok","effect":{}}]}`, 200)
	holds(t, `"path":"name"`, `"path":"effect"`)(odd["policies"])
	holds(t, `"path":"name"`)(f.rest(t, "POST", account+"/policies:check", `{"draft":"odd"}`, 200)["problems"])
	if got := violated(f.rest(t, "POST", account+"/policyDrafts/odd:publish", `{}`, 400)); !strings.Contains(got, "policies[0].name") || !strings.Contains(got, "policies[1].effect") {
		t.Errorf("publishing violates %q", got)
	}
	f.rest(t, "DELETE", account+"/policyDrafts/odd", "", 200)
	f.restAs(t, f.admin, "PATCH", account+"/policyDrafts/spring", `{"description":"x"}`, 409, "If-Match", `"`+stale+`"`)
	list := f.rest(t, "GET", account+"/policyDrafts", "", 200)["drafts"].([]any)
	if len(list) != 2 || strings.Contains(text(list), "teleport") {
		t.Errorf("drafts %v", list)
	}
	// A draft can be tried before it is good.
	ask := f.rest(t, "POST", account+"/nextActions", `{"dry_run":true,"draft":"spring","candidates":[{"target":"a"}],"explain":true}`, 200)
	holds(t, `"policy":"b"`, `"INVALID"`)(ask)

	if got := violated(f.rest(t, "POST", account+"/policyDrafts/spring:publish", `{}`, 400)); !strings.Contains(got, "policies[2].effect.teleport") {
		t.Errorf("violations %q", got)
	}
	f.rest(t, "PATCH", account+"/policyDrafts/spring", `{"policies":[{"name":"b","effect":{"rank":{}}},{"name":"n","effect":{"rank":{}}}]}`, 200)
	f.list(t, "c")
	if d = f.rest(t, "GET", account+"/policyDrafts/spring", "", 200); d["stale"] != true {
		t.Errorf("draft %v", d)
	}
	now := f.rest(t, "GET", account+"/policies", "", 200)["revision"].(string)
	refused := f.rest(t, "POST", account+"/policyDrafts/spring:publish", `{}`, 409)
	holds(t, `"ABORTED"`, `"etag":"`+now+`"`)(refused)
	a := f.rest(t, "POST", account+"/policyDrafts/spring:publish", `{"rebase":true,"reason":"go"}`, 200)
	holds(t, `"policy":"a"`, `"REMOVED"`, `"policy":"n"`, `"ADDED"`)(a["changes"])
	if f.order(t) != "b n c" {
		t.Errorf("published %q", f.order(t))
	}
	f.rest(t, "GET", account+"/policyDrafts/spring", "", 404)
	f.rest(t, "POST", account+"/policyDrafts/spring:publish", `{}`, 404)
	f.rest(t, "POST", account+"/policyDrafts", `{"name":"junk"}`, 200)
	f.rest(t, "DELETE", account+"/policyDrafts/junk?etag=1", "", 409)
	f.rest(t, "DELETE", account+"/policyDrafts/junk", "", 200)
	f.rest(t, "DELETE", account+"/policyDrafts/junk", "", 404)
	f.rest(t, "POST", account+"/policyDrafts", `{"name":"live"}`, 400)
}

// TestTwoPublishersOneWins over REST: the other is ABORTED, and can rebase.
func TestTwoPublishersOneWins(t *testing.T) {
	f := start(t)
	f.list(t, "a")
	for _, id := range []string{"x", "y"} {
		f.rest(t, "POST", account+"/policyDrafts", fmt.Sprintf(`{"name":%q,"policies":[{"name":"a","effect":{"rank":{}}},{"name":%q,"effect":{"rank":{}}}]}`, id, id), 200)
	}
	policies := usherv1.NewPolicyServiceClient(f.conn)
	publish := func(id string, rebase bool) error {
		_, err := policies.PublishPolicyDraft(as(t, f.admin), &usherv1.PublishPolicyDraftRequest{
			Name: "accounts/default/policyDrafts/" + id, Rebase: rebase,
		})
		return err
	}
	var both sync.WaitGroup
	errs := make([]error, 2)
	for i, id := range []string{"x", "y"} {
		both.Go(func() { errs[i] = publish(id, false) })
	}
	both.Wait()
	if (errs[0] == nil) == (errs[1] == nil) || status.Code(errors.Join(errs...)) != codes.Aborted {
		t.Fatalf("published: %v and %v", errs[0], errs[1])
	}
	loser := map[bool]string{true: "y", false: "x"}[errs[0] == nil]
	if err := publish(loser, true); err != nil {
		t.Error(err)
	}
	if got := f.order(t); got != "a x y" && got != "a y x" {
		t.Errorf("the list is %q", got)
	}
}

func TestExportReadsBackAsTheSameList(t *testing.T) {
	f := start(t)
	f.list(t, "a", "b", "c")
	f.rest(t, "POST", account+"/policies/c:move", `{"position":0}`, 200)
	f.rest(t, "POST", account+"/policies/b:disable", `{}`, 200)
	f.rest(t, "POST", account+"/policies", `{"name":"default","effect":{"fixed":{"actions":[{"target":"general"}]}}}`, 200)
	exported := text(f.rest(t, "GET", account+"/policies:export", "", 200))
	revision := f.rest(t, "GET", account+"/policies", "", 200)["revision"].(string)

	same := f.rest(t, "POST", account+"/policies:import", `{"replace":true,"document":`+exported+`}`, 200)
	if same["revision"] != revision || names(same, "policies") != "c a b default" {
		t.Errorf("importing what is there made %v", same)
	}
	f.rest(t, "POST", "/v1/accounts", `{"name":"accounts/shop"}`, 200)
	f.rest(t, "POST", "/v1/accounts/shop/policies", `{"name":"own","effect":{"rank":{}}}`, 200)
	f.rest(t, "POST", "/v1/accounts/shop/policies:import", `{"format":"usher","replace":true,"document":`+exported+`}`, 200)
	if got := text(f.rest(t, "GET", "/v1/accounts/shop/policies:export", "", 200)); got != exported {
		t.Errorf("the copy is\n%s, want\n%s", got, exported)
	}
	f.rest(t, "DELETE", account+"/policies/a", "", 200)
	if got := text(f.rest(t, "GET", account+"/policies:export?revision="+revision, "", 200)); got != exported {
		t.Errorf("at %s it was\n%s, want\n%s", revision, got, exported)
	}
	f.rest(t, "GET", account+"/policies:export?revision="+revision+"&draft=d", "", 400)
	f.rest(t, "GET", account+"/policies:export?draft=d", "", 404)
}

func TestImportOfOtherSystems(t *testing.T) {
	f := start(t)
	f.list(t, "a")
	f.rest(t, "POST", account+"/policies", `{"name":"default","effect":{"rank":{}}}`, 200)
	const live = `[{"name":"VIP","conditions":[{"type":"EQUALS","property":"tier","value":"gold"}],"actions":[{"type":"TRANSFER_TO_SKILL","payload":{"skillId":"7"}}]},
		{"name":"a","conditions":[{"type":"EQUALS","property":"tier","value":"none"}],"actions":[{"type":"CLOSE"}]}]`
	f.rest(t, "PATCH", account+"/policies/a", `{"display_name":"Policy a"}`, 200)
	got := f.rest(t, "POST", account+"/policies:import", `{"format":"liveperson","document":`+live+`}`, 200)
	if names(got, "policies") != "a vip" || f.order(t) != "a vip default" {
		t.Errorf("imported %s, list %s", names(got, "policies"), f.order(t))
	}
	holds(t, `"code":"REPLACED"`, `"policy":"a"`, `called \"Policy a\"`)(got["problems"])
	if text := fmt.Sprint(got["problems"]); strings.Count(text, "REPLACED") != 1 {
		t.Errorf("only a was there before: %s", text)
	}
	// What says nothing is disabled when new, and as it was when known.
	for id, want := range map[string]bool{"vip": false, "a": true} {
		if p := f.rest(t, "GET", account+"/policies/"+id, "", 200); p["enabled"] != want {
			t.Errorf("%s is %v", id, p)
		}
	}
	f.rest(t, "POST", account+"/policies:import", `{"format":"liveperson","replace":true,"enable":true,"document":[{"name":"Night","actions":[{"type":"CLOSE"}]}]}`, 200)
	if f.order(t) != "night default" || f.rest(t, "GET", account+"/policies/night", "", 200)["enabled"] != true {
		t.Errorf("list %s", f.order(t))
	}
	d := f.rest(t, "POST", account+"/policies:import", `{"draft":"from-lp","reason":"move","document":`+live+`}`, 200)
	if d["draft"] != "accounts/default/policyDrafts/from-lp" || names(d, "policies") != "vip a" || f.order(t) != "night default" {
		t.Errorf("draft %v", d)
	}
	for name, document := range map[string]string{
		"gold":    `{"task_routing":{"filters":[{"filter_friendly_name":"gold","expression":"1==1","targets":[{"queue":"q"}]}],"default_filter":{"queue":"z"}}}`,
		"english": `{"Name":"english","Steps":[{"Expression":{"AttributeCondition":{"Name":"Language","Value":"English","ProficiencyLevel":4,"ComparisonOperator":"NumberGreaterOrEqualTo"}}}]}`,
	} {
		f.rest(t, "POST", account+"/policies:import", `{"document":`+document+`}`, 200)
		if p := f.rest(t, "GET", account+"/policies/"+name, "", 200); p["enabled"] != false {
			t.Errorf("%s came in enabled: %v", name, p)
		}
	}
	if p := f.rest(t, "GET", account+"/policies/default", "", 200); p["enabled"] != true {
		t.Errorf("the default policy %v", p)
	}
	f.restAs(t, f.admin, "POST", account+"/policies:import", `{"document":`+live+`}`, 409, "If-Match", `"1"`)
	for body, want := range map[string]string{
		`{}`: "document", `{"document":{"policies":[{"name":"z","effect":{"teleport":{}}}]}}`: "document.policies[0].effect",
		`{"format":"excel","document":{}}`: "format", `{"document":"not json"}`: "document",
	} {
		if got := violated(f.rest(t, "POST", account+"/policies:import", body, 400)); !strings.HasPrefix(got, want) {
			t.Errorf("%s violates %q, want %q", body, got, want)
		}
	}
}

// TestDefaultEffectIsTheDefaultPolicy: the account's field and the policy are the
// same thing, seen from two sides.
func TestDefaultEffectIsTheDefaultPolicy(t *testing.T) {
	f := start(t)
	a := f.rest(t, "POST", "/v1/accounts", `{"name":"accounts/shop","default_effect":{"fixed":{"actions":[{"target":"general"}]}}}`, 200)
	holds(t, `"target":"general"`)(a["default_effect"])
	p := f.rest(t, "GET", "/v1/accounts/shop/policies/default", "", 200)
	holds(t, `"target":"general"`)(p["effect"])
	f.rest(t, "PATCH", "/v1/accounts/shop/policies/default", `{"effect":{"fixed":{"actions":[{"target":"others"}]}}}`, 200)
	a = f.rest(t, "GET", "/v1/accounts/shop", "", 200)
	holds(t, `"target":"others"`)(a["default_effect"])
	f.rest(t, "PATCH", "/v1/accounts/shop", `{"default_effect":{"rank":{}}}`, 200)
	holds(t, `"rank":{}`)(f.rest(t, "GET", "/v1/accounts/shop/policies/default", "", 200))
	if got := violated(f.rest(t, "PATCH", "/v1/accounts/shop", `{"default_effect":{"dney":{}}}`, 400)); !strings.Contains(got, "default_effect.dney") {
		t.Errorf("violations %q", got)
	}
	f.rest(t, "PATCH", "/v1/accounts/shop", `{"display_name":"Shop"}`, 200)
	f.rest(t, "GET", "/v1/accounts/shop/policies/default", "", 200)
	f.rest(t, "PATCH", "/v1/accounts/shop", `{"default_effect":null}`, 200)
	f.rest(t, "GET", "/v1/accounts/shop/policies/default", "", 404)
	// The first account has its default effect in its own document, as all had once.
	d := f.rest(t, "GET", account, "", 200)
	holds(t, `"rank":{}`)(d["default_effect"])
	f.rest(t, "POST", account+"/policies", `{"name":"default","effect":{"fixed":{"actions":[{"target":"g"}]}}}`, 200)
	f.rest(t, "DELETE", account+"/policies/default", "", 200)
	if d = f.rest(t, "GET", account, "", 200); d["default_effect"] != nil {
		t.Errorf("it is back: %v", d)
	}
}

// TestReadersOfPoliciesChangeNothing: reading, checking and comparing need the
// scope read, every change needs admin.
func TestReadersOfPoliciesChangeNothing(t *testing.T) {
	f := start(t)
	f.list(t, "a")
	reader, _, err := f.tokens.Create(t.Context(), token.Spec{Account: "default", Scopes: rpc.ScopeRead}, "test")
	must(t, err)
	for _, call := range []string{
		"GET /policies ", "GET /policies/a ", "POST /policies:check {}", "GET /policies:export ", "GET /policyRevisions ",
		"GET /policies:diff?from=live ", "GET /policyDrafts ",
	} {
		parts := strings.SplitN(call, " ", 3)
		f.restAs(t, reader, parts[0], account+parts[1], parts[2], 200)
	}
	for _, call := range []string{
		`POST /policies {"name":"b","effect":{"rank":{}}}`, `POST /policies?validate_only=true {"name":"b","effect":{"rank":{}}}`,
		"PATCH /policies/a {}", "DELETE /policies/a ", "POST /policies/a:enable {}", `POST /policies/a:move {"position":0}`,
		`POST /policies:import {"document":{"policies":[]}}`, `POST /policies:rollback {"revision":"1"}`,
		"POST /policyDrafts {}", "PATCH /policyDrafts/d {}", "DELETE /policyDrafts/d ", "POST /policyDrafts/d:publish {}",
	} {
		parts := strings.SplitN(call, " ", 3)
		f.restAs(t, reader, parts[0], account+parts[1], parts[2], 403)
	}
}

// TestMisshapenPolicyTellsEverything: a body that is no policy by its shape is told of
// with all that a file would be told of, at the same places.
func TestMisshapenPolicyTellsEverything(t *testing.T) {
	f := start(t)
	for _, c := range []struct {
		path, body string
		want       []string
	}{
		{"/policies", `{"nme":"x","enabled":"yes","when":{"all":{}},"effect":{"fixed":{"actions":[]},"rank":{}}}`, []string{"nme", "enabled", "when.all", "effect", "effect.fixed.actions"}},
		{
			"/policies:check", `{"policies":[{"name":"ok","when":{"any":7},"effect":{"rank":{}}},{"nme":"x","when":{"all":{}},"effect":{"rank":{}}}],"drft":"x"}`,
			[]string{"policies[0].when.any", "policies[1].nme", "policies[1].when.all", "drft"},
		},
		{"/policies", `{"name":"p","when":{"attribute":"a","attribute":"b","operator":"equal","value":1},"effect":{"rank":{}}}`, []string{"when.attribute"}},
	} {
		var fields []string
		detail := text(f.rest(t, "POST", account+c.path, c.body, 400))
		for _, field := range regexp.MustCompile(`"field":"([^"]*)"`).FindAllStringSubmatch(detail, -1) {
			fields = append(fields, field[1])
		}
		slices.Sort(fields)
		slices.Sort(c.want)
		if !slices.Equal(fields, c.want) {
			t.Errorf("%s tells of %q, want %q: %s", c.body, fields, c.want, detail)
		}
	}
}
