package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline"
	"github.com/usherhq/usher/pipeline/event"
)

// Writer publishes messages to any topic. Messages with the same key keep their
// order within one call, and between calls that follow one another.
type Writer struct {
	w       *kafka.Writer
	metrics *Metrics
}

var _ pipeline.Publisher = (*Writer)(nil)

// NewWriter makes a writer.
//
// Trap: the library has no idempotent producer, so a retry can write a message
// twice; every event carries an id, and whoever reads drops the copy.
func (c *Client) NewWriter() *Writer {
	return &Writer{metrics: c.metrics, w: &kafka.Writer{
		Addr: c.addr,
		// The Java client's default partitioner, so that other producers agree
		// about where a conversation lives.
		Balancer:        kafka.Murmur2Balancer{},
		RequiredAcks:    kafka.RequireAll,
		MaxAttempts:     4,
		WriteBackoffMin: 50 * time.Millisecond,
		WriteBackoffMax: time.Second,
		// Trap: the default of 1 s is what each synchronous write would take.
		BatchTimeout: c.cfg.BatchTimeout,
		BatchSize:    10_000,
		BatchBytes:   c.cfg.MaxBatchBytes,
		ReadTimeout:  c.cfg.RequestTimeout,
		WriteTimeout: c.cfg.RequestTimeout,
		Compression:  kafka.Lz4,
		Transport:    c.transport,
		ErrorLogger:  c.errorLog(),
	}}
}

// Publish implements [pipeline.Publisher]. A message over the size limit is an
// Invalid fault: trying again cannot help. Everything else may be retried.
func (w *Writer) Publish(ctx context.Context, msgs []event.Message) error {
	if len(msgs) == 0 {
		return nil
	}
	out := make([]kafka.Message, len(msgs))
	for i := range msgs {
		out[i] = toKafka(&msgs[i])
	}
	if err := w.w.WriteMessages(ctx, out...); err != nil {
		w.metrics.publishErrors.Inc()
		return publishError(err, len(msgs))
	}
	w.metrics.published.Add(float64(len(msgs)))
	return nil
}

// Close waits for messages in flight and releases the connections.
func (w *Writer) Close() error { return w.w.Close() }

func publishError(err error, n int) error {
	if _, ok := errors.AsType[kafka.MessageTooLargeError](err); ok || errors.Is(err, kafka.MessageSizeTooLarge) || tooLarge(err) {
		e := fault.New(fault.Invalid, "MESSAGE_TOO_LARGE", "a message is larger than the log accepts")
		e.Cause = err
		return e
	}
	return fmt.Errorf("publish %d messages: %w", n, err)
}

func tooLarge(err error) bool {
	each, ok := errors.AsType[kafka.WriteErrors](err)
	if !ok {
		return false
	}
	for _, one := range each {
		if errors.Is(one, kafka.MessageSizeTooLarge) {
			return true
		}
	}
	return false
}

func toKafka(m *event.Message) kafka.Message {
	out := kafka.Message{Topic: m.Topic, Key: m.Key, Value: m.Value, Headers: make([]kafka.Header, len(m.Headers))}
	for i, h := range m.Headers {
		out.Headers[i] = kafka.Header{Key: h.Key, Value: h.Value}
	}
	return out
}

func fromKafka(m *kafka.Message) event.Message {
	out := event.Message{
		Topic: m.Topic, Key: m.Key, Value: m.Value, Partition: m.Partition, Offset: m.Offset, Time: m.Time.UTC(),
	}
	if len(m.Headers) > 0 {
		out.Headers = make([]event.Header, len(m.Headers))
		for i, h := range m.Headers {
			out.Headers[i] = event.Header{Key: h.Key, Value: h.Value}
		}
	}
	return out
}
