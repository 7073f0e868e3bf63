package embedded

import (
	"errors"
	"fmt"
	"net"
	"time"
)

// Config says where one engine keeps its data and where it listens.
type Config struct {
	// DataDir holds tables, users, passwords, logs and the lock. It is created
	// when missing. One engine per folder.
	DataDir string
	// NativeAddr and HTTPAddr are host:port of the native protocol and of HTTP.
	// Both must be on this machine: user default has no password. Port 0 picks a
	// free one, once: they outlive an engine that dies.
	NativeAddr, HTTPAddr string
	// LibraryPath is libchdb itself, or empty to look in the usual places, see
	// [Locate].
	LibraryPath string
	// Executable and ChildArgs start the child: Executable ChildArgs... flags.
	// Empty means this program and "clickhouse".
	Executable string
	ChildArgs  []string
	// MemoryRatio is the engine's share of the machine's memory, 0 to 1; queries
	// beyond it fail instead of swapping the machine.
	MemoryRatio float64
	// StartTimeout bounds one start up to the first answered query.
	StartTimeout time.Duration
	// StopTimeout bounds a clean stop; then the child is killed.
	StopTimeout time.Duration
	// MaxBackoff is the longest pause before an engine that died is started again.
	MaxBackoff time.Duration
	// ProbeInterval is the pause between two looks at the listeners; an engine
	// that did not answer ProbeFailures times in a row is killed and restarted.
	ProbeInterval time.Duration
	ProbeFailures int
}

// DefaultConfig listens on the usual ports of this machine.
func DefaultConfig() Config {
	return Config{
		NativeAddr:    "127.0.0.1:9000",
		HTTPAddr:      "127.0.0.1:8123",
		ChildArgs:     []string{"clickhouse"},
		MemoryRatio:   0.4,
		StartTimeout:  60 * time.Second,
		StopTimeout:   20 * time.Second,
		MaxBackoff:    5 * time.Second,
		ProbeInterval: 5 * time.Second,
		ProbeFailures: 12,
	}
}

// Validate reports every fault of the configuration at once.
func (c Config) Validate() error {
	var errs []error
	if c.DataDir == "" {
		errs = append(errs, errors.New("data folder: must be set"))
	}
	for name, addr := range map[string]string{"native address": c.NativeAddr, "HTTP address": c.HTTPAddr} {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		} else if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			errs = append(errs, fmt.Errorf("%s %q: must be on this machine (127.0.0.1, ::1 or localhost); run a ClickHouse server for others", name, addr))
		}
	}
	if c.MemoryRatio <= 0 || c.MemoryRatio > 1 {
		errs = append(errs, fmt.Errorf("memory ratio %v: must be above 0 and at most 1", c.MemoryRatio))
	}
	for name, d := range map[string]time.Duration{
		"start timeout": c.StartTimeout, "stop timeout": c.StopTimeout,
		"longest back-off": c.MaxBackoff, "probe interval": c.ProbeInterval,
	} {
		if d <= 0 {
			errs = append(errs, fmt.Errorf("%s %v: must be positive", name, d))
		}
	}
	if c.ProbeFailures < 1 {
		errs = append(errs, fmt.Errorf("probe failures %d: must be at least 1", c.ProbeFailures))
	}
	return errors.Join(errs...)
}
