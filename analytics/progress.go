package analytics

import "time"

// TrainingProgress says how far outcomes have come, without joining anything.
type TrainingProgress struct {
	// Outcomes is the number of stored outcomes; an outcome that was stored twice
	// may count twice until the engine has merged.
	Outcomes uint64
	// KnownAt is when the newest of them was stored, zero when there is none.
	KnownAt time.Time
}
