package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/usherhq/usher/pipeline"
	"github.com/usherhq/usher/pipeline/event"
)

// claim is one partition of one generation, or of a reader without a group (member nil).
type claim struct {
	client    *Client
	topic     string
	partition int
	member    *membership
	ended     <-chan struct{}
	measured  bool // lag counts for the pipeline, not for other followers

	stored    atomic.Int64
	committed atomic.Int64 // the last hint given
}

var _ pipeline.Claim = (*claim)(nil)

// Partition implements [pipeline.Claim].
func (c *claim) Partition() (topic string, partition int) { return c.topic, c.partition }

// Held implements [pipeline.Claim].
func (c *claim) Held(context.Context) error {
	if c.member == nil {
		return nil
	}
	return c.member.held(c)
}

// Stored implements [pipeline.Claim]. The hint itself goes out with the next
// measurement: nothing waits for it, so it is not worth a round trip per block.
func (c *claim) Stored(next int64) { c.stored.Store(next) }

// hint commits through the generation, so the broker refuses it when that is
// over. Trap: only the end of a contiguous stored prefix is ever committed.
func (c *claim) hint() {
	next := c.stored.Load()
	if c.member == nil || next == c.committed.Load() {
		return
	}
	if err := c.member.commit(c.topic, c.partition, next); err != nil {
		c.client.lg.Debug("offset hint refused", "topic", c.topic, "partition", c.partition, "error", err)
		return
	}
	c.committed.Store(next)
}

// errForeignLog says that the sink has more than the log ever had.
var errForeignLog = errors.New("the log ends before what is stored")

// Open implements [pipeline.Claim].
func (c *claim) Open(ctx context.Context, next int64) (pipeline.Cursor, error) {
	first, end, err := c.client.offsets(ctx, c.topic, c.partition)
	if err != nil {
		return nil, err
	}
	switch {
	case next > end:
		// Reading on would give new events the names of stored ones.
		return nil, fmt.Errorf("%w: %s/%d ends at %d, stored up to %d: the topic was created anew; restore it or point at the right cluster",
			errForeignLog, c.topic, c.partition, end, next)
	case next < 0:
		next = first
	case next < first:
		c.client.lg.Error("messages expired on the log before they were stored",
			"topic", c.topic, "partition", c.partition, "from", next, "to", first-1)
		c.client.metrics.expired(c.topic, c.partition, first-next)
		next = first
	}
	c.stored.Store(next)
	c.committed.Store(next)
	reader, err := c.client.reader(c.topic, c.partition, next)
	if err != nil {
		return nil, err
	}
	watched, stop := context.WithCancel(context.WithoutCancel(ctx))
	cur := &cursor{claim: c, reader: reader, stop: stop}
	cur.next.Store(next)
	cur.lastMessage.Store(time.Now().UnixNano())
	cur.watching.Go(func() { cur.watch(watched) })
	return cur, nil
}

// cursor reads one partition and rebuilds its reader when that falls asleep.
//
// Trap: after a broker restart the library's reader may give nothing for ever
// although the log grows. The watch compares what comes with what is there.
type cursor struct {
	claim *claim

	mu     sync.Mutex // guards reader against the watch
	reader *partitionReader

	next        atomic.Int64 // offset wanted next
	lastMessage atomic.Int64 // unix nanoseconds
	waiting     atomic.Bool  // in Fetch; a slow sink is no stall

	stop     context.CancelFunc // of the watch
	watching sync.WaitGroup
}

// Fetch implements [pipeline.Cursor].
func (c *cursor) Fetch(ctx context.Context) (event.Message, error) {
	c.waiting.Store(true)
	defer c.waiting.Store(false)
	for {
		// Trap: never ReadMessage, which in a group commits before the message is
		// processed.
		m, err := c.current().FetchMessage(ctx)
		if err == nil {
			c.lastMessage.Store(time.Now().UnixNano())
			if m.Offset < c.next.Load() {
				continue // a batch begins before the offset asked for
			}
			c.next.Store(m.Offset + 1)
			return fromKafka(&m), nil
		}
		if ctx.Err() != nil {
			return event.Message{}, ctx.Err()
		}
		c.claim.client.lg.Debug("reading failed, retrying", "topic", c.claim.topic, "partition", c.claim.partition, "error", err)
		if !sleep(ctx, 50*time.Millisecond) {
			return event.Message{}, ctx.Err()
		}
	}
}

// Close implements [pipeline.Cursor].
func (c *cursor) Close() error {
	c.stop()
	c.watching.Wait()
	c.claim.hint()
	if err := c.current().Close(); err != nil {
		return fmt.Errorf("close reader of %s/%d: %w", c.claim.topic, c.claim.partition, err)
	}
	return nil
}

func (c *cursor) current() *partitionReader {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reader
}

// watch measures lag, hands out the offset hint and wakes a reader that stalls.
func (c *cursor) watch(ctx context.Context) {
	cfg := c.claim.client.cfg
	for sleep(ctx, min(cfg.LagInterval, cfg.StallAfter)) {
		c.claim.hint()
		c.look(ctx)
	}
}

func (c *cursor) look(ctx context.Context) {
	cl := c.claim
	_, end, err := cl.client.offsets(ctx, cl.topic, cl.partition)
	if err != nil {
		return // the broker is away: nothing to measure, and the reader reconnects
	}
	if cl.measured {
		cl.client.metrics.setLag(cl.topic, cl.partition, cl.stored.Load(), end)
	}
	silent := time.Since(time.Unix(0, c.lastMessage.Load()))
	if !c.waiting.Load() || c.next.Load() >= end || silent < cl.client.cfg.StallAfter {
		return
	}
	cl.client.lg.Warn("reader gives nothing although the log has more, rebuilding it",
		"topic", cl.topic, "partition", cl.partition, "next", c.next.Load(), "end", end)
	cl.client.metrics.stalled(cl.topic, cl.partition)
	fresh, err := cl.client.reader(cl.topic, cl.partition, c.next.Load())
	if err != nil {
		return
	}
	c.mu.Lock()
	stale := c.reader
	c.reader = fresh
	c.mu.Unlock()
	c.lastMessage.Store(time.Now().UnixNano())
	_ = stale.Close() // makes FetchMessage return, which then takes the fresh one
}
