package model

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// survives learns from arms of the names given, in contexts of the texts given, and
// asks of the artifact that it decodes to the same scores and the same bytes.
func survives(t rapid.TB, names, texts []string, numbers []float64, baseline bool) {
	l, err := New(DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	arms := make([]Arm, len(names))
	for i, name := range names {
		arms[i] = Arm{ID: name, Baseline: baseline && i == 0}
	}
	var ctx Features
	describe := func(i int) {
		ctx.Reset()
		ctx.AddString("topic", texts[i%len(texts)])
		ctx.AddText("text", texts[i%len(texts)])
		ctx.AddNumber("wait", numbers[i%len(numbers)])
	}
	for i := range max(len(texts), len(numbers), 12) {
		describe(i)
		e := Example{Context: &ctx, Arms: arms, Chosen: i % len(arms), Reward: float64(i%3) / 2, Propensity: 0.5}
		if err := l.Learn(e); err != nil {
			t.Fatal(err)
		}
	}
	m := l.Snapshot("v")
	data := m.Encode()
	back, err := Decode(data)
	if err != nil {
		t.Fatalf("arms %.300q: %v", names, err)
	}
	if !bytes.Equal(back.Encode(), data) {
		t.Fatalf("arms %.300q: encoding a decoded model gives other bytes", names)
	}
	var s1, s2 Scratch
	one, two := make([]Score, len(arms)), make([]Score, len(arms))
	for i := range texts {
		describe(i)
		m.Score(&s1, &ctx, arms, one)
		back.Score(&s2, &ctx, arms, two)
		for k := range one {
			if one[k] != two[k] {
				t.Fatalf("arm %q: %+v before, %+v after", arms[k].ID, one[k], two[k])
			}
		}
	}
}

// An operator may call a skill anything.
func TestArtifactKeepsScoresOfAnyNames(t *testing.T) {
	word := rapid.StringMatching(`[a-z]{3,8}`)
	name := rapid.OneOf(
		rapid.String(), rapid.Just(""), rapid.SampledFrom([]string{"refunds", "Refund", "refunding desk"}),
		rapid.Custom(func(t *rapid.T) string {
			return strings.Join(rapid.SliceOfN(word, 10, 60).Draw(t, "words"), rapid.SampledFrom([]string{" ", "_", "-", "é"}).Draw(t, "gap"))
		}),
	)
	number := rapid.OneOf(rapid.Float64(), rapid.Float64Range(-100, 100))
	rapid.Check(t, func(t *rapid.T) {
		survives(t, rapid.SliceOfN(name, 1, 20).Draw(t, "arms"), rapid.SliceOfN(name, 1, 20).Draw(t, "texts"),
			rapid.SliceOfN(number, 1, 10).Draw(t, "numbers"), rapid.Bool().Draw(t, "baseline"))
	})
}

func TestArtifactKeepsScoresOfManyLongNames(t *testing.T) {
	var names []string
	for i := range 3000 {
		var b strings.Builder
		for k := range 40 {
			fmt.Fprintf(&b, "w%c%cx%d ", 'a'+i%26, 'a'+k%26, i)
		}
		names = append(names, b.String())
	}
	names = append(names, "", strings.Repeat("long", 10_000), strings.Repeat("ä", 5000))
	survives(t, names, []string{names[7], names[2999], "nothing known"}, []float64{1, -2}, false)
}

func FuzzArtifactOfNames(f *testing.F) {
	f.Add("a b c\n\nrefund desk", "refund", 1.5, false)
	f.Add("one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen", "two", 0.0, false)
	f.Add("Ärger\n\xff\xfe", "", -1e300, true)
	f.Fuzz(func(t *testing.T, names, texts string, number float64, baseline bool) {
		survives(t, strings.Split(names, "\n"), strings.Split(texts, "\n"), []float64{number, -number}, baseline)
	})
}
