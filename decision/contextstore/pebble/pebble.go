// Package pebble keeps context in a folder of one machine: an LSM tree with a
// write-ahead log that is on disk before a write is answered, so that a killed
// process loses nothing it has acknowledged.
package pebble

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/usherhq/usher/decision/contextstore"
)

// Keys begin with a letter: d for a document, e for the index of expiries. An
// account and a namespace are written with their lengths, so that no two keys are
// the same.
//
//	d account namespace session          -> record
//	e expiry account namespace session   -> nothing
const (
	documentSpace = 'd'
	expirySpace   = 'e'
)

// The engine's share of memory in bytes.
const (
	cacheSize    = 32 << 20
	memTableSize = 16 << 20
)

// stripes is how many locks guard the keys; a power of 2.
const stripes = 1024

// Engine is a [contextstore.Engine] in a folder. It must be closed, and not be
// used afterwards.
type Engine struct {
	db    *pebble.DB
	seed  maphash.Seed
	locks [stripes]sync.RWMutex
}

var _ contextstore.Engine = (*Engine)(nil)

// Open opens the folder, which it makes when it is missing, and recovers what a
// killed process left. One process at a time can have it open.
func Open(dir string, log *slog.Logger) (*Engine, error) {
	options := &pebble.Options{
		CacheSize: cacheSize, MemTableSize: memTableSize,
		FormatMajorVersion: pebble.FormatNewest, Logger: logger{log},
		FS: vfs.Default, // without the watch on slow disks, which outlives a failed Open
	}
	for i := range options.Levels { // most look-ups of a decision find nothing
		options.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	db, err := pebble.Open(dir, options)
	if err != nil {
		return nil, fmt.Errorf("open the context store in %q: %w", dir, err)
	}
	return &Engine{db: db, seed: maphash.MakeSeed()}, nil
}

// Close flushes and closes the folder.
func (e *Engine) Close() error {
	if err := e.db.Close(); err != nil {
		return fmt.Errorf("close the context store: %w", err)
	}
	return nil
}

// appendPrefix writes what the keys of a namespace have in common.
func appendPrefix(b []byte, account, namespace string) []byte {
	b = append(binary.AppendUvarint(b, uint64(len(account))), account...)
	return append(binary.AppendUvarint(b, uint64(len(namespace))), namespace...)
}

func documentKey(b []byte, account string, key contextstore.Key) []byte {
	b = appendPrefix(append(b, documentSpace), account, key.Namespace)
	return append(b, key.Session...)
}

// expiryKey is the index entry of a document key.
func expiryKey(expires int64, document []byte) []byte {
	b := make([]byte, 0, 9+len(document))
	b = binary.BigEndian.AppendUint64(append(b, expirySpace), uint64(expires)) //nolint:gosec // never negative
	return append(b, document[1:]...)
}

// getter is what a snapshot and the database have in common.
type getter interface {
	Get(key []byte) ([]byte, io.Closer, error)
}

// get returns a record, "" when there is none.
func get(from getter, key []byte) (string, error) {
	value, closer, err := from.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	record := string(value)
	return record, closer.Close()
}

// Read implements contextstore.Engine.
func (e *Engine) Read(ctx context.Context, account string, keys []contextstore.Key) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	records := make([]string, len(keys))
	snapshot := e.db.NewSnapshot()
	buffer := make([]byte, 0, 128)
	var err error
	for i := range keys {
		if records[i], err = get(snapshot, documentKey(buffer, account, keys[i])); err != nil {
			break
		}
	}
	if err := errors.Join(err, snapshot.Close()); err != nil {
		return nil, fmt.Errorf("read from the context store: %w", err)
	}
	return records, nil
}

