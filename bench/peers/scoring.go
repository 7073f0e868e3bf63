package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/usherhq/usher/model"
)

// sink keeps results alive, so that no loop is optimised away.
var sink uint64

const (
	arms     = 10
	features = 30
	table18  = 1 << 18
)

// customer is one row of a simple world: thirty categories, ten arms, and an arm
// that is right for it.
type customer struct {
	values [features]string
	right  int
}

func customers(n int) []customer {
	r := rand.New(rand.NewPCG(7, 7))
	out := make([]customer, n)
	for i := range out {
		for f := range out[i].values {
			out[i].values[f] = fmt.Sprintf("v%d", r.IntN(20))
		}
		out[i].right = int(out[i].values[0][1]+out[i].values[1][1]) % arms
	}
	return out
}

func (c *customer) fill(f *model.Features) {
	f.Reset()
	for i, v := range c.values {
		f.AddString(names30[i], v)
	}
}

var names30 = func() (names [features]string) {
	for i := range names {
		names[i] = fmt.Sprintf("feature_%02d", i)
	}
	return names
}()

func choices() []model.Arm {
	out := make([]model.Arm, arms)
	for i := range out {
		out[i].ID = fmt.Sprintf("skill-%d", i)
	}
	return out
}

// bare is the least that scoring can cost: sums of weights whose places are known.
type bare struct {
	weights []float32
	bias    [arms]float32
}

func (b *bare) score(at *[features]uint32, out *[arms]float32) {
	for a := range arms {
		sum, salt := b.bias[a], uint32(a)*0x9e3779b9
		for _, h := range at {
			sum += b.weights[(h^salt)&(table18-1)]
		}
		out[a] = sum
	}
}

func (c *customer) places() (at [features]uint32) {
	for i, v := range c.values {
		h := uint32(2166136261)
		for _, s := range []string{names30[i], v} {
			for k := range len(s) {
				h = (h ^ uint32(s[k])) * 16777619
			}
		}
		at[i] = h
	}
	return at
}

// fit teaches a learner the customers' right arms, one random arm at a time.
func fit(l *model.Learner, rows []customer) error {
	r := rand.New(rand.NewPCG(9, 9))
	var ctx model.Features
	all := choices()
	for i := range rows {
		rows[i].fill(&ctx)
		chosen := r.IntN(arms)
		e := model.Example{Context: &ctx, Arms: all, Chosen: chosen, Propensity: 1.0 / arms}
		if chosen == rows[i].right {
			e.Reward = 1
		}
		if err := l.Learn(e); err != nil {
			return err
		}
	}
	return nil
}

func benchScoring(rounds int, slice time.Duration) ([]row, error) {
	rows := customers(20_000)
	l, err := model.New(model.DefaultConfig())
	if err != nil {
		return nil, err
	}
	if err := fit(l, rows); err != nil {
		return nil, err
	}
	m := l.Snapshot("bench")
	sets := make([]*model.Features, 64)
	places := make([]*[features]uint32, 64)
	for i := range sets {
		sets[i] = &model.Features{}
		rows[i].fill(sets[i])
		at := rows[i].places()
		places[i] = &at
	}
	b := &bare{weights: make([]float32, table18)}
	var (
		scratch model.Scratch
		reused  model.Features
		scores  [arms]model.Score
		sums    [arms]float32
		all     = choices()
		many    = rows[:64]
		at      int
	)
	score := loop(sets, func(f *model.Features) { m.Score(&scratch, f, all, scores[:]) })
	encode := func(n int) {
		for range n {
			many[at&63].fill(&reused)
			m.Score(&scratch, &reused, all, scores[:])
			at++
		}
	}
	res := duel(rounds, slice, []contestant{
		{"score", score},
		{"encode and score", encode},
		{"bare dot products", loop(places, func(p *[features]uint32) { b.score(p, &sums); sink += uint64(math.Float32bits(sums[0])) })},
	})
	us, with, plain := res[0], res[1], res[2]
	return []row{
		{
			what: "score 10 arms x 30 features / bare dot products", ours: nsText(us.ns), theirs: nsText(plain.ns), ratio: plain.ratio,
			goal: "<= 2", met: plain.ratio <= 2, note: fmt.Sprintf("%.2f allocs; value and standard error", us.allocs),
		},
		{
			what: "encode 30 strings and score / bare dot products", ours: nsText(with.ns), theirs: nsText(plain.ns), ratio: plain.ratio / with.ratio,
			note: fmt.Sprintf("%.2f allocs", with.allocs),
		},
	}, nil
}

// benchTraining compares rows per second of the learner with a bare logistic
// regression in memory over the same hashed features.
func benchTraining(rounds int) ([]row, error) {
	rows := customers(20_000)
	var failed error
	learn := func(n int) {
		for range n {
			l, err := model.New(model.DefaultConfig())
			if err == nil {
				err = fit(l, rows)
			}
			if err != nil {
				failed = err
			}
		}
	}
	plain := func(n int) {
		for range n {
			sink += adagrad(rows)
		}
	}
	res := duel(rounds, 200*time.Millisecond, []contestant{{"learner", learn}, {"bare loop", plain}})
	if failed != nil {
		return nil, failed
	}
	rate := func(ns float64) float64 { return float64(len(rows)) / ns * 1e9 }
	return []row{{
		what: "training rows a second / bare AdaGrad loop", ours: rateText(rate(res[0].ns), "/s"), theirs: rateText(rate(res[1].ns), "/s"),
		ratio: 1 / res[1].ratio, note: "ours scores, learns second-order statistics and encodes strings",
	}}, nil
}

func adagrad(rows []customer) uint64 {
	r := rand.New(rand.NewPCG(9, 9))
	w, g := make([]float32, table18), make([]float32, table18)
	for i := range rows {
		at := rows[i].places()
		chosen := r.IntN(arms)
		salt := uint32(chosen) * 0x9e3779b9
		sum, want := float32(0), float32(0)
		if chosen == rows[i].right {
			want = 1
		}
		for _, h := range at {
			sum += w[(h^salt)&(table18-1)]
		}
		gradient := float32(1/(1+math.Exp(-float64(sum)))) - want
		for _, h := range at {
			k := (h ^ salt) & (table18 - 1)
			g[k] += gradient * gradient
			w[k] -= 0.1 * gradient / float32(math.Sqrt(float64(g[k])+1e-6))
		}
	}
	return uint64(math.Float32bits(w[1]))
}
