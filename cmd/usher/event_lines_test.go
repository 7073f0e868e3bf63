package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/event"
)

func TestReadEventsNamesEveryFault(t *testing.T) {
	good := `{"id":"1","source":"desk","account":"default","conversation_id":"c","kind":"resolved","value":1,"time":"2026-01-02T03:04:05Z"}`
	lines := strings.Join([]string{good, "", `{"id":`, `{"id":"2","source":"desk"}`, strings.Replace(good, `"1"`, `"3"`, 1)}, "\n")
	msgs, err := readEvents(strings.NewReader(lines), event.TopicOutcomes)
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || msgs != nil {
		t.Fatalf("want no message and a fault, got %d and %v", len(msgs), err)
	}
	text := explain(err)
	for _, want := range []string{"line 3: ", "line 4: account", "line 4: kind", "line 4: time"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	if strings.Contains(text, "line 1:") || strings.Contains(text, "line 5:") || f.Kind != fault.Invalid {
		t.Errorf("good lines are named, or the kind is wrong:\n%s", text)
	}
	msgs, err = readEvents(strings.NewReader(good+"\n"+good), event.TopicOutcomes)
	if err != nil || len(msgs) != 2 || string(msgs[0].Key) != "c" {
		t.Errorf("good lines: %d messages, %v", len(msgs), err)
	}
	if _, err := readEvents(strings.NewReader(good), event.TopicConfig); exitCode(err, &bytes.Buffer{}) != 2 {
		t.Errorf("the config log takes events: %v", err)
	}
}

func TestShowDecodesProtobuf(t *testing.T) {
	o := &event.Outcome{
		ID: "1", Source: "desk", Account: "default", ConversationID: "c", Kind: "csat", Value: 4,
		Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
	for _, format := range []event.Format{event.JSON, event.Protobuf} {
		m, err := event.EncodeOutcome(o, format)
		if err != nil {
			t.Fatal(err)
		}
		m.Offset = 9
		var out bytes.Buffer
		if err := show(&out, &m); err != nil {
			t.Fatal(err)
		}
		var s struct {
			Offset int64
			Event  event.Outcome
		}
		if err := json.Unmarshal(out.Bytes(), &s); err != nil || s.Event != *o || s.Offset != 9 {
			t.Errorf("format %d: shown as %s, %v", format, out.String(), err)
		}
	}
}

func TestShowOpensConfigChanges(t *testing.T) {
	m, err := event.EncodeConfig(&event.ConfigChange{
		ID: "1", Account: "a", Kind: "policy", Name: "p", Value: []byte(`{"rank":1}`), Author: "ann",
		Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}, event.Protobuf)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := show(&out, &m); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), `"value":{"rank":1}`) || !strings.Contains(out.String(), `"author":"ann"`) {
		t.Errorf("shown as %s", out.String())
	}
	out.Reset()
	m, err = event.EncodeConfig(&event.ConfigChange{
		ID: "2", Account: "a", Author: "ann", Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Parts: []event.ConfigPart{{Kind: "policy", Name: "p", Value: []byte(`{"rank":2}`)}},
	}, event.JSON)
	if err != nil {
		t.Fatal(err)
	}
	if err := show(&out, &m); err != nil || !strings.Contains(out.String(), `"name":"p","base":0,"value":{"rank":2}`) {
		t.Errorf("shown as %s, %v", out.String(), err)
	}
}

func TestEventFilter(t *testing.T) {
	m := &event.Message{Key: []byte("c1"), Value: []byte(`{"account":"a","kind":"csat"}`), Headers: []event.Header{{Key: "ce_account", Value: []byte("a")}}}
	for want, filters := range map[bool][]eventFilter{
		true:  {{}, {account: "a"}, {conversation: "c1", match: "csat"}},
		false: {{account: "b"}, {conversation: "c2"}, {match: "sale"}, {account: "a", match: "sale"}},
	} {
		for _, f := range filters {
			if f.matches(m) != want {
				t.Errorf("%+v matches: want %v", f, want)
			}
		}
	}
}
