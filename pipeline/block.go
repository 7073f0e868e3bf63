package pipeline

import (
	"cmp"
	"fmt"
	"time"

	"github.com/usherhq/usher/pipeline/event"
)

// batch is a block under construction.
type batch struct {
	clock  func() time.Time
	skew   time.Duration // how far ahead of its arrival an event may be
	block  Block
	bytes  int
	oldest time.Time       // broker time of the first message
	poison []event.Message // for the dead-letter topic
}

// add decodes, validates and takes in one message. It cannot fail: what is not
// understood becomes a dead letter.
func (b *batch) add(m *event.Message) {
	if b.block.Rows() == 0 {
		b.block.Topic, b.block.Partition, b.block.First = m.Topic, m.Partition, m.Offset
		b.oldest = m.Time
	}
	b.block.Last = m.Offset
	b.bytes += len(m.Key) + len(m.Value)
	if err := b.take(m); err != nil {
		b.bury(m, event.AsDecodeError(err))
	}
}

func (b *batch) take(m *event.Message) error {
	switch m.Topic {
	case event.TopicDecisions:
		return keep(&b.block.Decisions, m, event.DecodeDecision, func(d *event.Decision) error {
			return cmp.Or(d.Validate(), b.ahead(d.Time, m))
		})
	case event.TopicOutcomes:
		return keep(&b.block.Outcomes, m, event.DecodeOutcome, func(o *event.Outcome) error {
			return cmp.Or(o.Validate(), b.ahead(o.Time, m))
		})
	case event.TopicSkills:
		return keep(&b.block.Skills, m, event.DecodeSkill, (*event.SkillState).Validate)
	case event.TopicConfig:
		return keep(&b.block.Config, m, event.DecodeConfig, (*event.ConfigChange).Validate)
	default:
		return &event.DecodeError{Reason: event.ReasonUnknown, Detail: fmt.Sprintf("topic %q holds no event of ours", m.Topic)}
	}
}

// ahead holds an event's time against its arrival. Brokers take the time of a
// message from its producer, whose clock may be the one that is wrong.
func (b *batch) ahead(at time.Time, m *event.Message) error {
	received := m.Time
	if now := b.clock(); now.Before(received) {
		received = now
	}
	return event.Ahead("time", at, received, b.skew)
}

func keep[T any](rows *[]Stored[T], m *event.Message, decode func(*event.Message) (*T, error), validate func(*T) error) error {
	v, err := decode(m)
	if err != nil {
		return err
	}
	if err := validate(v); err != nil {
		return err
	}
	*rows = append(*rows, Stored[T]{Value: v, Offset: m.Offset, Time: m.Time})
	return nil
}

// bury keeps the message for the dead-letter topic and as a row. Both carry where
// the event died first: one that was put back and is still poison stays one event.
func (b *batch) bury(m *event.Message, why *event.DecodeError) {
	headers := make(map[string]string, len(m.Headers))
	for _, h := range m.Headers {
		headers[h.Key] = string(h.Value)
	}
	o := originOf(m)
	letter := event.DeadLetter{
		Account: event.AccountOf(m), Topic: o.topic, Partition: o.partition, Offset: o.offset, Time: o.time, Attempt: o.attempt,
		Reason: why.Reason, Field: why.Field, Detail: why.Detail, Key: m.Key, Value: m.Value, Headers: headers,
	}
	b.block.Dead = append(b.block.Dead, letter)
	b.poison = append(b.poison, deadMessage(m, &letter))
}
