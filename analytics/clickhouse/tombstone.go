package clickhouse

import (
	"context"
	"fmt"
	"slices"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/usherhq/usher/analytics"
)

// tombstone is one id that was erased, by its hash.
type tombstone struct {
	account, kind, hash, person string
	before                      time.Time // of a person: their decisions up to here
}

// bury writes tombstones. It returns when the writer of any process finds them.
func (db *DB) bury(ctx context.Context, stones []tombstone) error {
	for chunk := range slices.Chunk(stones, 50_000) {
		if err := db.buryChunk(ctx, chunk); err != nil {
			return fmt.Errorf("write %d tombstones: %w", len(chunk), err)
		}
	}
	return nil
}

func (db *DB) buryChunk(ctx context.Context, stones []tombstone) (err error) {
	ctx, cancel := db.deadline(ctx, db.cfg.InsertTimeout, nil)
	defer cancel()
	batch, err := db.conn.PrepareBatch(ctx, "INSERT INTO tombstones (account, hash, kind, person, before_time, at)")
	if err != nil {
		return err
	}
	defer func() {
		if e := batch.Close(); err == nil {
			err = e
		}
	}()
	now := time.Now().UTC()
	for _, t := range stones {
		if err := batch.Append(t.account, t.hash, t.kind, t.person, t.before.UTC(), now); err != nil {
			return err
		}
	}
	return batch.Send()
}

// ErasedIDs returns the hashes of what the erasures of a person removed, by kind.
func (db *DB) ErasedIDs(ctx context.Context, account, person string) (analytics.ErasedIDs, error) {
	ids := analytics.ErasedIDs{}
	args := []any{ch.Named("account", account), ch.Named("person", person)}
	err := db.read(ctx, "erased_sessions", nil, args, func(rows driver.Rows) error {
		var kind, hash string
		if err := rows.Scan(&kind, &hash); err != nil {
			return err
		}
		if ids[kind] == nil {
			ids[kind] = map[string]bool{}
		}
		ids[kind][hash] = true
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read what was erased of account %q: %w", account, err)
	}
	return ids, nil
}

// yard is the state of the tombstones: it differs once there are new ones.
type yard struct {
	stones uint64
	newest time.Time
}

func (db *DB) yard(ctx context.Context) (yard, error) {
	ctx, cancel := db.deadline(ctx, db.cfg.QueryTimeout, nil)
	defer cancel()
	var y yard
	err := db.conn.QueryRow(ctx, "SELECT count(), max(at) FROM tombstones").Scan(&y.stones, &y.newest)
	if err != nil {
		return yard{}, fmt.Errorf("look for tombstones: %w", err)
	}
	return y, nil
}

// graves are the tombstones of the ids of one block.
type graves struct {
	seal   *seal
	hashes map[string]string // id -> hash
	stones map[[3]string]tombstone
	// anywhere are the hashes that have a tombstone in some account: events whose
	// account nobody knows are held against these.
	anywhere map[string]bool
}

// dig finds the tombstones of the ids.
func (db *DB) dig(ctx context.Context, ids map[string]bool) (*graves, error) {
	s, err := db.seal(ctx)
	if err != nil {
		return nil, err
	}
	g := &graves{seal: s, hashes: map[string]string{}, stones: map[[3]string]tombstone{}, anywhere: map[string]bool{}}
	hashes := make([]string, 0, len(ids))
	for id := range ids {
		g.hashes[id] = s.hash(id)
		hashes = append(hashes, g.hashes[id])
	}
	ctx, cancel := db.deadline(ctx, db.cfg.QueryTimeout, nil)
	defer cancel()
	wanted, err := textTable("wanted", hashes)
	if err != nil {
		return nil, err
	}
	rows, err := db.conn.Query(ch.Context(ctx, ch.WithExternalTable(wanted)),
		"SELECT account, kind, hash, person, max(before_time) FROM tombstones WHERE hash IN wanted GROUP BY account, kind, hash, person")
	if err != nil {
		return nil, fmt.Errorf("look for tombstones: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var t tombstone
		if err := rows.Scan(&t.account, &t.kind, &t.hash, &t.person, &t.before); err != nil {
			return nil, fmt.Errorf("look for tombstones: %w", err)
		}
		g.add(t)
	}
	return g, rows.Err()
}

func (g *graves) add(t tombstone) {
	g.stones[[3]string{t.account, t.kind, t.hash}] = t
	g.anywhere[t.hash] = true
}

// has finds the tombstone of an id. A person's counts up to its time.
func (g *graves) has(account, kind, id string, at time.Time) (tombstone, bool) {
	if id == "" {
		return tombstone{}, false
	}
	t, ok := g.stones[[3]string{account, kind, g.hashes[id]}]
	return t, ok && (kind != analytics.ErasedPerson || !at.After(t.before))
}

// textTable is an external table of one column of texts named value.
func textTable(name string, values []string) (*ext.Table, error) {
	t, err := ext.NewTable(name, ext.Column("value", "String"))
	if err != nil {
		return nil, err
	}
	for _, v := range values {
		if err := t.Append(v); err != nil {
			return nil, err
		}
	}
	return t, nil
}
