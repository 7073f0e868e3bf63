package model_test

import (
	"testing"

	"github.com/usherhq/usher/model"
)

func TestLearnerPrefersTheRewardedArm(t *testing.T) {
	l, err := model.New(model.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	var ctx model.Features
	arms := []model.Arm{{ID: "a"}, {ID: "b"}}
	for i := range 200 {
		ctx.Reset()
		ctx.AddString("kind", []string{"x", "y"}[i/2%2])
		right := i / 2 % 2
		reward := 0.0
		if right == i%2 {
			reward = 1
		}
		if err := l.Learn(model.Example{Context: &ctx, Arms: arms, Chosen: i % 2, Reward: reward}); err != nil {
			t.Fatal(err)
		}
	}
	m := l.Snapshot("v1")
	var s model.Scratch
	out := make([]model.Score, 2)
	for k, kind := range []string{"x", "y"} {
		ctx.Reset()
		ctx.AddString("kind", kind)
		m.Score(&s, &ctx, arms, out)
		if out[k].Value <= out[1-k].Value || !out[k].Known {
			t.Errorf("kind %s: scores %+v, want arm %d first", kind, out, k)
		}
	}
}
