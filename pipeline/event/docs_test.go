package event_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/usherhq/usher/pipeline/event"
)

// TestDocumentedEvents decodes and validates every example of docs/events.md, and
// finds every reason of a dead letter there.
func TestDocumentedEvents(t *testing.T) {
	doc, err := os.ReadFile("../../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	check := map[string]func(*event.Message) error{
		"decision": func(m *event.Message) error { return decodeAndValidate(m, event.DecodeDecision) },
		"outcome":  func(m *event.Message) error { return decodeAndValidate(m, event.DecodeOutcome) },
		"skill":    func(m *event.Message) error { return decodeAndValidate(m, event.DecodeSkill) },
		"config":   func(m *event.Message) error { return decodeAndValidate(m, event.DecodeConfig) },
	}
	examples := regexp.MustCompile("(?s)```json (\\w+)\n(.*?)```").FindAllStringSubmatch(string(doc), -1)
	shown := map[string]bool{}
	for _, e := range examples {
		if err := check[e[1]](&event.Message{Value: []byte(e[2])}); err != nil {
			t.Errorf("the example of a %s: %v", e[1], err)
		}
		shown[e[1]] = true
	}
	for kind := range check {
		if !shown[kind] {
			t.Errorf("no example of %s", kind)
		}
	}
	for _, word := range []string{
		event.ReasonEmpty, event.ReasonTooLarge, event.ReasonMalformed, event.ReasonField, event.ReasonContentType,
		event.ReasonSpecVersion, event.ReasonType, event.ReasonInvalid, event.ReasonUnknown, event.ReasonUnreadable,
		event.TopicDecisions, event.TopicOutcomes, event.TopicSkills, event.TopicConfig,
		event.TypeDecision, event.TypeOutcome, event.TypeSkill, event.TypeConfig,
	} {
		if !strings.Contains(string(doc), "`"+word+"`") {
			t.Errorf("docs/events.md does not explain %s", word)
		}
	}
}

func decodeAndValidate[T interface{ Validate() error }](m *event.Message, decode func(*event.Message) (T, error)) error {
	v, err := decode(m)
	if err != nil {
		return err
	}
	return v.Validate()
}
