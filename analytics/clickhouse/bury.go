package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/usherhq/usher/analytics"
)

// doomed are rows of a shelf whose person was erased.
type doomed struct {
	decisions []decisionRow
	outcomes  []outcomeRow
	dead      []deadRow
}

// part takes the rows that belong to the erased off the shelf. A decision that only
// its person gives away names a conversation that must be known from now on: fresh has
// tombstones for those, which count here already.
func (s *shelf) part(g *graves) (out doomed, fresh []tombstone) {
	s.decisions = slices.DeleteFunc(s.decisions, func(d decisionRow) bool {
		stone, gone := g.ofDecision(&d)
		if !gone {
			return false
		}
		out.decisions = append(out.decisions, d)
		fresh = append(fresh, g.extend(stone, &d)...)
		return true
	})
	s.outcomes = slices.DeleteFunc(s.outcomes, func(o outcomeRow) bool {
		_, decision := g.has(o.Account, analytics.ErasedDecision, o.DecisionID, o.Time)
		_, conversation := g.has(o.Account, analytics.ErasedConversation, o.ConversationID, o.Time)
		if decision || conversation {
			out.outcomes = append(out.outcomes, o)
		}
		return decision || conversation
	})
	s.dead = slices.DeleteFunc(s.dead, func(d deadRow) bool {
		gone := g.ofLetter(&d)
		if gone {
			out.dead = append(out.dead, d)
		}
		return gone
	})
	return out, fresh
}

func (g *graves) ofDecision(d *decisionRow) (tombstone, bool) {
	for _, one := range [4][2]string{
		{analytics.ErasedDecision, d.ID},
		{analytics.ErasedConversation, d.ConversationID},
		{analytics.ErasedPerson, d.ConsumerID},
		{analytics.ErasedPerson, d.VisitorID},
	} {
		if stone, gone := g.has(d.Account, one[0], one[1], d.Time); gone {
			return stone, true
		}
	}
	return tombstone{}, false
}

// extend makes tombstones of what a buried decision names and nobody knows yet.
func (g *graves) extend(of tombstone, d *decisionRow) (fresh []tombstone) {
	for _, one := range [2][2]string{{analytics.ErasedDecision, d.ID}, {analytics.ErasedConversation, d.ConversationID}} {
		if _, known := g.has(d.Account, one[0], one[1], d.Time); known || one[1] == "" {
			continue
		}
		stone := tombstone{d.Account, one[0], g.hashes[one[1]], of.person, of.before}
		g.add(stone)
		fresh = append(fresh, stone)
	}
	return fresh
}

func (g *graves) ofLetter(d *deadRow) bool {
	for _, id := range carried(d.DeadLetter) {
		if d.Account == "" && g.anywhere[g.hashes[id]] {
			return true
		}
		for _, kind := range []string{analytics.ErasedPerson, analytics.ErasedConversation, analytics.ErasedDecision} {
			if _, gone := g.has(d.Account, kind, id, d.Time); gone {
				return true
			}
		}
	}
	return false
}

// ids are all those on the shelf that an erasure may have named.
func (s *shelf) ids() map[string]bool {
	ids := map[string]bool{}
	for i := range s.decisions {
		d := &s.decisions[i]
		ids[d.ID], ids[d.ConversationID], ids[d.ConsumerID], ids[d.VisitorID] = true, true, true, true
	}
	for i := range s.outcomes {
		ids[s.outcomes[i].DecisionID], ids[s.outcomes[i].ConversationID] = true, true
	}
	for i := range s.dead {
		for _, id := range carried(s.dead[i].DeadLetter) {
			ids[id] = true
		}
	}
	delete(ids, "")
	return ids
}

// holdsPeople tells whether erasures can concern the shelf.
func (s *shelf) holdsPeople() bool { return len(s.decisions)+len(s.outcomes)+len(s.dead) > 0 }

// siftErased takes rows of erased people off the shelf before they are stored, and
// returns the state of the tombstones that it went by.
func (w *Writer) siftErased(ctx context.Context, s *shelf) (yard, error) {
	if !s.holdsPeople() {
		return yard{}, nil
	}
	seen, err := w.db.yard(ctx)
	if err != nil || seen.stones == 0 {
		return seen, err
	}
	_, err = w.sift(ctx, s)
	return seen, err
}

// sift parts the shelf by the tombstones that there are now.
func (w *Writer) sift(ctx context.Context, s *shelf) (doomed, error) {
	g, err := w.db.dig(ctx, s.ids())
	if err != nil {
		return doomed{}, err
	}
	out, fresh := s.part(g)
	if len(fresh) == 0 {
		return out, nil
	}
	if err := w.db.bury(ctx, fresh); err != nil {
		return doomed{}, err
	}
	// Outcomes may have come before the decision that says whose they are.
	return out, w.eraseEarlier(ctx, out.decisions)
}

func (w *Writer) eraseEarlier(ctx context.Context, decisions []decisionRow) error {
	byAccount := map[string]*erasedRows{}
	for i := range decisions {
		d := &decisions[i]
		if byAccount[d.Account] == nil {
			byAccount[d.Account] = &erasedRows{}
		}
		byAccount[d.Account].note(d.ID, d.ConversationID)
	}
	for account, found := range byAccount {
		if _, err := w.db.eraseOutcomes(ctx, account, found); err != nil {
			return err
		}
	}
	return nil
}

// eraseLate removes again what was stored while an erasure began: it may have looked
// before the rows were there, and its tombstones came after ours were read.
func (w *Writer) eraseLate(ctx context.Context, s *shelf, seen yard) error {
	if !s.holdsPeople() {
		return nil
	}
	now, err := w.db.yard(ctx)
	if err != nil || now == seen {
		return err
	}
	out, err := w.sift(ctx, s)
	if err != nil {
		return err
	}
	return errors.Join(
		w.db.deleteRows(ctx, "decisions", keysOf(pointers(out.decisions))),
		w.db.deleteRows(ctx, "outcomes", keysOf(pointers(out.outcomes))),
		w.db.deleteRows(ctx, "dead_letters", keysOf(pointers(out.dead))))
}

func keysOf[R row](rows []R) []uint64 {
	keys := make([]uint64, len(rows))
	for i, r := range rows {
		keys[i] = r.at().key
	}
	return keys
}

// mutationTimeout bounds a removal, which rewrites every part that has such rows.
const mutationTimeout = 10 * time.Minute

// mutate changes rows in place and returns when every replica has.
func (db *DB) mutate(ctx context.Context, table, change string) error {
	if db.cfg.Cluster != "" {
		table += "_local ON CLUSTER " + db.cfg.Cluster
	}
	ctx, cancel := db.deadline(ctx, mutationTimeout, map[string]any{"mutations_sync": 2})
	defer cancel()
	if err := db.conn.Exec(ctx, "ALTER TABLE "+table+" "+change); err != nil {
		return fmt.Errorf("remove rows of %s: %w", table, err)
	}
	return nil
}
