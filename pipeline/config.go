package pipeline

import (
	"errors"
	"fmt"
	"time"
)

// Config sets the size of blocks and the patience with the sink.
type Config struct {
	MaxRows  int           // rows that fill a block
	MaxBytes int           // payload bytes that fill a block
	MaxAge   time.Duration // how long the first row of a block waits for company

	// MaxSkew is how far ahead of the broker's time of its message an event may be;
	// one further ahead becomes a dead letter.
	MaxSkew time.Duration

	WriteTimeout time.Duration // one attempt to store a block
	DrainTimeout time.Duration // to finish a write when the partition must be let go
	MinBackoff   time.Duration // first wait after a fault of the sink; doubles
	MaxBackoff   time.Duration // longest wait
}

// DefaultConfig stores an event within about a quarter of a second of its
// arrival when there is little to do, and in blocks of 20,000 when there is much.
func DefaultConfig() Config {
	return Config{
		MaxRows: 20_000, MaxBytes: 32 << 20, MaxAge: 200 * time.Millisecond, MaxSkew: 10 * time.Minute,
		WriteTimeout: time.Minute, DrainTimeout: 10 * time.Second,
		MinBackoff: 50 * time.Millisecond, MaxBackoff: 5 * time.Second,
	}
}

// Validate lists every setting that cannot work.
func (c Config) Validate() error {
	var errs []error
	if c.MaxRows <= 0 || c.MaxBytes <= 0 {
		errs = append(errs, errors.New("pipeline block: rows and bytes must be positive"))
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"block age", c.MaxAge}, {"clock skew", c.MaxSkew}, {"write timeout", c.WriteTimeout}, {"drain timeout", c.DrainTimeout}, {"first backoff", c.MinBackoff},
	} {
		if d.value <= 0 {
			errs = append(errs, fmt.Errorf("pipeline %s: must be positive", d.name))
		}
	}
	if c.MaxBackoff < c.MinBackoff {
		errs = append(errs, errors.New("pipeline longest backoff: must not be shorter than the first"))
	}
	return errors.Join(errs...)
}
