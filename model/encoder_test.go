package model_test

import (
	"testing"

	"github.com/usherhq/usher/model"
)

func TestEncoderKeepsOneOrder(t *testing.T) {
	facts := &model.Facts{Channel: "web", Baseline: "g1", Attributes: map[string]any{
		"channel": "shadowed by the field", "tier": "gold", "wait": 12.5, "vip": true,
		"tags": []any{"a", "b", 3.0}, "nested": map[string]any{"x": 1.0},
		"utterance": "my parcel has not arrived and I want my money back",
	}}
	l, err := model.New(model.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	var e model.Encoder
	options := []model.Option{{Key: "g1", Attributes: map[string]any{"team": "x"}}, {Key: "g2"}}
	arms := e.Arms(options, facts.Baseline)
	if !arms[0].Baseline || arms[1].Baseline || arms[0].Features.Len() != 1 || arms[1].Features != nil {
		t.Fatalf("arms %+v", arms)
	}
	if err := l.Learn(model.Example{Context: e.Context(facts), Arms: arms, Chosen: 0, Reward: 1}); err != nil {
		t.Fatal(err)
	}
	out, again := make([]model.Score, 2), make([]model.Score, 2)
	for range 50 {
		l.Score(e.Context(facts), e.Arms(options, facts.Baseline), out)
		var fresh model.Encoder
		l.Score(fresh.Context(facts), fresh.Arms(options, facts.Baseline), again)
		if out[0] != again[0] || out[1] != again[1] {
			t.Fatalf("scores differ: %v and %v", out, again)
		}
	}
	// channel, baseline, tier, wait, vip, three tags, ten distinct words.
	if n := e.Context(facts).Len(); n != 8+10 {
		t.Errorf("%d context features, want 18", n)
	}
}

func TestEncoderAllocatesNothingWhenWarm(t *testing.T) {
	facts := &model.Facts{Channel: "web", Intent: "refund", Attributes: map[string]any{"a": "x", "b": 2.0, "c": true}}
	options := []model.Option{{Key: "g1", Attributes: map[string]any{"team": "x"}}}
	var e model.Encoder
	if n := testing.AllocsPerRun(100, func() { e.Context(facts); e.Arms(options, "g1") }); n > 0 {
		t.Errorf("%g allocations", n)
	}
}

// TestEncoderReadsListsBackAlike: a list kept as strings means the same features
// as the list that was decided on.
func TestEncoderReadsListsBackAlike(t *testing.T) {
	l, err := model.New(model.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	var e model.Encoder
	arms := e.Arms([]model.Option{{Key: "g1"}}, "")
	decided := &model.Facts{Attributes: map[string]any{"tags": []any{"vip", 3.0, true, nil, 0.25, []any{"x"}}}}
	stored := &model.Facts{Attributes: map[string]any{"tags": []string{"vip", "3", "true", "null", "0.25", `["x"]`}}}
	if err := l.Learn(model.Example{Context: e.Context(decided), Arms: arms, Chosen: 0, Reward: 1}); err != nil {
		t.Fatal(err)
	}
	a, b := make([]model.Score, 1), make([]model.Score, 1)
	l.Score(e.Context(decided), arms, a)
	l.Score(e.Context(stored), arms, b)
	if a[0] != b[0] || e.Context(stored).Len() != 6 {
		t.Errorf("decided on %+v, read back %+v, %d features", a[0], b[0], e.Context(stored).Len())
	}
}
