package function

import (
	"context"
	"errors"

	"github.com/usherhq/usher/pipeline/event"
)

// Config is how functions are run.
type Config struct {
	// PrivateHosts are hosts that HTTP functions may reach inside the network,
	// without TLS and on any port: host, host:port, or account/host:port for one
	// account alone.
	PrivateHosts []string
}

// DefaultConfig reaches public services over TLS only.
func DefaultConfig() Config { return Config{} }

// Deps are what a caller needs.
type Deps struct{}

// Caller calls functions. It is safe for concurrent use.
type Caller struct{}

// New makes a caller. Close it when nobody calls any more.
func New(_ Config, _ Deps) (*Caller, error) { return &Caller{}, nil }

// Close ends calls under way and waits for them.
func (c *Caller) Close() error { return nil }

// Call asks a function for the value of an attribute. It returns within the
// function's time-out and ctx, whichever ends first, and never an error: how it
// went is in the call. The value is nil when there is none, and the function's
// value on error when call.Fallback says so.
func (c *Caller) Call(_ context.Context, _ string, fn *Function, attribute string, _ map[string]any) (any, event.Call) {
	return nil, event.Call{Function: fn.ID, Attribute: attribute, Result: event.CallError, Detail: errors.ErrUnsupported.Error()}
}

// Request is one call of CallAll.
type Request struct {
	Function  *Function
	Attribute string
	// Path takes a part of the result, see Select; empty takes the whole.
	Path      string
	Arguments map[string]any
}

// Result is what came of a request. Value is nil when there is none.
type Result struct {
	Value any
	Call  event.Call
}

// CallAll makes all calls at once and returns when the last one has ended; the
// results are in the order of the requests. Its bounds are those of Call.
func (c *Caller) CallAll(ctx context.Context, account string, requests []Request) []Result {
	out := make([]Result, len(requests))
	for i, r := range requests {
		out[i].Value, out[i].Call = c.Call(ctx, account, r.Function, r.Attribute, r.Arguments)
	}
	return out
}
