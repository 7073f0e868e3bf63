package attribute_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/attribute"
	"github.com/usherhq/usher/decision/catalog"
	"github.com/usherhq/usher/decision/contextstore"
	"github.com/usherhq/usher/decision/function"
	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/event"
)

// canary is in every personal value, and in no record.
const canary = "kanarie7"

// personal is an account whose policies look at personal values in every way.
func personal(t *testing.T) *stage {
	s := open(t)
	s.patience(2 * time.Second)
	for _, name := range []string{"email", "profile.contact", "candidate.owner", "badge"} {
		s.attribute(catalog.Attribute{Name: strings.Replace(name, "candidate.", "", 1), Type: policy.TypeAny, Source: catalog.SourceRequest, PII: true})
	}
	pii := []string{"adviser", "home"}
	s.attribute(catalog.Attribute{Name: "crm.adviser", Type: policy.TypeString, Source: catalog.SourceContext})
	_, err := s.contexts.PutNamespace(t.Context(), "acme", contextstore.NamespaceChange{ID: "crm", PII: &pii})
	must(t, err)
	s.save("crm", "c1", map[string]any{"adviser": "ann-" + canary, "home": map[string]any{"street": canary + " 1"}, "tier": "gold"})
	s.function(function.Function{ID: "who", Timeout: time.Second, JavaScript: &function.JavaScript{
		Source: `function main(args) { if (args.fail) throw new Error("no customer " + args.email); return {email: args.email}; }`,
	}})
	s.attribute(catalog.Attribute{
		Name: "custom.profile", Type: policy.TypeObject, Source: catalog.SourceFunction, Function: "who", PII: true,
		Arguments: map[string]any{"email": "{{email}}"},
	})
	s.attribute(catalog.Attribute{
		Name: "custom.broken", Type: policy.TypeString, Source: catalog.SourceFunction, Function: "who",
		Arguments: map[string]any{"email": "{{crm.adviser}}", "fail": true},
	})
	return s
}

func (s *stage) documents(documents ...string) {
	s.t.Helper()
	var list []*policy.Policy
	for i, document := range documents {
		p, err := policy.Parse(fmt.Appendf(nil, `{"name": "p%d", "rank": %d, %s}`, i, i, document))
		must(s.t, err)
		list = append(list, p)
	}
	set := policy.Compile(list, 1, policy.WithEnvironment(s.catalog.Environment("acme")))
	for i := range set.Len() {
		if len(list) != set.Live() {
			s.t.Fatalf("%+v", set.Trace(set.NewInput(), -1)[i])
		}
	}
	s.set.Store(set)
}

