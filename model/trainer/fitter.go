package trainer

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/model/evaluate"
)

// fitter holds one account's warm learner and what it has learned. It belongs to
// one goroutine at a time.
type fitter struct {
	learner *model.Learner
	learned []mark // in the order of learning
	exact   bool   // learned is in the one order, without gaps or old rewards

	fullTook time.Duration // of the last full fit
	fullDone time.Time

	rewards float64 // sum of scaled rewards over learned

	trial   *trial          // of the champion that was live, while the learner is warm
	ignored map[string]bool // attributes left out since the last full fit

	enc, whole    model.Encoder // whole leaves out nothing
	options       []model.Option
	scores, rival []model.Score
	scratch       model.Scratch
}

// champion is the live model with its card, nil when there is none to compare
// with.
type champion struct {
	model *model.Model
	card  model.Card
}

// fitted is what one fit made.
type fitted struct {
	model    *model.Model
	learned  int // rows learned in this fit
	full     bool
	exact    bool
	verdict  evaluate.Verdict
	trial    *trial
	drift    []model.Drift
	heldFrom time.Time
	heldTo   time.Time
	stats    model.Stats
	hash     string // of all learned rows, in order
}

// job is the input of one fit.
type job struct {
	cfg     Config
	account Account
	rows    *batch
	rival   *champion
	live    string // version of the live model, which the rival is where the two compare
	now     func() time.Time
}

// fit brings the learner up to the rows and judges it on the newest of those it
// had not learned before. The model is versioned by its rows: the watermark's
// time and a hash, so the same rows give the same version and the same bytes.
func (f *fitter) fit(ctx context.Context, j job) (*fitted, error) {
	start := j.now()
	fresh, full, err := f.plan(j)
	if err != nil {
		return nil, err
	}
	out := &fitted{learned: len(fresh), full: full}
	trial := f.tryOn(j, fresh, full)
	for i, at := range fresh {
		if i%1024 == 0 && ctx.Err() != nil {
			f.forget() // half a fit is worth nothing
			return nil, ctx.Err()
		}
		if err := f.learn(j, at, trial, i); err != nil {
			f.forget()
			return nil, err
		}
	}
	if full {
		f.fullDone = j.now()
		f.fullTook = f.fullDone.Sub(start)
	}
	out.exact, out.stats, out.hash = f.exact, f.learner.Stats(), f.hash(j.account)
	out.trial, out.verdict, out.heldFrom, out.heldTo = trial, trial.gate.Verdict(j.account.Shadow), trial.from, trial.to
	out.drift = drift(j, j.rows.profile, trial)
	out.model = f.learner.Snapshot(version(j.rows.watermark(), out.hash))
	return out, nil
}

// tryOn goes on with the trial against the same champion, or starts one.
func (f *fitter) tryOn(j job, fresh []int, full bool) *trial {
	rival := ""
	if j.rival != nil {
		rival = j.rival.card.Version
	}
	if full || f.trial == nil || f.trial.rival != rival {
		f.trial = newTrial(j, fresh)
	} else {
		f.trial.start = 0 // everything fresh came after all that was judged
	}
	return f.trial
}

// version names a model by its newest outcome and its rows.
func version(watermark time.Time, hash string) string {
	return watermark.UTC().Format("20060102T150405Z") + "-" + hash[:8]
}

// plan decides between going on and starting afresh, and lists the positions of
// the rows to learn.
func (f *fitter) plan(j job) (fresh []int, full bool, err error) {
	marks := j.rows.marks
	known := 0
	for known < len(f.learned) && known < len(marks) && f.learned[known] == marks[known] {
		known++
	}
	switch {
	case f.learner != nil && f.exact && known == len(f.learned) && maps.Equal(f.ignored, j.rows.ignored):
		// Only rows after all that was learned.
	case f.learner != nil && f.mustWait(j):
		return f.addNew(marks), false, nil
	default:
		f.forget()
		if f.learner, err = model.New(learnerConfig(j.account)); err != nil {
			return nil, false, fmt.Errorf("create learner for account %q: %w", j.account.ID, err)
		}
		known, full, f.exact = 0, true, true
		f.ignored = j.rows.ignored
		f.enc.Ignore(f.ignored)
	}
	for at := known; at < len(marks); at++ {
		fresh = append(fresh, at)
	}
	return fresh, full, nil
}

