// Package decisionlog keeps what must reach the log on the local disk until it
// has: a write-ahead spool. An append is in the file system when it returns and
// so survives the death of the process; it is published later, in order, however
// often the log is away in between, and removed only when all in-sync replicas
// have it. After a crash some records may be published twice, with the same ids.
//
// What it does not survive is the death of the machine within the seconds that
// the kernel takes to write its cache back: replicated storage is the log's job.
//
// When the disk (or Config.MaxBytes) is full, appends fail and nothing that was
// acknowledged is touched. Decisions are still answered then; each one that could
// not be recorded is counted in usher_decisions_not_recorded_total. A record that
// is too large is its sender's fault, refused and not counted.
package decisionlog

import (
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline"
	"github.com/usherhq/usher/pipeline/event"
)

// Config says where the spool lives and how it publishes.
type Config struct {
	// Dir holds the segments. One process at a time may use it.
	Dir string
	// SegmentBytes is the size at which a new segment is begun.
	SegmentBytes int64
	// MaxBytes bounds the spool; 0 leaves it to the disk.
	MaxBytes int64
	// MaxRecord bounds one message in bytes, so that the log takes it.
	MaxRecord int
	// Batch is how many messages are published at once.
	Batch int
	// Linger is how long the first message of a batch waits for others.
	Linger time.Duration
	// RetryFrom and RetryTo bound the pause after a failed publication; it
	// doubles from one to the other.
	RetryFrom, RetryTo time.Duration
	// Drain is how long the spool goes on publishing when told to stop. What is
	// left stays on disk for the next start.
	Drain time.Duration
	// Recent is how many decisions are kept in memory to be read back.
	Recent int
	// Format is the encoding of payloads.
	Format event.Format
}

// DefaultConfig is fit for production but for Dir, which it leaves empty.
func DefaultConfig() Config {
	return Config{
		SegmentBytes: 16 << 20, MaxBytes: 8 << 30, MaxRecord: 1_000_000, Batch: 1000, Linger: 5 * time.Millisecond,
		RetryFrom: 50 * time.Millisecond, RetryTo: 5 * time.Second, Drain: 5 * time.Second, Recent: 2048,
	}
}

// Validate reports every setting that makes no sense.
func (c Config) Validate() error {
	var errs []error
	if c.Dir == "" {
		errs = append(errs, errors.New("dir: must name a folder"))
	}
	if c.SegmentBytes < 1 || c.MaxBytes < 0 || c.MaxRecord < 1 || c.MaxRecord > maxFrame/2 {
		errs = append(errs, fmt.Errorf("segment of %d, spool of %d, record of %d bytes: must be positive, and a record at most %d",
			c.SegmentBytes, c.MaxBytes, c.MaxRecord, maxFrame/2))
	}
	if c.Batch < 1 || c.Linger < 0 || c.Drain < 0 || c.Recent < 1 {
		errs = append(errs, fmt.Errorf("batch %d, linger %v, drain %v, recent %d: must be positive", c.Batch, c.Linger, c.Drain, c.Recent))
	}
	if c.RetryFrom <= 0 || c.RetryTo < c.RetryFrom {
		errs = append(errs, fmt.Errorf("retry from %v to %v: must be positive and rise", c.RetryFrom, c.RetryTo))
	}
	return errors.Join(errs...)
}

// Log is an open spool. Append, Record, Report and Recent are safe for
// concurrent use; [Log.Run] publishes.
type Log struct {
	cfg     Config
	pub     pipeline.Publisher
	log     *slog.Logger
	lock    *os.File
	cursor  *os.File
	wake    chan struct{}
	buffers sync.Pool
	recent  []atomic.Pointer[event.Decision]
	seed    maphash.Seed

	// The file's own lock makes writers take turns in any case, so one of ours
	// around the write costs nothing and lets a torn write be taken back.
	mu     sync.Mutex
	active *segment
	older  []*segment // to be published before active, oldest first
	bytes  int64      // in all segments
	closed bool

	refusing sync.Mutex // the file of refused messages

	recorded, published, refused, notRecorded, failures atomic.Uint64
	backlog                                             atomic.Int64 // messages on disk, not published
}

// Deps are the parts a spool works with.
type Deps struct {
	Publisher pipeline.Publisher
	Log       *slog.Logger
	Metrics   prometheus.Registerer // nil: counted, not shown
}

// ErrClosed answers appends after the spool was closed.
var ErrClosed = errors.New("the spool is closed")

// ErrFull answers appends that would exceed Config.MaxBytes.
var ErrFull = errors.New("the spool is full")

// Open takes the folder, finds what an earlier process left in it, and begins a
// new segment. It fails when another process uses the folder. Nothing is
// published before [Log.Run]; [Log.Close] gives the folder back.
func Open(cfg Config, deps Deps) (*Log, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure spool: %w", err)
	}
	l := &Log{
		cfg: cfg, pub: deps.Publisher, log: deps.Log, wake: make(chan struct{}, 1),
		recent: make([]atomic.Pointer[event.Decision], cfg.Recent), seed: maphash.MakeSeed(),
	}
	l.buffers.New = func() any { return new([]byte) }
	if err := l.recover(); err != nil {
		return nil, errors.Join(fmt.Errorf("open spool %q: %w", cfg.Dir, err), l.release())
	}
	l.register(deps.Metrics)
	return l, nil
}

