package pipeline

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/usherhq/usher/pipeline/event"
)

// Headers that a dead letter carries beside those of the original.
const (
	headerPrefix    = "usher_"
	headerReason    = headerPrefix + "reason"
	headerField     = headerPrefix + "field"
	headerDetail    = headerPrefix + "detail"
	headerTopic     = headerPrefix + "topic"
	headerPartition = headerPrefix + "partition"
	headerOffset    = headerPrefix + "offset"
	headerTime      = headerPrefix + "time"
	headerCut       = headerPrefix + "cut" // the payload was too large for the log
)

// deadMessage is the original with our headers, for the dead-letter topic.
func deadMessage(m *event.Message, l *event.DeadLetter) event.Message {
	headers := make([]event.Header, 0, len(m.Headers)+7)
	for _, h := range m.Headers {
		if !strings.HasPrefix(h.Key, headerPrefix) {
			headers = append(headers, h)
		}
	}
	for _, h := range [...]struct{ key, value string }{
		{headerReason, l.Reason},
		{headerField, l.Field},
		{headerDetail, l.Detail},
		{headerTopic, l.Topic},
		{headerPartition, strconv.Itoa(l.Partition)},
		{headerOffset, strconv.FormatInt(l.Offset, 10)},
		{headerTime, l.Time.UTC().Format(time.RFC3339Nano)},
	} {
		headers = append(headers, event.Header{Key: h.key, Value: []byte(h.value)})
	}
	return event.Message{Topic: event.DeadLetterTopic(m.Topic), Key: m.Key, Value: m.Value, Headers: headers}
}

// ReadDeadLetter reads back what the pipeline put on a dead-letter topic. It
// fails when the message carries no origin.
func ReadDeadLetter(m *event.Message) (*event.DeadLetter, error) {
	l := &event.DeadLetter{Account: event.AccountOf(m), Key: m.Key, Value: m.Value, Headers: map[string]string{}}
	ours := map[string]string{}
	for _, h := range m.Headers {
		if strings.HasPrefix(h.Key, headerPrefix) {
			ours[h.Key] = string(h.Value)
		} else {
			l.Headers[h.Key] = string(h.Value)
		}
	}
	var err error
	if l.Partition, err = strconv.Atoi(ours[headerPartition]); err != nil {
		return nil, fmt.Errorf("read dead letter at %s/%d/%d: partition: %w", m.Topic, m.Partition, m.Offset, err)
	}
	if l.Offset, err = strconv.ParseInt(ours[headerOffset], 10, 64); err != nil {
		return nil, fmt.Errorf("read dead letter at %s/%d/%d: offset: %w", m.Topic, m.Partition, m.Offset, err)
	}
	if l.Time, err = time.Parse(time.RFC3339Nano, ours[headerTime]); err != nil {
		return nil, fmt.Errorf("read dead letter at %s/%d/%d: time: %w", m.Topic, m.Partition, m.Offset, err)
	}
	l.Topic, l.Reason, l.Field, l.Detail = ours[headerTopic], ours[headerReason], ours[headerField], ours[headerDetail]
	if ours[headerCut] != "" {
		l.Detail += " (the payload was too large to be kept on the log)"
	}
	return l, nil
}

// Scanner reads what is on topics now.
type Scanner interface {
	// Scan calls fn for every message that is on the topic when it begins, in
	// order within each partition, and returns after the last or with fn's error.
	Scan(ctx context.Context, topic string, fn func(event.Message) error) error
}

// ReplayFilter picks dead letters; empty fields pick all.
type ReplayFilter struct {
	Topics       []string // originals, such as usher.outcomes; must not be empty
	Account      string
	Reason       string
	Field        string
	Since, Until time.Time // broker time of the original; Until is exclusive
	Limit        int       // at most so many; 0 has no limit
	DryRun       bool      // pick and count, but publish nothing
}

func (f *ReplayFilter) picks(l *event.DeadLetter) bool {
	return (f.Account == "" || f.Account == l.Account) && (f.Reason == "" || f.Reason == l.Reason) &&
		(f.Field == "" || f.Field == l.Field) && (f.Since.IsZero() || !l.Time.Before(f.Since)) &&
		(f.Until.IsZero() || l.Time.Before(f.Until))
}

// ReplayReport counts what a replay did.
type ReplayReport struct {
	Seen       int `json:"seen"`       // dead letters looked at
	Picked     int `json:"picked"`     // that the filter picks, each original once
	Replayed   int `json:"replayed"`   // put back on their topic
	Cut        int `json:"cut"`        // picked, but without payload: cannot be put back
	Unreadable int `json:"unreadable"` // on the dead-letter topic without our headers
}

// Replay puts dead letters back on the topic they came from, for example after a
// decoder was mended. Each original is put back once per call, however often it
// died; those that are still poison come back as new dead letters, and those
// that had been stored meanwhile are dropped as copies by their id. each is
// called for every letter picked and may be nil.
func Replay(ctx context.Context, log Scanner, pub Publisher, f ReplayFilter, each func(*event.DeadLetter)) (ReplayReport, error) {
	r := replay{filter: f, each: each, done: map[string]bool{}}
	for _, topic := range f.Topics {
		err := log.Scan(ctx, event.DeadLetterTopic(topic), func(m event.Message) error {
			back := r.take(&m)
			if back == nil || f.DryRun {
				return nil
			}
			if err := pub.Publish(ctx, []event.Message{*back}); err != nil {
				return fmt.Errorf("put %s back: %w", origin(back, m.Offset), err)
			}
			r.report.Replayed++
			return nil
		})
		if err != nil {
			return r.report, fmt.Errorf("replay dead letters of %q: %w", topic, err)
		}
	}
	return r.report, nil
}

func origin(m *event.Message, offset int64) string {
	return fmt.Sprintf("dead letter %d of %s", offset, m.Topic)
}

type replay struct {
	filter ReplayFilter
	each   func(*event.DeadLetter)
	done   map[string]bool
	report ReplayReport
}

// take returns the message to put back, nil when the letter is not picked.
func (r *replay) take(m *event.Message) *event.Message {
	r.report.Seen++
	l, err := ReadDeadLetter(m)
	if err != nil {
		r.report.Unreadable++
		return nil
	}
	id := fmt.Sprintf("%s/%d/%d", l.Topic, l.Partition, l.Offset)
	if !r.filter.picks(l) || r.done[id] || (r.filter.Limit > 0 && r.report.Picked >= r.filter.Limit) {
		return nil
	}
	r.done[id] = true
	r.report.Picked++
	if r.each != nil {
		r.each(l)
	}
	if _, cut := m.Header(headerCut); cut {
		r.report.Cut++
		return nil
	}
	back := &event.Message{Topic: l.Topic, Key: m.Key, Value: m.Value}
	for _, h := range m.Headers {
		if !strings.HasPrefix(h.Key, headerPrefix) {
			back.Headers = append(back.Headers, h)
		}
	}
	return back
}
