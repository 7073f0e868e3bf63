package trainer

import (
	"cmp"
	"slices"

	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/model/evaluate"
)

// intervalConfidence is that of the prediction interval on a card.
const intervalConfidence = 0.9

// calibration holds the predictions of the held-out rows against what came. The
// map is fitted to the earlier half and tried on the later one.
func (t *trial) calibration() *model.Calibration {
	half := len(t.foretold) / 2
	if half < 2 {
		return nil
	}
	bins, off := evaluate.Reliability(t.foretold)
	c := &model.Calibration{Error: t.span * off}
	for _, b := range bins {
		c.Bins = append(c.Bins, model.CalibrationBin{Predicted: t.lo + t.span*b.Predicted, Reward: t.lo + t.span*b.Reward, Rows: b.Rows})
	}
	steps := evaluate.Isotonic(t.foretold[:half])
	later := slices.Clone(t.foretold[half:])
	_, before := evaluate.Reliability(later)
	for i := range later {
		later[i].Predicted = evaluate.Calibrate(steps, later[i].Predicted)
	}
	_, after := evaluate.Reliability(later)
	c.Before, c.After = t.span*before, t.span*after
	for _, s := range steps {
		c.Isotonic = append(c.Isotonic, model.CalibrationStep{From: t.lo + t.span*s.From, Reward: t.lo + t.span*s.Reward})
	}
	return c
}

// interval is for rewards that are more than yes or no.
func (t *trial) interval() *model.RewardInterval {
	kinds := map[float64]bool{}
	for _, f := range t.foretold {
		if kinds[f.Reward] = true; len(kinds) > 2 {
			break
		}
	}
	if len(kinds) <= 2 {
		return nil
	}
	in, ok := evaluate.Conformal(t.foretold, intervalConfidence)
	if !ok {
		return nil
	}
	return &model.RewardInterval{
		Confidence: in.Confidence, Below: t.span * in.Below, Above: t.span * in.Above, Rows: in.Rows, Coverage: in.Coverage,
	}
}

// valued puts a value in the units of the objective, without a number where it
// cannot be trusted.
func (t *trial) valued(w *evaluate.Worth) model.Value {
	v := w.Value()
	out := model.Value{
		Lower: t.lo + t.span*v.Lower, Upper: t.lo + t.span*v.Upper, Interval: "confidence_sequence",
		Rows: v.Rows, EffectiveRows: v.EffectiveRows, Trusted: v.Trusted,
	}
	if v.Trusted {
		value := t.lo + t.span*v.Value
		out.Value = &value
	}
	return out
}

// valuesOnCard lists what policies would have brought. What was done is known.
func (t *trial) valuesOnCard() map[string]model.Value {
	out := map[string]model.Value{}
	for name, w := range t.values {
		out[name] = t.valued(w)
	}
	if t.logged.Rows() > 0 {
		mean := t.lo + t.span*t.logged.Mean()
		out["logged"] = model.Value{
			Value: &mean, Lower: mean, Upper: mean, Interval: "none: it is what was done",
			Rows: t.logged.Rows(), EffectiveRows: float64(t.logged.Rows()), Trusted: true,
		}
	}
	return out
}

// segmentsOnCard lists the segments with the most rows.
func (t *trial) segmentsOnCard() []model.Segment {
	var out []model.Segment
	names := make([]string, 0, len(t.segments))
	for name := range t.segments {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(t.segments[b].rows, t.segments[a].rows), cmp.Compare(a, b))
	})
	for _, name := range names[:min(len(names), listedSegments)] {
		s := t.segments[name]
		out = append(out, model.Segment{
			Segment: name, Rows: s.rows, Logged: t.lo + t.span*s.logged.Mean(),
			Predicted: t.lo + t.span*s.predicted.Mean(), Model: t.valued(s.model),
		})
	}
	return out
}
