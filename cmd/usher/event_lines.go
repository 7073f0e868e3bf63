package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/event"
)

// maxLine is the longest line of events that is read.
const maxLine = 4 << 20

// recode reads one JSON payload of a topic and makes the message to publish; it
// reports what is wrong with the payload.
type recode func(*event.Message) (event.Message, error)

// recoders are the topics that can be written by hand. The config log is not
// among them: it is written through the API alone, which guards revisions.
func recoders() map[string]recode {
	return map[string]recode{
		event.TopicDecisions: recoder(event.DecodeDecision, event.EncodeDecision),
		event.TopicOutcomes:  recoder(event.DecodeOutcome, event.EncodeOutcome),
		event.TopicSkills:    recoder(event.DecodeSkill, event.EncodeSkill),
	}
}

// recoder ties a topic's decoder, rules and encoder together.
func recoder[T interface{ Validate() error }](decode func(*event.Message) (T, error), encode func(T, event.Format) (event.Message, error)) recode {
	return func(m *event.Message) (event.Message, error) {
		v, err := decode(m)
		if err != nil {
			return event.Message{}, err
		}
		if err := v.Validate(); err != nil {
			return event.Message{}, err
		}
		return encode(v, event.JSON)
	}
}

// readEvents reads JSON lines, one payload each, as messages for the topic. When
// any line is wrong it returns no message, and one error that names every fault
// with its line.
func readEvents(r io.Reader, topic string) ([]event.Message, error) {
	recode, ok := recoders()[topic]
	if !ok {
		return nil, &usageError{fmt.Errorf("events cannot be sent to %q, only to %s", topic, strings.Join(slices.Sorted(maps.Keys(recoders())), ", "))}
	}
	var msgs []event.Message
	var check fault.Check
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	number := 0
	for lines.Scan() {
		number++
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		m, err := recode(&event.Message{Topic: topic, Value: bytes.Clone(line)})
		if err != nil {
			addFaults(&check, number, err)
			continue
		}
		msgs = append(msgs, m)
	}
	if err := lines.Err(); err != nil {
		check.Add(fmt.Sprintf("line %d", number+1), "%v", err)
	}
	if err := check.Err("nothing was sent: the events are not valid"); err != nil {
		return nil, err
	}
	return msgs, nil
}

// addFaults lists what is wrong with one line, each broken rule apart.
func addFaults(check *fault.Check, line int, err error) {
	at := fmt.Sprintf("line %d", line)
	if f, ok := errors.AsType[*fault.Error](err); ok && len(f.Violations) > 0 {
		for _, v := range f.Violations {
			check.Add(at, "%s: %s", v.Field, v.Description)
		}
		return
	}
	check.Add(at, "%v", err)
}

// eventFilter chooses messages to show. Empty fields choose all.
type eventFilter struct{ account, conversation, match string }

func (f eventFilter) matches(m *event.Message) bool {
	if f.account != "" && event.AccountOf(m) != f.account {
		return false
	}
	if f.conversation != "" && string(m.Key) != f.conversation {
		return false
	}
	return f.match == "" || bytes.Contains(m.Value, []byte(f.match))
}

// shownEvent is a message as one JSON line.
type shownEvent struct {
	Topic     string            `json:"topic"`
	Partition int               `json:"partition"`
	Offset    int64             `json:"offset"`
	Time      string            `json:"time"`
	Key       string            `json:"key,omitempty"`
	Headers   map[string]string `json:"headers,omitempty"`
	Event     json.RawMessage   `json:"event,omitempty"`
	Bytes     []byte            `json:"bytes,omitempty"` // a payload that is not JSON, base64
}

// show writes m as one JSON line. Payloads in protobuf are shown as JSON.
func show(w io.Writer, m *event.Message) error {
	s := shownEvent{
		Topic: m.Topic, Partition: m.Partition, Offset: m.Offset,
		Time: m.Time.UTC().Format("2006-01-02T15:04:05.000Z07:00"), Key: string(m.Key), Headers: map[string]string{},
	}
	for _, h := range m.Headers {
		s.Headers[h.Key] = string(h.Value)
	}
	s.Event, s.Bytes = readable(m)
	line, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("show event at %s/%d/%d: %w", m.Topic, m.Partition, m.Offset, err)
	}
	if _, err := w.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("show event: %w", err)
	}
	return nil
}

// readable is the payload as JSON if it can be, else as bytes.
func readable(m *event.Message) (json.RawMessage, []byte) {
	if recode, ok := recoders()[m.Topic]; ok {
		if canonical, err := recode(m); err == nil {
			return canonical.Value, nil
		}
	}
	if m.Topic == event.TopicConfig {
		if text, err := readableChange(m); err == nil {
			return text, nil
		}
	}
	if json.Valid(m.Value) {
		return m.Value, nil
	}
	return nil, m.Value
}

// readableChange shows a change with its document as JSON, which travels as bytes.
func readableChange(m *event.Message) (json.RawMessage, error) {
	c, err := event.DecodeConfig(m)
	if err != nil {
		return nil, err
	}
	type part struct {
		event.ConfigPart
		Value json.RawMessage `json:"value,omitempty"`
	}
	var parts []part
	for _, p := range c.Parts {
		parts = append(parts, part{p, p.Value})
	}
	return json.Marshal(struct {
		*event.ConfigChange
		Value json.RawMessage `json:"value,omitempty"`
		Parts []part          `json:"parts,omitempty"`
	}{c, c.Value, parts})
}
