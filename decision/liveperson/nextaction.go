package liveperson

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/internal/rpc"
	"github.com/usherhq/usher/pipeline/event"
)

// The reasons of an answer without a rule.
const (
	noneMatched = "NO_MATCHED_RULES"
	noneEnabled = "NO_POLICIES_ENABLED"
)

// rule is the policy that answered, as v1 shows it.
type rule struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	Actions []action `json:"actions"`
}

// nextActions serves GET /v1/account/{account}/next-actions.
func (f *facade) nextActions(r *http.Request, _ []byte) (*rpc.Answer, error) {
	type reply struct {
		ID      string `json:"nextActionId"`
		Rule    *rule  `json:"rule"`
		NoMatch string `json:"noMatchReason,omitempty"`
	}
	query := r.URL.Query()
	q := &decision.Request{
		Account: r.PathValue("account"), ConversationID: query.Get("conversationId"),
		ConsumerID: cmp.Or(query.Get("consumerId"), query.Get("userId")), SessionID: query.Get("groupId"),
	}
	d, err := f.ask(r, q, "v1", []byte(query.Encode()))
	if err != nil {
		return nil, err
	}
	out := reply{ID: d.ID, Rule: f.ruleOf(d)}
	if out.Rule == nil {
		out.NoMatch = noMatch(d)
	}
	a, err := answer(http.StatusOK, out)
	if err != nil {
		return nil, err
	}
	f.describe(a.Header, d)
	return a, nil
}

// nextActionRequest is the body of v2's question.
type nextActionRequest struct {
	Account      text `json:"accountId"`
	Conversation text `json:"conversationId"`
	Customer     text `json:"customerId"`
	Visitor      text `json:"visitorId"`
	Session      text `json:"sessionId"`
	Policy       text `json:"policyId"`
}

// nextAction serves POST /v2/policy/nextaction with the bare list; what v2 leaves
// out is in the headers. lpToken, another system's key, is neither used nor kept.
func (f *facade) nextAction(r *http.Request, body []byte) (*rpc.Answer, error) {
	var b nextActionRequest
	if err := read(body, &b); err != nil {
		return nil, err
	}
	q := &decision.Request{
		Account: string(b.Account), ConversationID: string(b.Conversation), ConsumerID: string(b.Customer),
		VisitorID: string(b.Visitor), SessionID: string(b.Session), Policy: string(b.Policy),
	}
	said, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	d, err := f.ask(r, q, "v2", said)
	if err != nil {
		return nil, err
	}
	a, err := answer(http.StatusOK, f.actionsOf(d))
	if err != nil {
		return nil, err
	}
	f.describe(a.Header, d)
	return a, nil
}

// ask decides under the caller's request id; what was said tells a retry from
// another question.
func (f *facade) ask(r *http.Request, q *decision.Request, version string, said []byte) (*event.Decision, error) {
	contract := "liveperson/" + version
	q.RequestID = cmp.Or(r.Header.Get(requestHeader), r.Header.Get("Idempotency-Key"))
	q.Labels = map[string]string{"contract": contract}
	if trace := r.Header.Get("Traceparent"); trace != "" {
		q.Labels["traceparent"] = trace
	}
	return f.deps.Answers.Answer(r.Context(), q, func() ([]byte, error) {
		return bytes.Join([][]byte{[]byte(contract), []byte(q.Account), said}, []byte{0}), nil
	})
}

// ruleOf is the policy that answered, the default one included; nil for none.
func (f *facade) ruleOf(d *event.Decision) *rule {
	id := d.Policy
	if id == "" {
		if len(d.Actions) == 0 || d.DecidedBy != event.DecidedByDefault {
			return nil
		}
		id = policy.DefaultName
	}
	out := &rule{ID: id, Name: id, Actions: f.actionsOf(d)}
	if r := f.deps.Policies.Policies(d.Account).Find(id); r != nil {
		out.Name = cmp.Or(r.Policy().DisplayName, id)
	}
	return out
}

// noMatch says in v1's words why no policy answered.
func noMatch(d *event.Decision) string {
	switch d.NoMatchReason {
	case decision.NoPolicies, decision.NoPoliciesLive:
		return noneEnabled
	}
	return noneMatched
}

// describe puts into headers what neither version has a place for.
func (f *facade) describe(h http.Header, d *event.Decision) {
	set := func(name, value string) {
		if value != "" {
			h.Set(name, value)
		}
	}
	set("Usher-Decision-Id", d.ID)
	set("Usher-Decided-By", string(d.DecidedBy))
	set("Usher-Reasons", strings.Join(d.Reasons, ","))
	set("Usher-No-Match-Reason", d.NoMatchReason)
	set("Usher-Mode", d.Mode)
	set("Usher-Model-Version", d.ModelVersion)
	set("Usher-Policy", d.Policy)
	set("Usher-Policy-Revision", strconv.FormatInt(d.PolicyRevision, 10))
	for i := range d.Policies {
		if p := &d.Policies[i]; d.Policy != "" && p.Policy == d.Policy {
			set("Usher-Policy-Version", strconv.FormatInt(p.Revision, 10))
		}
	}
	for i := range d.Candidates {
		if c := &d.Candidates[i]; d.Chosen != "" && c.Key() == d.Chosen {
			set("Usher-Score", strconv.FormatFloat(c.Score, 'g', -1, 64))
			break
		}
	}
}
