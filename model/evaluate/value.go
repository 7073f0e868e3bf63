package evaluate

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/usherhq/usher/model"
)

// Decided is one decision of the product's own log with what it brought.
type Decided struct {
	ID   string
	Time time.Time
	// Facts and Options are what was known then; Options are the eligible ones,
	// Probabilities theirs under what was live.
	Facts         model.Facts
	Options       []model.Option
	Probabilities []float64
	Chosen        string
	Propensity    float64
	Reward        float64
	// Target is the key of what the target does there, "" for what was done.
	Target string
	// Segment is the part of the decisions that the row belongs to.
	Segment string
}

// Valuer estimates what always doing the target would have been worth, from
// decisions that are shown twice: Fit takes in some of them, Add all. It is not
// safe for concurrent use.
type Valuer struct {
	lo, hi   float64
	models   []*model.Model // by fold, none without Fit
	means    []float64
	encoder  model.Encoder
	scratch  model.Scratch
	options  []model.Option
	scores   []model.Score
	all      *portion
	segments map[string]*portion
	unknown  int64 // rows without a propensity
}

// portion is the estimate of some of the decisions.
type portion struct {
	ope         *OPE
	unsupported float64
}

// maxSegments bounds the segments; rows of later ones count in the whole alone.
const maxSegments = 200

// FitRows is how many decisions Fit can make use of.
const FitRows = maxFitted

// NewValuer returns an empty one for rewards from lo to hi.
func NewValuer(lo, hi float64) *Valuer {
	return &Valuer{lo: lo, hi: hi, all: &portion{ope: NewOPE(lo, hi)}, segments: map[string]*portion{}}
}

// Fit learns the reward model, a fold at a time, from decisions in any order.
// Fewer than a handful leave the estimates to weights alone.
func (v *Valuer) Fit(rows []*Decided) error {
	if len(rows) < fewRows {
		return nil
	}
	slices.SortFunc(rows, func(a, b *Decided) int { return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.ID, b.ID)) })
	folds := foldsFor(len(rows))
	v.models, v.means = make([]*model.Model, folds), make([]float64, folds)
	for fold := range folds {
		cfg := model.DefaultConfig()
		cfg.RewardMin, cfg.RewardMax = v.lo, v.hi
		learner, err := model.New(cfg)
		if err != nil {
			return fmt.Errorf("make a reward model: %w", err)
		}
		var mean moments
		for _, r := range rows {
			chosen := slices.IndexFunc(r.Options, func(o model.Option) bool { return o.Key == r.Chosen })
			if chosen < 0 || v.foldOf(r.ID) == fold {
				continue
			}
			if err := learner.Learn(model.Example{
				Context: v.encoder.Context(&r.Facts), Arms: v.encoder.Arms(r.Options, r.Facts.Baseline),
				Chosen: chosen, Reward: r.Reward, Propensity: r.Propensity,
			}); err != nil {
				return fmt.Errorf("fit the reward model to decision %q: %w", r.ID, err)
			}
			mean.add(r.Reward)
		}
		v.models[fold], v.means[fold] = learner.Snapshot(""), mean.mean
	}
	return nil
}

func (v *Valuer) foldOf(id string) int {
	return int(xxhash.Sum64String(id) >> 33 % uint64(len(v.models))) //nolint:gosec // less than a number of folds
}

// Add takes in one decision. One whose propensity nobody knows is only counted.
func (v *Valuer) Add(r *Decided) {
	if !(r.Propensity > 0) || r.Chosen == "" {
		v.unknown++
		return
	}
	o := Observation{Reward: r.Reward, Logged: min(r.Propensity, 1)}
	supported := true
	switch r.Target {
	case "":
		o.Target = o.Logged
	default:
		if r.Target == r.Chosen {
			o.Target = 1
		} else {
			at := slices.IndexFunc(r.Options, func(o model.Option) bool { return o.Key == r.Target })
			supported = at >= 0 && at < len(r.Probabilities) && r.Probabilities[at] > 0
		}
		v.predict(r, &o)
	}
	v.all.add(o, supported)
	if r.Segment == "" {
		return
	}
	part := v.segments[r.Segment]
	if part == nil {
		if len(v.segments) >= maxSegments {
			return
		}
		part = &portion{ope: NewOPE(v.lo, v.hi)}
		v.segments[r.Segment] = part
	}
	part.add(o, supported)
}

func (p *portion) add(o Observation, supported bool) {
	p.ope.Add(o)
	if !supported {
		p.unsupported++
	}
}

