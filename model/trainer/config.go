package trainer

import (
	"errors"
	"fmt"
	"time"

	"github.com/usherhq/usher/model/evaluate"
)

// Config says when to fit and on how much. One default serves every account.
type Config struct {
	// Check is how often progress is looked at.
	Check time.Duration
	// MinRows is the least number of joined rows that a model is fitted to, and
	// the least growth that asks for a new fit.
	MinRows int64
	// GrowthShare asks for a new fit when joined rows have grown by this share
	// since the last one, so that the work per row stays bounded as rows grow.
	GrowthShare float64
	// MaxAge asks for a new fit after this time even with less growth, when at
	// least a gate's worth of rows is new.
	MaxAge time.Duration
	// Window is how far back decisions are learned from; MaxRows bounds their
	// number, the newest are kept. About 2 kB of memory per row while fitting.
	Window  time.Duration
	MaxRows int
	// FullShare is the largest share of the time that full fits may take.
	FullShare float64
	// HoldoutShare is the share of rows, the newest, that the gate judges on.
	HoldoutShare float64
	// Parallel is how many accounts are fitted at once.
	Parallel int
	// FitTimeout bounds one fit with its reading and writing.
	FitTimeout time.Duration
	// ChallengeEvery is the least time between two challenges to an account's models
	// by another family; 0 means none.
	ChallengeEvery time.Duration
	// RetryMin and RetryMax bound the wait after a failure, which doubles.
	RetryMin, RetryMax time.Duration
	Gate               evaluate.GateConfig
}

// DefaultConfig looks every second and refits when rows have grown by a tenth.
func DefaultConfig() Config {
	return Config{
		Check: time.Second, MinRows: 100, GrowthShare: 0.1, MaxAge: 30 * time.Second,
		Window: 90 * 24 * time.Hour, MaxRows: 200_000, FullShare: 0.25, HoldoutShare: 0.2,
		Parallel: 1, FitTimeout: 10 * time.Minute, RetryMin: time.Second, RetryMax: time.Minute,
		ChallengeEvery: time.Hour,
		Gate:           evaluate.DefaultGateConfig(),
	}
}

// Validate reports every field that is out of range.
func (c Config) Validate() error {
	var errs []error
	for _, d := range []struct {
		name string
		v    time.Duration
	}{
		{"check", c.Check},
		{"max_age", c.MaxAge},
		{"window", c.Window},
		{"fit_timeout", c.FitTimeout},
		{"retry_min", c.RetryMin},
		{"retry_max", c.RetryMax},
	} {
		if d.v <= 0 {
			errs = append(errs, fmt.Errorf("%s is %s, must be above 0", d.name, d.v))
		}
	}
	for _, s := range []struct {
		name string
		v    float64
	}{{"growth_share", c.GrowthShare}, {"full_share", c.FullShare}, {"holdout_share", c.HoldoutShare}} {
		if !(s.v > 0 && s.v <= 1) {
			errs = append(errs, fmt.Errorf("%s is %g, must be above 0 and at most 1", s.name, s.v))
		}
	}
	if c.MinRows < 1 {
		errs = append(errs, fmt.Errorf("min_rows is %d, must be at least 1", c.MinRows))
	}
	if c.MaxRows < 1 || int64(c.MaxRows) < c.MinRows {
		errs = append(errs, fmt.Errorf("max_rows is %d, must be at least min_rows", c.MaxRows))
	}
	if c.Parallel < 1 {
		errs = append(errs, fmt.Errorf("parallel is %d, must be at least 1", c.Parallel))
	}
	return errors.Join(errs...)
}
