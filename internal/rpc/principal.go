package rpc

import (
	"context"
	"strings"
	"time"
)

// Scope is a set of rights. A method asks for one right; a token has several.
type Scope uint8

// The rights. Admin includes the others.
const (
	ScopeDecide Scope = 1 << iota // ask for next actions
	ScopeIngest                   // report outcomes
	ScopeRead                     // read decisions, policies, models and so on
	ScopeAdmin                    // change anything
)

// Has says whether s holds every right of want.
func (s Scope) Has(want Scope) bool { return s&ScopeAdmin != 0 || s&want == want }

// String lists the rights, joined by commas.
func (s Scope) String() string {
	var names []string
	for i, name := range []string{"decide", "ingest", "read", "admin"} {
		if s&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// ParseScope reads one right by its name; ok is false when there is none such.
func ParseScope(name string) (s Scope, ok bool) {
	for i, known := range []string{"decide", "ingest", "read", "admin"} {
		if name == known {
			return 1 << i, true
		}
	}
	return 0, false
}

// Principal is who calls. It is immutable: verifiers hand out shared ones.
type Principal struct {
	// ID names the token, not its secret; it goes into logs and the audit trail.
	ID string
	// Account is the tenant the token is bound to, empty for the installation.
	Account string
	Scopes  Scope
	// Expires is when the token stops to count, zero for never.
	Expires time.Time
}

// Covers says whether the principal may touch an account's data; account "" is
// the installation.
func (p *Principal) Covers(account string) bool { return p.Account == "" || p.Account == account }

// Verifier turns a bearer token into the principal it stands for. An unknown,
// malformed or expired token is a fault of kind NoIdentity. It is called once
// per request by many goroutines and must neither wait nor lock.
type Verifier interface {
	Verify(token string) (*Principal, error)
}

type principalKey struct{}

// WithPrincipal puts the caller into a context. The doors do it for each call.
func WithPrincipal(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// Caller returns who calls, nil outside of a call.
func Caller(ctx context.Context) *Principal {
	p, _ := ctx.Value(principalKey{}).(*Principal)
	return p
}
