package app

import (
	"math"
	"runtime/debug"
)

const (
	// gcPercent trades memory for time: every decision makes garbage, and at Go's
	// default the collector takes processor from the next ones.
	gcPercent = 400
	// memoryLimit is where the collector works harder instead of growing on.
	memoryLimit = 2 << 30
)

// tuneMemory sets the collector for serving, unless GOGC or GOMEMLIMIT already
// did.
func tuneMemory() {
	if before := debug.SetGCPercent(gcPercent); before != 100 {
		debug.SetGCPercent(before)
	}
	if debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(memoryLimit)
	}
}
