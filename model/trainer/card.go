package trainer

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/usherhq/usher/model"
)

// The gate's verdicts on a card.
const (
	gatePassed = "passed"
	gateKept   = "kept the champion"
	gateNone   = "no model yet"
	gateHeld   = "held"
)

// newCard writes down where a model came from and how it was judged.
func newCard(j job, out *fitted, artifact []byte, held bool, now time.Time) model.Card {
	rows := j.rows.rows
	v := &out.verdict
	sum := sha256.Sum256(artifact)
	card := model.Card{
		Version: out.model.Version(), Account: j.account.ID, Objective: j.account.Objective,
		ObjectiveRevision: j.account.Revision, CreatedTime: now.UTC(),
		TrainFrom: rows[0].Time, TrainTo: rows[len(rows)-1].Time,
		Rows: out.stats.Rows, Arms: out.model.Arms(), Features: out.model.Features(),
		ProgressiveLoss: out.stats.ProgressiveLoss, BaselineLoss: out.stats.BaselineLoss, Family: out.model.Family(),
		HeldOut: model.HeldOut{
			Rows: v.Rows, From: out.heldFrom, To: out.heldTo, Loss: v.Loss, Constant: v.Constant,
			Shared: v.Shared, EffectiveRows: v.EffectiveRows,
			Differ: v.Differ, EdgeLower: v.EdgeLower,
		},
		Coverage: j.rows.shares, Attributes: j.rows.uses, Exact: out.exact, DataHash: out.hash, Watermark: j.rows.watermark(),
		Gate: gatePassed, GateReason: v.Reason, SHA256: hex.EncodeToString(sum[:]), Size: int64(len(artifact)),
	}
	card.Way, card.Window, card.ObjectiveVersion = v.Way, j.cfg.Window, j.account.ObjectiveVersion
	card.SchemaHash = fmt.Sprintf("%016x", out.model.SchemaHash())
	card.OpenRows, card.Maturity = cmp.Or(j.account.OpenRows, waitForRows), j.rows.maturity
	card.Calibration, card.Interval = out.trial.calibration(), out.trial.interval()
	card.Values, card.Segments, card.Drift = out.trial.valuesOnCard(), out.trial.segmentsOnCard(), out.drift
	switch {
	case v.Pass && held:
		card.Gate = gateHeld
		card.GateReason = "it would have been promoted (" + v.Reason + "), but the model before was rolled back: promote one to go on"
	case !v.Pass:
		card.Gate = gateNone
		if j.live != "" {
			card.Gate = gateKept
		}
		if j.live != "" && j.rival == nil {
			card.GateReason += "; the live model cannot be compared with: it was trained for other rewards, or must go, or cannot be read"
		}
	}
	if v.Shared > 0 {
		card.HeldOut.Challenger, card.HeldOut.Champion = &v.Challenger, &v.Champion
	}
	card.Comparison = compare(j, out)
	return card
}

// waitForRows is the Account.OpenRows that is meant when nothing is said.
const waitForRows = "WAIT"

// compare puts the verdict's values in the units of the objective.
func compare(j job, out *fitted) model.Comparison {
	cfg := learnerConfig(j.account)
	span := cfg.RewardMax - cfg.RewardMin
	v := &out.verdict
	c := model.Comparison{
		GainLower: span * v.GainLower, GainUpper: span * v.GainUpper, Margin: span * v.Margin, Rows: v.Rows,
	}
	if j.rival != nil {
		c.ChampionVersion, c.Rows = j.rival.card.Version, v.Shared
	}
	if v.Supported {
		gain, rival, value := span*v.Gain, cfg.RewardMin+span*v.RivalValue, cfg.RewardMin+span*v.Value
		c.Trusted, c.Gain, c.Champion, c.Challenger = true, &gain, &rival, &value
	}
	return c
}
