package event_test

import (
	"testing"

	"github.com/usherhq/usher/pipeline/event"
)

// TestIdentityOfWhatCannotBeDecoded: a message that no decoder takes still says
// whose it is, wherever it says it.
func TestIdentityOfWhatCannotBeDecoded(t *testing.T) {
	header := func(pairs ...string) (list []event.Header) {
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, event.Header{Key: pairs[i], Value: []byte(pairs[i+1])})
		}
		return list
	}
	structured := header("content-type", "application/cloudevents+json; charset=utf-8")
	proto, err := event.EncodeDecision(&event.Decision{ID: "d", Account: "acme"}, event.Protobuf)
	if err != nil {
		t.Fatal(err)
	}
	binary := header("content-type", "application/protobuf")
	for name, c := range map[string]struct {
		topic, value string
		headers      []event.Header
		want         event.Identity
	}{
		"header alone":            {event.TopicOutcomes, "{", header("ce_account", "acme", "ce_source", "s", "ce_id", "1"), event.Identity{Account: "acme", Source: "s", ID: "1"}},
		"payload":                 {event.TopicOutcomes, `{"kind":7,"account":"acme","source":"s","id":"1"}`, nil, event.Identity{Account: "acme", Source: "s", ID: "1"}},
		"payload, a wrong type":   {event.TopicOutcomes, `{"id":7,"account":"acme"}`, nil, event.Identity{Account: "acme"}},
		"payload of a decision":   {event.TopicDecisions, `{"decision_id":"d","account":"acme","mode":1}`, header("ce_source", "usher/decision"), event.Identity{Account: "acme", ID: "d"}},
		"protobuf":                {event.TopicDecisions, string(proto.Value), binary, event.Identity{Account: "acme", ID: "d"}},
		"protobuf, set aside":     {event.TopicDecisions + ".dlq", string(proto.Value), binary, event.Identity{Account: "acme", ID: "d"}},
		"envelope":                {event.TopicOutcomes, `{"specversion":"2","account":"acme","source":"s","id":"1","data":{"kind":7}}`, structured, event.Identity{Account: "acme", Source: "s", ID: "1"}},
		"envelope without data":   {event.TopicOutcomes, `{"specversion":2,"account":"acme"}`, structured, event.Identity{Account: "acme"}},
		"payload in an envelope":  {event.TopicOutcomes, `{"id":"1","data":{"account":"acme"}}`, structured, event.Identity{Account: "acme", ID: "1"}},
		"payload before envelope": {event.TopicOutcomes, `{"account":"other","data":{"account":"acme"}}`, structured, event.Identity{Account: "acme"}},
		"nothing to read":         {event.TopicOutcomes, `{"account":"acme"`, nil, event.Identity{}},
		"not a name":              {event.TopicOutcomes, `{"account":"` + string(make([]byte, 2000)) + `"}`, nil, event.Identity{}},
	} {
		m := event.Message{Topic: c.topic, Value: []byte(c.value), Headers: c.headers}
		if got := event.IdentityOf(&m); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
		if got := event.AccountOf(&m); got != c.want.Account {
			t.Errorf("%s: account %q, want %q", name, got, c.want.Account)
		}
	}
}
