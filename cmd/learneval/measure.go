package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/usherhq/usher/model/evaluate"
)

// followAll is the margin of an objective that risks its whole range: every refit
// that is not shown to be worse goes live.
const followAll = -1

// throughName is the set that goes through a running product.
const throughName = "satellite"

// overridden is the share of decisions that something downstream overrides in the
// run that measures robustness.
const overridden = 0.1

// played is what came of one set.
type played struct {
	set
	Online, Overridden []evaluate.BanditResult // by seed
	Follow, Default    refitResult             // first seed: every refit followed; the gate as it comes
	Seconds            float64
}

// results are everything that was measured.
type results struct {
	sets        []played
	directions  []directionResult
	conversions []conversionResult
	product     *pipelineResult
	speeds      []speed
}

type say func(format string, args ...any)

// measure runs everything, two parts at a time; what is timed runs alone, at the end.
func measure(ctx context.Context, o options, tell say) (*results, error) {
	all := sets()
	r := &results{sets: make([]played, len(all))}
	scale, err := delays(o.root)
	if err != nil {
		return nil, err
	}
	g, ctx2 := errgroup.WithContext(ctx)
	g.SetLimit(2)
	for i := range slices.Backward(all) { // the longest first
		r.sets[i] = played{set: all[i]}
		p := &r.sets[i]
		p.seeds = p.seeds[:min(o.seeds, len(p.seeds))]
		p.Online, p.Overridden = make([]evaluate.BanditResult, len(p.seeds)), make([]evaluate.BanditResult, len(p.seeds))
		if o.only == "offpolicy" || (o.only == product || o.only == burst) && p.name != throughName {
			continue
		}
		for k := range p.seeds {
			if k > 0 && (o.only == product || o.only == burst || o.only == "refits") {
				break
			}
			g.Go(func() error {
				if err := p.play(ctx2, o, k, scale); err != nil {
					return fmt.Errorf("%s, seed %d: %w", p.name, p.seeds[k], err)
				}
				tell("%s: error %.3f with seed %d", p.name, p.Online[k].Error, p.seeds[k])
				return nil
			})
		}
	}
	if o.does("offpolicy") {
		r.valued(o, g, tell)
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return r, r.timed(ctx, o, scale, tell)
}

// valued measures the off-policy estimates.
func (r *results) valued(o options, g *errgroup.Group, tell say) {
	r.directions, r.conversions = make([]directionResult, len(directions())), make([]conversionResult, len(conversions(o.logs)))
	for i, d := range directions() {
		g.Go(func() (err error) {
			r.directions[i], err = runDirection(o.root, d)
			tell("off-policy: %s, %s to %s", d.campaign, d.log, d.policy)
			return err
		})
	}
	for i, c := range conversions(o.logs) {
		g.Go(func() (err error) {
			r.conversions[i], err = runConversion(o.root, c, 0)
			tell("off-policy with a known truth: %s", c.name)
			return err
		})
	}
}

// play measures one seed of a set: online, overridden, and refitted periodically.
func (p *played) play(ctx context.Context, o options, k int, scale []float64) error {
	t, err := evaluate.ReadTable(inRoot(o.root, p.file))
	if err != nil {
		return err
	}
	cfg := p.cfg
	cfg.Seed = p.seeds[k]
	if p.Online[k], err = evaluate.RunBandit(t, cfg, time.Now); err != nil {
		return err
	}
	cfg.Override = overridden
	if p.Overridden[k], err = evaluate.RunBandit(t, cfg, time.Now); err != nil {
		return err
	}
	if !o.does("refits") || !p.large || k > 0 {
		return nil
	}
	s, err := p.stream(o.root, p.seeds[k])
	if err != nil {
		return err
	}
	if p.Follow, err = refits(ctx, s, p.seeds[k], scale, followAll); err != nil || !p.gate {
		return err
	}
	p.Default, err = refits(ctx, s, p.seeds[k], scale, 0)
	return err
}

// stream reads the set as requests. The columns of the incident log are ids, which a
// caller sends as text.
func (s *set) stream(root string, seed uint64) (*evaluate.Stream, error) {
	t, err := evaluate.ReadTable(inRoot(root, s.file))
	if err != nil {
		return nil, err
	}
	cfg := s.cfg
	cfg.Seed = seed
	return evaluate.NewStream(t, cfg, s.name == "incidents")
}

// timed measures what needs the machine for itself.
func (r *results) timed(ctx context.Context, o options, scale []float64, tell say) (err error) {
	if !o.does(product) && o.only != burst {
		return nil
	}
	if r.speeds, err = scoreSpeeds(); err != nil {
		return err
	}
	at := slices.IndexFunc(r.sets, func(p played) bool { return p.name == throughName })
	s, err := r.sets[at].stream(o.root, 1)
	if err != nil {
		return err
	}
	var p pipelineResult
	if o.only != burst {
		if p, err = r.through(ctx, o, s, scale, tell); err != nil {
			return err
		}
	}
	tell("now as fast as it can")
	more, err := productSpeeds(ctx, o, s, p, tell)
	r.speeds = append(r.speeds, more...)
	return err
}

// through plays the stream through a running product.
func (r *results) through(ctx context.Context, o options, s *evaluate.Stream, scale []float64, tell say) (pipelineResult, error) {
	tell("%s through Kafka, ClickHouse and the trainer", throughName)
	n, err := startNode(ctx, o.usher, o.engine, eager(minRows)...)
	if err != nil {
		return pipelineResult{}, err
	}
	defer n.close()
	p, err := throughProduct(ctx, newPlayer(n, s, 1), scale, tell)
	if err != nil {
		return p, err
	}
	r.product = &p
	tell("%s through the product: error %.3f, %d refits", throughName, p.Error, p.Models)
	return p, nil
}

// mean of a measure over seeds.
func mean[T any](all []T, of func(T) float64) (m float64) {
	for _, v := range all {
		m += of(v) / float64(len(all))
	}
	return m
}

func online(all []evaluate.BanditResult) float64 {
	return mean(all, func(r evaluate.BanditResult) float64 { return r.Error })
}
