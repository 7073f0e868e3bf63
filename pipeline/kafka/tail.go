package kafka

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline"
	"github.com/usherhq/usher/pipeline/event"
)

var _ pipeline.Scanner = (*Client)(nil)

// Scan implements [pipeline.Scanner]. A missing topic is a NotFound fault.
func (c *Client) Scan(ctx context.Context, topic string, fn func(event.Message) error) error {
	n, err := c.count(ctx, topic)
	if err != nil {
		return err
	}
	for p := range n {
		if err := c.scanPartition(ctx, topic, p, fn); err != nil {
			return err
		}
	}
	return nil
}

// endOfScan bounds the wait for the last message: an offset before the end may
// hold a transaction marker, which no reader is given.
const endOfScan = 5 * time.Second

func (c *Client) scanPartition(ctx context.Context, topic string, partition int, fn func(event.Message) error) error {
	first, end, err := c.offsets(ctx, topic, partition)
	if err != nil || first >= end {
		return err
	}
	r, err := c.reader(topic, partition, first)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // only read from
	for next := first; next < end; {
		waiting, cancel := context.WithTimeout(ctx, endOfScan)
		m, err := r.FetchMessage(waiting)
		cancel()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && waiting.Err() != nil:
			return nil // nothing more that can be read
		case err != nil:
			continue // the reader reconnects; bounded by ctx and endOfScan
		}
		next = m.Offset + 1
		if m.Offset >= end {
			return nil
		}
		if err := fn(fromKafka(&m)); err != nil {
			return err
		}
	}
	return nil
}

// Tail calls fn for the last n messages of each partition of the topic and then
// for each new one, until ctx ends or fn fails. fn is called by one goroutine at
// a time. A missing topic is a NotFound fault.
func (c *Client) Tail(ctx context.Context, topic string, last int64, fn func(event.Message) error) error {
	n, err := c.count(ctx, topic)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		readers sync.WaitGroup
		one     sync.Mutex
	)
	for p := range n {
		readers.Go(func() {
			cancel(c.tailPartition(ctx, topic, p, last, func(m event.Message) error {
				one.Lock()
				defer one.Unlock()
				return fn(m)
			}))
		})
	}
	readers.Wait()
	return context.Cause(ctx)
}

func (c *Client) tailPartition(ctx context.Context, topic string, partition int, last int64, fn func(event.Message) error) error {
	first, end, err := c.offsets(ctx, topic, partition)
	if err != nil {
		return err
	}
	cursor, err := (&claim{client: c, topic: topic, partition: partition}).Open(ctx, max(first, end-last))
	if err != nil {
		return err
	}
	defer func() { _ = cursor.Close() }() // only read from
	for {
		m, err := cursor.Fetch(ctx)
		if err != nil {
			return err
		}
		if err := fn(m); err != nil {
			return err
		}
	}
}

func (c *Client) count(ctx context.Context, topic string) (int, error) {
	found, err := c.partitions(ctx, topicsNamed([]string{topic}))
	if err != nil {
		return 0, err
	}
	if found[topic] == 0 {
		return 0, fault.New(fault.NotFound, "TOPIC_NOT_FOUND", "topic %q does not exist", topic)
	}
	return found[topic], nil
}

// Lag is the number of messages on the topic that are behind the given next
// offsets, by partition; next returns what the sink has stored.
func (c *Client) Lag(ctx context.Context, topic string, next func(partition int) (int64, error)) (map[int]int64, error) {
	n, err := c.count(ctx, topic)
	if err != nil {
		return nil, err
	}
	lag := make(map[int]int64, n)
	for p := range n {
		first, end, err := c.offsets(ctx, topic, p)
		if err != nil {
			return nil, err
		}
		stored, err := next(p)
		if err != nil {
			return nil, fmt.Errorf("lag of %s/%d: %w", topic, p, err)
		}
		lag[p] = max(end-max(stored, first), 0)
	}
	return lag, nil
}
