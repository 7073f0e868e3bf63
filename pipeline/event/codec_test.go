package event

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/go-faster/jx"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/usherhq/usher/internal/fault"
)

// roundTrip holds one kind of event to: both formats, binary and structured
// mode, give back what went in.
func roundTrip[T any](t *testing.T, gen *rapid.Generator[*T], encode func(*T, Format) (Message, error), decode func(*Message) (*T, error)) {
	t.Helper()
	rapid.Check(t, func(t *rapid.T) {
		want := gen.Draw(t, "event")
		for _, f := range []Format{JSON, Protobuf} {
			m, err := encode(want, f)
			if err != nil {
				t.Fatal(err)
			}
			for mode, m := range map[string]*Message{"binary": &m, "structured": structure(t, &m)} {
				got, err := decode(m)
				if err != nil {
					t.Fatalf("%s, format %d: %v\n%s", mode, f, err, m.Value)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("%s, format %d: -want +got\n%s", mode, f, diff)
				}
			}
		}
	})
}

// structure turns a binary mode message into structured mode.
func structure(t *rapid.T, m *Message) *Message {
	env := map[string]any{}
	for _, h := range m.Headers {
		env[strings.TrimPrefix(h.Key, "ce_")] = string(h.Value)
	}
	env["datacontenttype"] = env["content-type"]
	delete(env, "content-type")
	if env["datacontenttype"] == "application/json" {
		env["data"] = json.RawMessage(m.Value)
	} else {
		env["data_base64"] = m.Value
	}
	value, err := json.Marshal(env)
	if err != nil {
		t.Fatal(err)
	}
	return &Message{Topic: m.Topic, Key: m.Key, Value: value, Headers: []Header{{"content-type", []byte("application/cloudevents+json; charset=utf-8")}}}
}

func TestDecisionRoundTrip(t *testing.T) {
	t.Parallel()
	roundTrip(t, genDecision(), EncodeDecision, DecodeDecision)
}

func TestOutcomeRoundTrip(t *testing.T) {
	t.Parallel()
	roundTrip(t, genOutcome(), EncodeOutcome, DecodeOutcome)
}

func TestSkillRoundTrip(t *testing.T) {
	t.Parallel()
	roundTrip(t, genSkillState(), EncodeSkill, DecodeSkill)
}

func TestConfigRoundTrip(t *testing.T) {
	t.Parallel()
	roundTrip(t, genConfig(), EncodeConfig, DecodeConfig)
}

func TestHandWrittenReadersAgreeWithReflection(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		data, err := json.Marshal(genDecision().Draw(t, "decision"))
		if err != nil {
			t.Fatal(err)
		}
		var want Decision
		if err := json.Unmarshal(data, &want); err != nil {
			t.Fatal(err)
		}
		got, err := readJSON(data, readDecision)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestKeys(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		want string
		make func() (Message, error)
	}{
		{"conv", func() (Message, error) { return EncodeDecision(&Decision{ID: "d", ConversationID: "conv"}, JSON) }},
		{"d", func() (Message, error) { return EncodeDecision(&Decision{ID: "d"}, JSON) }},
		{"conv", func() (Message, error) {
			return EncodeOutcome(&Outcome{DecisionID: "d", ConversationID: "conv"}, JSON)
		}},
		{"d", func() (Message, error) { return EncodeOutcome(&Outcome{DecisionID: "d"}, Protobuf) }},
		{"acme/billing", func() (Message, error) { return EncodeSkill(&SkillState{Account: "acme", Skill: "billing"}, JSON) }},
		{"acme/policy/p1", func() (Message, error) {
			return EncodeConfig(&ConfigChange{Account: "acme", Kind: "policy", Name: "p1"}, JSON)
		}},
	} {
		m, err := c.make()
		if err != nil {
			t.Fatal(err)
		}
		if string(m.Key) != c.want {
			t.Errorf("key %q, want %q", m.Key, c.want)
		}
	}
}

func TestEncodeRefusesWhatTheFormatCannotHold(t *testing.T) {
	t.Parallel()
	if _, err := EncodeOutcome(&Outcome{ID: "1", Value: math.NaN()}, JSON); err == nil {
		t.Error("NaN became JSON")
	}
	d := &Decision{ID: "1", Attributes: map[string]any{"f": func() {}}}
	if _, err := EncodeDecision(d, Protobuf); err == nil {
		t.Error("a function became protobuf")
	}
	if got := DecisionToProto(d).GetAttributes()["f"].GetStringValue(); got == "" {
		t.Error("the translation for readers lost the attribute")
	}
}

