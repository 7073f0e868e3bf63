package clickhouse

import (
	"context"
	"sync"
)

// claims keeps two concurrent writes of this process from storing one event
// twice: between looking for an event and inserting it, its key is claimed. The
// zero value is ready to use.
type claims struct {
	mu   sync.Mutex
	held map[uint64]chan struct{} // closed when the holder is done
}

// take claims all keys at once, waiting for holders of any of them. All or none,
// so two writes never wait for each other. Keys may repeat.
func (c *claims) take(ctx context.Context, keys []uint64) (release func(), err error) {
	for {
		c.mu.Lock()
		busy := c.busy(keys)
		if busy == nil {
			release = c.hold(keys)
			c.mu.Unlock()
			return release, nil
		}
		c.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (c *claims) busy(keys []uint64) chan struct{} {
	for _, key := range keys {
		if done, ok := c.held[key]; ok {
			return done
		}
	}
	return nil
}

func (c *claims) hold(keys []uint64) (release func()) {
	if c.held == nil {
		c.held = make(map[uint64]chan struct{})
	}
	done := make(chan struct{})
	for _, key := range keys {
		c.held[key] = done
	}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, key := range keys {
			delete(c.held, key)
		}
		close(done)
	}
}
