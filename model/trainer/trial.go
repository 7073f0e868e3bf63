package trainer

import (
	"cmp"
	"slices"
	"time"

	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/model/evaluate"
)

// trial judges a challenger on the newest rows, each before it is learned. It goes
// on from fit to fit for as long as one champion is live and the learner stays
// warm: the rows since then are one sequence, and the gate's bounds hold however
// often they are asked.
type trial struct {
	gate     *evaluate.Gate
	rival    string // version of the champion held against, empty for none
	start    int    // position in the fit's list of rows from which rows are held out
	lo, span float64
	from, to time.Time

	foretold  []evaluate.Foretold // the newest, in the order of time
	champion  foretelling         // how the champion foretells rows that are new to it
	challenge foretelling
	values    map[string]*evaluate.Worth
	logged    evaluate.Sample
	segments  map[string]*segment
}

// foretelling is how far predictions are off.
type foretelling struct{ predicted, reward, off, loss evaluate.Sample }

func (f *foretelling) add(predicted, reward float64) {
	f.predicted.Add(predicted)
	f.reward.Add(reward)
	f.off.Add(predicted - reward)
	f.loss.Add((predicted - reward) * (predicted - reward))
}

// segment is one part of the held-out rows.
type segment struct {
	rows              int64
	logged, predicted evaluate.Sample
	model             *evaluate.Worth
}

const (
	// maxForetold bounds the predictions kept for calibration, the newest twice this.
	maxForetold = 10_000
	// maxSegments bounds the segments followed, listedSegments those on a card.
	maxSegments, listedSegments = 200, 20
)

// newTrial holds out the newest share of all rows, at least what the gate needs to
// say something, and all that was decided since the champion learned.
func newTrial(j job, fresh []int) *trial {
	cfg := learnerConfig(j.account)
	gate := j.cfg.Gate
	span := cfg.RewardMax - cfg.RewardMin
	if j.account.Margin != 0 {
		gate.Margin = j.account.Margin / span
	}
	n, least := len(j.rows.rows), int(gate.MinRows)
	held := max(int(j.cfg.HoldoutShare*float64(n)), min(n/2, manyHeldOut*least), 2*least)
	t := &trial{
		gate: evaluate.NewGate(gate, j.rival != nil), start: max(0, len(fresh)-held), lo: cfg.RewardMin, span: span,
		values: map[string]*evaluate.Worth{}, segments: map[string]*segment{},
	}
	if j.rival != nil {
		t.rival = j.rival.card.Version
		since, _ := slices.BinarySearchFunc(fresh, j.rival.card.TrainTo, func(at int, learned time.Time) int {
			return cmp.Or(j.rows.rows[at].Time.Compare(learned), -1)
		})
		t.start = min(t.start, since)
	}
	return t
}

// manyHeldOut times the gate's least rows are held out where the share of the rows
// is less than that, but no more than half of the rows.
const manyHeldOut = 10

// scale brings a reward to 0..1.
func (t *trial) scale(reward float64) float64 { return min(max((reward-t.lo)/t.span, 0), 1) }

// add judges one row.
func (t *trial) add(f *fitter, j job, row *Row, e *model.Example) {
	if t.from.IsZero() || row.Time.Before(t.from) {
		t.from = row.Time
	}
	if row.Time.After(t.to) {
		t.to = row.Time
	}
	f.scores = resize(f.scores, len(e.Arms))
	f.learner.Score(e.Context, e.Arms, f.scores)
	mine := best(f.scores)
	x := evaluate.Trial{
		Reward: t.scale(row.Reward), Propensity: min(row.Propensity, 1),
		Constant:   f.mean(),
		Challenger: t.scale(f.scores[e.Chosen].Value), Value: t.scale(f.scores[mine].Value),
		TakesLogged: mine == e.Chosen,
	}
	if j.rival != nil {
		theirs := t.addChampion(f, j, row, e, &x)
		x.Same = mine == theirs
		x.ChampionValue = t.scale(f.scores[theirs].Value)
		t.worth(j, "champion").Add(x.ChampionTakesLogged, x.Propensity, x.Reward, x.Challenger, x.ChampionValue)
	}
	t.gate.Add(x)
	t.note(f, j, row, e, &x)
}