func outcomeMessage(value string, headers ...string) *Message {
	m := &Message{Topic: TopicOutcomes, Value: []byte(value)}
	for i := 0; i+1 < len(headers); i += 2 {
		m.Headers = append(m.Headers, Header{headers[i], []byte(headers[i+1])})
	}
	return m
}

func TestPoison(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		m             *Message
		reason, field string
	}{
		"nothing":          {outcomeMessage(""), ReasonEmpty, ""},
		"huge":             {outcomeMessage(strings.Repeat(" ", maxPayloadBytes+1)), ReasonTooLarge, ""},
		"cut":              {outcomeMessage(`{"id":"1","val`), ReasonMalformed, ""},
		"two documents":    {outcomeMessage(`{"id":"1"}{}`), ReasonMalformed, ""},
		"an array":         {outcomeMessage(`[1]`), ReasonField, ""},
		"not UTF-8":        {outcomeMessage("{\"id\":\"\xff\"}"), ReasonMalformed, ""},
		"wrong type":       {outcomeMessage(`{"id":"1","value":"high"}`), ReasonField, "value"},
		"huge number":      {outcomeMessage(`{"id":"1","value":1e999}`), ReasonField, "value"},
		"bad time":         {outcomeMessage(`{"time":"yesterday"}`), ReasonField, "time"},
		"bad header time":  {outcomeMessage(`{}`, "ce_time", "yesterday"), ReasonField, "time"},
		"bad protobuf":     {outcomeMessage("\xff\xff", "content-type", "application/protobuf"), ReasonMalformed, ""},
		"avro":             {outcomeMessage("x", "content-type", "application/avro"), ReasonContentType, "content-type"},
		"another event":    {outcomeMessage(`{}`, "ce_type", TypeDecision), ReasonType, "type"},
		"CloudEvents 2":    {outcomeMessage(`{}`, "ce_specversion", "2.0"), ReasonSpecVersion, "specversion"},
		"empty envelope":   {outcomeMessage(`{}`, "content-type", contentStructured), ReasonEmpty, "data"},
		"broken envelope":  {outcomeMessage(`{`, "content-type", contentStructured), ReasonMalformed, ""},
		"envelope of what": {outcomeMessage(`{"type":"x","data":{}}`, "content-type", contentStructured), ReasonType, "type"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := DecodeOutcome(c.m)
			var e *DecodeError
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want a DecodeError", err)
			}
			if e.Reason != c.reason || e.Field != c.field || e.Detail == "" {
				t.Errorf("got %+v, want reason %s field %q", e, c.reason, c.field)
			}
		})
	}
}

func TestNestedFieldPath(t *testing.T) {
	t.Parallel()
	_, err := DecodeDecision(&Message{Value: []byte(`{"decision_id":"1","candidates":[{"target":"x","score":"no"}]}`)})
	if e := AsDecodeError(err); e.Field != "candidates.score" {
		t.Errorf("field %q in %v", e.Field, err)
	}
}

