package ladder_test

import (
	"context"
	"iter"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/control"
	"github.com/usherhq/usher/decision/ladder"
)

// told is evidence that a test makes up, in conversations of some rows each.
type told struct {
	site
	rows  []ladder.Row // by conversation
	each  int
	asked []ladder.Query
}

func (e *told) LadderRows(_ context.Context, q ladder.Query) iter.Seq2[ladder.Row, error] {
	e.asked = append(e.asked, q)
	return func(yield func(ladder.Row, error) bool) {
		for _, r := range e.rows {
			n := e.each
			if q.Conversations {
				n = 1
			}
			for range n {
				if !yield(r, nil) {
					return
				}
			}
		}
	}
}

// breached watches a scope while conversations come, and says whether it was set back.
func breached(t *testing.T, e *told, conversations, every int, next func(i int) ladder.Row) bool {
	t.Helper()
	s := open(t, nil)
	m := control.Mode{Scope: decision.ScopeAccount, Kind: decision.ModeCompare, Share: 0.5, Guardrails: []control.Guardrail{{Metric: "reward", MaxDrop: 0.03}}}
	if _, err := s.control.SetMode(t.Context(), account, m, ann); err != nil {
		t.Fatal(err)
	}
	l, err := ladder.New(ladder.DefaultConfig(), ladder.Deps{Control: s.control, Evidence: e, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	for i := range conversations {
		e.rows = append(e.rows, next(i))
		if i%every != every-1 {
			continue
		}
		if err := l.Watch(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s.mode().Kind == decision.ModeShadow {
			return true
		}
	}
	return false
}

// coin is a row of a side that the lot gives share to, with a reward of 1 at a chance.
func coin(r *rand.Rand, share, chance float64) ladder.Row {
	row := ladder.Row{Side: ladder.SidePolicy}
	if r.Float64() < share {
		row.Side = ladder.SideModel
	}
	if r.Float64() < chance {
		row.Value = 1
	}
	return row
}

// Twenty decisions of one conversation that share what came of it are one value.
func TestAConversationCountsOnce(t *testing.T) {
	wrong := 0
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 1))
		if breached(t, &told{each: 20}, 600, 50, func(int) ladder.Row { return coin(r, 0.5, 0.5) }) {
			wrong++
		}
	}
	if wrong > 3 {
		t.Errorf("%d of 30 sound scopes were set back", wrong)
	}
}

// When times get worse for both sides alike the model is not to blame, though its side
// is small and notices later.
func TestASharedFallIsNoBreach(t *testing.T) {
	wrong := 0
	const n = 20_000
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 2))
		if breached(t, &told{each: 1}, n, 500, func(i int) ladder.Row {
			if i < n/2 {
				return coin(r, 0.02, 0.8)
			}
			return coin(r, 0.02, 0.2)
		}) {
			wrong++
		}
	}
	t.Logf("%d of 20", wrong)
	if wrong > 1 {
		t.Errorf("%d of 20 scopes were set back", wrong)
	}
}

// A kind is counted, with 0 for silence, unless its range says that silence has no value.
func TestAKindIsCountedUnlessRated(t *testing.T) {
	for _, c := range []struct {
		guardrail control.Guardrail
		rated     bool
	}{
		{control.Guardrail{Metric: "transfers", MaxDrop: 0.2, Max: 5, LowerIsBetter: true}, false},
		{control.Guardrail{Metric: "sale", MaxDrop: 0.2}, false},
		{control.Guardrail{Metric: "stars", MaxDrop: 0.2, Min: 1, Max: 5}, true},
	} {
		e := &told{}
		s := open(t, nil)
		m := control.Mode{Scope: decision.ScopeAccount, Kind: decision.ModeCompare, Share: 0.5, Guardrails: []control.Guardrail{c.guardrail}}
		if _, err := s.control.SetMode(t.Context(), account, m, ann); err != nil {
			t.Fatal(err)
		}
		l, err := ladder.New(ladder.DefaultConfig(), ladder.Deps{Control: s.control, Evidence: e, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Watch(t.Context()); err != nil || len(e.asked) != 1 {
			t.Fatalf("%v, %d questions", err, len(e.asked))
		}
		if q := e.asked[0]; q.Kind != c.guardrail.Metric || q.Rated != c.rated || !q.Conversations {
			t.Errorf("%+v asks for %+v", c.guardrail, q)
		}
	}
}
