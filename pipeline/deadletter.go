package pipeline

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/usherhq/usher/pipeline/event"
)

// Headers that a dead letter carries beside those of the original. Topic,
// partition, offset and time say where the event died first, its origin: they
// travel along when it is put back, so that it stays one event however often it
// dies again.
const (
	headerPrefix    = "usher_"
	headerReason    = headerPrefix + "reason"
	headerField     = headerPrefix + "field"
	headerDetail    = headerPrefix + "detail"
	headerTopic     = headerPrefix + "topic"
	headerPartition = headerPrefix + "partition"
	headerOffset    = headerPrefix + "offset"
	headerTime      = headerPrefix + "time"
	headerCut       = headerPrefix + "cut"      // the payload was too large for the log
	headerAttempt   = headerPrefix + "attempt"  // how often it was put back; absent: never
	headerReplayed  = headerPrefix + "replayed" // a note beside the letters: it was put back
)

// origin is where an event stood when it died for the first time, and how often it
// was put back since.
type origin struct {
	topic     string
	partition int
	offset    int64
	time      time.Time
	attempt   int
}

// readOrigin fails when the headers name no origin.
func readOrigin(m *event.Message) (o origin, err error) {
	value := func(key string) string {
		v, _ := m.Header(key)
		return v
	}
	o.topic = value(headerTopic)
	if o.partition, err = strconv.Atoi(value(headerPartition)); err != nil {
		return o, fmt.Errorf("partition: %w", err)
	}
	if o.offset, err = strconv.ParseInt(value(headerOffset), 10, 64); err != nil {
		return o, fmt.Errorf("offset: %w", err)
	}
	if o.time, err = time.Parse(time.RFC3339Nano, value(headerTime)); err != nil {
		return o, fmt.Errorf("time: %w", err)
	}
	if n := value(headerAttempt); n != "" {
		if o.attempt, err = strconv.Atoi(n); err != nil {
			return o, fmt.Errorf("attempt: %w", err)
		}
	}
	return o, nil
}

// originOf is where a message of an event topic died first: what a replay wrote on
// it, else where it stands.
func originOf(m *event.Message) origin {
	if _, replayed := m.Header(headerAttempt); replayed {
		if o, err := readOrigin(m); err == nil && o.topic == m.Topic && o.attempt > 0 {
			return o
		}
	}
	return origin{topic: m.Topic, partition: m.Partition, offset: m.Offset, time: m.Time}
}

func (o *origin) headers() []event.Header {
	headers := make([]event.Header, 0, 8) // room for the reason
	for _, h := range [...]struct{ key, value string }{
		{headerTopic, o.topic},
		{headerPartition, strconv.Itoa(o.partition)},
		{headerOffset, strconv.FormatInt(o.offset, 10)},
		{headerTime, o.time.UTC().Format(time.RFC3339Nano)},
	} {
		headers = append(headers, event.Header{Key: h.key, Value: []byte(h.value)})
	}
	if o.attempt > 0 {
		headers = append(headers, event.Header{Key: headerAttempt, Value: []byte(strconv.Itoa(o.attempt))})
	}
	return headers
}

// foreign are the headers that are not ours: those of the producer.
func foreign(headers []event.Header) []event.Header {
	kept := make([]event.Header, 0, len(headers)+8)
	for _, h := range headers {
		if !strings.HasPrefix(h.Key, headerPrefix) {
			kept = append(kept, h)
		}
	}
	return kept
}

// deadMessage is the original with our headers, for the dead-letter topic.
func deadMessage(m *event.Message, l *event.DeadLetter) event.Message {
	o := origin{l.Topic, l.Partition, l.Offset, l.Time, l.Attempt}
	headers := append(foreign(m.Headers), o.headers()...)
	for _, h := range [...]struct{ key, value string }{{headerReason, l.Reason}, {headerField, l.Field}, {headerDetail, l.Detail}} {
		headers = append(headers, event.Header{Key: h.key, Value: []byte(h.value)})
	}
	return event.Message{Topic: event.DeadLetterTopic(m.Topic), Key: m.Key, Value: m.Value, Headers: headers}
}

// ReadDeadLetter reads back what the pipeline put on a dead-letter topic. It
// fails when the message carries no origin.
func ReadDeadLetter(m *event.Message) (*event.DeadLetter, error) {
	o, err := readOrigin(m)
	if err != nil {
		return nil, fmt.Errorf("read dead letter at %s/%d/%d: %w", m.Topic, m.Partition, m.Offset, err)
	}
	l := &event.DeadLetter{
		Account: event.AccountOf(m), Topic: o.topic, Partition: o.partition, Offset: o.offset, Time: o.time, Attempt: o.attempt,
		Key: m.Key, Value: m.Value, Headers: map[string]string{},
	}
	for _, h := range foreign(m.Headers) {
		l.Headers[h.Key] = string(h.Value)
	}
	l.Reason, _ = m.Header(headerReason)
	l.Field, _ = m.Header(headerField)
	l.Detail, _ = m.Header(headerDetail)
	if _, cut := m.Header(headerCut); cut {
		l.Detail += " (the payload was too large to be kept on the log)"
	}
	return l, nil
}