func TestNoRecordHoldsPersonalValues(t *testing.T) {
	s := personal(t)
	const looks = `"when": {"all": [
		{"attribute": "email", "operator": "exists", "value": true},
		{"attribute": "badge", "operator": "equal", "value_from": "email"},
		{"attribute": "note", "operator": "not_equal", "value_from": "crm.home.street"},
		{"attribute": "custom.profile.email", "operator": "exists", "value": true}]}`
	for name, documents := range map[string][]string{
		"text": {looks + `, "effect": {"fixed": {"actions": [
			{"type": "SEND_MESSAGE", "payload": {"text": "hello {{email}}, I am {{crm.adviser}}"}},
			{"type": "SET_CONTEXT", "payload": {"namespace": "bot", "properties": {"who": "{{custom.profile}}", "deep": ["{{profile.contact.phone}}"]}}},
			{"type": "CALLBACK", "payload": {"number": "{{profile.contact.phone}}"}}]}}`},
		"target": {looks + `, "effect": {"fixed": {"actions": [{"type": "TRANSFER_TO_AGENT", "target": "{{crm.adviser}}"}]}}`},
		"rank":   {looks + `, "effect": {"rank": {"actions": [{"type": "TRANSFER_TO_AGENT", "target": "{{crm.adviser}}"}]}}`},
		"split": {looks + `, "effect": {"split": {"by": "conversation", "arms": [{"weight": 1, "actions": [
			{"type": "TRANSFER_TO_AGENT", "target": "{{crm.adviser}}", "payload": {"note": "{{email}}"}}]}]}}`},
		"steps": {looks + `, "effect": {"steps": [{"fixed": {"actions": [{"type": "TRANSFER_TO_SKILL", "target": "{{email}}"}]}}]}`},
		"errors": {
			`"when": {"cel": "int(email) > 3"}, "effect": {"fixed": {"actions": [{"type": "CLOSE"}]}}`,
			`"when": {"cel": "attributes[email] == 'x'"}, "effect": {"fixed": {"actions": [{"type": "CLOSE"}]}}`,
			`"when": {"attribute": "custom.broken", "operator": "equal", "value": "x"}, "effect": {"fixed": {"actions": [{"type": "CLOSE"}]}}`,
			looks + `, "effect": {"fixed": {"actions": [{"type": "CLOSE", "payload": {"why": "{{email}}"}}]}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s.documents(documents...)
			secret := "ann@" + canary
			answer, record, err := s.engine.Answer(t.Context(), &decision.Request{
				Account: "acme", ConversationID: "c1", Explain: true, Attributes: map[string]any{
					"email": secret, "badge": secret, "note": "x", "profile": map[string]any{"contact.phone": canary, "contact": map[string]any{"mail": canary}},
					"profile.contact.phone": canary, "profile.contact": map[string]any{"phone": canary},
				},
				Candidates: []event.Candidate{{Action: event.Action{Target: "s1"}, Attributes: map[string]any{"owner": canary, "size": 2.0}}},
			})
			must(t, err)
			must(t, record.Validate())
			if answer.Policy != fmt.Sprint("p", len(documents)-1) {
				t.Fatalf("%q decided: %+v", answer.Policy, record.Policies)
			}
			if text := fmt.Sprint(answer.Actions); !strings.Contains(fmt.Sprint(text, answer.Candidates), canary) || strings.Contains(text, decision.Redacted) {
				t.Errorf("the answer lost what it is about: %s", text)
			}
			for _, format := range []event.Format{event.JSON, event.Protobuf} {
				m, err := event.EncodeDecision(record, format)
				must(t, err)
				if strings.Contains(string(m.Value), canary) || strings.Contains(string(m.Key), canary) {
					t.Errorf("%v holds a personal value: %q", format, m.Value)
				}
			}
			if record.Candidates[0].Attributes["size"] != 2.0 || record.Chosen == "" {
				t.Errorf("too much is hidden: %+v", record.Candidates)
			}
		})
	}
}

// TestCallersPayloadsHideWhatIsPersonal: a caller gets back what it sent; the record
// has it without what is personal in it, by name or by value.
func TestCallersPayloadsHideWhatIsPersonal(t *testing.T) {
	s := personal(t)
	s.attribute(catalog.Attribute{Name: "age", Type: policy.TypeNumber, Source: catalog.SourceRequest, PII: true})
	s.policies(`{"attribute": "crm.adviser", "operator": "equal", "value": "nobody"}`)
	payload := func() map[string]any {
		return map[string]any{
			"text": "Dear ANN@" + canary + ", hello", "deep": []any{map[string]any{"to": "ask ann-" + canary}}, "badge": "b-1",
			"years": 34.0, "order": 340.0, "note": "at 34 degrees",
		}
	}
	answer, record, err := s.engine.Answer(t.Context(), &decision.Request{
		Account: "acme", ConversationID: "c1", Attributes: map[string]any{"email": "ann@" + canary, "age": 34.0},
		Candidates: []event.Candidate{{Action: event.Action{Target: "s1", Payload: payload()}}},
		Baseline:   &event.Action{Type: "SEND_MESSAGE", Payload: payload()},
	})
	must(t, err)
	hidden := map[string]any{
		"text": decision.Redacted, "deep": []any{map[string]any{"to": decision.Redacted}}, "badge": decision.Redacted,
		"years": decision.Redacted, "order": 340.0, "note": "at 34 degrees",
	}
	for i := range 2 {
		if diff := cmp.Diff(payload(), answer.Actions[i].Payload); diff != "" {
			t.Errorf("answer (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(hidden, record.Actions[i].Payload); diff != "" {
			t.Errorf("record (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(hidden, record.Candidates[i].Payload); diff != "" {
			t.Errorf("record (-want +got):\n%s", diff)
		}
	}
	if diff := cmp.Diff([]string{"age", "badge", "crm.adviser", "email"}, record.Redacted); diff != "" {
		t.Errorf("redacted (-want +got):\n%s", diff)
	}
}

// failing is a context store whose error names people.
type failing struct{ err error }

func (f failing) Load(context.Context, string, []string, []string) ([]contextstore.Document, error) {
	return nil, f.err
}

// TestCausesHaveNoTextOfErrors: what an error says may repeat a value, so a record
// has its class.
func TestCausesHaveNoTextOfErrors(t *testing.T) {
	s := open(t)
	s.patience(2 * time.Second)
	s.function(function.Function{ID: "who", Timeout: time.Second, JavaScript: &function.JavaScript{
		Source: `function main(args) { throw new RangeError("no customer " + args.id); }`,
	}})
	s.attribute(catalog.Attribute{
		Name: "custom.who", Type: policy.TypeString, Source: catalog.SourceFunction, Function: "who", Arguments: map[string]any{"id": "{{id}}"},
	})
	for want, err := range map[string]error{
		"the context store could not be read: it failed":                   errors.New("redis: " + canary),
		"the context store could not be read: it cannot be reached":        &net.DNSError{Name: canary},
		"the context store could not be read: it refused with UNAVAILABLE": fault.New(fault.Unavailable, "UNAVAILABLE", "%s", canary),
		"the context store did not answer within the decision's budget":    fmt.Errorf("%s: %w", canary, context.DeadlineExceeded),
	} {
		resolver, e := attribute.New(attribute.Deps{Catalog: s.catalog, Context: failing{err}, Functions: s.functions})
		must(t, e)
		found := resolver.Attributes(t.Context(), &decision.AttributeQuery{
			Account: "acme", Names: []string{"crm.tier", "custom.who"}, Now: time.Now(),
			Request: &decision.Request{Account: "acme", ConversationID: "c1", Attributes: map[string]any{"id": canary}},
		})
		if got := found.Failed["crm.tier"]; got != want {
			t.Errorf("cause %q, want %q", got, want)
		}
		if got := found.Failed["custom.who"]; got != "function who: threw RangeError" {
			t.Errorf("cause %q", got)
		}
		if text := fmt.Sprintf("%+v", found); strings.Contains(text, canary) {
			t.Errorf("a value is told: %s", text)
		}
	}
}
