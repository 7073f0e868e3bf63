package kafka

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/usherhq/usher/pipeline/event"
)

// Since calls fn for every message of the topic that the broker took at or after
// from, and then for each new one, until ctx ends or fn fails. It follows on its
// own, in no group, so every process that calls it sees everything. fn is called by
// one goroutine at a time; messages of one partition come in order. caughtUp is
// called once, when everything that was there at the beginning has been handed
// out. A missing topic is a NotFound fault.
func (c *Client) Since(ctx context.Context, topic string, from time.Time, caughtUp func(), fn func(event.Message) error) error {
	n, err := c.count(ctx, topic)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var readers, past sync.WaitGroup
	var one sync.Mutex
	past.Add(n)
	for p := range n {
		readers.Go(func() {
			var there sync.Once
			arrived := func() { there.Do(past.Done) }
			defer arrived() // nobody waits for a partition that failed
			cancel(c.sincePartition(ctx, topic, p, from, arrived, func(m event.Message) error {
				one.Lock()
				defer one.Unlock()
				return fn(m)
			}))
		})
	}
	past.Wait()
	if ctx.Err() == nil {
		caughtUp()
	}
	readers.Wait()
	return context.Cause(ctx)
}

func (c *Client) sincePartition(ctx context.Context, topic string, partition int, from time.Time, caughtUp func(), fn func(event.Message) error) error {
	_, end, err := c.offsets(ctx, topic, partition)
	if err != nil {
		return err
	}
	next, err := c.offsetAt(ctx, topic, partition, from, end)
	if err != nil {
		return err
	}
	cursor, err := (&claim{client: c, topic: topic, partition: partition}).Open(ctx, next)
	if err != nil {
		return err
	}
	defer func() { _ = cursor.Close() }() // only read from
	for {
		if next >= end {
			caughtUp()
		}
		m, err := cursor.Fetch(ctx)
		if err != nil {
			return err
		}
		if err := fn(m); err != nil {
			return err
		}
		next = m.Offset + 1
	}
}

// offsetAt is the first offset that the broker took at or after the time, end when
// there is none.
//
// Trap: a broker that finds none answers time -1 and offset -1, which the library
// takes for the answer to "the last offset"; so nothing else is asked along.
func (c *Client) offsetAt(ctx context.Context, topic string, partition int, from time.Time, end int64) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.RequestTimeout)
	defer cancel()
	res, err := c.admin.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{
		topic: {kafka.TimeOffsetOf(partition, from)},
	}})
	if err != nil {
		return 0, fmt.Errorf("find the offset of %s/%d at %v: %w", topic, partition, from, err)
	}
	for _, p := range res.Topics[topic] {
		if p.Partition != partition {
			continue
		}
		if p.Error != nil {
			return 0, fmt.Errorf("find the offset of %s/%d at %v: %w", topic, partition, from, p.Error)
		}
		for offset := range p.Offsets {
			if offset >= 0 {
				return min(offset, end), nil
			}
		}
	}
	return end, nil
}
