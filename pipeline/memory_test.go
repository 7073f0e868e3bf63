package pipeline_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/usherhq/usher/pipeline"
	"github.com/usherhq/usher/pipeline/event"
)

// memoryLog is one partition in memory: source, scanner and dead-letter
// publisher at once.
type memoryLog struct {
	topic string

	mu       sync.Mutex
	messages []event.Message
	grown    chan struct{}
	letters  []event.Message
	limit    int   // payload bytes a dead letter may have; 0: any
	lease    error // what Held answers
	asked    int   // how often it was asked
	stored   int64
	read     int64 // offset after the last message fetched
}

func newLog(topic string) *memoryLog { return &memoryLog{topic: topic, grown: make(chan struct{})} }

func (l *memoryLog) append(msgs ...event.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range msgs {
		m.Topic, m.Offset, m.Time = l.topic, int64(len(l.messages)), time.Now().UTC()
		l.messages = append(l.messages, m)
	}
	close(l.grown)
	l.grown = make(chan struct{})
}

func (l *memoryLog) Run(ctx context.Context, work func(context.Context, pipeline.Claim)) error {
	work(ctx, l)
	<-ctx.Done()
	return nil
}

func (l *memoryLog) Partition() (string, int) { return l.topic, 0 }

func (l *memoryLog) Open(_ context.Context, next int64) (pipeline.Cursor, error) {
	return &memoryCursor{l, max(next, 0)}, nil
}

func (l *memoryLog) Held(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	return l.lease
}

// awaitAsked waits until the lease was asked for n more times.
func (l *memoryLog) awaitAsked(t *testing.T, n int) {
	t.Helper()
	l.mu.Lock()
	want := l.asked + n
	l.mu.Unlock()
	l.await(t, func() bool { return l.asked >= want })
}

// awaitRead waits until a cursor has passed the offset.
func (l *memoryLog) awaitRead(t *testing.T, next int64) {
	t.Helper()
	l.await(t, func() bool { return l.read >= next })
}

func (l *memoryLog) await(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		l.mu.Lock()
		done := ok()
		l.mu.Unlock()
		if done {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("it did not come")
		}
	}
}

func (l *memoryLog) setLease(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lease = err
}

func (l *memoryLog) Stored(next int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stored = next
}

func (l *memoryLog) Publish(_ context.Context, msgs []event.Message) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range msgs {
		if l.limit > 0 && len(m.Value) > l.limit {
			return errTooLarge()
		}
	}
	l.letters = append(l.letters, msgs...)
	return nil
}

func (l *memoryLog) Scan(_ context.Context, _ string, fn func(event.Message) error) error {
	l.mu.Lock()
	letters := l.letters
	l.mu.Unlock()
	for i, m := range letters {
		m.Offset = int64(i)
		if err := fn(m); err != nil {
			return err
		}
	}
	return nil
}

type memoryCursor struct {
	log  *memoryLog
	next int64
}

func (c *memoryCursor) Fetch(ctx context.Context) (event.Message, error) {
	for {
		c.log.mu.Lock()
		if c.next < int64(len(c.log.messages)) {
			m := c.log.messages[c.next]
			c.next++
			c.log.read = c.next
			c.log.mu.Unlock()
			return m, ctx.Err()
		}
		grown := c.log.grown
		c.log.mu.Unlock()
		select {
		case <-ctx.Done():
			return event.Message{}, ctx.Err()
		case <-grown:
		}
	}
}

func (c *memoryCursor) Close() error { return nil }

// memorySink stores blocks; fail decides what an attempt does, after storing
// when it says so.
type memorySink struct {
	mu     sync.Mutex
	blocks []*pipeline.Block
	next   int64
	fail   func(attempt int) (before, after error)
	tries  int
}

func (s *memorySink) Next(context.Context, string, int) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.blocks) == 0 {
		return -1, nil
	}
	return s.next, nil
}

func (s *memorySink) Write(_ context.Context, b *pipeline.Block) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tries++
	var before, after error
	if s.fail != nil {
		before, after = s.fail(s.tries)
	}
	if before != nil {
		return before
	}
	if b.First >= s.next { // else a repeated token
		if b.First != s.next {
			return errors.New("a gap: rows were dropped")
		}
		s.blocks = append(s.blocks, b)
		s.next = b.Last + 1
	}
	return after
}

func (s *memorySink) all() (rows []pipeline.Stored[event.Outcome], dead []event.DeadLetter, blocks int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.blocks {
		rows = append(rows, b.Outcomes...)
		dead = append(dead, b.Dead...)
	}
	return rows, dead, len(s.blocks)
}

func (s *memorySink) await(t *testing.T, next int64) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		if got, _ := s.Next(t.Context(), "", 0); got >= next {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the sink did not reach offset %d", next)
		}
	}
}
