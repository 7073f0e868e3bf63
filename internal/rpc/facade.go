package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/usherhq/usher/internal/fault"
)

// Facade is a set of plain HTTP routes on the REST door that speak a contract
// which is not ours. Its routes pass the guard that the methods pass: no route
// can be reached without a token, a right and an account.
type Facade struct {
	// Prefixes are the paths that are the facade's alone, such as /v1/account/;
	// what no route takes is answered 404 or 405 there, in the facade's words.
	Prefixes []string
	// Token finds the token of a request. A NoIdentity fault tells what to send.
	Token func(r *http.Request) (string, error)
	// Refuse words an error. It may choose another status than the problem's.
	Refuse func(r *http.Request, p *Problem) *Answer
	// Routes are tried in order: the first whose path fits is taken.
	Routes []Route
}

// Route is one path with one method.
type Route struct {
	// Method and Path select requests: /v1/account/{account}/{ns} has literal
	// segments and named ones, which [http.Request.PathValue] returns unescaped.
	// No segment is empty, and one slash at the end of the path is overlooked.
	Method, Path string
	// Scope is the right the caller needs.
	Scope Scope
	// Account returns the account that the request is about, as in [Rule]. It must
	// be there, and must not answer "".
	Account func(r *http.Request, body []byte) (string, error)
	// Effects says that a GET changes something, so that HEAD, which must not, is
	// not offered.
	Effects bool
	// Handler answers. The request's context bounds it and knows the [Caller].
	Handler func(r *http.Request, body []byte) (*Answer, error)
}

// Answer is a whole HTTP answer; the body is JSON unless the header says
// otherwise, and there is none with status 204.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Problem is an error as any door would answer it, for a facade to word.
type Problem struct {
	Status     int    // of HTTP
	Code       string // of the contract, for example NOT_FOUND
	Reason     string // of the fault, empty for what has none
	Message    string
	Violations []fault.Violation
	Metadata   map[string]string
}

// checkFacades refuses routes that the guard could not judge.
func checkFacades(facades []Facade) error {
	var errs []error
	for _, f := range facades {
		if len(f.Prefixes) == 0 || f.Token == nil || f.Refuse == nil {
			errs = append(errs, errors.New("a facade needs prefixes, a way to find the token, and words for errors"))
		}
		for _, r := range f.Routes {
			under := slices.ContainsFunc(f.Prefixes, func(p string) bool { return strings.HasPrefix(r.Path, p) })
			if r.Scope == 0 || r.Account == nil || r.Handler == nil || !under {
				errs = append(errs, fmt.Errorf("route %s %s needs a scope, an account, a handler and a prefix of its facade", r.Method, r.Path))
			}
		}
	}
	return errors.Join(errs...)
}

// name is the route's method in rules, metrics and logs.
func (r *Route) name() string { return r.Method + " " + r.Path }

// rule makes the guard treat the route as a method, whose request is *visit.
func (r *Route) rule() Rule {
	return Rule{Scope: r.Scope, Account: func(req any) (string, error) {
		v, ok := req.(*visit)
		if !ok {
			return "", fmt.Errorf("route %s was called with a %T", r.name(), req)
		}
		account, err := r.Account(v.request, v.body)
		if err == nil && account == "" {
			// "" would stand for the installation.
			err = fault.New(fault.Denied, "OTHER_ACCOUNT", "the request names no account")
		}
		return account, err
	}}
}

// visit is one request to a route.
type visit struct {
	request *http.Request
	body    []byte
}

// facadeDoor serves one facade behind the guard.
type facadeDoor struct {
	Facade
	guard   *guard
	maxBody int64
}

// withFacades sends the facades' paths to them and all others to next. It stands
// before http.ServeMux, which would redirect a path with an empty segment to
// another resource.
func (s *Server) withFacades(next http.Handler) http.Handler {
	doors := make([]*facadeDoor, len(s.deps.Facades))
	for i, f := range s.deps.Facades {
		doors[i] = &facadeDoor{Facade: f, guard: s.guard, maxBody: int64(s.cfg.MaxBody)}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, d := range doors {
			for _, prefix := range d.Prefixes {
				if strings.HasPrefix(r.URL.Path, prefix) {
					d.ServeHTTP(w, r)
					return
				}
			}
		}
		next.ServeHTTP(w, r)
	})
}

// ServeHTTP finds the route, and lets the guard decide whether it is called.
func (d *facadeDoor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	route, allowed := d.find(r)
	if route == nil {
		d.lost(w, r, allowed)
		return
	}
	answer, err := d.visit(w, r, route)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	send(w, answer)
}

