package main

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// contestant is one side of a comparison. run does the work n times.
type contestant struct {
	name string
	run  func(n int)
}

// result is what interleaved rounds found of one contestant.
type result struct {
	name     string
	ns       float64 // median over rounds, per operation
	ratio    float64 // median over rounds of first contestant's time / this one's
	allocs   float64 // per operation
	perRound []float64
}

// duel times the contestants in interleaved rounds of about slice each. Ratios
// are against the first: above 1 means that the first takes longer.
func duel(rounds int, slice time.Duration, all []contestant) []result {
	out := make([]result, len(all))
	counts := make([]int, len(all))
	for i, c := range all {
		out[i].name = c.name
		counts[i] = calibrate(c, slice)
		out[i].allocs = allocsOf(c, min(counts[i], 1000))
	}
	for range rounds {
		for i, c := range all {
			start := time.Now()
			c.run(counts[i])
			out[i].perRound = append(out[i].perRound, float64(time.Since(start).Nanoseconds())/float64(counts[i]))
		}
	}
	for i := range out {
		out[i].ns = median(out[i].perRound)
		ratios := make([]float64, rounds)
		for r := range ratios {
			ratios[r] = out[0].perRound[r] / out[i].perRound[r]
		}
		out[i].ratio = median(ratios)
	}
	return out
}

// calibrate finds how many operations fill a slice; it warms up as well.
func calibrate(c contestant, slice time.Duration) int {
	n := 1
	for {
		start := time.Now()
		c.run(n)
		took := time.Since(start)
		if took >= slice/2 {
			return max(1, int(float64(n)*float64(slice)/float64(took)))
		}
		n *= 2
	}
}

func allocsOf(c contestant, n int) float64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c.run(n)
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / float64(n)
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	if len(s)%2 == 1 {
		return s[len(s)/2]
	}
	return (s[len(s)/2-1] + s[len(s)/2]) / 2
}

// row is one line of the table. ratio is ours to theirs in the unit's sense:
// for times ours/theirs, for rates ours/theirs as well.
type row struct {
	what, ours, theirs string
	ratio              float64
	goal               string
	met                bool
	note               string
}

// table prints rows in columns; a goal that is missed is marked, not hidden.
func table(w io.Writer, rows []row) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "WHAT\tOURS\tTHEIRS\tOURS/THEIRS\tGOAL\t\tNOTE")
	for _, r := range rows {
		mark := ""
		if r.goal != "" {
			mark = map[bool]string{true: "met", false: "MISSED"}[r.met]
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.what, r.ours, r.theirs, ratioText(r.ratio), r.goal, mark, r.note)
	}
	return t.Flush()
}

func ratioText(r float64) string {
	switch {
	case r == 0:
		return ""
	case r < 0.1:
		return fmt.Sprintf("1/%.0f", 1/r)
	default:
		return fmt.Sprintf("%.2f", r)
	}
}

func nsText(ns float64) string {
	switch {
	case ns < 1000:
		return fmt.Sprintf("%.0f ns", ns)
	case ns < 1e6:
		return fmt.Sprintf("%.1f us", ns/1e3)
	default:
		return fmt.Sprintf("%.1f ms", ns/1e6)
	}
}

func rateText(perSecond float64, unit string) string {
	s := fmt.Sprintf("%.0f", perSecond)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return strings.TrimSpace(s + " " + unit)
}
