// Package telemetry sets up what a process tells about itself: structured logs,
// Prometheus metrics, and the administrators' door that serves them.
package telemetry

import (
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Config says how a process logs.
type Config struct {
	// Level is debug, info, warn or error.
	Level string
	// Format is text, for people, or json, for machines.
	Format string
}

// DefaultConfig logs what an operator wants to see, as text.
func DefaultConfig() Config { return Config{Level: "info", Format: "text"} }

// Validate names the first setting that has no meaning.
func (c Config) Validate() error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		return fmt.Errorf("log level %q: want debug, info, warn or error", c.Level)
	}
	if f := strings.ToLower(c.Format); f != "text" && f != "json" {
		return fmt.Errorf("log format %q: want text or json", c.Format)
	}
	return nil
}

// Logger writes to w as c says. It fails when c is not valid.
func Logger(w io.Writer, c Config) (*slog.Logger, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	opts := &slog.HandlerOptions{}
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		return nil, fmt.Errorf("read log level: %w", err)
	}
	opts.Level = level
	if strings.EqualFold(c.Format, "json") {
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	}
	return slog.New(slog.NewTextHandler(w, opts)), nil
}

// Registry makes a metric registry that already tells about the Go runtime, the
// process and, as usher_build_info, the version that runs.
func Registry(version string) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "usher_build_info",
		Help: "Always 1; the label names the version that runs.",
	}, []string{"version"})
	build.WithLabelValues(version).Set(1)
	reg.MustRegister(collectors.NewGoCollector(), build,
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return reg
}
