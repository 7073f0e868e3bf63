package model_test

import (
	"math"
	"testing"

	"github.com/usherhq/usher/model"
)

// What an arm brought is counted by arm, in the units of the objective, and survives
// the artifact.
func TestEvidenceIsCountedByArm(t *testing.T) {
	cfg := model.DefaultConfig()
	cfg.RewardMin, cfg.RewardMax = -1, 3
	l, err := model.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var enc model.Encoder
	for i := range 30 {
		key, reward := "a", -1.0
		if i%3 == 0 {
			key, reward = "b", 2.5
		}
		err := l.Learn(model.Example{
			Context: enc.Context(&model.Facts{Intent: "x"}), Arms: enc.Arms([]model.Option{{Key: key}, {Key: "c"}}, ""), Reward: reward, Propensity: 1,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	m, err := model.Decode(l.Snapshot("v").Encode())
	if err != nil {
		t.Fatal(err)
	}
	for arm, want := range map[string]model.ArmEvidence{
		"a": {Rows: 20, MeanReward: -1}, "b": {Rows: 10, Positives: 10, MeanReward: 2.5}, "c": {}, "unknown": {},
	} {
		got := m.Evidence(arm)
		if got.Rows != want.Rows || got.Positives != want.Positives || math.Abs(got.MeanReward-want.MeanReward) > 1e-9 || m.Positives(arm) != want.Positives {
			t.Errorf("%s: %+v, want %+v", arm, got, want)
		}
	}
}
