package model

import (
	"fmt"
	"testing"
)

// deskLearner has learned nArms x nFeatures categories, with or without a
// baseline among the arms.
func deskLearner(t testing.TB, nArms, nFeatures int, baseline bool) (*Learner, *Features, []Arm) {
	t.Helper()
	l, err := New(DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	ctx, arms := new(Features), make([]Arm, nArms)
	for i := range arms {
		arms[i] = Arm{ID: fmt.Sprintf("TRANSFER_TO_SKILL:%d", i), Baseline: baseline && i == 0}
	}
	for i := range 20 * nArms {
		ctx.Reset()
		for f := range nFeatures {
			ctx.AddString(fmt.Sprintf("attribute%d", f), fmt.Sprintf("value%d", i*(f+3)%17))
		}
		e := Example{Context: ctx, Arms: arms, Chosen: i % nArms, Reward: float64(i % 2), Propensity: 1}
		if err := l.Learn(e); err != nil {
			t.Fatal(err)
		}
	}
	return l, ctx, arms
}

func benchmarkScore(b *testing.B, nArms, nFeatures int, baseline bool) {
	l, ctx, arms := deskLearner(b, nArms, nFeatures, baseline)
	m := l.Snapshot("v")
	var s Scratch
	out := make([]Score, nArms)
	b.ReportAllocs()
	for b.Loop() {
		m.Score(&s, ctx, arms, out)
	}
}

func BenchmarkScore10Arms30Features(b *testing.B)         { benchmarkScore(b, 10, 30, false) }
func BenchmarkScore66Arms15Features(b *testing.B)         { benchmarkScore(b, 66, 15, false) }
func BenchmarkScore66Arms15FeaturesBaseline(b *testing.B) { benchmarkScore(b, 66, 15, true) }
func BenchmarkScore150Arms10Features(b *testing.B)        { benchmarkScore(b, 150, 10, false) }

func BenchmarkBuildFeatures15(b *testing.B) {
	var ctx Features
	b.ReportAllocs()
	for b.Loop() {
		ctx.Reset()
		for range 15 {
			ctx.AddString("subcategory", "value17")
		}
	}
}

func BenchmarkLearn66Arms15Features(b *testing.B) {
	l, ctx, arms := deskLearner(b, 66, 15, true)
	e := Example{Context: ctx, Arms: arms, Chosen: 3, Reward: 1, Propensity: 1}
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Learn(e); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSnapshot(b *testing.B) {
	l, _, _ := deskLearner(b, 66, 15, true)
	for b.Loop() {
		l.Snapshot("v")
	}
}

func TestScoringDoesNotAllocate(t *testing.T) {
	for _, baseline := range []bool{false, true} {
		l, ctx, arms := deskLearner(t, 12, 9, baseline)
		ctx.AddNumber("wait", 3)
		m := l.Snapshot("v")
		var s Scratch
		out := make([]Score, len(arms))
		if n := testing.AllocsPerRun(100, func() {
			ctx.Reset()
			ctx.AddString("channel", "web")
			ctx.AddNumber("wait", 12)
			ctx.AddText("text", "My card was REFUSED")
			m.Score(&s, ctx, arms, out)
		}); n != 0 {
			t.Errorf("baseline %t: %g allocations per decision", baseline, n)
		}
	}
}
