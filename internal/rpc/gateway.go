package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/usherhq/usher/internal/fault"
)

// newDoor builds the REST door: the services under /v1/, /healthz, /openapi.json,
// /policy.schema.json and the page at /.
func (s *Server) newDoor(services []Service) (http.Handler, error) {
	gateway := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, newCodec(documentsOf(services))),
		runtime.WithIncomingHeaderMatcher(forwardHeader),
		runtime.WithOutgoingHeaderMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithErrorHandler(writeError),
		runtime.WithRoutingErrorHandler(writeRoutingError),
		runtime.WithUnescapingMode(runtime.UnescapingModeAllExceptReserved),
		runtime.WithDisablePathLengthFallback(),
	)
	conn := newInProcess(services, s.guard.call)
	for _, svc := range services {
		if err := svc.Gateway(context.Background(), gateway, conn); err != nil {
			return nil, fmt.Errorf("route %s: %w", svc.Desc.ServiceName, err)
		}
	}
	document, err := openAPI(s.deps.OpenAPI, s.deps.Version)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/v1/", s.screen(gateway))
	mux.Handle("/healthz", readOnly(s.healthz))
	mux.Handle("/openapi.json", readOnly(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(document)
	}))
	mux.Handle("/policy.schema.json", readOnly(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/schema+json")
		_, _ = w.Write(s.deps.PolicySchema)
	}))
	mux.Handle("/{$}", readOnly(s.page))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeStatus(w, http.StatusNotFound, status.New(codes.NotFound, "no such path; see /openapi.json"))
	})
	return contain(s.guard, s.withFacades(withoutGaps(mux))), nil
}

// withoutGaps refuses a path with an empty segment, a name that the caller forgot
// to fill in. http.ServeMux would send the caller to another resource.
func withoutGaps(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "//") {
			writeStatus(w, http.StatusBadRequest, status.New(codes.InvalidArgument, "a segment of the path is empty"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// readOnly offers h to GET and HEAD alone.
func readOnly(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			writeStatus(w, http.StatusMethodNotAllowed, status.New(codes.Unimplemented, r.Method+" is not offered on this path"))
			return
		}
		h(w, r)
	})
}

// screen turns callers without identity away before their body is read, and
// bodies over the limit before they are parsed. The guard still holds for each
// call that passes.
func (s *Server) screen(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := s.guard.authenticate(r.Header.Get("Authorization")); err != nil {
			err = s.guard.status(r.Method+" "+r.URL.Path, err)
			s.guard.metrics.calls.WithLabelValues("", doorHTTP, codeName(err)).Inc()
			writeStatus(w, runtime.HTTPStatusFromCode(status.Code(err)), status.Convert(err))
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(s.cfg.MaxBody)))
		if tooBig, ok := errors.AsType[*http.MaxBytesError](err); ok {
			writeStatus(w, http.StatusRequestEntityTooLarge, status.Newf(codes.ResourceExhausted,
				"the body is larger than %d bytes", tooBig.Limit))
			return
		}
		if err != nil {
			writeStatus(w, http.StatusBadRequest, status.New(codes.InvalidArgument, "the body ended too early"))
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		r = withQuery(r)
		keepPercents(r.URL)
		if r.Method == http.MethodPut {
			r.URL.RawQuery = withMask(r.URL.Path, r.URL.Query(), body)
		}
		next.ServeHTTP(w, r)
	})
}

// keepPercents has the gateway leave %25 in a path as it is. It leaves %2F and its
// like, which stand in names percent-encoded; were %25 decoded beside them, nobody
// could tell the two apart.
func keepPercents(u *url.URL) {
	if path := u.EscapedPath(); strings.Contains(path, "%25") {
		u.RawPath = strings.ReplaceAll(path, "%25", "%2525")
	}
}

// withMask makes the update mask of a PUT of the fields of its body, as the
// gateway does by itself for PATCH alone; where PUT replaces, the mask is *. A body
// that is no object is left for the codec to refuse.
func withMask(path string, query url.Values, body []byte) string {
	var fields map[string]json.RawMessage
	switch {
	case query.Get("update_mask") != "":
	case replaces(path):
		query.Set("update_mask", "*")
	case json.Unmarshal(body, &fields) == nil && len(fields) > 0:
		query.Set("update_mask", strings.Join(slices.Sorted(maps.Keys(fields)), ","))
	}
	return query.Encode()
}

