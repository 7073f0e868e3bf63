package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/usherhq/usher/pipeline"
)

// Writer stores blocks of the log, each event once. It is safe for concurrent
// use, one call per partition at a time.
//
// Four nets, one below the other, keep an event (account, source, id) one row:
// repeats inside a block are dropped; while a block is written its events are
// claimed within this process; events that the tables already hold are dropped,
// whatever partition, block or process brought them; and an insert carries a
// token, so that one whose answer was lost is not stored again. What two processes
// insert in the same instant is merged by ReplacingMergeTree, and every reader
// reads FINAL.
//
// What belongs to a person who was erased is dropped, see [DB.Erase]: tombstones are
// looked at before rows are stored and once more after.
type Writer struct {
	db      *DB
	now     clock
	metrics *writerMetrics

	decisions, outcomes, skills, config, dead claims
}

var _ pipeline.Sink = (*Writer)(nil)

// NewWriter makes a writer over a migrated database. The clock stamps the rows'
// ingest time; nil means the system's. A nil registerer registers nothing.
func NewWriter(db *DB, now func() time.Time, reg prometheus.Registerer) *Writer {
	if now == nil {
		now = time.Now
	}
	return &Writer{db: db, now: now, metrics: newWriterMetrics(reg)}
}

// Next implements [pipeline.Sink]. It goes by the block that was written last:
// when a topic was made anew, its offsets start again and the greatest one known
// would skip events.
func (w *Writer) Next(ctx context.Context, topic string, partition int) (int64, error) {
	ctx, cancel := w.db.deadline(ctx, w.db.cfg.QueryTimeout, nil)
	defer cancel()
	var blocks uint64
	var last int64
	row := w.db.conn.QueryRow(ctx, "SELECT count(), argMax(last_offset, written_at) FROM ingest_offsets "+
		"WHERE topic = {topic:String} AND partition = {partition:Int32}",
		ch.Named("topic", topic), ch.Named("partition", partition))
	if err := row.Scan(&blocks, &last); err != nil {
		return 0, fmt.Errorf("read the stored offset of %s/%d: %w", topic, partition, err)
	}
	if blocks == 0 {
		return -1, nil
	}
	return last + 1, nil
}

// Write implements [pipeline.Sink]. It makes one attempt; after an error the rows
// may be stored in part, and writing the same events again, in blocks of any
// boundaries, stores the rest.
func (w *Writer) Write(ctx context.Context, b *pipeline.Block) error {
	begun := time.Now()
	s := newShelf(b, w.now())
	seen, err := w.siftErased(ctx, s)
	if err != nil {
		w.metrics.failures.Inc()
		return fmt.Errorf("store block %s/%d %d-%d: %w", b.Topic, b.Partition, b.First, b.Last, err)
	}
	err = errors.Join(
		store(ctx, w, &w.decisions, decisionTable(b.Topic), b, pointers(s.decisions)),
		store(ctx, w, &w.outcomes, outcomeTable(b.Topic), b, pointers(s.outcomes)),
		store(ctx, w, &w.skills, skillTable(b.Topic), b, pointers(s.skills)),
		store(ctx, w, &w.config, configTable(b.Topic), b, pointers(s.config)),
		store(ctx, w, &w.dead, deadTable(), b, pointers(s.dead)),
	)
	if err == nil {
		err = w.eraseLate(ctx, s, seen)
	}
	if err == nil {
		err = w.mark(ctx, b)
	}
	if err != nil {
		w.metrics.failures.Inc()
		return fmt.Errorf("store block %s/%d %d-%d: %w", b.Topic, b.Partition, b.First, b.Last, err)
	}
	w.metrics.seconds.Observe(time.Since(begun).Seconds())
	return nil
}

// mark writes down how far the partition is stored, by the server's clock.
func (w *Writer) mark(ctx context.Context, b *pipeline.Block) error {
	return w.db.exec(ctx, "INSERT INTO ingest_offsets (topic, partition, first_offset, last_offset, rows, written_at) "+
		"SELECT {topic:String}, {partition:Int32}, {first:Int64}, {last:Int64}, {rows:UInt64}, now64(6)",
		ch.Named("topic", b.Topic), ch.Named("partition", b.Partition),
		ch.Named("first", b.First), ch.Named("last", b.Last), ch.Named("rows", b.Rows()))
}

func pointers[T any](rows []T) []*T {
	out := make([]*T, len(rows))
	for i := range rows {
		out[i] = &rows[i]
	}
	return out
}

