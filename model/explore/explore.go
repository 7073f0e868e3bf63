// Package explore turns scores into action probabilities: exact, never zero for
// an eligible arm while exploration is on, and drawn by a seed that comes from
// the request, so that every decision can be replayed. Nothing here allocates.
package explore

import (
	"errors"

	"github.com/cespare/xxhash/v2"

	"github.com/usherhq/usher/model"
)

// Config says how much, and how, to explore.
type Config struct {
	// Floor is the share of decisions spread evenly over all eligible arms, 0
	// to 1. With 0 the rest of the configuration decides alone.
	Floor float64
	// Optimism adds this many standard errors to each arm's expected reward
	// before arms are compared.
	Optimism float64
}

// DefaultConfig is the one configuration used everywhere.
func DefaultConfig() Config { return Config{Floor: 0.005, Optimism: 1.25} }

// Validate reports values out of range.
func (c Config) Validate() error {
	var errs []error
	if !(c.Floor >= 0 && c.Floor <= 1) {
		errs = append(errs, errors.New("floor must be 0 to 1"))
	}
	if !(c.Optimism >= 0 && c.Optimism <= 100) {
		errs = append(errs, errors.New("optimism must be 0 to 100"))
	}
	return errors.Join(errs...)
}

// Probabilities fills out with the probability of each scored arm; out must be
// as long as scores. eligible may be nil, which means all; an arm that is not
// eligible gets 0. The rest sums to 1. With no eligible arm all are 0.
func Probabilities(cfg Config, scores []model.Score, eligible []bool, out []float64) {
	n, best, top := 0, -1, 0.0
	for i := range scores {
		out[i] = 0
		if eligible != nil && !eligible[i] {
			continue
		}
		n++
		if v := scores[i].Value + cfg.Optimism*scores[i].StdErr; best < 0 || v > top {
			best, top = i, v
		}
	}
	if n == 0 {
		return
	}
	for i := range out {
		if eligible == nil || eligible[i] {
			out[i] = cfg.Floor / float64(n)
		}
	}
	out[best] += 1 - cfg.Floor
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
