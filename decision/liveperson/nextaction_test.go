package liveperson_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/decision/policystore"
	"github.com/usherhq/usher/pipeline/event"
)

func (f *fixture) policy(t *testing.T, account, document string) {
	t.Helper()
	p, err := policy.Parse([]byte(document))
	must(t, err)
	_, err = f.policies.Create(t.Context(), account, p, policystore.Change{Author: "test"})
	must(t, err)
}

func fixed(name, when, actions string) string {
	if when == "" {
		when = `{"all":[]}`
	}
	return fmt.Sprintf(`{"name":%q,"display_name":"About %s","enabled":true,"when":%s,"effect":{"fixed":{"actions":%s}}}`, name, name, when, actions)
}

// asked is v1's answer.
type asked struct {
	ID   string `json:"nextActionId"`
	Rule *struct {
		ID, Name string
		Actions  json.RawMessage
	} `json:"rule"`
	NoMatch *string `json:"noMatchReason"`
}

func (f *fixture) ask(t *testing.T, query string, headers ...string) (asked, http.Header) {
	t.Helper()
	r := f.call(t, "GET", "/v1/account/acme/next-actions?"+query, "", append(headers, "maven-api-key", f.key)...)
	var out asked
	if err := json.Unmarshal([]byte(r.text), &out); err != nil || r.status != 200 || !strings.Contains(r.text, `"rule":`) {
		t.Fatalf("next-actions?%s = %d %s", query, r.status, r.text)
	}
	return out, r.header
}

// TestNextActionsV1: rows 19, 48, 50, 51 and 60.
func TestNextActionsV1(t *testing.T) {
	f := start(t)
	a, h := f.ask(t, "")
	if a.Rule != nil || a.NoMatch == nil || *a.NoMatch != "NO_POLICIES_ENABLED" || a.ID == "" || h.Get("Usher-Decision-Id") != a.ID {
		t.Errorf("without policies = %+v", a)
	}
	f.policy(t, "acme", fixed("vip", `{"all":[{"attribute":"bag.tier","operator":"eq","value":"gold"}]}`,
		`[{"type":"SEND_MESSAGE","payload":{"text":"One moment"}},{"type":"TRANSFER_TO_SKILL","target":"77"}]`))
	a, h = f.ask(t, "conversationId=c-1&consumerId=u-1")
	if a.Rule != nil || a.NoMatch == nil || *a.NoMatch != "NO_MATCHED_RULES" || h.Get("Usher-No-Match-Reason") == "" {
		t.Errorf("without a match = %+v %v", a, h)
	}
	// What a bot writes over REST decides what it is answered.
	if r := f.v1(t, "PATCH", "/v1/account/acme/bag/c-1/properties", `{"tier":"gold"}`); r.status != 204 {
		t.Fatalf("write = %+v", r)
	}
	a, h = f.ask(t, "conversationId=c-1&consumerId=u-1")
	const want = `[{"type":"SEND_MESSAGE","payload":{"message":"One moment","text":"One moment"}},{"type":"TRANSFER_TO_SKILL","payload":{"skillId":"77"}}]`
	if a.Rule == nil || a.Rule.ID != "vip" || a.Rule.Name != "About vip" || string(a.Rule.Actions) != want || a.NoMatch != nil {
		t.Errorf("matched = %+v", a)
	}
	for _, name := range []string{"Usher-Policy-Version", "Usher-Policy-Revision", "Usher-Reasons", "Usher-Decided-By"} {
		if h.Get(name) == "" {
			t.Errorf("no %s in %v", name, h)
		}
	}
	if d, ok := f.spool.Recent("acme", a.ID); !ok || d.ConversationID != "c-1" || d.ConsumerID != "u-1" || d.Policy != "vip" || d.Labels["contract"] != "liveperson/v1" {
		t.Errorf("recorded = %+v, %t", d, ok)
	}
	// The session that groupId names stands in for the conversation's.
	if a, _ = f.ask(t, "conversationId=c-2&groupId=c-1"); a.Rule == nil {
		t.Error("groupId does not find the context")
	}
	if a, _ = f.ask(t, "conversationId=c-1&groupId=c-2"); a.Rule != nil {
		t.Error("groupId does not hide the conversation's context")
	}
	// What is known of the consumer holds in each of its conversations.
	f.v1(t, "PATCH", "/v1/account/acme/bag/consumer:u-2/properties", `{"tier":"gold"}`)
	if a, _ = f.ask(t, "conversationId=c-3&userId=u-2"); a.Rule == nil {
		t.Error("the consumer's context is not found, or userId is not read")
	}
	f.policy(t, "acme", `{"name":"default","effect":{"fixed":{"actions":[{"type":"TRANSFER_TO_SKILL","target":"1"}]}}}`)
	if a, _ = f.ask(t, ""); a.Rule == nil || a.Rule.ID != "default" || string(a.Rule.Actions) != `[{"type":"TRANSFER_TO_SKILL","payload":{"skillId":"1"}}]` || a.NoMatch != nil {
		t.Errorf("by default = %+v", a)
	}
}

