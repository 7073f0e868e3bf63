package event

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// Identity names one event. Decisions have no source.
type Identity struct{ Account, Source, ID string }

// AccountOf is the account a message claims to be of, for messages that cannot be
// decoded: that of its header; else, as far as they can be read, of its payload or
// its envelope. Empty when none of them says.
func AccountOf(m *Message) string {
	if v, ok := m.Header(headerAccount); ok && v != "" {
		return plausible(v)
	}
	return IdentityOf(m).Account
}

// IdentityOf is what a message says it is, also when it cannot be decoded: fields
// of a payload that can be read at all, completed from the envelope as decoders do.
// Parts that nobody can tell are empty. On a dead-letter topic a message is what it
// was on its own.
func IdentityOf(m *Message) Identity {
	if len(m.Value) > maxPayloadBytes {
		return Identity{}
	}
	topic := strings.TrimSuffix(m.Topic, DeadLetterSuffix)
	env := opened{m: m, data: m.Value}
	header, _ := m.header(ContentTypeHeader)
	media := mediaType(header)
	if media == contentStructured {
		var s structured
		// An attribute of a wrong type does not hide the others.
		if err := json.Unmarshal(m.Value, &s); err != nil && !json.Valid(m.Value) {
			return Identity{}
		}
		env.outer, env.data = &s, s.Data
		if len(s.DataBase64) > 0 {
			env.data = s.DataBase64
		}
		media = mediaType([]byte(s.DataContentType))
	}
	id := claimed(env.data, media, topic)
	for _, f := range [...]struct {
		field  *string
		header string
	}{{&id.Account, headerAccount}, {&id.Source, headerSource}, {&id.ID, headerID}} {
		if *f.field == "" {
			*f.field = string(env.attribute(f.header))
		}
		*f.field = plausible(*f.field)
	}
	if topic == TopicDecisions {
		id.Source = "" // that of the envelope is the same for all
	}
	return id
}

// claimed reads the identity out of a payload; what cannot be read is empty.
func claimed(data []byte, media, topic string) Identity {
	switch media {
	case contentProtobuf, "application/x-protobuf":
		return claimedProto(data, topic)
	}
	var p struct {
		ID         string `json:"id"`
		DecisionID string `json:"decision_id"`
		Source     string `json:"source"`
		Account    string `json:"account"`
	}
	// A field of a wrong type does not hide the others.
	if err := json.Unmarshal(data, &p); err != nil && !json.Valid(data) {
		return Identity{}
	}
	if topic == TopicDecisions {
		p.ID = p.DecisionID
	}
	return Identity{p.Account, p.Source, p.ID}
}

func claimedProto(data []byte, topic string) Identity {
	var (
		decision usherv1.DecisionRecord
		outcome  usherv1.OutcomeEvent
		skill    usherv1.SkillStateEvent
	)
	switch {
	case topic == TopicDecisions && proto.Unmarshal(data, &decision) == nil:
		return Identity{Account: decision.GetAccount(), ID: decision.GetDecisionId()}
	case topic == TopicOutcomes && proto.Unmarshal(data, &outcome) == nil:
		return Identity{outcome.GetAccount(), outcome.GetSource(), outcome.GetId()}
	case topic == TopicSkills && proto.Unmarshal(data, &skill) == nil:
		return Identity{skill.GetAccount(), skill.GetSource(), skill.GetId()}
	}
	return Identity{}
}

// plausible drops what cannot be a name.
func plausible(name string) string {
	if len(name) > maxID || !utf8.ValidString(name) {
		return ""
	}
	return name
}
