package decisionlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/event"
)

// chunk is how much of a segment is read at once, unless a frame is larger.
const chunk = 1 << 20

// refusedFile holds, as JSON lines, what the log will never take.
const refusedFile = "refused.jsonl"

// batch is what one publication holds.
type batch struct {
	msgs    []event.Message
	damaged int64 // bytes that were skipped
}

// Run publishes what is on disk, in order, until ctx ends; then it goes on for
// up to Config.Drain with what was appended before, and closes the spool. It
// returns an error only when the disk fails it. It may be called once.
func (l *Log) Run(ctx context.Context) error {
	at, err := l.publishAll(ctx, position{})
	if err == nil && ctx.Err() != nil {
		err = l.seal()
	}
	if err == nil {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.cfg.Drain)
		defer cancel()
		_, err = l.publishAll(last, at)
	}
	if left := l.backlog.Load(); left > 0 {
		l.log.Warn("spool stops with a backlog; it is published at the next start", "records", left)
	}
	return errors.Join(err, l.Close())
}

// Close takes no more appends and gives the folder back. [Log.Run] does it on its
// way out; closing twice is harmless.
func (l *Log) Close() error {
	return errors.Join(l.seal(), l.release())
}

// seal takes no more appends.
func (l *Log) seal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	return nil
}

// publishAll publishes from a position on until ctx ends, or, once the spool is
// sealed, until nothing is left. It returns how far it came.
func (l *Log) publishAll(ctx context.Context, at position) (position, error) {
	if at == (position{}) {
		at = l.start()
	}
	for ctx.Err() == nil {
		s, limit, last, sealed := l.locate(at)
		b, next, err := s.read(at.offset, l.cfg.Batch, limit)
		if err != nil {
			return at, fmt.Errorf("read spool: %w", err)
		}
		if b.damaged > 0 {
			l.log.Warn("spool skipped damaged bytes", "segment", s.path, "bytes", b.damaged)
		}
		switch {
		case next > at.offset:
			if !l.publish(ctx, b.msgs) {
				return at, nil
			}
			at.offset = next
			err = writeCursor(l.cursor, at)
		case !last:
			at, err = l.advance(s)
		case sealed:
			return at, nil
		default:
			l.wait(ctx)
		}
		if err != nil {
			return at, fmt.Errorf("advance spool: %w", err)
		}
	}
	return at, nil
}

// start is where publication begins: at the cursor, or with the oldest segment.
func (l *Log) start() position {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := l.active.number
	if len(l.older) > 0 {
		first = l.older[0].number
	}
	if at := readCursor(l.cursor); at.segment == first {
		return at
	}
	return position{segment: first}
}

// locate finds the segment of a position and how far it may be read.
func (l *Log) locate(at position) (s *segment, limit int64, last, sealed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.older {
		if s.number == at.segment {
			return s, s.size, false, l.closed
		}
	}
	return l.active, l.active.size, true, l.closed
}

// advance removes a segment that the log has whole and goes to the next one.
func (l *Log) advance(done *segment) (position, error) {
	l.mu.Lock()
	l.older = l.older[1:]
	l.bytes -= done.size
	next := position{segment: l.active.number}
	if len(l.older) > 0 {
		next.segment = l.older[0].number
	}
	l.mu.Unlock()
	return next, errors.Join(writeCursor(l.cursor, next), done.file.Close(), os.Remove(done.path))
}

// wait sleeps until something is appended, and then a little longer so that a
// batch gathers.
func (l *Log) wait(ctx context.Context) {
	select {
	case <-l.wake:
		pause(ctx, l.cfg.Linger)
	case <-ctx.Done():
	}
}

// publish repeats until the log has the messages, or they are set aside because
// it can never take them; false means that ctx ended before.
func (l *Log) publish(ctx context.Context, msgs []event.Message) bool {
	if len(msgs) == 0 {
		return true
	}
	for delay := l.cfg.RetryFrom; ; delay = min(2*delay, l.cfg.RetryTo) {
		err := l.pub.Publish(ctx, msgs)
		if err == nil {
			l.published.Add(uint64(len(msgs)))
			l.backlog.Add(-int64(len(msgs)))
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		if fault.KindOf(err) == fault.Invalid {
			if len(msgs) > 1 {
				return l.publishEach(ctx, msgs)
			}
			if err = l.setAside(&msgs[0], err); err == nil {
				return true
			}
		}
		l.failures.Add(1)
		l.log.Warn("spool cannot publish, tries again", "records", len(msgs), "pause", delay, "error", err)
		if !pause(ctx, delay) {
			return false
		}
	}
}

// publishEach finds the messages of a refused batch that the log does take.
func (l *Log) publishEach(ctx context.Context, msgs []event.Message) bool {
	for i := range msgs {
		if !l.publish(ctx, msgs[i:i+1]) {
			return false
		}
	}
	return true
}

// refusedMessage is a line of the file of refused messages.
type refusedMessage struct {
	Topic   string         `json:"topic"`
	Key     []byte         `json:"key"`
	Value   []byte         `json:"value"`
	Error   string         `json:"error"`
	Headers []event.Header `json:"headers,omitempty"`
}

// setAside keeps a message that the log refuses for good, such as one beyond its
// size limit, in a file beside the spool: it must not hold up what comes after
// it, and it must not be lost.
func (l *Log) setAside(m *event.Message, cause error) (err error) {
	line, err := json.Marshal(refusedMessage{m.Topic, m.Key, m.Value, cause.Error(), m.Headers})
	if err != nil {
		return fmt.Errorf("encode a refused message: %w", err)
	}
	l.refusing.Lock()
	defer l.refusing.Unlock()
	path := filepath.Join(l.cfg.Dir, refusedFile)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("set a refused message aside: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("set a refused message aside: %w", err)
	}
	l.refused.Add(1)
	l.backlog.Add(-1)
	l.log.Error("the log refuses a message for good; it was set aside", "topic", m.Topic, "file", path, "error", cause)
	return nil
}

// pause sleeps; false means that ctx ended before.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// read takes whole frames from an offset on, up to about count messages, and
// returns where the next one begins. Damaged bytes are passed over when a whole
// frame follows; a torn one at the end of the segment counts as its end.
func (s *segment) read(offset int64, count int, limit int64) (batch, int64, error) {
	var b batch
	size := min(limit-offset, chunk)
	for size > 0 {
		data := make([]byte, size)
		if _, err := s.file.ReadAt(data, offset); err != nil && !errors.Is(err, io.EOF) {
			return b, offset, err
		}
		used := int64(b.fill(data, count, offset+size == limit))
		if used > 0 || offset+size == limit {
			return b, offset + used, nil
		}
		size = min(2*size, limit-offset)
	}
	return b, offset, nil
}

// fill parses data into the batch and returns how many bytes it used. final says
// that nothing follows data.
func (b *batch) fill(data []byte, count int, final bool) (used int) {
	for used < len(data) && len(b.msgs) < count {
		msgs, size, err := readFrame(data[used:])
		switch {
		case err == nil:
			b.msgs = append(b.msgs, msgs...)
			used += size
		case errors.Is(err, io.ErrUnexpectedEOF) && !final:
			return used
		default:
			skip := nextFrame(data[used:], final)
			if !final && used+skip == len(data) {
				skip = max(1, skip-len(frameMark)) // a mark may begin there
			}
			b.damaged += int64(skip)
			used += skip
		}
	}
	return used
}