// visit authenticates before it reads the body, as screen does, and calls the
// route through the guard.
func (d *facadeDoor) visit(w http.ResponseWriter, r *http.Request, route *Route) (*Answer, error) {
	token, err := d.Token(r)
	if err == nil {
		_, err = d.guard.verifier.Verify(token)
	}
	if err != nil {
		err = d.guard.status(route.name(), err)
		d.guard.metrics.calls.WithLabelValues(route.name(), doorHTTP, codeName(err)).Inc()
		return nil, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, d.maxBody))
	if err != nil {
		return nil, bodyFault(err)
	}
	md := metadata.Pairs("authorization", "Bearer "+token)
	ctx := context.WithValue(metadata.NewIncomingContext(r.Context(), md), doorKey{}, doorHTTP)
	req := &visit{request: r, body: body}
	resp, err := d.guard.call(ctx, req, &grpc.UnaryServerInfo{FullMethod: route.name()}, func(ctx context.Context, _ any) (any, error) {
		return route.Handler(req.request.WithContext(ctx), body)
	})
	if err != nil {
		return nil, err
	}
	answer, ok := resp.(*Answer)
	if !ok || answer == nil {
		return nil, d.guard.internal(route.name(), "the route gave no answer")
	}
	return answer, nil
}

// bodyFault says what is wrong with a body that cannot be read.
func bodyFault(err error) error {
	if tooBig, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return statusOf(fault.New(fault.TooLarge, tooLarge, "the body is larger than %d bytes", tooBig.Limit)).Err()
	}
	return statusOf(fault.New(fault.Invalid, "INVALID_ARGUMENT", "the body ended too early")).Err()
}

// fail words the error of a route.
func (d *facadeDoor) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(status.Convert(err))
	if wait, err := strconv.ParseFloat(p.Metadata[retryAfter], 64); err == nil {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait))))
	}
	send(w, d.Refuse(r, p))
}

// lost answers a path that no route has, or not with this method.
func (d *facadeDoor) lost(w http.ResponseWriter, r *http.Request, allowed []string) {
	p := &Problem{Status: http.StatusNotFound, Code: "NOT_FOUND", Reason: "NO_SUCH_PATH", Message: "no such path"}
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		p = &Problem{
			Status: http.StatusMethodNotAllowed, Code: "UNIMPLEMENTED", Reason: "METHOD_NOT_ALLOWED",
			Message: r.Method + " is not offered on this path",
		}
	}
	send(w, d.Refuse(r, p))
}

// problemOf takes the status apart that the guard made of an error.
func problemOf(st *status.Status) *Problem {
	p := &Problem{
		Status: httpCode(st), Code: codeName(st.Err()), Message: st.Message(),
	}
	for _, detail := range st.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			p.Reason, p.Metadata = detail.GetReason(), detail.GetMetadata()
		case *errdetails.BadRequest:
			for _, v := range detail.GetFieldViolations() {
				p.Violations = append(p.Violations, fault.Violation{Field: v.GetField(), Description: v.GetDescription()})
			}
		}
	}
	return p
}

// send writes an answer.
func send(w http.ResponseWriter, a *Answer) {
	h := w.Header()
	for name, values := range a.Header {
		h[http.CanonicalHeaderKey(name)] = values
	}
	if a.Status != http.StatusNoContent && h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/json")
	}
	w.WriteHeader(a.Status)
	if a.Status != http.StatusNoContent {
		_, _ = w.Write(a.Body) //nolint:gosec // JSON by its content type, with nosniff
	}
}

// find returns the first route whose path fits, its values put into r. When the
// path is known but not with this method, it returns the methods that are.
func (d *facadeDoor) find(r *http.Request) (found *Route, allowed []string) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	path := ""
	for i := range d.Routes {
		route := &d.Routes[i]
		if path == "" {
			if !bind(r, route.Path) {
				continue
			}
			path = route.Path
		} else if route.Path != path {
			continue
		}
		if route.Method == method && !(route.Effects && r.Method == http.MethodHead) {
			return route, nil
		}
		allowed = append(allowed, route.Method)
	}
	return nil, allowed
}

// bind fits the path of r to a pattern, segment by segment, so that a segment may
// hold an escaped slash. The values are set only when all of it fits.
func bind(r *http.Request, pattern string) bool {
	want := strings.Split(pattern, "/")
	got := strings.Split(strings.TrimSuffix(r.URL.EscapedPath(), "/"), "/")
	if len(want) != len(got) {
		return false
	}
	values := make([]string, len(got))
	for i, segment := range got {
		text, err := url.PathUnescape(segment)
		name, named := strings.CutPrefix(want[i], "{")
		if err != nil || !named && text != want[i] || named && text == "" {
			return false
		}
		if named {
			values[i] = strings.TrimSuffix(name, "}")
			got[i] = text
		}
	}
	for i, name := range values {
		if name != "" {
			r.SetPathValue(name, got[i])
		}
	}
	return true
}