func TestPlainProducersNeedOnlyJSON(t *testing.T) {
	t.Parallel()
	m := outcomeMessage(`{"kind":"csat","value":4,"conversation_id":"c1","extra":{"a":[1,{}]},"label":null}`,
		"ce_id", "e1", "ce_source", "desk", "ce_time", "2024-05-01T10:00:00+02:00", "ce_account", "acme")
	got, err := DecodeOutcome(m)
	if err != nil {
		t.Fatal(err)
	}
	want := &Outcome{
		ID: "e1", Source: "desk", Account: "acme", ConversationID: "c1", Kind: "csat", Value: 4,
		Time: time.Date(2024, 5, 1, 8, 0, 0, 0, time.UTC),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := got.Validate(); err != nil {
		t.Error(err)
	}
}

func TestDeepNestingIsAnErrorNotACrash(t *testing.T) {
	t.Parallel()
	value := `{"attributes":{"a":` + strings.Repeat("[", 1_000_000) + strings.Repeat("]", 1_000_000) + `}}`
	if _, err := DecodeDecision(&Message{Value: []byte(value)}); err == nil {
		t.Error("a million levels were accepted")
	}
}

func TestValidateListsAllFaults(t *testing.T) {
	t.Parallel()
	o := &Outcome{Value: math.Inf(1), Kind: strings.Repeat("k", 300), Time: time.Unix(1, 0)}
	var f *fault.Error
	if err := o.Validate(); !errors.As(err, &f) {
		t.Fatalf("got %v", err)
	}
	var fields []string
	for _, v := range f.Violations {
		fields = append(fields, v.Field)
	}
	want := []string{"id", "source", "account", "kind", "decision_id", "value", "time"}
	if diff := cmp.Diff(want, fields); diff != "" {
		t.Error(diff)
	}
	if e := AsDecodeError(f); e.Reason != ReasonInvalid || e.Field != "id" {
		t.Errorf("got %+v", e)
	}
	if fault.KindOf((&Decision{}).Validate()) != fault.Invalid || fault.KindOf((&SkillState{}).Validate()) != fault.Invalid ||
		fault.KindOf((&ConfigChange{}).Validate()) != fault.Invalid {
		t.Error("an empty event is valid")
	}
}

func TestGeneratedEventsAreValid(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		for _, err := range []error{
			genDecision().Draw(t, "decision").Validate(), genOutcome().Draw(t, "outcome").Validate(),
			genSkillState().Draw(t, "skill").Validate(), genConfig().Draw(t, "config").Validate(),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}

// FuzzDecode: no input crashes a decoder, every error is typed, and what the
// hand-written readers accept, encoding/json reads the same way.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"id":"1","value":1.5,"time":"2024-05-01T10:00:00Z","attributes":{"a":[1,null,{"b":true}]}}`), byte(0))
	f.Add([]byte(`{"specversion":"1.0","type":"usher.outcome.v1","data":{"id":"1"}}`), byte(2))
	f.Add([]byte{10, 1, 49}, byte(1))
	f.Add([]byte(`{"id":"1","value":1+0}`), byte(0))
	f.Add([]byte(`{"decision_id":"1","seed":"18446744073709551615","candidates":[{"target":"x","score":0.5}]}`), byte(0))
	f.Add([]byte(`{"calls":[{"function":"f","attribute":"custom.x","result":"OK","latency_ns":7,"age_ns":1,"fallback":true}],"step":2,`+
		`"valid_for_ns":5,"waited_ns":6,"only_policy":"p","redacted":["a"],"sources":{"custom.x":"function"},`+
		`"policies":[{"exception":true,"cause":"c","conditions":[{"source":"live","age_ns":3}]}]}`), byte(0))
	types := []string{contentJSON, contentProtobuf, contentStructured}
	f.Fuzz(func(t *testing.T, value []byte, kind byte) {
		m := &Message{Value: value, Headers: []Header{{ContentTypeHeader, []byte(types[int(kind)%len(types)])}}}
		decoders := []func() error{
			func() error { _, err := DecodeDecision(m); return err },
			func() error { _, err := DecodeOutcome(m); return err },
			func() error { _, err := DecodeSkill(m); return err },
			func() error { _, err := DecodeConfig(m); return err },
		}
		for _, decode := range decoders {
			if err := decode(); err != nil {
				var e *DecodeError
				if !errors.As(err, &e) || e.Reason == "" {
					t.Fatalf("untyped error %v", err)
				}
			}
		}
		sameAsReflection(t, value, readDecision)
		sameAsReflection(t, value, readOutcome)
		sameAsReflection(t, value, readSkillState)
		sameAsReflection(t, value, readConfigChange)
	})
}

func sameAsReflection[T any](t *testing.T, value []byte, read func(*jx.Decoder, *T) error) {
	t.Helper()
	got, err := readJSON(value, read)
	if err != nil {
		return
	}
	if !json.Valid(value) {
		t.Fatalf("accepted what is not JSON: %q", value)
	}
	// Only texts without upper case and repeated names are held to one meaning:
	// reflection matches names in any case, and merges repeated objects.
	again, err := json.Marshal(got)
	if err != nil {
		return // a value outside JSON, such as a time of year 10000
	}
	var want T
	if err := json.Unmarshal(again, &want); err != nil {
		t.Fatalf("%v in %s", err, again)
	}
	second, err := readJSON(again, read)
	if err != nil {
		t.Fatalf("%v in %s", err, again)
	}
	if diff := cmp.Diff(&want, second); diff != "" {
		t.Fatalf("%s\n%s", again, diff)
	}
}
