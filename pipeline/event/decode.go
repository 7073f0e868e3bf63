package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// DecodeDecision reads a decision in binary or structured mode, JSON or
// protobuf. The error is a *DecodeError. The decision shares no memory with the
// message and is not validated. Fields the payload lacks and CloudEvents knows
// (id, source, account, time) are taken from there; this holds for the other
// decoders too.
func DecodeDecision(m *Message) (*Decision, error) {
	env, err := open(m, TypeDecision)
	if err != nil {
		return nil, err
	}
	var d *Decision
	if env.protobuf {
		var r usherv1.DecisionRecord
		if err := unmarshalProto(env.data, &r); err != nil {
			return nil, err
		}
		d = DecisionFromProto(&r)
	} else if d, err = readJSON(env.data, readDecision); err != nil {
		return nil, err
	}
	return d, env.fill(&d.ID, nil, &d.Account, &d.Time)
}

// DecodeOutcome reads an outcome, see [DecodeDecision].
func DecodeOutcome(m *Message) (*Outcome, error) {
	env, err := open(m, TypeOutcome)
	if err != nil {
		return nil, err
	}
	var o *Outcome
	if env.protobuf {
		var r usherv1.OutcomeEvent
		if err := unmarshalProto(env.data, &r); err != nil {
			return nil, err
		}
		o = OutcomeFromProto(&r)
	} else if o, err = readJSON(env.data, readOutcome); err != nil {
		return nil, err
	}
	return o, env.fill(&o.ID, &o.Source, &o.Account, &o.Time)
}

// DecodeSkill reads a skill report, see [DecodeDecision].
func DecodeSkill(m *Message) (*SkillState, error) {
	env, err := open(m, TypeSkill)
	if err != nil {
		return nil, err
	}
	var s *SkillState
	if env.protobuf {
		var r usherv1.SkillStateEvent
		if err := unmarshalProto(env.data, &r); err != nil {
			return nil, err
		}
		s = SkillFromProto(&r)
	} else if s, err = readJSON(env.data, readSkillState); err != nil {
		return nil, err
	}
	return s, env.fill(&s.ID, &s.Source, &s.Account, &s.State.At)
}

// DecodeConfig reads a config change, see [DecodeDecision].
func DecodeConfig(m *Message) (*ConfigChange, error) {
	env, err := open(m, TypeConfig)
	if err != nil {
		return nil, err
	}
	var c *ConfigChange
	if env.protobuf {
		var r usherv1.ConfigChangeEvent
		if err := unmarshalProto(env.data, &r); err != nil {
			return nil, err
		}
		c = ConfigFromProto(&r)
	} else if c, err = readJSON(env.data, readConfigChange); err != nil {
		return nil, err
	}
	// An empty account is the installation, so the header must not fill it.
	return c, env.fill(&c.ID, nil, nil, &c.Time)
}

// opened is a message without its envelope.
type opened struct {
	m        *Message
	outer    *structured // nil in binary mode
	data     []byte
	protobuf bool
}

// structured is the JSON envelope of CloudEvents' structured mode.
type structured struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Time            string          `json:"time"`
	Account         string          `json:"account"`
	DataContentType string          `json:"datacontenttype"`
	Data            json.RawMessage `json:"data"`
	DataBase64      []byte          `json:"data_base64"`
}

func open(m *Message, want string) (opened, error) {
	env := opened{m: m, data: m.Value}
	switch {
	case len(m.Value) == 0:
		return env, &DecodeError{Reason: ReasonEmpty, Detail: "the message has no payload"}
	case len(m.Value) > maxPayload(want):
		return env, &DecodeError{Reason: ReasonTooLarge, Detail: fmt.Sprintf("payload has %d bytes, at most %d are read", len(m.Value), maxPayload(want))}
	}
	header, _ := m.header(ContentTypeHeader)
	media := mediaType(header)
	if media == contentStructured {
		if err := env.openStructured(); err != nil {
			return env, err
		}
		media = mediaType([]byte(env.outer.DataContentType))
	}
	// Messages without CloudEvents headers are taken as what the topic holds, so
	// a plain producer needs to know nothing but the JSON.
	if v := env.attribute(headerSpecVersion); len(v) > 0 && string(v) != specVersion {
		return env, &DecodeError{Reason: ReasonSpecVersion, Field: "specversion", Detail: fmt.Sprintf("%q is unknown, want %q", v, specVersion)}
	}
	if v := env.attribute(headerType); len(v) > 0 && string(v) != want {
		return env, &DecodeError{Reason: ReasonType, Field: "type", Detail: fmt.Sprintf("is %q, this topic holds %q", v, want)}
	}
	return env, env.format(media)
}

