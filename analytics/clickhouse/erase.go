package clickhouse

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/usherhq/usher/analytics"
	"github.com/usherhq/usher/pipeline"
	"github.com/usherhq/usher/pipeline/event"
)

// erasedRows are the rows of one person.
type erasedRows struct {
	keys                               []uint64 // of decisions, repeated ones too
	decisions, conversations, sessions map[string]bool
	times                              []time.Time
}

func (e *erasedRows) note(decision, conversation string) {
	if e.decisions == nil {
		e.decisions, e.conversations, e.sessions = map[string]bool{}, map[string]bool{}, map[string]bool{}
	}
	e.decisions[decision] = true
	if conversation != "" {
		e.conversations[conversation] = true
	}
}

// Erase removes what the tables hold of a person: their decisions and all others of
// their conversations, the outcomes of both, and dead letters that carry one of those
// ids. Before the first row goes the hashes of the ids are written down, so that the
// writer drops what comes again; decisions go last, so that after a crash another call
// finds the rest. Once it returns nil no query answers with such a row; the disk is
// free of them when the engine has removed the parts it replaced, minutes later.
//
// found is told the hours and the models before the first row goes: no later call can
// find them. When it fails nothing is removed. It may be nil.
//
// Roll-ups still count the rows, see [DB.Recount]. A second call a while after the
// first catches what was under way.
func (db *DB) Erase(ctx context.Context, q analytics.Erasure, found func(analytics.Erased) error) (analytics.Erased, error) {
	fail := func(err error) (analytics.Erased, error) {
		return analytics.Erased{}, fmt.Errorf("erase a person of account %q: %w", q.Account, err)
	}
	person := []tombstone{{q.Account, analytics.ErasedPerson, q.Hash, q.Hash, q.Before}}
	if err := db.bury(ctx, person); err != nil {
		return fail(err)
	}
	rows, err := db.findErased(ctx, q)
	if err != nil {
		return fail(err)
	}
	stones, err := db.stonesOf(ctx, q, rows)
	if err != nil {
		return fail(err)
	}
	if err := db.bury(ctx, stones); err != nil {
		return fail(err)
	}
	done := analytics.Erased{Decisions: uint64(len(rows.decisions)), Hours: hoursOf(rows.times)}
	if done.Models, err = db.modelsOver(ctx, q.Account, rows.times); err != nil {
		return fail(err)
	}
	if found != nil {
		if err := found(done); err != nil {
			return fail(err)
		}
	}
	if done.Outcomes, err = db.eraseOutcomes(ctx, q.Account, rows); err != nil {
		return fail(err)
	}
	if done.DeadLetters, err = db.eraseLetters(ctx, q, append(stones, person...)); err != nil {
		return fail(err)
	}
	if err := db.deleteRows(ctx, "decisions", rows.keys); err != nil {
		return fail(err)
	}
	return done, nil
}

func (db *DB) findErased(ctx context.Context, q analytics.Erasure) (*erasedRows, error) {
	s, err := db.seal(ctx)
	if err != nil {
		return nil, err
	}
	found := &erasedRows{}
	args := append(s.args(), ch.Named("account", q.Account), ch.Named("hash", q.Hash), ch.Named("before", q.Before.UnixMilli()))
	err = db.readWithin(ctx, mutationTimeout, "erased_decisions", nil, args, func(rows driver.Rows) error {
		var key uint64
		var decision, conversation, session string
		var at time.Time
		if err := rows.Scan(&key, &decision, &conversation, &session, &at); err != nil {
			return err
		}
		found.note(decision, conversation)
		found.keys, found.times = append(found.keys, key), append(found.times, at.UTC())
		if session != "" {
			found.sessions[session] = true
		}
		return nil
	})
	return found, err
}

// stonesOf names everything that was found, but for sessions that others are in too.
func (db *DB) stonesOf(ctx context.Context, q analytics.Erasure, found *erasedRows) ([]tombstone, error) {
	s, err := db.seal(ctx)
	if err != nil {
		return nil, err
	}
	if err := db.dropShared(ctx, q.Account, found); err != nil {
		return nil, err
	}
	var stones []tombstone
	for kind, ids := range map[string]map[string]bool{
		analytics.ErasedDecision: found.decisions, analytics.ErasedConversation: found.conversations, analytics.ErasedSession: found.sessions,
	} {
		for _, id := range sortedKeys(ids) {
			stones = append(stones, tombstone{q.Account, kind, s.hash(id), q.Hash, q.Before})
		}
	}
	return stones, nil
}

func (db *DB) dropShared(ctx context.Context, account string, found *erasedRows) error {
	if len(found.sessions) == 0 {
		return nil
	}
	sessions, err := textTable("sessions_wanted", sortedKeys(found.sessions))
	if err != nil {
		return err
	}
	decisions, err := textTable("decisions_wanted", sortedKeys(found.decisions))
	if err != nil {
		return err
	}
	ctx = ch.Context(ctx, ch.WithExternalTable(sessions, decisions))
	return db.read(ctx, "shared_sessions", nil, []any{ch.Named("account", account)}, func(rows driver.Rows) error {
		var session string
		err := rows.Scan(&session)
		delete(found.sessions, session)
		return err
	})
}