// lock takes the locks of what a commit is about, in order, and returns how to
// let go. What is only verified is shared, so that writers of different documents
// in one namespace go on side by side and are synced together.
func (e *Engine) lock(keys [][]byte, mutations []contextstore.Mutation) (unlock func()) {
	wanted := map[int]bool{} // stripe -> exclusive
	for i, key := range keys {
		stripe := int(maphash.Bytes(e.seed, key) % stripes) //nolint:gosec // below 1024
		wanted[stripe] = wanted[stripe] || mutations[i].Op != contextstore.Verify
	}
	order := make([]int, 0, len(wanted))
	for stripe := range wanted {
		order = append(order, stripe)
	}
	slices.Sort(order)
	for _, stripe := range order {
		if wanted[stripe] {
			e.locks[stripe].Lock()
		} else {
			e.locks[stripe].RLock()
		}
	}
	return func() {
		for _, stripe := range order {
			if wanted[stripe] {
				e.locks[stripe].Unlock()
			} else {
				e.locks[stripe].RUnlock()
			}
		}
	}
}

// Commit implements contextstore.Engine.
func (e *Engine) Commit(ctx context.Context, account string, mutations []contextstore.Mutation) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	keys := make([][]byte, len(mutations))
	for i := range mutations {
		keys[i] = documentKey(nil, account, mutations[i].Key)
	}
	defer e.lock(keys, mutations)()
	batch := e.db.NewBatch()
	err := e.fill(batch, keys, mutations)
	if err == nil {
		err = batch.Commit(pebble.Sync)
	}
	if err := errors.Join(err, batch.Close()); err != nil {
		return fmt.Errorf("write to the context store: %w", err)
	}
	return nil
}

// fill holds the versions and puts the changes into the batch.
func (e *Engine) fill(batch *pebble.Batch, keys [][]byte, mutations []contextstore.Mutation) error {
	for i := range mutations {
		m := &mutations[i]
		old, err := get(e.db, keys[i])
		if err != nil {
			return err
		}
		if contextstore.RecordVersion(old) != m.Expect {
			return contextstore.ErrConflict
		}
		if m.Op == contextstore.Verify {
			continue
		}
		if old != "" {
			err = batch.Delete(expiryKey(contextstore.RecordExpiry(old), keys[i]), nil)
		}
		if m.Op == contextstore.Remove {
			err = errors.Join(err, batch.Delete(keys[i], nil))
		} else {
			expires := contextstore.RecordExpiry(string(m.Record[:contextstore.HeaderSize]))
			err = errors.Join(err, batch.Set(keys[i], m.Record, nil), batch.Set(expiryKey(expires, keys[i]), nil, nil))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Scan implements contextstore.Engine.
func (e *Engine) Scan(ctx context.Context, account, namespace, after string, limit int) ([]contextstore.Entry, error) {
	prefix := appendPrefix([]byte{documentSpace}, account, namespace)
	lower := prefix
	if after != "" { // the next key after it
		lower = append(slices.Concat(prefix, []byte(after)), 0)
	}
	it, err := e.db.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: lower, UpperBound: successor(prefix)})
	if err != nil {
		return nil, fmt.Errorf("scan the context store: %w", err)
	}
	var entries []contextstore.Entry
	size := 0
	for ok := it.First(); ok && len(entries) < limit && size < contextstore.ScanBytes && ctx.Err() == nil; ok = it.Next() {
		session := string(it.Key()[len(prefix):])
		entries = append(entries, contextstore.Entry{Session: session, Record: string(it.Value())})
		size += len(it.Value())
	}
	if err := errors.Join(it.Error(), it.Close(), ctx.Err()); err != nil {
		return nil, fmt.Errorf("scan the context store: %w", err)
	}
	return entries, nil
}

// successor is the first key after all that begin with the prefix, whose first
// byte is never the highest.
func successor(prefix []byte) []byte {
	end := slices.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] < 0xff {
			end[i]++
			return end[:i+1]
		}
	}
	return nil
}