// Append puts the messages onto the disk, all or none, and returns. An error
// means that none of them will be published: [TooLarge] as the reason of an
// Invalid fault says that they never can be, whatever else is tried.
func (l *Log) Append(msgs ...event.Message) error {
	err := l.append(msgs)
	if err != nil && fault.KindOf(err) != fault.Invalid {
		for i := range msgs {
			if msgs[i].Topic == event.TopicDecisions {
				l.notRecorded.Add(1)
			}
		}
	}
	return err
}

// TooLarge is the reason of the Invalid fault that refuses a record or a batch
// over the limit. Its metadata hold size and limit in bytes and, for one record
// of many, its place from 0 as index.
const TooLarge = "REQUEST_TOO_LARGE"

func tooLarge(what string, size, limit int) *fault.Error {
	e := fault.New(fault.Invalid, TooLarge, "%s would have %d bytes, at most %d can be kept: send less", what, size, limit)
	e.Metadata = map[string]string{"size": strconv.Itoa(size), "limit": strconv.Itoa(limit)}
	return e
}

func (l *Log) append(msgs []event.Message) error {
	for i := range msgs {
		if size := len(msgs[i].Key) + len(msgs[i].Value); size > l.cfg.MaxRecord {
			e := tooLarge("the record", size, l.cfg.MaxRecord)
			e.Metadata["index"] = strconv.Itoa(i)
			return e
		}
	}
	buf, _ := l.buffers.Get().(*[]byte)
	defer l.buffers.Put(buf)
	*buf = appendFrame((*buf)[:0], msgs)
	if len(*buf) > maxFrame {
		return tooLarge("the batch", len(*buf), maxFrame)
	}
	if err := l.write(*buf); err != nil {
		return fmt.Errorf("append to spool: %w", err)
	}
	l.recorded.Add(uint64(len(msgs)))
	l.backlog.Add(int64(len(msgs)))
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return nil
}

// write appends one frame to the active segment, which it replaces when full.
func (l *Log) write(frame []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	if l.cfg.MaxBytes > 0 && l.bytes+int64(len(frame)) > l.cfg.MaxBytes {
		return ErrFull
	}
	if l.active.size > 0 && l.active.size+int64(len(frame)) > l.cfg.SegmentBytes {
		if err := l.rotate(); err != nil {
			return err
		}
	}
	if _, err := l.active.file.Write(frame); err != nil {
		// A part of the frame may stand there. Readers stop at size; the bytes
		// behind it must go before another frame follows.
		if cut := l.active.file.Truncate(l.active.size); cut != nil {
			err = errors.Join(err, cut, l.rotate())
		}
		return err
	}
	l.active.size += int64(len(frame))
	l.bytes += int64(len(frame))
	return nil
}

// Record appends a decision and keeps it at hand for [Log.Recent]. The caller
// must not change it afterwards. After an error it is neither on disk nor at
// hand, and counted as not recorded unless it is too large.
func (l *Log) Record(d *event.Decision) error {
	m, err := event.EncodeDecision(d, l.cfg.Format)
	if err != nil {
		l.notRecorded.Add(1)
		return fmt.Errorf("encode decision %q: %w", d.ID, err)
	}
	if err := l.Append(m); err != nil {
		return err
	}
	l.recent[l.slot(d.Account, d.ID)].Store(d)
	return nil
}

// Report appends outcomes, all or none.
func (l *Log) Report(outcomes ...*event.Outcome) error {
	msgs := make([]event.Message, len(outcomes))
	for i, o := range outcomes {
		m, err := event.EncodeOutcome(o, l.cfg.Format)
		if err != nil {
			return fmt.Errorf("encode outcome %q: %w", o.ID, err)
		}
		msgs[i] = m
	}
	return l.Append(msgs...)
}

// Recent returns a decision recorded a short while ago by this process. Later
// ones push it out, in no particular order.
func (l *Log) Recent(account, id string) (*event.Decision, bool) {
	d := l.recent[l.slot(account, id)].Load()
	if d == nil || d.ID != id || d.Account != account {
		return nil, false
	}
	return d, true
}

// Latest returns the decisions among those at hand that match, in no particular
// order. It looks at all of them.
func (l *Log) Latest(account string, match func(*event.Decision) bool) []*event.Decision {
	var found []*event.Decision
	for i := range l.recent {
		if d := l.recent[i].Load(); d != nil && d.Account == account && match(d) {
			found = append(found, d)
		}
	}
	return found
}

// slot is the one place where a decision can be; no lock, no list.
func (l *Log) slot(account, id string) uint64 {
	return maphash.Comparable(l.seed, [2]string{account, id}) % uint64(len(l.recent))
}

// Stats is the state of the spool in numbers. Records are messages.
type Stats struct {
	Recorded    uint64 // appended by this process
	Published   uint64 // acknowledged by the log, what an earlier process left included
	Refused     uint64 // set aside, because the log can never take them
	NotRecorded uint64 // decisions that could not be appended
	Backlog     int64  // on disk, not acknowledged
	Bytes       int64  // of the segments
	Failures    uint64 // publications that failed and were tried again
}

// Stats reads the counters.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	size := l.bytes
	l.mu.Unlock()
	return Stats{
		Recorded: l.recorded.Load(), Published: l.published.Load(), NotRecorded: l.notRecorded.Load(),
		Backlog: l.backlog.Load(), Bytes: size, Failures: l.failures.Load(), Refused: l.refused.Load(),
	}
}
