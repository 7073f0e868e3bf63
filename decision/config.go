package decision

import (
	"errors"
	"fmt"
	"time"

	"github.com/usherhq/usher/model/explore"
)

// Config bounds what one decision may cost. The zero value is not valid; start
// from [DefaultConfig].
type Config struct {
	// TraceLimit is the number of policies up to which a record carries the
	// trace of every one; beyond it, only of those that matched. A request with
	// Explain gets all.
	TraceLimit int
	// Factors is how many contributions to a score are recorded for each
	// answered candidate, largest first; 0 records none.
	Factors int
	// Budget bounds the time that looking up attributes may take.
	Budget time.Duration
	// Explore is how the model's decisions explore where the mode does not say.
	Explore explore.Config
}

// DefaultConfig returns the configuration used everywhere.
func DefaultConfig() Config {
	return Config{TraceLimit: 100, Factors: 5, Budget: 50 * time.Millisecond, Explore: explore.DefaultConfig()}
}

// Validate reports every field that is out of range.
func (c Config) Validate() error {
	var errs []error
	if c.TraceLimit < 0 {
		errs = append(errs, fmt.Errorf("trace_limit is %d, must not be negative", c.TraceLimit))
	}
	if c.Factors < 0 || c.Factors > 100 {
		errs = append(errs, fmt.Errorf("factors is %d, must be 0 to 100", c.Factors))
	}
	if c.Budget <= 0 || c.Budget > 10*time.Second {
		errs = append(errs, fmt.Errorf("budget is %v, must be above 0 and at most 10s", c.Budget))
	}
	if err := c.Explore.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("explore: %w", err))
	}
	return errors.Join(errs...)
}

// Limits of one request.
const (
	// DefaultMaxActions is how many actions are answered unless the caller says.
	DefaultMaxActions = 3
	// MaxActions is the most a caller may ask for.
	MaxActions = 100
	// MaxCandidates bounds the candidates of one request and of one record.
	MaxCandidates = 1000
	// MaxAttributes bounds the attributes of a request and of each candidate.
	MaxAttributes = 500

	// MaxWaited bounds how long a conversation can have waited.
	MaxWaited = 366 * 24 * time.Hour

	maxID     = 256
	maxString = 32 << 10
	maxDepth  = 8
)
