package analytics

import "time"

// TrainingProgress says how far there is something to learn from, without joining
// decisions to outcomes.
type TrainingProgress struct {
	// Rows is about the number of rows that a [TrainingQuery] reads: decisions that
	// an outcome of the objective's kinds names, conversations that one names (each
	// once, however many of its decisions have outcomes), and, when the objective
	// rewards silence, all decisions whose window has passed. Outcomes that come
	// after their window count though they teach nothing, and what was stored twice
	// counts twice until the engine has merged.
	Rows uint64
	// KnownAt is when the account's newest outcome was stored, zero when there is
	// none.
	KnownAt time.Time
}