// maxPayload is how large a payload of a type is read. One config change may hold
// an account's whole list of policies, and it is the only copy.
func maxPayload(kind string) int {
	if kind == TypeConfig {
		return maxConfigBytes
	}
	return maxPayloadBytes
}

func (e *opened) openStructured() error {
	var s structured
	if err := json.Unmarshal(e.data, &s); err != nil {
		return &DecodeError{Reason: ReasonMalformed, Detail: "CloudEvents envelope: " + err.Error(), Cause: err}
	}
	e.outer = &s
	e.data = s.Data
	if len(s.DataBase64) > 0 {
		e.data = s.DataBase64
	}
	if len(e.data) == 0 {
		return &DecodeError{Reason: ReasonEmpty, Field: "data", Detail: "the event has no data"}
	}
	return nil
}

func (e *opened) format(media string) error {
	switch media {
	case "", contentJSON, "text/json":
		if !utf8.Valid(e.data) {
			return &DecodeError{Reason: ReasonMalformed, Detail: "the payload is not UTF-8"}
		}
	case contentProtobuf, "application/x-protobuf":
		e.protobuf = true
	default:
		return &DecodeError{Reason: ReasonContentType, Field: ContentTypeHeader, Detail: fmt.Sprintf("%q is neither %s nor %s", media, contentJSON, contentProtobuf)}
	}
	return nil
}

// attribute is a CloudEvents attribute by its header name.
func (e *opened) attribute(header string) []byte {
	if e.outer == nil {
		v, _ := e.m.header(header)
		return v
	}
	switch header {
	case headerSpecVersion:
		return []byte(e.outer.SpecVersion)
	case headerID:
		return []byte(e.outer.ID)
	case headerSource:
		return []byte(e.outer.Source)
	case headerType:
		return []byte(e.outer.Type)
	case headerTime:
		return []byte(e.outer.Time)
	case headerAccount:
		return []byte(e.outer.Account)
	default:
		return nil
	}
}

// fill completes empty fields from the envelope; a nil pointer is left out.
func (e *opened) fill(id, source, account *string, at *time.Time) error {
	for _, f := range [...]struct {
		field  *string
		header string
	}{{id, headerID}, {source, headerSource}, {account, headerAccount}} {
		if f.field != nil && *f.field == "" {
			*f.field = string(e.attribute(f.header))
		}
	}
	if !at.IsZero() {
		return nil
	}
	text := string(e.attribute(headerTime))
	if text == "" {
		return nil // Validate says that the time is missing
	}
	parsed, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return &DecodeError{Reason: ReasonField, Field: "time", Detail: fmt.Sprintf("%q is not an RFC 3339 time", text), Cause: err}
	}
	*at = parsed.UTC()
	return nil
}

// mediaType strips parameters; the common spellings cost neither parsing nor
// memory.
func mediaType(contentType []byte) string {
	switch string(contentType) {
	case "":
		return ""
	case contentJSON:
		return contentJSON
	case contentProtobuf:
		return contentProtobuf
	case contentStructured:
		return contentStructured
	}
	media, _, err := mime.ParseMediaType(string(contentType))
	if err != nil {
		return string(contentType)
	}
	return media
}

func unmarshalProto(data []byte, m proto.Message) error {
	if err := proto.Unmarshal(data, m); err != nil {
		return &DecodeError{Reason: ReasonMalformed, Detail: "protobuf: " + err.Error(), Cause: err}
	}
	return nil
}

// AsDecodeError returns err as a *DecodeError, wrapping it as [ReasonInvalid]
// when it is none, with the first violation's field.
func AsDecodeError(err error) *DecodeError {
	if e, ok := errors.AsType[*DecodeError](err); ok {
		return e
	}
	return invalid(err)
}
