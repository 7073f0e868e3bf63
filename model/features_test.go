package model

import (
	"math"
	"slices"
	"testing"
)

func labels(f *Features) []string {
	var out []string
	for i := range f.Len() {
		out = append(out, f.label(i))
	}
	return out
}

func TestFeaturesAreNamedForPeople(t *testing.T) {
	var f Features
	f.AddString("city", "Oslo")
	f.AddString("city", "")
	f.AddBool("vip", true)
	f.AddNumber("wait", 2.5)
	f.AddNumber("load", math.NaN())
	f.AddText("text", "I can't PAY; can't pay 2x")
	f.AddCode("group", "70", 70)
	f.Cross("city", "vip")
	want := []string{
		"city=Oslo", "city=", "vip=true", "wait", "load=missing",
		"text:I", "text:can't", "text:PAY", "text:2x", "group", "group=70",
		"city=Oslo x vip=true", "city= x vip=true",
	}
	if got := labels(&f); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestHashesTellFeaturesApart(t *testing.T) {
	var f Features
	f.AddString("a", "bc")
	f.AddString("ab", "c")
	f.AddString("a", "")
	f.AddNumber("a", 1)
	f.AddText("a", "bc x")
	f.AddString("b", "a")
	f.Cross("a", "b")
	f.Cross("b", "a")
	seen := map[uint64]string{}
	for i := range f.Len() {
		e := f.entries[i]
		if other, ok := seen[e.hash]; ok {
			t.Errorf("%q and %q share a hash", f.label(i), other)
		}
		seen[e.hash] = f.label(i)
	}
}

func TestWordsIgnoreCase(t *testing.T) {
	var a, b Features
	a.AddText("text", "Refund")
	b.AddText("text", "refund!")
	if a.entries[0].hash != b.entries[0].hash {
		t.Error("Refund and refund differ")
	}
}

func TestFeaturesAreBounded(t *testing.T) {
	var f Features
	for range 3 * MaxFeatures {
		f.AddNumber("n", 1)
	}
	f.AddText("text", "more words")
	f.AddCode("code", "7", 7)
	if f.Len() != MaxFeatures {
		t.Errorf("%d features kept", f.Len())
	}
	f.Reset()
	if f.Len() != 0 || (*Features)(nil).Len() != 0 {
		t.Error("an empty bag is not empty")
	}
}

func TestNumbersSettleOnAScale(t *testing.T) {
	for _, top := range []float32{0.001, 0.3, 1, 900, 1e9} {
		var s scales
		s.grow(1)
		for i := range settleCount {
			s.observe(0, &entry{kind: kindNumber, value: top * float32(i) / settleCount})
		}
		if got := s.apply(0, top); got < 0.4 || got > 1 {
			t.Errorf("top %g is scaled to %g", top, got)
		}
		if got := s.apply(0, -100*top); got != -1 {
			t.Errorf("an outlier is scaled to %g", got)
		}
	}
}
