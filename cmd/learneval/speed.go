package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/model/evaluate"
)

// speed is one measured time or rate with what was asked.
type speed struct {
	what, ours, bar string
	met             bool
}

// scoreSpeed times one decision's scores with a model that has learned such rows.
func scoreSpeed(arms, features int, words bool) (time.Duration, error) {
	l, err := model.New(model.DefaultConfig())
	if err != nil {
		return 0, err
	}
	all := make([]model.Arm, arms)
	for i := range all {
		all[i].ID = fmt.Sprintf("TRANSFER_TO_SKILL:%d", i)
	}
	fill := func(f *model.Features, i int) {
		f.Reset()
		text := ""
		var line strings.Builder
		for k := range features {
			if words {
				fmt.Fprintf(&line, "word%d ", (i*7+k*13)%400)
				continue
			}
			f.AddString(fmt.Sprintf("attribute%d", k), fmt.Sprintf("value%d", i*(k+3)%17))
		}
		text += line.String()
		if words {
			f.AddText("text", text)
		}
	}
	var ctx model.Features
	for i := range 20 * arms {
		fill(&ctx, i)
		if err := l.Learn(model.Example{Context: &ctx, Arms: all, Chosen: i % arms, Reward: float64(i % 2), Propensity: 1 / float64(arms)}); err != nil {
			return 0, err
		}
	}
	m := l.Snapshot("speed")
	var s model.Scratch
	out := make([]model.Score, arms)
	var times []time.Duration
	for range 9 {
		n := max(1, 2_000_000/(arms*features))
		begin := time.Now()
		for range n {
			m.Score(&s, &ctx, all, out)
		}
		times = append(times, time.Since(begin)/time.Duration(n))
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}

// scoreSpeeds are the times of scoring alone.
func scoreSpeeds() ([]speed, error) {
	var out []speed
	for _, c := range []struct {
		what           string
		arms, features int
		words          bool
		bar            time.Duration
	}{
		{"score 150 arms by 10 words", 150, 10, true, 45 * time.Microsecond},
		{"score 200 arms by 500 features", 200, 500, false, 0},
	} {
		took, err := scoreSpeed(c.arms, c.features, c.words)
		if err != nil {
			return nil, err
		}
		s := speed{what: c.what, ours: took.Round(100 * time.Nanosecond).String(), met: c.bar == 0 || took <= c.bar}
		if c.bar > 0 {
			s.bar = "at most " + c.bar.String()
		}
		out = append(out, s)
	}
	return out, nil
}

// asked of the whole product: 7.3 s is what the Decision Service took from reward to
// policy, 2,000 what its learner joined a second on one core.
const (
	latencyBar = 7300 * time.Millisecond
	joinedBar  = 2000
	joinedRows = 20_000
)

// productSpeeds are what a running product does.
func productSpeeds(ctx context.Context, o options, s *evaluate.Stream, p pipelineResult, tell say) ([]speed, error) {
	times := slices.Sorted(slices.Values(p.Latency))
	var out []speed
	if len(times) > 0 {
		half, last := times[len(times)/2], times[len(times)-1]
		out = append(out, speed{
			what: fmt.Sprintf("reward to changed decision, %d refits of up to %d rows, median and longest", len(times), p.Rows),
			ours: half.Round(time.Millisecond).String() + ", " + last.Round(time.Millisecond).String(),
			bar:  "under " + latencyBar.String(), met: last < latencyBar,
		})
	}
	n, err := startNode(ctx, o.usher, o.engine, eager(joinedRows)...)
	if err != nil {
		return nil, err
	}
	defer n.close()
	rate, err := joinedPerSecond(ctx, n, s, joinedRows, tell)
	if err != nil {
		return nil, err
	}
	return append(out, speed{
		what: fmt.Sprintf("%d decisions and their outcomes, from the first request to a model fitted to all, with the caller on the same 2 cores", joinedRows),
		ours: fmt.Sprintf("%.0f a second", rate), bar: fmt.Sprintf("%d joined events a second", joinedBar), met: rate >= joinedBar,
	}), nil
}