// predict foretells the rewards of what was done and of what the target does.
func (v *Valuer) predict(r *Decided, o *Observation) {
	if len(v.models) == 0 {
		return
	}
	v.options = append(v.options[:0], r.Options...)
	at := func(key string) int {
		i := slices.IndexFunc(v.options, func(o model.Option) bool { return o.Key == key })
		if i < 0 {
			i = len(v.options)
			v.options = append(v.options, model.Option{Key: key})
		}
		return i
	}
	chosen, target := at(r.Chosen), at(r.Target)
	v.scores = slices.Grow(v.scores[:0], len(v.options))[:len(v.options)]
	fold := v.foldOf(r.ID)
	v.models[fold].Score(&v.scratch, v.encoder.Context(&r.Facts), v.encoder.Arms(v.options, r.Facts.Baseline), v.scores)
	value := func(i int) float64 {
		if !v.scores[i].Known {
			return v.means[fold]
		}
		return v.scores[i].Value
	}
	o.Modelled, o.Predicted, o.TargetValue = true, value(chosen), value(target)
}

// Best is the key of the option that m scores best for the decision, the first of
// equals; "" without options. Scratch and encoder are the caller's.
func Best(m *model.Model, s *model.Scratch, e *model.Encoder, r *Decided) string {
	scores := make([]model.Score, len(r.Options))
	m.Score(s, e.Context(&r.Facts), e.Arms(r.Options, r.Facts.Baseline), scores)
	best := ""
	for i := range scores {
		if i == 0 || scores[i].Value > scores[slices.IndexFunc(r.Options, func(o model.Option) bool { return o.Key == best })].Value {
			best = r.Options[i].Key
		}
	}
	return best
}

// Result returns the estimate over all decisions and by segment.
func (v *Valuer) Result(confidence float64) (all OPEResult, segments map[string]OPEResult) {
	all = v.all.result(confidence)
	if v.unknown > 0 {
		all.Warnings = append(all.Warnings, fmt.Sprintf("%s decisions have no propensity and were left out", spell(float64(v.unknown))))
	}
	segments = make(map[string]OPEResult, len(v.segments))
	for name, p := range v.segments {
		segments[name] = p.result(confidence)
	}
	return all, segments
}

func (p *portion) result(confidence float64) OPEResult {
	res := p.ope.Result(confidence)
	if p.unsupported > 0 {
		res.UnsupportedShare = p.unsupported / float64(res.N)
		res.Warnings = append(res.Warnings, fmt.Sprintf("in %.3g %% of the decisions the target does what could not have been drawn there: "+
			"nobody knows what that brings; explore, or try it on a share of the conversations", 100*res.UnsupportedShare))
		res.widen(res.UnsupportedShare, p.ope.span())
		if res.UnsupportedShare > maxUnsupported {
			res.withhold()
		}
	}
	return res
}

// Sums are what a warehouse can add up of many decisions by itself.
type Sums struct {
	N, Informative, Rewarded int64   // rows; those of a weight that is not 0, and of them those rewarded
	W, WW, R, RR             float64 // sums of weights, rewards and their squares
	WR, WWR, WWRR            float64 // of w r, w^2 r and (w r)^2
	Largest                  float64
	MinLogged, MaxTarget     float64
	MinReward, MaxReward     float64 // of those in the sums
	Lowest, Highest          float64 // that rewards can be; 0 to 1 when they are equal
	Unsupported              int64
}

// Estimate makes of sums what an OPE without a reward model makes of rows. A
// confidence sequence is not among the intervals: it needs the rows.
func (s *Sums) Estimate(confidence float64) OPEResult {
	e := NewOPE(s.Lowest, s.Highest)
	e.anytime.broken = true
	p := portion{ope: e, unsupported: float64(s.Unsupported)}
	if s.N == 0 {
		return p.result(confidence)
	}
	n := float64(s.N)
	e.w = weights{
		n: s.N, w: s.W, ww: s.WW, wr: s.WR, largest: s.Largest, minLogged: s.MinLogged, maxTarget: s.MaxTarget,
		r:       moments{n: s.N, mean: s.R / n, m2: max(0, s.RR-s.R*s.R/n)},
		rewards: reach{s.MinReward, s.MaxReward, true}, informative: s.Informative, informativeAndNotZero: s.Rewarded,
	}
	if s.R == s.RR && s.MinReward >= 0 && s.MaxReward == e.anytime.highest() {
		e.w.informativeAndFull = s.Rewarded // all are 0 or 1
	}
	e.plain = joint{
		n: s.N, w: s.W / n, z: s.WR / n,
		ww: max(0, s.WW-s.W*s.W/n), wz: s.WWR - s.W*s.WR/n, zz: max(0, s.WWRR-s.WR*s.WR/n),
	}
	return p.result(confidence)
}