// mustWait says that another full fit now would take more than its share of time.
func (f *fitter) mustWait(j job) bool {
	pause := time.Duration(float64(f.fullTook) * (1/j.cfg.FullShare - 1))
	return j.now().Before(f.fullDone.Add(pause))
}

// addNew lists rows whose decisions were never learned.
func (f *fitter) addNew(marks []mark) (fresh []int) {
	f.exact = false
	seen := make(map[uint64]struct{}, len(f.learned))
	for _, m := range f.learned {
		seen[m.id] = struct{}{}
	}
	for at, m := range marks {
		if _, known := seen[m.id]; !known {
			fresh = append(fresh, at)
		}
	}
	return fresh
}

// forget drops the warm learner; the next fit starts afresh.
func (f *fitter) forget() {
	f.learner, f.learned, f.exact, f.rewards, f.trial = nil, nil, false, 0, nil
}

// mean is the constant predictor: the mean scaled reward of all that was learned,
// the middle of the range before anything was.
func (f *fitter) mean() float64 {
	if len(f.learned) == 0 {
		return 0.5
	}
	return f.rewards / float64(len(f.learned))
}

// learn takes in the row at a position, judging first when it is held out.
func (f *fitter) learn(j job, at int, trial *trial, i int) error {
	row := j.rows.rows[at]
	e := f.example(row)
	if i >= trial.start {
		trial.add(f, j, row, &e)
	}
	if err := f.learner.Learn(e); err != nil {
		return fmt.Errorf("learn decision %q of account %q: %w", row.ID, j.account.ID, err)
	}
	f.learned = append(f.learned, j.rows.marks[at])
	f.rewards += trial.scale(row.Reward)
	return nil
}

// example builds features by the same encoder that serves decisions. An action
// that was no candidate, such as a policy's fixed one, joins the options.
func (f *fitter) example(r *Row) model.Example {
	chosen := -1
	for i := range r.Options {
		if r.Options[i].Key == r.Chosen {
			chosen = i
			break
		}
	}
	options := r.Options
	if chosen < 0 {
		f.options = append(append(f.options[:0], r.Options...), model.Option{Key: r.Chosen})
		options, chosen = f.options, len(r.Options)
	}
	return model.Example{
		Context: f.enc.Context(&r.Facts), Arms: f.enc.Arms(options, r.Facts.Baseline),
		Chosen: chosen, Reward: r.Reward, Propensity: r.Propensity, Weight: r.Weight,
	}
}

// hash identifies the rows learned, in order, and what their rewards mean.
func (f *fitter) hash(a Account) string {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%s\x00%s\x00%d\x00%g\x00%g\x00", a.ID, a.Objective, a.ObjectiveVersion, a.RewardMin, a.RewardMax) // a hash never fails
	for _, name := range slices.Sorted(maps.Keys(f.ignored)) {
		_, _ = fmt.Fprintf(h, "%s\x00", name)
	}
	var buf [16]byte
	for _, m := range f.learned {
		binary.LittleEndian.PutUint64(buf[0:], m.id)
		binary.LittleEndian.PutUint64(buf[8:], m.content)
		_, _ = h.Write(buf[:])
	}
	return hex.EncodeToString(h.Sum(nil))
}

func learnerConfig(a Account) model.Config {
	cfg := model.DefaultConfig()
	if a.RewardMin != 0 || a.RewardMax != 0 {
		cfg.RewardMin, cfg.RewardMax = a.RewardMin, a.RewardMax
	}
	return cfg
}