// replaces tells whether the contract has PUT replace what lies at the path.
func replaces(path string) bool {
	parts := strings.Split(path, "/")
	if len(parts) != 6 {
		return false
	}
	switch parts[4] {
	case "attributes", "functions", "calendars", "skills", "agents", "bots":
		return true
	}
	return false
}

// contain answers 500 when a handler of the REST door itself panics.
func contain(g *guard, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if cause := recover(); cause != nil {
				g.metrics.panics.Inc()
				err := g.internal(r.Method+" "+r.URL.Path, "panic", "cause", cause)
				writeStatus(w, http.StatusInternalServerError, status.Convert(err))
			}
		}()
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

// forwardHeader lets through what the services understand, and nothing else.
func forwardHeader(header string) (string, bool) {
	switch textproto.CanonicalMIMEHeaderKey(header) {
	case "Authorization", "Traceparent", "Tracestate", "Idempotency-Key", "If-Match":
		return strings.ToLower(header), true
	}
	return "", false
}

// writeError answers a failed call. What the gateway itself found wrong with a
// request gets the same details as what a service finds.
func writeError(ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error) {
	st := status.Convert(err)
	if st.Code() == codes.InvalidArgument && len(st.Details()) == 0 {
		c := fault.Check{}
		for _, v := range append(splitBodyError(st.Message()), queryFaults(ctx, r)...) {
			c.AddOnce(v.Field, "%s", v.Description)
		}
		if e, ok := errors.AsType[*fault.Error](c.Err("the request cannot be read")); ok {
			st = statusOf(e)
		}
	}
	writeStatus(w, httpCode(st), st)
}

// httpCode is the HTTP status of a failed call. What is too large is not to be
// tried again, unlike what else is exhausted.
func httpCode(st *status.Status) int {
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetReason() == tooLarge {
			return http.StatusRequestEntityTooLarge
		}
	}
	return runtime.HTTPStatusFromCode(st.Code())
}

// writeRoutingError answers a path or a method that no service has.
func writeRoutingError(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, code int) {
	switch code {
	case http.StatusMethodNotAllowed:
		writeStatus(w, code, status.New(codes.Unimplemented, r.Method+" is not offered on this path"))
	case http.StatusNotFound:
		writeStatus(w, code, status.New(codes.NotFound, "no such path; see /openapi.json"))
	default:
		writeStatus(w, code, status.New(codes.InvalidArgument, http.StatusText(code)))
	}
}

// writeStatus writes {code, message, details} and the headers that go with it.
func writeStatus(w http.ResponseWriter, code int, st *status.Status) {
	body, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(st.Proto())
	if err != nil {
		body = []byte(`{"code":13,"message":"the error cannot be shown","details":[]}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if st.Code() == codes.Unauthenticated {
		h.Set("WWW-Authenticate", `Bearer realm="usher"`)
	}
	for _, d := range st.Details() {
		if wait, ok := d.(*errdetails.RetryInfo); ok {
			seconds := math.Ceil(wait.GetRetryDelay().AsDuration().Seconds())
			h.Set("Retry-After", strconv.Itoa(int(seconds)))
		}
	}
	w.WriteHeader(code)
	_, _ = w.Write(append(body, '\n')) //nolint:gosec // JSON by its content type, with nosniff
}

// newCodec is how messages look in JSON: fields spelled as in the contract, zero
// values shown, either spelling read, unknown fields refused.
func newCodec(documents Documents) runtime.Marshaler {
	return &codec{documents: documents, JSONPb: runtime.JSONPb{
		MarshalOptions: protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true},
	}}
}

// codec is the gateway's own, with errors that name the field.
type codec struct {
	runtime.JSONPb
	documents Documents
}

// NewDecoder reads one message; an empty body leaves it empty. The gateway's own
// decoder reads a stream, so that what follows the first value would be lost.
func (c *codec) NewDecoder(r io.Reader) runtime.Decoder {
	return runtime.DecoderFunc(func(v any) error {
		body, err := io.ReadAll(r)
		if err != nil {
			return fmt.Errorf("read body: %w", err)
		}
		if len(bytes.TrimSpace(body)) == 0 {
			return io.EOF
		}
		if m := fill(v); m != nil {
			err = protojson.Unmarshal(body, m)
		} else {
			err = c.Unmarshal(body, v)
		}
		if err != nil {
			return c.explain(body, v, err)
		}
		return nil
	})
}