// TestNextActionV2: rows 49, 51 and 73.
func TestNextActionV2(t *testing.T) {
	f := start(t)
	f.policy(t, "acme", fixed("who", `{"all":[{"attribute":"consumer_id","operator":"eq","value":"u"},{"attribute":"visitor_id","operator":"eq","value":"v"},{"attribute":"session_id","operator":"eq","value":"7"}]}`,
		`[{"type":"TRANSFER_TO_AGENT","target":"ann","payload":{"fallback_skill":"77"}}]`))
	f.policy(t, "acme", fixed("all", "", `[{"type":"TRANSFER_TO_BOT","target":"billy"},{"type":"TRANSFER_TO_BOT","target":"bob"},{"type":"HIDE_ENGAGEMENT","target":"e1"},{"type":"CLOSE","payload":{"note":"x"}}]`))
	post := func(body string, headers ...string) reply {
		t.Helper()
		r := f.call(t, "POST", "/v2/policy/nextaction", body, append(headers, "Authorization", "Bearer "+f.key)...)
		if r.status != 200 {
			t.Fatalf("%s = %d %s", body, r.status, r.text)
		}
		return r
	}
	const who = `{"accountId":"acme","conversationId":"c","customerId":"u","visitorId":"v","sessionId":7,"lpToken":"Bearer secret-of-theirs"}`
	r := post(who, "X-REQUEST-ID", "req-1")
	const agent = `[{"type":"TRANSFER_TO_AGENT","payload":{"agentId":"ann","fallbackSkillId":"77","skillId":"77","userId":"ann"}}]`
	if r.text != agent || r.header.Get("Usher-Policy") != "who" || r.header.Get("X-Request-Id") != "req-1" {
		t.Errorf("answer = %s %v", r.text, r.header)
	}
	id := r.header.Get("Usher-Decision-Id")
	d, ok := f.spool.Recent("acme", id)
	if !ok || d.RequestID != "req-1" || d.VisitorID != "v" || d.SessionID != "7" {
		t.Errorf("recorded = %+v", d)
	}
	if text, _ := json.Marshal(d); strings.Contains(string(text), "secret-of-theirs") {
		t.Error("the key of another system is in the record")
	}
	// A retry is the same decision; another question under the id is not.
	if again := post(who, "X-REQUEST-ID", "req-1").header.Get("Usher-Decision-Id"); again != id {
		t.Errorf("a retry is %s, not %s", again, id)
	}
	other := post(`{"accountId":"acme"}`, "X-REQUEST-ID", "req-1")
	const rest = `[{"type":"TRANSFER_TO_SKILL","payload":{"botId":"billy","skillId":"billing-bots"}},{"type":"TRANSFER_TO_BOT","payload":{"botId":"bob"}},` +
		`{"type":"HIDE_ENGAGEMENT","payload":{"target":"e1"}},{"type":"CLOSE","payload":{"note":"x"}}]`
	if other.text != rest || other.header.Get("Usher-Decision-Id") == id {
		t.Errorf("another question = %s %v", other.text, other.header)
	}
	// policyId asks that policy alone.
	if one := post(`{"accountId":"acme","policyId":"who"}`); one.text != `[]` || one.header.Get("Usher-No-Match-Reason") == "" {
		t.Errorf("policyId = %s %v", one.text, one.header)
	}
	if d, ok := f.spool.Recent("acme", other.header.Get("Usher-Decision-Id")); !ok || d.DecidedBy != event.DecidedByPolicy {
		t.Errorf("recorded = %+v", d)
	}
}
