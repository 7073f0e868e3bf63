package trainer

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/usherhq/usher/model"
)

// mark identifies a row that was learned, and what it said.
type mark struct {
	id, content uint64
}

// batch is the rows of one fit in the one order.
type batch struct {
	rows  []*Row
	marks []mark // of rows

	maturity float64 // mean share of outcomes that come within the rows' age
	profile  *profile
	shares   map[string]float64 // of rows with each attribute
	uses     []model.AttributeUse
	ignored  map[string]bool
}

// look finds out what there is to say of the attributes.
func (b *batch) look() {
	b.profile = profileOf(b.rows)
	b.shares = b.coverage()
	b.uses = b.profile.uses(b.shares)
	b.ignored = ignored(b.uses)
}

// readRows takes in everything that q picks, drops rows that cannot be learned
// from, keeps one row per decision and orders them.
func readRows(ctx context.Context, source RowSource, q Query) (*batch, error) {
	b := &batch{}
	err := source.TrainingRows(ctx, q, func(r *Row) error {
		if !(r.Propensity > 0) {
			r.Propensity = 0 // NaN included: nobody knows it
		}
		if r.ID != "" && r.Chosen != "" && !math.IsNaN(r.Reward) && !math.IsInf(r.Reward, 0) {
			b.rows = append(b.rows, r)
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("read training rows of account %q: %w", q.Account, err)
	}
	// A source under a running merge may show a decision twice: the row that
	// knows the latest outcome counts.
	slices.SortFunc(b.rows, func(x, y *Row) int {
		return cmp.Or(x.Time.Compare(y.Time), cmp.Compare(x.ID, y.ID), y.Watermark.Compare(x.Watermark))
	})
	b.rows = slices.CompactFunc(b.rows, func(x, y *Row) bool { return x.ID == y.ID })
	if over := len(b.rows) - q.Limit; over > 0 {
		b.rows = b.rows[over:]
	}
	b.marks = make([]mark, len(b.rows))
	for i, r := range b.rows {
		b.marks[i] = markOf(r)
	}
	b.look()
	return b, nil
}

// markOf sums up what a row teaches. Facts and options are as logged and never
// change; the rest may with later outcomes.
func markOf(r *Row) mark {
	var buf [32]byte
	binary.LittleEndian.PutUint64(buf[0:], math.Float64bits(r.Reward))
	binary.LittleEndian.PutUint64(buf[8:], math.Float64bits(r.Propensity))
	binary.LittleEndian.PutUint64(buf[16:], xxhash.Sum64String(r.Chosen))
	binary.LittleEndian.PutUint64(buf[24:], math.Float64bits(r.Weight))
	return mark{id: xxhash.Sum64String(r.ID), content: xxhash.Sum64(buf[:])}
}

// watermark is the newest outcome that the rows know of.
func (b *batch) watermark() (newest time.Time) {
	for _, r := range b.rows {
		if r.Watermark.After(newest) {
			newest = r.Watermark
		}
	}
	return newest
}

// maxCovered bounds the attribute names on a card.
const maxCovered = 200

// coverage is the share of rows with each attribute, for the most common ones.
func (b *batch) coverage() map[string]float64 {
	counts := map[string]int{}
	for _, r := range b.rows {
		for name := range r.Facts.Attributes {
			counts[name]++
		}
		for _, f := range []struct{ name, value string }{
			{"channel", r.Facts.Channel}, {"intent", r.Facts.Intent}, {"baseline", r.Facts.Baseline},
		} {
			if _, shadowed := r.Facts.Attributes[f.name]; f.value != "" && !shadowed {
				counts[f.name]++
			}
		}
	}
	names := make([]string, 0, len(counts))
	for name := range counts {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(counts[b]-counts[a], cmp.Compare(a, b)) })
	out := map[string]float64{}
	for _, name := range names[:min(len(names), maxCovered)] {
		out[name] = float64(counts[name]) / float64(len(b.rows))
	}
	return out
}
