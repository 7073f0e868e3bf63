package function

import (
	"time"
)

// Limits of a function's settings, and what counts when a setting is zero.
const (
	DefaultTimeout     = 50 * time.Millisecond
	MaxTimeout         = time.Second
	MaxCacheTTL        = 24 * time.Hour
	DefaultConcurrency = 16
	MaxConcurrency     = 256
	MaxSource          = 64 << 10 // bytes of JavaScript
	MaxHeaders         = 32
)

// Function is a function as configured: exactly one of HTTP and JavaScript is
// set. It is read-only once it was called: the ID and the revision are its
// identity for the cache, the circuit and the compiled code.
type Function struct {
	ID         string
	Revision   int64
	HTTP       *HTTP
	JavaScript *JavaScript
	// Timeout is the longest a call may take; DefaultTimeout when 0.
	Timeout time.Duration
	// CacheTTL is how long a result serves the same arguments; 0 is not at all.
	CacheTTL time.Duration
	// OnError is the value when a call fails: a string, float64, bool, []any or
	// map[string]any; nil when there is none.
	OnError any
	// MaxConcurrency bounds calls at the same time; DefaultConcurrency when 0.
	MaxConcurrency int
}

// HTTP is a service to be asked.
type HTTP struct {
	// URL may hold {{argument}} in its path and query; values are escaped.
	URL string
	// Method is GET or POST; GET when empty. POST sends the arguments as a JSON
	// object.
	Method  string
	Headers map[string]string
	// SecretHeaders are sent like Headers and shown to nobody.
	SecretHeaders map[string]string
}

// JavaScript is code that defines function main(args).
type JavaScript struct {
	Source string
}

func (f *Function) timeout() time.Duration {
	if f.Timeout <= 0 {
		return DefaultTimeout
	}
	return min(f.Timeout, MaxTimeout)
}

func (f *Function) concurrency() int {
	if f.MaxConcurrency <= 0 {
		return DefaultConcurrency
	}
	return min(f.MaxConcurrency, MaxConcurrency)
}
