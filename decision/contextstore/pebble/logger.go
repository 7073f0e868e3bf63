package pebble

import (
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
)

// logger hands on what the library says.
type logger struct{ log *slog.Logger }

// Infof is about compactions and the like, which happen all the time.
func (l logger) Infof(format string, args ...any) {
	l.log.Debug("context store", "message", fmt.Sprintf(format, args...))
}

// Errorf is about trouble that the library gets over.
func (l logger) Errorf(format string, args ...any) {
	l.log.Warn("context store", "message", fmt.Sprintf(format, args...))
}

// Fatalf is about a disk that takes no more: the library demands that the process
// ends, as what it acknowledges from here on could be lost.
func (l logger) Fatalf(format string, args ...any) {
	l.log.Error("context store", "message", fmt.Sprintf(format, args...))
	pebble.DefaultLogger.Fatalf(format, args...)
}
