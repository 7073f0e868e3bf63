package model

import (
	"errors"
	"fmt"
	"math"
)

// Config bounds a learner. One default serves every data set; the fields are
// limits of memory and the meaning of a reward, not knobs of quality.
type Config struct {
	// RewardMin and RewardMax bound rewards; those outside are clamped.
	RewardMin, RewardMax float64
	// MaxFeatures and MaxArms bound distinct context features and distinct arms
	// (arm features included). What comes later is not learned.
	MaxFeatures, MaxArms int
	// MaxCells bounds features x arms that carry weights: 12 bytes each.
	MaxCells int
}

// DefaultConfig returns the configuration used everywhere: rewards in 0..1 and
// at most about 130 MB.
func DefaultConfig() Config {
	return Config{
		RewardMin: 0, RewardMax: 1,
		MaxFeatures: 1 << 17, MaxArms: 1 << 12, MaxCells: 1 << 23,
	}
}

// Validate reports every field that is out of range.
func (c Config) Validate() error {
	var errs []error
	if !(c.RewardMin < c.RewardMax) || math.IsInf(c.RewardMin, 0) || math.IsInf(c.RewardMax, 0) {
		errs = append(errs, fmt.Errorf("reward range [%g, %g] must be finite and not empty", c.RewardMin, c.RewardMax))
	}
	for _, f := range []struct {
		name     string
		v, limit int
	}{
		{"max_features", c.MaxFeatures, limitRows},
		{"max_arms", c.MaxArms, limitCols},
		{"max_cells", c.MaxCells, limitCells},
	} {
		if f.v < 1 || f.v > f.limit {
			errs = append(errs, fmt.Errorf("%s is %d, must be 1 to %d", f.name, f.v, f.limit))
		}
	}
	return errors.Join(errs...)
}

// Hard limits that an encoded artifact may not exceed either.
const (
	limitRows  = 1 << 20
	limitCols  = 1 << 15
	limitCells = 1 << 24
)
