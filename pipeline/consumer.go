package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/event"
)

// Deps are the parts a consumer works with. Log and Metrics may be nil.
type Deps struct {
	Source      Source
	Sink        Sink
	DeadLetters Publisher
	Log         *slog.Logger
	Metrics     *Metrics
	Now         func() time.Time // nil: the machine's clock
}

// Consumer moves events from a source to a sink.
type Consumer struct {
	cfg  Config
	deps Deps
}

// New makes a consumer. It does nothing until Run.
func New(cfg Config, deps Deps) (*Consumer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if deps.Source == nil || deps.Sink == nil || deps.DeadLetters == nil {
		return nil, errors.New("pipeline consumer: source, sink and dead letters are required")
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Metrics == nil {
		deps.Metrics = NewMetrics(nil)
	}
	return &Consumer{cfg: cfg, deps: deps}, nil
}

// Run consumes until ctx ends. Then it stores what it has gathered, as far as
// the drain timeout allows, and returns nil. Faults of log and sink are retried
// for ever.
func (c *Consumer) Run(ctx context.Context) error {
	if err := c.deps.Source.Run(ctx, c.work); err != nil {
		return fmt.Errorf("consume: %w", err)
	}
	return nil
}

// work reads one partition until it is to be let go.
func (c *Consumer) work(ctx context.Context, claim Claim) {
	topic, partition := claim.Partition()
	lg := c.deps.Log.With("topic", topic, "partition", partition)
	for wait := c.cfg.MinBackoff; ctx.Err() == nil; wait = min(2*wait, c.cfg.MaxBackoff) {
		err := c.consume(ctx, claim)
		if ctx.Err() != nil {
			return
		}
		lg.Warn("reading the partition failed, starting over", "error", err)
		c.deps.Metrics.retried(topic, "read")
		pause(ctx, wait)
	}
}

// consume starts where storing ended and goes on until ctx ends or the claim is
// lost.
func (c *Consumer) consume(ctx context.Context, claim Claim) error {
	topic, partition := claim.Partition()
	next, err := c.deps.Sink.Next(ctx, topic, partition)
	if err != nil {
		return fmt.Errorf("ask the sink for the next offset: %w", err)
	}
	cursor, err := claim.Open(ctx, next)
	if err != nil {
		return err
	}
	for {
		b, ended := c.gather(ctx, cursor)
		if b.block.Rows() > 0 {
			if err := c.deliver(ctx, claim, b); err != nil {
				return errors.Join(err, cursor.Close())
			}
			claim.Stored(b.block.Last + 1)
		}
		if ended {
			return cursor.Close()
		}
	}
}

// gather fills a block until it is full, old enough, or ctx ends. It waits for
// the first row as long as it takes.
func (c *Consumer) gather(ctx context.Context, cursor Cursor) (b *batch, ended bool) {
	b = &batch{clock: c.deps.Now, skew: c.cfg.MaxSkew}
	m, err := cursor.Fetch(ctx)
	if err != nil {
		return b, true
	}
	b.add(&m)
	// One timer per block, not one per message.
	aging, cancel := context.WithTimeout(ctx, c.cfg.MaxAge)
	defer cancel()
	for b.block.Rows() < c.cfg.MaxRows && b.bytes < c.cfg.MaxBytes {
		if m, err = cursor.Fetch(aging); err != nil {
			break
		}
		b.add(&m)
	}
	return b, ctx.Err() != nil
}

// errAbandoned says that the block was not stored and somebody else reads it
// again.
var errAbandoned = errors.New("the block was given up")

// deliver publishes the dead letters and stores the block, trying for ever while
// the partition is held. When ctx ends it still makes one attempt, or finishes
// the one under way: what is stored now need not be read again, and a write cut
// off halfway may land after the next owner has asked where to start.
func (c *Consumer) deliver(ctx context.Context, claim Claim, b *batch) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		pause(work, c.cfg.DrainTimeout)
		cancel()
	})
	defer stop()
	d := &delivery{Consumer: c, claim: claim, batch: b}
	err := d.insist(ctx, work, "dead letters", d.publishDead)
	if err == nil {
		err = d.insist(ctx, work, "sink", d.store)
	}
	if err != nil {
		c.deps.Metrics.abandoned.Inc()
	}
	return err
}

// delivery is one block on its way to the sink.
type delivery struct {
	*Consumer
	claim Claim
	batch *batch
}

// insist repeats a step until it succeeds. ctx is the partition's, work outlives
// it by the drain timeout.
func (d *delivery) insist(ctx, work context.Context, step string, do func(context.Context) error) error {
	b := &d.batch.block
	for wait := d.cfg.MinBackoff; ; wait = min(2*wait, d.cfg.MaxBackoff) {
		err := d.attempt(work, do)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %s of %s/%d/%d-%d: %w", errAbandoned, step, b.Topic, b.Partition, b.First, b.Last, err)
		}
		d.deps.Log.Warn("storing a block failed, retrying", "step", step, "topic", b.Topic, "partition", b.Partition,
			"first", b.First, "last", b.Last, "error", err)
		d.deps.Metrics.retried(b.Topic, step)
		// Jitter keeps the partitions from knocking in step.
		pause(ctx, wait/2+rand.N(wait/2+1)) //nolint:gosec // not a secret
	}
}

// attempt makes sure that the partition is still ours right before the step: a
// process that was frozen in between must not write what another one has read.
func (d *delivery) attempt(work context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(work, d.cfg.WriteTimeout)
	defer cancel()
	if err := d.claim.Held(ctx); err != nil {
		return err
	}
	return do(ctx)
}

func (d *delivery) store(ctx context.Context) error {
	began := time.Now()
	if err := d.deps.Sink.Write(ctx, &d.batch.block); err != nil {
		return err
	}
	now := time.Now()
	d.deps.Metrics.stored(&d.batch.block, now.Sub(began), now.Sub(d.batch.oldest))
	return nil
}

// publishDead copies the poison messages to the dead-letter topic. A crash
// between this and the sink repeats them there; their origin tells the copies.
func (d *delivery) publishDead(ctx context.Context) error {
	if len(d.batch.poison) == 0 {
		return nil
	}
	err := d.deps.DeadLetters.Publish(ctx, d.batch.poison)
	if fault.KindOf(err) != fault.Invalid || err == nil {
		return err
	}
	// Larger than the log takes: it would block the partition for ever. The row in
	// the sink keeps the payload.
	for i := range d.batch.poison {
		one := &d.batch.poison[i]
		if len(one.Value) > maxDeadValue {
			one.Value = nil
			one.Headers = append(one.Headers, event.Header{Key: headerCut, Value: []byte("true")})
		}
	}
	return d.deps.DeadLetters.Publish(ctx, d.batch.poison)
}

const maxDeadValue = 512 << 10

// pause waits, but not beyond the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
