package decision

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// secret is a personal value of this decision, as text, and whose it is.
type secret struct{ name, text string }

// shortSecret is the length below which a personal value hides equal texts only: a
// text that merely has "34" in it says nothing of somebody's age.
const shortSecret = 4

// note remembers what was hidden, so that it is found in what callers send, too.
func (t *turn) note(name string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, part := range v {
			t.note(name, part)
		}
	case []any:
		for _, part := range v {
			t.note(name, part)
		}
	default:
		if text := textOf(v); text != "" && text != Redacted {
			t.secrets = append(t.secrets, secret{name, text})
		}
	}
}

// textOf is how a text or a number reads, in lower case; a boolean says nothing.
func textOf(v any) string {
	switch v := v.(type) {
	case string:
		return strings.ToLower(strings.TrimSpace(v))
	case float64:
		text, _ := json.Marshal(v)
		return string(text)
	case int, int32, int64:
		return fmt.Sprint(v)
	}
	return ""
}

// redactPayloads hides what is personal in the payloads of the caller's own actions:
// what has the name of a personal attribute, and what has the value of one in it.
func (t *turn) redactPayloads() {
	ids := false
	for i := range t.d.Candidates[:t.offered] {
		a := t.d.Candidates[i].Action
		if len(a.Payload) == 0 {
			continue
		}
		if !ids {
			ids = true
			t.noteRequest()
		}
		record := a
		record.Payload = t.masked(a.Payload)
		if hidden, ok := t.withoutSecrets(record.Payload); ok {
			record.Payload, _ = hidden.(map[string]any)
		}
		t.show(a, record)
	}
}

// noteRequest adds the fields of the request that are personal.
func (t *turn) noteRequest() {
	r := t.request
	for name, value := range map[string]string{
		"consumer_id": r.ConsumerID, "visitor_id": r.VisitorID, "session_id": r.SessionID, messageName: r.UserMessage,
	} {
		if value != "" && t.isPersonal(name) {
			t.note(name, value)
		}
	}
}

// withoutSecrets is a copy of the value with everything hidden that says something
// personal; false when nothing does.
func (t *turn) withoutSecrets(v any) (any, bool) {
	switch v := v.(type) {
	case map[string]any:
		var out map[string]any
		for key, part := range v {
			if hidden, ok := t.withoutSecrets(part); ok {
				if out == nil {
					out = maps.Clone(v)
				}
				out[key] = hidden
			}
		}
		return out, out != nil
	case []any:
		var out []any
		for i, part := range v {
			if hidden, ok := t.withoutSecrets(part); ok {
				if out == nil {
					out = slices.Clone(v)
				}
				out[i] = hidden
			}
		}
		return out, out != nil
	}
	text := textOf(v)
	for i := range t.secrets {
		if s := &t.secrets[i]; text == s.text || len(s.text) >= shortSecret && strings.Contains(text, s.text) {
			t.hide(s.name)
			return any(Redacted), true
		}
	}
	return nil, false
}
