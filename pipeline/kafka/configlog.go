package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/event"
)

// ConfigLog is the config log on its topic. Check the topic with
// [Client.EnsureTopics] before the first use.
type ConfigLog struct {
	client *Client
	writer *Writer
	topic  string
}

var _ configlog.Log = (*ConfigLog)(nil)

// NewConfigLog makes the log over a topic, [event.TopicConfig] in production.
// The writer stays the caller's to close.
func (c *Client) NewConfigLog(w *Writer, topic string) *ConfigLog {
	return &ConfigLog{client: c, writer: w, topic: topic}
}

// Append implements [configlog.Log]. JSON keeps the audit log readable with any
// Kafka tool.
func (l *ConfigLog) Append(ctx context.Context, c *event.ConfigChange) error {
	m, err := event.EncodeConfig(c, event.JSON)
	if err != nil {
		return err
	}
	m.Topic = l.topic
	return l.writer.Publish(ctx, []event.Message{m})
}

// errShrunk says that the config log lost records.
var errShrunk = errors.New("the config log ends before what was read of it: it was deleted or restored from an old copy")

// Follow implements [configlog.Log].
func (l *ConfigLog) Follow(ctx context.Context, from int64, fn func(int64, *event.ConfigChange) error) (err error) {
	claim := &claim{client: l.client, topic: l.topic, ended: ctx.Done()}
	first, end, err := l.client.offsets(ctx, l.topic, 0)
	switch {
	case err != nil:
		return err
	case first > from:
		return fmt.Errorf("follow config log from %d: records up to %d are gone: %w", from, first-1, errShrunk)
	case end < from:
		return fmt.Errorf("follow config log from %d: it ends at %d: %w", from, end, errShrunk)
	}
	cursor, err := claim.Open(ctx, from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cursor.Close()) }()
	for {
		m, err := cursor.Fetch(ctx)
		if err != nil {
			return err
		}
		change, unreadable := event.DecodeConfig(&m)
		if unreadable != nil {
			change = nil
		}
		if err := fn(m.Offset, change); err != nil {
			return err
		}
	}
}

// End implements [configlog.Log].
func (l *ConfigLog) End(ctx context.Context) (int64, error) {
	_, end, err := l.client.offsets(ctx, l.topic, 0)
	return end, err
}
