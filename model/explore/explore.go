// Package explore turns scores into action probabilities: exact, never zero for
// an eligible arm while exploration is on, and drawn by a number that comes from
// the request, so that every decision can be replayed. Nothing here allocates.
package explore

import (
	"errors"
	"math"

	"github.com/cespare/xxhash/v2"

	"github.com/usherhq/usher/model"
)

// Config says how much, and how, to explore.
type Config struct {
	// Floor is the share of decisions spread evenly over all eligible arms, 0
	// to 1: what keeps every logged probability above zero.
	Floor float64
	// Optimism adds this many standard errors to each arm's expected reward
	// before arms are compared, so that promising arms are found out about.
	Optimism float64
	// Gamma above 0 shares what the floor leaves by inverse gaps: an arm that is
	// worse than the best of n by g gets 1/(n + Gamma*g) of it, the best the
	// rest. A larger Gamma explores less. With 0 the best gets all of it.
	Gamma float64
}

// DefaultConfig is the one configuration used everywhere. Optimism explores
// where it pays; inverse gaps on top brought nothing on the data tried.
func DefaultConfig() Config { return Config{Floor: 0.005, Optimism: 1.25} }

// Validate reports every value out of range.
func (c Config) Validate() error {
	var errs []error
	if !(c.Floor >= 0 && c.Floor <= 1) {
		errs = append(errs, errors.New("floor must be 0 to 1"))
	}
	if !(c.Optimism >= 0 && c.Optimism <= 100) {
		errs = append(errs, errors.New("optimism must be 0 to 100"))
	}
	if !(c.Gamma >= 0 && c.Gamma <= 1e9) {
		errs = append(errs, errors.New("gamma must be 0 to 1e9"))
	}
	return errors.Join(errs...)
}

// Probabilities fills out with the probability of each scored arm; out must be
// as long as scores. eligible may be nil, which means all; an arm that is not
// eligible gets 0. The rest sums to 1. With no eligible arm all are 0. Of equal
// arms the first counts as best.
func Probabilities(cfg Config, scores []model.Score, eligible []bool, out []float64) {
	n, best := 0, -1
	for i := range scores {
		out[i] = 0
		if eligible != nil && !eligible[i] {
			continue
		}
		n++
		if best < 0 || cfg.hope(scores[i]) > cfg.hope(scores[best]) {
			best = i
		}
	}
	if n == 0 {
		return
	}
	top, left := cfg.hope(scores[best]), 1.0
	for i := range scores {
		if i == best || eligible != nil && !eligible[i] {
			continue
		}
		p := cfg.Floor / float64(n)
		if cfg.Gamma > 0 {
			p += (1 - cfg.Floor) / (float64(n) + cfg.Gamma*(top-cfg.hope(scores[i])))
		}
		out[i] = p
		left -= p
	}
	out[best] = max(left, 0)
}

// hope is what arms are compared by; a score that is not a number loses.
func (c Config) hope(s model.Score) float64 {
	if v := s.Value + c.Optimism*s.StdErr; !math.IsNaN(v) && !math.IsInf(v, 0) {
		return v
	}
	return -math.MaxFloat64 / 4
}

// Draw returns the index drawn by u in [0, 1) from the distribution p, never one
// with probability 0; -1 when all are 0.
func Draw(p []float64, u float64) int {
	last := -1
	for i, v := range p {
		if v <= 0 {
			continue
		}
		last = i
		if u -= v; u < 0 {
			return i
		}
	}
	return last
}

// Seed returns a uniform number in [0, 1) that depends on requestID alone.
func Seed(requestID string) float64 {
	return float64(xxhash.Sum64String(requestID)>>11) / (1 << 53)
}