// Drop implements contextstore.Engine.
func (e *Engine) Drop(ctx context.Context, account, namespace string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	prefix := appendPrefix([]byte{documentSpace}, account, namespace)
	own := documentKey(nil, account, contextstore.Key{Session: namespace})
	snapshot, err := e.drop(prefix, own)
	if err == nil {
		// The documents are gone. What points to them goes too, or, if this is
		// cut short, when it would have expired.
		err = e.forget(ctx, snapshot, prefix)
	}
	if snapshot != nil {
		err = errors.Join(err, snapshot.Close())
	}
	if err != nil {
		return fmt.Errorf("drop a namespace of the context store: %w", err)
	}
	return nil
}

// drop removes documents and record as one change and returns how it was before.
func (e *Engine) drop(prefix, own []byte) (*pebble.Snapshot, error) {
	// Whoever writes a document verifies the namespace's own record meanwhile.
	defer e.lock([][]byte{own}, []contextstore.Mutation{{Op: contextstore.Remove}})()
	snapshot := e.db.NewSnapshot()
	record, err := get(e.db, own)
	if err != nil {
		return snapshot, err
	}
	batch := e.db.NewBatch()
	err = errors.Join(batch.DeleteRange(prefix, successor(prefix), nil), batch.Delete(own, nil))
	if record != "" {
		err = errors.Join(err, batch.Delete(expiryKey(contextstore.RecordExpiry(record), own), nil))
	}
	if err == nil {
		err = batch.Commit(pebble.Sync)
	}
	return snapshot, errors.Join(err, batch.Close())
}

// forget removes the index entries of dropped documents.
func (e *Engine) forget(ctx context.Context, snapshot *pebble.Snapshot, prefix []byte) error {
	it, err := snapshot.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: prefix, UpperBound: successor(prefix)})
	if err != nil {
		return err
	}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		if err = ctx.Err(); err == nil {
			header := string(it.Value()[:contextstore.HeaderSize])
			_, err = e.expire(slices.Clone(it.Key()), contextstore.RecordExpiry(header), 0)
		}
	}
	return errors.Join(err, it.Error(), it.Close())
}

// expire removes an index entry, and the document when it is the one that was
// meant and it expired at or before now.
func (e *Engine) expire(document []byte, expires, now int64) (removed bool, err error) {
	defer e.lock([][]byte{document}, []contextstore.Mutation{{Op: contextstore.Remove}})()
	record, err := get(e.db, document)
	if err != nil {
		return false, err
	}
	current := record != "" && contextstore.RecordExpiry(record) == expires
	if current && expires > now {
		return false, nil // written anew with the same expiry
	}
	batch := e.db.NewBatch()
	err = batch.Delete(expiryKey(expires, document), nil)
	if current {
		err = errors.Join(err, batch.Delete(document, nil))
	}
	if err == nil {
		err = batch.Commit(pebble.NoSync) // a crash leaves it to the next sweep
	}
	return current && err == nil, errors.Join(err, batch.Close())
}

// Sweep implements contextstore.Engine.
func (e *Engine) Sweep(ctx context.Context, now int64, limit int) (removed int, more bool, err error) {
	upper := binary.BigEndian.AppendUint64([]byte{expirySpace}, uint64(now)+1) //nolint:gosec // a time of this age
	it, err := e.db.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: []byte{expirySpace}, UpperBound: upper})
	if err != nil {
		return 0, false, fmt.Errorf("sweep the context store: %w", err)
	}
	seen := 0
	for ok := it.First(); ok && err == nil && seen < limit; ok = it.Next() {
		seen++
		entry := it.Key()
		document := append([]byte{documentSpace}, entry[9:]...)
		expires := int64(binary.BigEndian.Uint64(entry[1:9])) //nolint:gosec // written from an int64
		gone := false
		if gone, err = e.expire(document, expires, now); gone {
			removed++
		}
		err = errors.Join(err, ctx.Err())
	}
	if err = errors.Join(err, it.Error(), it.Close()); err != nil {
		return removed, false, fmt.Errorf("sweep the context store: %w", err)
	}
	return removed, seen == limit, nil
}
