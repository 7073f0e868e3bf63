package function

import (
	"log/slog"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/usherhq/usher/internal/fault"
)

// Config is how functions are run.
type Config struct {
	// PrivateHosts are hosts that HTTP functions may reach inside the network,
	// without TLS and on any port: host, host:port, or account/host:port for one
	// account alone.
	PrivateHosts []string
	// MaxAnswer bounds an answer, in bytes.
	MaxAnswer int
	// CacheBytes bounds the memory of cached results.
	CacheBytes int
	// Runtimes is how many JavaScript functions run at the same time; each takes up
	// to 8 MB and, while a script loops, a core. One core is left for deciding:
	// otherwise scripts that hang would hold up those who gave up on them.
	Runtimes int
	// Failures in a row open a function's circuit for OpenFor: it is refused
	// meanwhile, and then tried once.
	Failures int
	OpenFor  time.Duration
}

// DefaultConfig reaches public services over TLS only.
func DefaultConfig() Config {
	return Config{MaxAnswer: 64 << 10, CacheBytes: 32 << 20, Runtimes: max(1, runtime.GOMAXPROCS(0)-1), Failures: 5, OpenFor: 5 * time.Second}
}

// Validate reports every value that breaks a rule.
func (c Config) Validate() error {
	var check fault.Check
	if _, err := newHosts(c.PrivateHosts); err != nil {
		for i, e := range c.PrivateHosts {
			if _, err := newHosts([]string{e}); err != nil {
				check.Add("private_hosts", "entry %d, %q, must be host, host:port or account/host:port", i, e)
			}
		}
	}
	for _, n := range []struct {
		field        string
		value, least int
	}{
		{"max_answer", c.MaxAnswer, 1},
		{"cache_bytes", c.CacheBytes, 0},
		{"runtimes", c.Runtimes, 1},
		{"failures", c.Failures, 1},
	} {
		if n.value < n.least {
			check.Add(n.field, "%d must be at least %d", n.value, n.least)
		}
	}
	if c.OpenFor <= 0 {
		check.Add("open_for", "%v must be above 0", c.OpenFor)
	}
	return check.Err("the configuration of functions is not valid")
}

// Deps are what a caller needs; all may be zero.
type Deps struct {
	Metrics prometheus.Registerer // nil: counted, not shown
	Log     *slog.Logger
	Now     func() time.Time // of cached results
}
