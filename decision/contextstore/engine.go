package contextstore

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
)

// ErrConflict is what Engine.Commit returns when a record is not at the version
// that a mutation expects. Nothing was changed.
var ErrConflict = errors.New("contextstore: a record has changed meanwhile")

// Key names a document inside of an account. The namespace "" is the store's own:
// it holds the record of each namespace under the namespace's id.
type Key struct{ Namespace, Session string }

// Op is what a mutation does to a record.
type Op uint8

// The operations.
const (
	Verify Op = iota // only hold the version
	Put              // create or replace
	Remove           // delete
)

// Mutation changes one record. A commit names a key at most once.
type Mutation struct {
	Key
	Op     Op
	Expect uint64 // version of the record now; 0 demands that there is none
	Record []byte // for Put, as [RecordVersion] and [RecordExpiry] read it
}

// Entry is a record with the session that it lies under.
type Entry struct{ Session, Record string }

// Engine keeps records, opaque but for their first 16 bytes. It judges neither
// names nor expiry: an expired record is there until it is swept. Methods are safe
// for concurrent use, end early with ctx's error, and answer a fault of kind
// Unavailable when what they need is away. No method reaches beyond its account,
// but for Sweep.
type Engine interface {
	// Read returns the records of the keys as of one moment, in the keys' order,
	// "" for what is missing.
	Read(ctx context.Context, account string, keys []Key) ([]string, error)
	// Commit applies all mutations or none, durably. It returns ErrConflict when
	// a version is not as expected.
	Commit(ctx context.Context, account string, mutations []Mutation) error
	// Scan returns up to limit records of a namespace whose sessions come after
	// the given one, ordered by the bytes of their sessions. It may return fewer
	// once they make up ScanBytes; none means that there are no more.
	Scan(ctx context.Context, account, namespace, after string, limit int) ([]Entry, error)
	// Drop removes a namespace's own record and all records in it, as one change.
	Drop(ctx context.Context, account, namespace string) error
	// Sweep removes up to limit records of any account that expired at or before
	// now, in milliseconds of Unix time. more says that it met its limit.
	Sweep(ctx context.Context, now int64, limit int) (removed int, more bool, err error)
}

// ScanBytes is about how much one Engine.Scan returns at the most.
const ScanBytes = 4 << 20

// HeaderSize is the length of what every record begins with: its version and its
// expiry, 8 bytes each, big endian.
const HeaderSize = 16

// never is the expiry of records that do not expire.
const never = math.MaxInt64

// RecordVersion reads the version of a record, 0 for "".
func RecordVersion(record string) uint64 {
	if len(record) < HeaderSize {
		return 0
	}
	return binary.BigEndian.Uint64([]byte(record[:8]))
}

// RecordExpiry reads when a record expires, in milliseconds of Unix time;
// math.MaxInt64 means never.
func RecordExpiry(record string) int64 {
	if len(record) < HeaderSize {
		return 0
	}
	return int64(binary.BigEndian.Uint64([]byte(record[8:16]))) //nolint:gosec // written from an int64
}

// NewHeader makes the first bytes of a record.
func NewHeader(version uint64, expires int64) []byte {
	header := make([]byte, HeaderSize, 256)
	binary.BigEndian.PutUint64(header, version)
	binary.BigEndian.PutUint64(header[8:], uint64(expires)) //nolint:gosec // never negative
	return header
}
