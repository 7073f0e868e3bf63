package rpc

import (
	"cmp"
	"context"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/usherhq/usher/internal/fault"
)

// Rule says who may call a method and how its request names what it is about.
type Rule struct {
	// Scope is the right the caller needs.
	Scope Scope
	// Account returns the account that the request is about, or "" when it is
	// about the installation, which only tokens of the installation may touch.
	// A malformed name is a fault of kind Invalid. Nil leaves it to the method
	// to answer with nothing but what the caller may see.
	Account func(req any) (string, error)
	// Key puts the caller's idempotency key into the request, unless the
	// request brings its own. Nil: the method has no use for one.
	Key func(req any, key string)
	// Etag puts the revision that the caller wants to change into the request,
	// unless the request brings its own. Nil: the method has no use for one.
	Etag func(req any, etag string)
	// Timeout bounds a call in place of the server's own limit; 0 takes that.
	Timeout time.Duration
}

// keyHeader carries the idempotency key, as metadata and (canonically spelled)
// as an HTTP header.
const keyHeader = "idempotency-key"

// matchHeader carries an etag likewise, in quotes as HTTP has it; * is any.
const matchHeader = "if-match"

// healthPrefix starts the methods that need no token.
const healthPrefix = "/grpc.health.v1.Health/"

// guard is what stands between every caller and every method, whichever door
// the call came through.
type guard struct {
	rules    map[string]Rule // by full method
	verifier Verifier
	limits   *limits
	metrics  *metrics
	log      *slog.Logger
	newID    func() string
	now      func() time.Time
	timeout  time.Duration
	stopping chan struct{} // closes when the server is told to stop
}

// call is the one way to a method: authentication, tenancy, limits, containment
// of panics, error mapping and metrics happen here and nowhere else. The gRPC
// server has it as its interceptor and the in-process connection of the gateway
// calls it likewise.
func (g *guard) call(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
	done := g.metrics.begin(info.FullMethod, doorOf(ctx))
	defer func() {
		if cause := recover(); cause != nil {
			g.metrics.panics.Inc()
			resp, err = nil, g.internal(info.FullMethod, "panic", slog.Any("cause", cause), slog.String("stack", string(debug.Stack())))
		}
		done(err)
	}()
	ctx, release, err := g.admit(ctx, req, info.FullMethod)
	if err != nil {
		return nil, g.status(info.FullMethod, err)
	}
	defer release()
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cmp.Or(g.rules[info.FullMethod].Timeout, g.timeout))
		defer cancel()
	}
	resp, err = next(ctx, req)
	if _, known := status.FromError(err); known && strings.HasPrefix(info.FullMethod, healthPrefix) {
		return resp, err // of gRPC itself, such as NOT_FOUND for an unknown service
	}
	if err != nil {
		return nil, g.status(info.FullMethod, err)
	}
	return resp, nil
}

// admit lets a call pass or says why not. release must be called when it is over.
func (g *guard) admit(ctx context.Context, req any, method string) (_ context.Context, release func(), err error) {
	if strings.HasPrefix(method, healthPrefix) {
		return ctx, func() {}, nil
	}
	md, _ := metadata.FromIncomingContext(ctx)
	who, err := g.authenticate(first(md, "authorization"))
	if err != nil {
		return nil, nil, err
	}
	rule, known := g.rules[method]
	if !known {
		return nil, nil, fault.New(fault.Denied, "NOT_ALLOWED", "nobody may call %s", method)
	}
	if err := authorize(who, rule, req); err != nil {
		return nil, nil, err
	}
	if err := g.limits.enter(who.ID, g.now()); err != nil {
		return nil, nil, err
	}
	if key := first(md, keyHeader); key != "" && rule.Key != nil {
		rule.Key(req, key)
	}
	if etag := strings.Trim(first(md, matchHeader), `" `); etag != "" && etag != "*" && rule.Etag != nil {
		rule.Etag(req, etag)
	}
	return WithPrincipal(ctx, who), g.limits.leave, nil
}

// authenticate reads the value of an Authorization header.
func (g *guard) authenticate(header string) (*Principal, error) {
	scheme, token, _ := strings.Cut(header, " ")
	token = strings.TrimSpace(token)
	if token == "" || !strings.EqualFold(scheme, "bearer") {
		return nil, fault.New(fault.NoIdentity, "NO_TOKEN", "send the header Authorization: Bearer <token>")
	}
	return g.verifier.Verify(token)
}

// authorize holds the caller's rights and tenancy against what a method needs.
func authorize(who *Principal, rule Rule, req any) error {
	if !who.Scopes.Has(rule.Scope) {
		return fault.New(fault.Denied, "SCOPE_MISSING", "the token has the scopes %q, this call needs %q", who.Scopes, rule.Scope)
	}
	if rule.Account == nil {
		return nil
	}
	account, err := rule.Account(req)
	if err != nil {
		return err
	}
	if !who.Covers(account) {
		return fault.New(fault.Denied, "OTHER_ACCOUNT", "the token does not belong to this account")
	}
	return nil
}

// stream guards the streaming methods: those of health are open, those of
// reflection need any valid token, and Usher has none of its own. A stream ends
// when the server stops; a watcher of health would hold it up for ever.
func (g *guard) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if !strings.HasPrefix(info.FullMethod, healthPrefix) {
		md, _ := metadata.FromIncomingContext(ss.Context())
		if _, err := g.authenticate(first(md, "authorization")); err != nil {
			return g.status(info.FullMethod, err)
		}
	}
	ctx, cancel := context.WithCancel(ss.Context())
	ended := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-g.stopping:
			cancel()
		case <-ended:
		}
	})
	defer watching.Wait()
	defer cancel()
	defer close(ended)
	return next(srv, &endingStream{ServerStream: ss, ctx: ctx})
}

// endingStream is a stream whose context ends with the server.
type endingStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *endingStream) Context() context.Context { return s.ctx }

// first returns the first value under a lower-case key.
func first(md metadata.MD, key string) string {
	if v := md[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}