// store inserts the rows that the table does not hold yet.
func store[R row](ctx context.Context, w *Writer, c *claims, t table[R], b *pipeline.Block, rows []R) error {
	if len(rows) == 0 {
		return nil
	}
	rows, keys := distinct(rows)
	release, err := c.take(ctx, keys)
	if err != nil {
		return fmt.Errorf("claim events for %s: %w", t.name, err)
	}
	defer release()
	fresh, err := missing(ctx, w.db, t, rows, keys)
	if err != nil {
		return err
	}
	w.metrics.duplicates.WithLabelValues(t.name).Add(float64(len(rows) - len(fresh)))
	stored := len(fresh)
	// The server writes a token down before it keeps the rows: one that is killed
	// in between takes the repetition for a duplicate and drops it. So what the
	// table holds is looked at again, and a second attempt has a token of its own.
	for attempt := 0; len(fresh) > 0; attempt++ {
		if attempt == maxAttempts {
			return fmt.Errorf("insert %d rows into %s: the server accepts them and does not keep them", len(fresh), t.name)
		}
		if err := insert(ctx, w.db, t, token(b, t.name, attempt, fresh), fresh); err != nil {
			return fmt.Errorf("insert %d rows into %s: %w", len(fresh), t.name, err)
		}
		if fresh, err = missing(ctx, w.db, t, fresh, nil); err != nil {
			return err
		}
	}
	w.metrics.rows.WithLabelValues(t.name).Add(float64(stored))
	return nil
}

// maxAttempts bounds how often rows that the server drops are sent within one
// write; the caller tries again later.
const maxAttempts = 3

// missing returns the rows whose events the table does not hold. keys are theirs,
// made when nil.
func missing[R row](ctx context.Context, db *DB, t table[R], rows []R, keys []uint64) ([]R, error) {
	for i := len(keys); i < len(rows); i++ {
		keys = append(keys, rows[i].at().key)
	}
	known, err := lookUp(ctx, db, t, keys)
	if err != nil {
		return nil, fmt.Errorf("look for stored events in %s: %w", t.name, err)
	}
	fresh := rows[:0:0]
	for _, r := range rows {
		if !known[r.at().identity] {
			fresh = append(fresh, r)
		}
	}
	return fresh, nil
}

// distinct drops all but the first row of each event.
func distinct[R row](rows []R) (kept []R, keys []uint64) {
	seen := make(map[string]struct{}, len(rows))
	kept = make([]R, 0, len(rows))
	keys = make([]uint64, 0, len(rows))
	for _, r := range rows {
		p := r.at()
		if _, ok := seen[p.identity]; !ok {
			seen[p.identity] = struct{}{}
			kept, keys = append(kept, r), append(keys, p.key)
		}
	}
	return kept, keys
}

// lookUp returns the identities among those with the given keys that the table
// holds. Keys can collide, identities cannot.
func lookUp[R row](ctx context.Context, db *DB, t table[R], keys []uint64) (known map[string]bool, err error) {
	wanted, err := ext.NewTable("wanted", ext.Column("key", "UInt64"))
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		if err := wanted.Append(key); err != nil {
			return nil, err
		}
	}
	ctx, cancel := db.deadline(ctx, db.cfg.QueryTimeout, nil)
	defer cancel()
	ctx = ch.Context(ctx, ch.WithExternalTable(wanted))
	rows, err := db.conn.Query(ctx, "SELECT "+t.identity+" FROM "+t.name+" PREWHERE event_key IN wanted")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	known = map[string]bool{}
	for rows.Next() {
		var identity string
		if err := rows.Scan(&identity); err != nil {
			return nil, err
		}
		known[identity] = true
	}
	return known, rows.Err()
}

// token names an insert. The server trusts tokens blindly, so it covers the very
// rows and not the block's offsets alone: what is left of a block to insert
// depends on what an earlier attempt has stored.
func token[R row](b *pipeline.Block, table string, attempt int, rows []R) string {
	h := fnv.New128a()
	for _, r := range rows {
		// A hash never returns an error.
		_, _ = h.Write(append([]byte(r.at().identity), 0, 0))
	}
	return fmt.Sprintf("%s/%d/%d-%d/%s/%x/%d", b.Topic, b.Partition, b.First, b.Last, table, h.Sum(nil), attempt)
}

// insert sends the rows as one block.
func insert[R row](ctx context.Context, db *DB, t table[R], token string, rows []R) (err error) {
	ctx, cancel := db.deadline(ctx, db.cfg.InsertTimeout, ch.Settings{"insert_deduplication_token": token})
	defer cancel()
	batch, err := db.conn.PrepareBatch(ctx, t.statement())
	if err != nil {
		return err
	}
	// A batch that is not closed keeps its connection for ever.
	defer func() { err = errors.Join(err, batch.Close()) }()
	for i, c := range t.columns {
		if err := batch.Column(i).Append(c.fill(rows)); err != nil {
			return fmt.Errorf("column %s: %w", c.name, err)
		}
	}
	return batch.Send()
}

func (t table[R]) statement() string {
	names := make([]byte, 0, 1024)
	for i, c := range t.columns {
		if i > 0 {
			names = append(names, ", "...)
		}
		names = append(names, '`')
		names = append(names, c.name...)
		names = append(names, '`')
	}
	return "INSERT INTO " + t.name + " (" + string(names) + ")"
}