// addChampion scores the row by the champion, which gets all that the row knows, and
// returns its choice.
func (t *trial) addChampion(f *fitter, j job, row *Row, e *model.Example, x *evaluate.Trial) int {
	context := e.Context
	if len(j.rows.ignored) > 0 {
		context = f.whole.Context(&row.Facts)
	}
	f.rival = resize(f.rival, len(e.Arms))
	j.rival.model.Score(&f.scratch, context, e.Arms, f.rival)
	theirs := best(f.rival)
	x.Against = row.Watermark.After(j.rival.card.Watermark)
	x.Champion = t.scale(f.rival[e.Chosen].Value)
	x.ChampionTakesLogged = theirs == e.Chosen
	if x.Against {
		t.champion.add(x.Champion, x.Reward)
	}
	return theirs
}

// note takes in what the card tells of the row.
func (t *trial) note(f *fitter, j job, row *Row, e *model.Example, x *evaluate.Trial) {
	t.challenge.add(x.Challenger, x.Reward)
	t.foretold = append(t.foretold, evaluate.Foretold{Predicted: x.Challenger, Reward: x.Reward})
	if len(t.foretold) >= 2*maxForetold {
		t.foretold = append(t.foretold[:0], t.foretold[maxForetold:]...)
	}
	t.logged.Add(x.Reward)
	t.worth(j, "model").Add(x.TakesLogged, x.Propensity, x.Reward, x.Challenger, x.Value)
	for name, key := range map[string]string{"policy_only": row.PolicyOnly, "baseline": row.Facts.Baseline} {
		if key == "" {
			continue
		}
		expected := x.Constant
		for i := range e.Arms {
			if e.Arms[i].ID == key {
				expected = t.scale(f.scores[i].Value)
			}
		}
		t.worth(j, name).Add(key == row.Chosen, x.Propensity, x.Reward, x.Challenger, expected)
	}
	for _, part := range [2]struct{ name, value string }{{"intent=", row.Facts.Intent}, {"channel=", row.Facts.Channel}} {
		if part.value != "" {
			t.noteSegment(j, part.name+part.value, x)
		}
	}
}

func (t *trial) noteSegment(j job, name string, x *evaluate.Trial) {
	s := t.segments[name]
	if s == nil {
		if len(t.segments) == maxSegments {
			return
		}
		s = &segment{model: evaluate.NewWorth(j.cfg.Gate)}
		t.segments[name] = s
	}
	s.rows++
	s.logged.Add(x.Reward)
	s.predicted.Add(x.Challenger)
	s.model.Add(x.TakesLogged, x.Propensity, x.Reward, x.Challenger, x.Value)
}

// worth returns the estimate of a policy's value by name.
func (t *trial) worth(j job, name string) *evaluate.Worth {
	w := t.values[name]
	if w == nil {
		w = evaluate.NewWorth(j.cfg.Gate)
		t.values[name] = w
	}
	return w
}

// drift tells how the live model, or else the one just judged, fares on the newest rows.
func (t *trial) drift(j job) []model.Drift {
	var out []model.Drift
	f, who := &t.challenge, "the model"
	if j.rival != nil && t.champion.off.Rows() >= driftRows {
		f, who = &t.champion, "the champion"
		// Its loss on its own held-out rows was the mean of as many squares.
		before := j.rival.card.HeldOut
		variance := f.loss.Variance() * (1 + float64(f.loss.Rows())/max(1, float64(before.Rows)))
		out = append(out, meanDrift("loss", before.Loss, f.loss.Mean(), errorsApart(f.loss.Mean()-before.Loss, variance),
			"squared error of the champion on rows that are new to it against its held-out rows, rewards scaled to 0..1"))
	}
	if f.off.Rows() < driftRows {
		return out
	}
	return append(out, meanDrift("calibration", t.lo+t.span*f.predicted.Mean(), t.lo+t.span*f.reward.Mean(),
		errorsApart(f.off.Mean(), f.off.Variance()), "mean reward as "+who+" foretold it, and as it came"))
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
