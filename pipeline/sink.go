package pipeline

import (
	"context"
	"time"

	"github.com/usherhq/usher/pipeline/event"
)

// Block is a contiguous run of one partition, ready to be stored as a whole.
// It covers every offset from First to Last that the broker delivered: each is
// either a row of one of the four kinds or a dead letter. Offsets may be missing
// between two rows (the log can have holes); they never come back.
//
// A sink must treat topic/partition/First-Last as the identity of the block:
// writing the same block twice stores it once.
type Block struct {
	Topic       string
	Partition   int
	First, Last int64 // offsets, both inclusive
	Decisions   []Stored[event.Decision]
	Outcomes    []Stored[event.Outcome]
	Skills      []Stored[event.SkillState]
	Config      []Stored[event.ConfigChange]
	Dead        []event.DeadLetter
}

// Rows is the number of rows of all kinds, dead letters included.
func (b *Block) Rows() int {
	return len(b.Decisions) + len(b.Outcomes) + len(b.Skills) + len(b.Config) + len(b.Dead)
}

// Stored is a decoded event with where it stood on the log. Time is the
// broker's time of the record, UTC.
type Stored[T any] struct {
	Value  *T
	Offset int64
	Time   time.Time
}

// Sink stores blocks durably and owns the offsets: what it has stored is the
// only truth about how far a partition was read.
type Sink interface {
	// Next is the offset to read next: one past the highest offset of a stored
	// block of the partition, or -1 when nothing is stored.
	Next(ctx context.Context, topic string, partition int) (int64, error)
	// Write stores the block, whole or not at all from the reader's point of
	// view, and returns nil only when it is durable. It may be called again with
	// the same block after an error, and concurrently for different partitions.
	// The block and what it points to are not changed after the call.
	Write(ctx context.Context, b *Block) error
}

// Publisher puts messages on the log.
type Publisher interface {
	// Publish returns nil only when every message is acknowledged by all in-sync
	// replicas. After an error some of them may be on the log: publishing again
	// repeats them, which is why every event carries an id. Safe for concurrent
	// use; it may keep nothing of msgs after it returns.
	Publish(ctx context.Context, msgs []event.Message) error
}