// eraseOutcomes removes the outcomes of the decisions and conversations.
func (db *DB) eraseOutcomes(ctx context.Context, account string, found *erasedRows) (uint64, error) {
	if len(found.decisions) == 0 {
		return 0, nil
	}
	decisions, err := textTable("decisions_wanted", sortedKeys(found.decisions))
	if err != nil {
		return 0, err
	}
	conversations, err := textTable("conversations_wanted", sortedKeys(found.conversations))
	if err != nil {
		return 0, err
	}
	keys := map[uint64]bool{}
	ctx2 := ch.Context(ctx, ch.WithExternalTable(decisions, conversations))
	err = db.readWithin(ctx2, mutationTimeout, "erased_outcomes", nil, []any{ch.Named("account", account)}, func(rows driver.Rows) error {
		var key uint64
		err := rows.Scan(&key)
		keys[key] = true
		return err
	})
	if err != nil {
		return 0, err
	}
	return uint64(len(keys)), db.deleteRows(ctx, "outcomes", slices.Collect(maps.Keys(keys)))
}

// eraseLetters removes the dead letters of the account, and of no known account,
// that carry one of the ids.
func (db *DB) eraseLetters(ctx context.Context, q analytics.Erasure, stones []tombstone) (uint64, error) {
	s, err := db.seal(ctx)
	if err != nil {
		return 0, err
	}
	g := &graves{seal: s, hashes: map[string]string{}, stones: map[[3]string]tombstone{}, anywhere: map[string]bool{}}
	for _, stone := range stones {
		if stone.kind != analytics.ErasedSession {
			g.add(stone)
		}
	}
	var keys []uint64
	for _, account := range slices.Compact([]string{q.Account, ""}) {
		for d, err := range db.DeadLetters(ctx, analytics.DeadLetterQuery{Account: account}) {
			if err != nil {
				return 0, err
			}
			row := letterRow(&d)
			for _, id := range carried(&d) {
				g.hashes[id] = s.hash(id)
			}
			if g.ofLetter(&row) {
				keys = append(keys, row.key)
			}
			clear(g.hashes)
		}
	}
	return uint64(len(keys)), db.deleteRows(ctx, "dead_letters", keys)
}

// letterRow is a dead letter that was read, with its key.
func letterRow(d *event.DeadLetter) deadRow {
	s := shelf{block: &pipeline.Block{}}
	s.addDead(d)
	return s.dead[0]
}

// keysAtOnce bounds the text of one removal.
const keysAtOnce = 5_000

// deleteRows removes all rows of the events with the keys.
func (db *DB) deleteRows(ctx context.Context, table string, keys []uint64) error {
	slices.Sort(keys)
	for chunk := range slices.Chunk(slices.Compact(keys), keysAtOnce) {
		if err := db.mutate(ctx, table, "DELETE WHERE event_key IN ("+joined(chunk)+")"); err != nil {
			return err
		}
	}
	return nil
}

func joined[N uint64 | int64](numbers []N) string {
	texts := make([]string, len(numbers))
	for i, n := range numbers {
		texts[i] = fmt.Sprint(n)
	}
	return strings.Join(texts, ",")
}

func hoursOf(times []time.Time) []time.Time {
	hours := make([]time.Time, len(times))
	for i, t := range times {
		hours[i] = t.UTC().Truncate(time.Hour)
	}
	slices.SortFunc(hours, time.Time.Compare)
	return slices.CompactFunc(hours, time.Time.Equal)
}

// Recount makes the roll-ups of the hours, which must be in order, what a recount
// of the raw rows gives. Unlike the roller it also takes away what nothing is left of.
func (db *DB) Recount(ctx context.Context, account string, hours []time.Time) error {
	if len(hours) == 0 {
		return nil
	}
	r, err := NewRoller(db, DefaultRollerConfig(), RollerDeps{})
	if err != nil {
		return err
	}
	days := map[int64]bool{}
	for _, hour := range hours {
		days[hour.Truncate(24*time.Hour).Unix()] = true
	}
	literal := "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(account) + "'"
	for table, periods := range map[string][]int64{"hour": unix(hours), "day": slices.Collect(maps.Keys(days))} {
		change := "DELETE WHERE account = " + literal + " AND toUnixTimestamp(" + table + ") IN (" + joined(periods) + ")"
		if err := db.mutate(ctx, "rollup_"+table+"_rows", change); err != nil {
			return fmt.Errorf("recount account %q: %w", account, err)
		}
	}
	if err := r.rollAccount(ctx, account, hours, time.Now().UTC()); err != nil {
		return fmt.Errorf("recount account %q: %w", account, err)
	}
	return nil
}

// modelsOver lists the models whose training time holds one of the times. One whose
// card does not say counts when it was made after the first of them.
func (db *DB) modelsOver(ctx context.Context, account string, times []time.Time) ([]string, error) {
	if len(times) == 0 {
		return nil, nil
	}
	cards, err := db.Cards(ctx, account, 0)
	if err != nil {
		return nil, err
	}
	var over []string
	for _, m := range cards {
		var card struct {
			From time.Time `json:"train_from"`
			To   time.Time `json:"train_to"`
		}
		if err := json.Unmarshal(m.Card, &card); err != nil || card.To.IsZero() {
			card.From, card.To = time.Time{}, m.CreatedAt
		}
		if slices.ContainsFunc(times, func(t time.Time) bool { return !t.Before(card.From.Truncate(time.Millisecond)) && !t.After(card.To) }) {
			over = append(over, m.Version)
		}
	}
	return over, nil
}
