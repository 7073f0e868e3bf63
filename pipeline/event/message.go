package event

import (
	"fmt"
	"slices"
	"time"
)

// Header is one header of a message on the log.
type Header struct {
	Key   string
	Value []byte
}

// Message is one record of the log. Partition, Offset and Time are set by the
// broker: they are meaningful on messages that were read and ignored on messages
// to be written.
type Message struct {
	Topic      string
	Key, Value []byte
	Headers    []Header
	Partition  int
	Offset     int64
	Time       time.Time
}

// Header returns the value of the last header with the name, and whether there
// is one.
func (m *Message) Header(name string) (string, bool) {
	v, ok := m.header(name)
	return string(v), ok
}

// header costs no allocation; every message read asks it three times.
func (m *Message) header(name string) ([]byte, bool) {
	for _, h := range slices.Backward(m.Headers) {
		if h.Key == name {
			return h.Value, true
		}
	}
	return nil, false
}

// Format is the encoding of a payload.
type Format int

// The formats. JSON is the zero value.
const (
	JSON     Format = iota // application/json
	Protobuf               // application/protobuf
)

// Content types and CloudEvents attributes as they stand in Kafka headers.
const (
	ContentTypeHeader   = "content-type"
	contentJSON         = "application/json"
	contentProtobuf     = "application/protobuf"
	contentStructured   = "application/cloudevents+json"
	headerSpecVersion   = "ce_specversion"
	headerID            = "ce_id"
	headerSource        = "ce_source"
	headerType          = "ce_type"
	headerTime          = "ce_time"
	headerAccount       = "ce_account"
	specVersion         = "1.0"
	sourceDecision      = "usher/decision"
	sourceConfig        = "usher/config"
	maxPayloadBytes     = 4 << 20
	maxConfigBytes      = 16 << 20
	errStructuredFormat = "a structured event"
)

// Reasons of a [DecodeError]: stable words for dashboards and replay filters.
const (
	ReasonEmpty       = "EMPTY"             // no payload at all
	ReasonTooLarge    = "TOO_LARGE"         // payload over 4 MiB
	ReasonMalformed   = "MALFORMED"         // bytes are not what the content type says
	ReasonField       = "FIELD_TYPE"        // a field has the wrong type or range
	ReasonContentType = "CONTENT_TYPE"      // neither JSON nor protobuf
	ReasonSpecVersion = "SPEC_VERSION"      // CloudEvents of an unknown version
	ReasonType        = "EVENT_TYPE"        // an event of another type on this topic
	ReasonInvalid     = "INVALID"           // well formed, but breaks a rule of the event
	ReasonUnknown     = "UNKNOWN_TOPIC"     // no decoder for the topic
	ReasonUnreadable  = "UNREADABLE_RECORD" // the broker's record itself could not be read
)

// DecodeError says why a message cannot be understood. It is permanent: reading
// the message again fails again.
type DecodeError struct {
	Reason string // one of the Reason constants
	Field  string // path of the offending field, empty when it is the whole message
	Detail string // for people
	Cause  error
}

// Error joins reason, field and detail.
func (e *DecodeError) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("%s: %s", e.Reason, e.Detail)
	}
	return fmt.Sprintf("%s: %s: %s", e.Reason, e.Field, e.Detail)
}

// Unwrap returns the cause.
func (e *DecodeError) Unwrap() error { return e.Cause }
