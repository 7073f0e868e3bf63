package configlog

import (
	"context"
	"sync"

	"github.com/usherhq/usher/pipeline/event"
)

// Memory is a log in memory, for tests and for trying things out. The zero value
// is an empty log, ready to use.
type Memory struct {
	mu      sync.Mutex
	records []*event.ConfigChange
	grown   chan struct{} // closed at the next append; nil when nobody waits
}

var _ Log = (*Memory)(nil)

// Append implements [Log].
func (m *Memory) Append(ctx context.Context, c *event.ConfigChange) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	own := *c
	m.mu.Lock()
	defer m.mu.Unlock()
	m.records = append(m.records, &own)
	if m.grown != nil {
		close(m.grown)
		m.grown = nil
	}
	return nil
}

// Follow implements [Log].
func (m *Memory) Follow(ctx context.Context, from int64, fn func(int64, *event.ConfigChange) error) error {
	for next := from; ; {
		records, grown := m.after(next)
		for _, c := range records {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := fn(next, c); err != nil {
				return err
			}
			next++
		}
		if len(records) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-grown:
		}
	}
}

func (m *Memory) after(next int64) ([]*event.ConfigChange, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if next < int64(len(m.records)) {
		return m.records[next:len(m.records):len(m.records)], nil
	}
	if m.grown == nil {
		m.grown = make(chan struct{})
	}
	return nil, m.grown
}

// End implements [Log].
func (m *Memory) End(ctx context.Context) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return int64(len(m.records)), ctx.Err()
}
