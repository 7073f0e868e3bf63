package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

// partitionReader is the library's reader of one partition, without a group,
// that can be closed at once.
type partitionReader struct {
	*kafka.Reader
	conns *connections
}

// reader opens a partition at an offset. It connects when it is first asked.
func (c *Client) reader(topic string, partition int, next int64) (*partitionReader, error) {
	conns := &connections{dialer: net.Dialer{Timeout: c.cfg.DialTimeout, KeepAlive: 15 * time.Second}, open: map[net.Conn]struct{}{}}
	dialer := *c.dialer
	dialer.DialFunc = conns.dial
	cfg := kafka.ReaderConfig{
		Brokers: c.cfg.Brokers, Topic: topic, Partition: partition, Dialer: &dialer,
		QueueCapacity: c.cfg.QueueMessages, MinBytes: 1, MaxBytes: c.cfg.MaxFetchBytes,
		// Trap: MaxWait is not only how long the broker may wait for messages (it
		// answers at once when there are any), but also the deadline for its answer.
		// A short one makes a reader of a slow broker fetch the same again and again.
		MaxWait: 5 * time.Second, ReadBatchTimeout: c.cfg.RequestTimeout,
		ReadLagInterval: -1, ReadBackoffMin: 20 * time.Millisecond, ReadBackoffMax: time.Second,
		StartOffset: kafka.FirstOffset, IsolationLevel: kafka.ReadCommitted,
		ErrorLogger: c.errorLog(),
	}
	if err := cfg.Validate(); err != nil { // Trap: NewReader panics on what Validate refuses
		return nil, fmt.Errorf("open %s/%d: %w", topic, partition, err)
	}
	r := &partitionReader{kafka.NewReader(cfg), conns}
	if err := r.SetOffset(next); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s/%d at %d: %w", topic, partition, next, err), r.Close())
	}
	return r, nil
}

// Close ends the reader. Trap: the library's Close waits for the fetch that is
// under way, seconds on a quiet partition, and a whole group waits with it when
// partitions move. Cutting the connections ends the fetch.
func (r *partitionReader) Close() error {
	r.conns.cut()
	return r.Reader.Close()
}

// connections are those of one reader.
type connections struct {
	dialer net.Dialer

	mu     sync.Mutex
	open   map[net.Conn]struct{}
	closed bool
}

func (c *connections) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := c.dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errors.Join(net.ErrClosed, conn.Close())
	}
	c.open[conn] = struct{}{}
	return &countedConn{conn, c}, nil
}

func (c *connections) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for conn := range c.open {
		_ = conn.Close() // nothing is written on it that matters
	}
	clear(c.open)
}

// countedConn leaves the list when it is closed.
type countedConn struct {
	net.Conn
	list *connections
}

func (c *countedConn) Close() error {
	c.list.mu.Lock()
	delete(c.list.open, c.Conn)
	c.list.mu.Unlock()
	return c.Conn.Close()
}
