package trainer

import (
	"time"

	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/model/evaluate"
)

// trial feeds the gate with the newest rows of one fit, each before it is
// learned.
type trial struct {
	gate     *evaluate.Gate
	start    int // position in the fit's list of rows from which rows are held out
	lo, span float64
	from, to time.Time
}

// newTrial holds out the newest share of all rows, as far as this fit learns
// them, and at least what the gate needs.
func newTrial(j job, fresh []int) *trial {
	cfg := learnerConfig(j.account)
	gate := j.cfg.Gate
	span := cfg.RewardMax - cfg.RewardMin
	gate.RequiredGain = max(gate.RequiredGain, j.account.Margin/span)
	held := max(int(j.cfg.HoldoutShare*float64(len(j.rows.rows))), int(2*gate.MinRows))
	return &trial{
		gate: evaluate.NewGate(gate, j.rival != nil), start: max(0, len(fresh)-held),
		lo: cfg.RewardMin, span: span,
	}
}

// scale brings a reward to 0..1.
func (t *trial) scale(reward float64) float64 { return min(max((reward-t.lo)/t.span, 0), 1) }

// add judges one row.
func (t *trial) add(f *fitter, j job, row *Row, e *model.Example) {
	if t.from.IsZero() {
		t.from = row.Time
	}
	t.to = row.Time
	f.scores = resize(f.scores, len(e.Arms))
	f.learner.Score(e.Context, e.Arms, f.scores)
	mine := best(f.scores)
	x := evaluate.Trial{
		Reward: t.scale(row.Reward), Propensity: min(row.Propensity, 1),
		Constant:   f.mean(),
		Challenger: t.scale(f.scores[e.Chosen].Value), Value: t.scale(f.scores[mine].Value),
		TakesLogged: mine == e.Chosen,
	}
	if j.rival != nil && row.Watermark.After(j.rival.card.Watermark) {
		f.rival = resize(f.rival, len(e.Arms))
		j.rival.model.Score(&f.scratch, e.Context, e.Arms, f.rival)
		theirs := best(f.rival)
		x.Against, x.Same = true, mine == theirs
		x.Champion = t.scale(f.rival[e.Chosen].Value)
		x.ChampionTakesLogged = theirs == e.Chosen
		x.ChampionValue = t.scale(f.scores[theirs].Value)
	}
	t.gate.Add(x)
}

func resize(s []model.Score, n int) []model.Score {
	if cap(s) < n {
		return make([]model.Score, n, 2*n)
	}
	return s[:n]
}

// best returns the index of the highest value, the first among equals.
func best(scores []model.Score) int {
	at := 0
	for i := range scores {
		if scores[i].Value > scores[at].Value {
			at = i
		}
	}
	return at
}
