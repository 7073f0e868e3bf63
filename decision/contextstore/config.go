package contextstore

import (
	"time"

	"github.com/usherhq/usher/internal/fault"
)

// Ceiling is the longest that any document lives after its last write, 13 months.
const Ceiling = 395 * 24 * time.Hour

// Config is how a store works.
type Config struct {
	// MaxCharacters is the longest document, counted in characters of its JSON.
	MaxCharacters int
	// SweepEvery is how often expired documents are removed from the engine. They
	// are gone for readers the moment they expire.
	SweepEvery time.Duration
}

// DefaultConfig is 800,000 characters and a sweep a minute.
func DefaultConfig() Config {
	return Config{MaxCharacters: 800_000, SweepEvery: time.Minute}
}

// Validate reports every value that breaks a rule.
func (c *Config) Validate() error {
	var check fault.Check
	if c.MaxCharacters < 2 {
		check.Add("max_characters", "%d must be at least 2", c.MaxCharacters)
	}
	if c.SweepEvery <= 0 {
		check.Add("sweep_every", "%v must be above 0", c.SweepEvery)
	}
	return check.Err("the configuration of the context store is not valid")
}
