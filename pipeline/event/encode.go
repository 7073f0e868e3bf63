package event

import (
	"encoding/json"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
)

// EncodeDecision makes the message of a decision for [TopicDecisions], keyed by
// conversation, or by decision when there is none. It fails when a value has no
// representation in the format, such as NaN in JSON.
func EncodeDecision(d *Decision, f Format) (Message, error) {
	env := envelope{topic: TopicDecisions, id: d.ID, source: sourceDecision, kind: TypeDecision, account: d.Account, at: d.Time}
	return env.message(firstOf(d.ConversationID, d.ID), f, d, func() (proto.Message, error) { return decisionToProto(d) })
}

// EncodeOutcome makes the message of an outcome for [TopicOutcomes], keyed by
// conversation, or by decision when only that is known.
func EncodeOutcome(o *Outcome, f Format) (Message, error) {
	env := envelope{topic: TopicOutcomes, id: o.ID, source: o.Source, kind: TypeOutcome, account: o.Account, at: o.Time}
	return env.message(firstOf(o.ConversationID, o.DecisionID), f, o, func() (proto.Message, error) { return OutcomeToProto(o), nil })
}

// EncodeSkill makes the message of a skill report for [TopicSkills], keyed by
// account and skill so that reports of one skill stay in order.
func EncodeSkill(s *SkillState, f Format) (Message, error) {
	env := envelope{topic: TopicSkills, id: s.ID, source: s.Source, kind: TypeSkill, account: s.Account, at: s.State.At}
	return env.message(s.Account+"/"+s.Skill, f, s, func() (proto.Message, error) { return SkillToProto(s), nil })
}

// EncodeConfig makes the message of a config change for [TopicConfig], keyed by
// the resource, or by the account when it is about several.
func EncodeConfig(c *ConfigChange, f Format) (Message, error) {
	env := envelope{topic: TopicConfig, id: c.ID, source: sourceConfig, kind: TypeConfig, account: c.Account, at: c.Time}
	key := c.Account + "/" + c.Kind + "/" + c.Name
	if len(c.Parts) > 0 {
		key = c.Account
	}
	return env.message(key, f, c, func() (proto.Message, error) { return ConfigToProto(c), nil })
}

// envelope holds the CloudEvents attributes of one message.
type envelope struct {
	topic, id, source, kind, account string
	at                               time.Time
}

func (e envelope) message(key string, f Format, v any, toProto func() (proto.Message, error)) (Message, error) {
	value, contentType, err := payload(f, v, toProto)
	if err != nil {
		return Message{}, fmt.Errorf("encode event %q of type %s: %w", e.id, e.kind, err)
	}
	headers := []Header{
		{headerSpecVersion, []byte(specVersion)},
		{headerID, []byte(e.id)},
		{headerSource, []byte(e.source)},
		{headerType, []byte(e.kind)},
		{headerTime, []byte(e.at.UTC().Format(time.RFC3339Nano))},
		{headerAccount, []byte(e.account)},
		{ContentTypeHeader, []byte(contentType)},
	}
	return Message{Topic: e.topic, Key: []byte(key), Value: value, Headers: headers}, nil
}

func payload(f Format, v any, toProto func() (proto.Message, error)) ([]byte, string, error) {
	switch f {
	case JSON:
		if d, ok := v.(*Decision); ok {
			b, err := decisionJSON(d)
			return b, contentJSON, err
		}
		b, err := json.Marshal(v)
		return b, contentJSON, err
	case Protobuf:
		m, err := toProto()
		if err != nil {
			return nil, "", err
		}
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		return b, contentProtobuf, err
	default:
		return nil, "", fmt.Errorf("format %d is unknown", f)
	}
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
