package model

import (
	"fmt"
	"slices"
	"testing"
)

func TestStemsJoinTheFormsOfAWord(t *testing.T) {
	stems := func(text string) (out []string) {
		for w := (stemmer{text: text}); w.next(); {
			word := ""
			for key := w.key; key > 0; key >>= 8 {
				word = string(rune(key&0xff)) + word
			}
			out = append(out, word)
		}
		return out
	}
	for text, want := range map[string][]string{
		"TRANSFER_TO_SKILL:Refunds-2": {"trans", "skill", "refun"},
		"pto_request_status":          {"pto", "reque", "statu"},
		"Calories in pies":            {"calor", "py"},
		"cooking 4711 a1b us":         {"cook", "a1b"},
		"":                            nil,
	} {
		if got := stems(text); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// named plays skills of which the one called after topic k + off is right for
// customers who ask about topic k, and returns the share right of the last half.
// Without names skills have numbers.
func named(t *testing.T, names bool, off int) float64 {
	t.Helper()
	l, err := New(DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	topics := []string{"refund", "parcel", "invoice", "password", "warranty", "delivery", "contract", "broadband"}
	arms := make([]Arm, len(topics))
	for i, topic := range topics {
		arms[i].ID = fmt.Sprint(i)
		if names {
			arms[i].ID = "TRANSFER_TO_SKILL:" + topic + "_desk"
		}
	}
	var ctx Features
	out := make([]Score, len(arms))
	const rows, optimism = 600, 1.25 // as model/explore has it
	right := 0
	for i := range rows {
		k := i * 5 % len(topics)
		ctx.Reset()
		ctx.AddText("text", fmt.Sprintf("I have a question about my %ss, number%d, on day%d", topics[k], i%97, i%7))
		k = (k + off) % len(topics)
		l.Score(&ctx, arms, out)
		best := 0
		for a := range out {
			if out[a].Value+optimism*out[a].StdErr > out[best].Value+optimism*out[best].StdErr {
				best = a
			}
		}
		e := Example{Context: &ctx, Arms: arms, Chosen: best, Propensity: 1}
		if best == k {
			e.Reward = 1
			if i >= rows/2 {
				right++
			}
		}
		if err := l.Learn(e); err != nil {
			t.Fatal(err)
		}
	}
	return float64(right) / (rows / 2)
}

// A name is evidence, not proof: where names mislead, outcomes overrule them.
func TestNamesHelpAndDoNotBind(t *testing.T) {
	if share := named(t, true, 0); share < 0.98 {
		t.Errorf("telling names: %.2f right", share)
	}
	without, misled := 0.0, 0.0
	for off := 1; off < 8; off++ {
		without += named(t, false, off) / 7
		misled += named(t, true, off) / 7
	}
	t.Logf("misleading names: %.3f right, %.3f without names", misled, without)
	if misled < without-0.05 {
		t.Errorf("misleading names: %.2f right, %.2f without names", misled, without)
	}
}
