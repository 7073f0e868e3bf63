package trainer

import (
	"fmt"
	"time"
)

// NextFit says in words what the next fit of an account waits for: rows are those
// there are, fitted those of its newest model, which was made at a time, zero when
// there is none. It goes by what is stored and not by what a running trainer knows.
func (c Config) NextFit(rows, fitted int64, made, now time.Time) string {
	if rows < c.MinRows {
		return fmt.Sprintf("waits for %d more rows with a reward: there are %d, it needs %d", c.MinRows-rows, rows, c.MinRows)
	}
	if made.IsZero() {
		return "due: there are rows enough, and no model yet"
	}
	due := fitted + int64(max(float64(c.MinRows), c.GrowthShare*float64(fitted)))
	switch age := now.Sub(made); {
	case rows >= due:
		return fmt.Sprintf("due: rows have grown from %d to %d", fitted, rows)
	case rows >= fitted+c.Gate.MinRows && age >= c.MaxAge:
		return fmt.Sprintf("due: %d rows are new, and the newest model is %v old", rows-fitted, age.Round(time.Second))
	default:
		return fmt.Sprintf("at %d rows, of which there are %d, or with %d new ones once the newest model is %v old", due, rows, c.Gate.MinRows, c.MaxAge)
	}
}
