package skillstate

import (
	"errors"
	"fmt"
	"time"
)

// Config says how long reports count. The zero value is not valid; start from
// [DefaultConfig].
type Config struct {
	// MaxAge is how old the newest report of a skill may be; an older one is as
	// good as none, and conditions on it are UNKNOWN.
	MaxAge time.Duration
	// History is how far back the log is read at a start.
	History time.Duration
	// MaxSkew is how far in the future a reporter's clock may be. A report from
	// beyond counts as of now: it must not outlive the right ones that follow.
	MaxSkew time.Duration
	// MaxNames bounds the skills, agents and bots of one account. Reports of
	// further ones are refused, or dropped when they come from the log.
	MaxNames int
	// Retry is the pause after the log could not be followed.
	Retry time.Duration
	// Patience bounds how long a start waits for the past to be read.
	Patience time.Duration
}

// DefaultConfig returns the configuration used everywhere.
func DefaultConfig() Config {
	return Config{
		MaxAge: 10 * time.Minute, History: 3 * time.Hour, MaxSkew: time.Minute, MaxNames: 100_000,
		Retry: time.Second, Patience: 10 * time.Second,
	}
}

// Validate reports every setting that makes no sense.
func (c Config) Validate() error {
	var errs []error
	if c.MaxAge <= 0 {
		errs = append(errs, fmt.Errorf("max_age is %v, must be positive", c.MaxAge))
	}
	if c.History < c.MaxAge {
		errs = append(errs, fmt.Errorf("history is %v, must be at least max_age, %v", c.History, c.MaxAge))
	}
	if c.MaxSkew < 0 {
		errs = append(errs, fmt.Errorf("max_skew is %v, must not be negative", c.MaxSkew))
	}
	if c.MaxNames < 1 {
		errs = append(errs, fmt.Errorf("max_names is %d, must be positive", c.MaxNames))
	}
	if c.Retry <= 0 || c.Patience <= 0 {
		errs = append(errs, fmt.Errorf("retry is %v, patience %v, must be positive", c.Retry, c.Patience))
	}
	return errors.Join(errs...)
}
