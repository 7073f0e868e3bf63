package pipeline

import (
	"context"

	"github.com/usherhq/usher/pipeline/event"
)

// Source hands out partitions to read.
type Source interface {
	// Run calls work, in a goroutine of its own, for each partition this process
	// holds, until ctx ends; then it returns nil. The context given to work ends
	// when the partition is to be let go: nobody else gets it before work has
	// returned, unless this process falls silent. work must not return before.
	Run(ctx context.Context, work func(ctx context.Context, claim Claim)) error
}

// Claim is the right to read one partition for a while.
type Claim interface {
	// Partition names it.
	Partition() (topic string, partition int)
	// Open starts reading at the offset, or at the first one the log still has
	// when next is negative. It fails when the log ends before next: then what is
	// stored comes from another log.
	Open(ctx context.Context, next int64) (Cursor, error)
	// Held is nil while nobody else can hold the partition. It may ask the
	// broker. A process that was stopped for a while learns here, before it
	// writes, that the world went on.
	Held(ctx context.Context) error
	// Stored tells how far the partition is stored. It is a hint for operators'
	// tools, and is never read back.
	Stored(next int64)
}

// Cursor reads a partition forward. Use it from one goroutine.
type Cursor interface {
	// Fetch returns the next message. It waits until there is one, retrying
	// faults of the broker, and fails only when ctx ends.
	Fetch(ctx context.Context) (event.Message, error)
	// Close releases the connection.
	Close() error
}
