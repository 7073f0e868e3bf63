package rpc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/internal/rpc"
	"github.com/usherhq/usher/proto"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tokens knows its tokens by heart.
type tokens map[string]*rpc.Principal

func (t tokens) Verify(token string) (*rpc.Principal, error) {
	if p, ok := t[token]; ok {
		return p, nil
	}
	return nil, fault.New(fault.NoIdentity, "BAD_TOKEN", "the token is not known")
}

// outcomes answers according to the kind it is given.
type outcomes struct {
	usherv1.UnimplementedOutcomeServiceServer
	mu      sync.Mutex
	seen    *usherv1.ReportOutcomesRequest
	caller  *rpc.Principal
	blocked chan struct{}

	deadline time.Time
}

func (o *outcomes) ReportOutcomes(ctx context.Context, r *usherv1.ReportOutcomesRequest) (*usherv1.ReportOutcomesResponse, error) {
	o.mu.Lock()
	o.seen, o.caller = r, rpc.Caller(ctx)
	o.deadline, _ = ctx.Deadline()
	o.mu.Unlock()
	switch r.GetKind() {
	case "panic":
		panic("the service broke")
	case "bug":
		return nil, errors.New("password is hunter2")
	case "conflict":
		return nil, &fault.Error{Kind: fault.Conflict, Reason: "ABORTED", Message: "changed meanwhile", Metadata: map[string]string{"etag": "12"}}
	case "invalid":
		var c fault.Check
		c.Add("outcomes[3].kind", "must not be empty")
		c.Add("outcomes[4].value", "must be finite")
		return nil, c.Err("the outcomes are not valid")
	case "block":
		<-o.blocked
	}
	return &usherv1.ReportOutcomesResponse{Ids: []string{r.GetId()}}, nil
}

func parentOf(req any) (string, error) {
	r, ok := req.(interface{ GetParent() string })
	if !ok {
		return "", nil
	}
	return strings.TrimPrefix(r.GetParent(), "accounts/"), nil
}

// fixture is a running server with both doors.
type fixture struct {
	impl *outcomes
	base string
	conn *grpc.ClientConn
	logs *bytes.Buffer
	reg  *prometheus.Registry
}

func services(impl *outcomes) []rpc.Service {
	type gateway = func(context.Context, *runtime.ServeMux, grpc.ClientConnInterface) error
	all := func(d *grpc.ServiceDesc, impl any, g gateway) rpc.Service {
		s := rpc.Service{Desc: d, Impl: impl, Gateway: g, Rules: map[string]rpc.Rule{}}
		for _, m := range d.Methods {
			s.Rules[m.MethodName] = rpc.Rule{Scope: rpc.ScopeIngest, Account: parentOf, Key: func(req any, key string) {
				if r, ok := req.(*usherv1.ReportOutcomesRequest); ok {
					r.Id = key
				}
			}}
		}
		return s
	}
	return []rpc.Service{
		all(&usherv1.OutcomeService_ServiceDesc, impl, func(ctx context.Context, m *runtime.ServeMux, c grpc.ClientConnInterface) error {
			return usherv1.RegisterOutcomeServiceHandlerClient(ctx, m, usherv1.NewOutcomeServiceClient(c))
		}),
		all(&usherv1.PolicyService_ServiceDesc, usherv1.UnimplementedPolicyServiceServer{}, func(ctx context.Context, m *runtime.ServeMux, c grpc.ClientConnInterface) error {
			return usherv1.RegisterPolicyServiceHandlerClient(ctx, m, usherv1.NewPolicyServiceClient(c))
		}),
		all(&usherv1.DecisionService_ServiceDesc, usherv1.UnimplementedDecisionServiceServer{}, func(ctx context.Context, m *runtime.ServeMux, c grpc.ClientConnInterface) error {
			return usherv1.RegisterDecisionServiceHandlerClient(ctx, m, usherv1.NewDecisionServiceClient(c))
		}),
		all(&usherv1.ControlService_ServiceDesc, usherv1.UnimplementedControlServiceServer{}, func(ctx context.Context, m *runtime.ServeMux, c grpc.ClientConnInterface) error {
			return usherv1.RegisterControlServiceHandlerClient(ctx, m, usherv1.NewControlServiceClient(c))
		}),
		all(&usherv1.CatalogService_ServiceDesc, usherv1.UnimplementedCatalogServiceServer{}, func(ctx context.Context, m *runtime.ServeMux, c grpc.ClientConnInterface) error {
			return usherv1.RegisterCatalogServiceHandlerClient(ctx, m, usherv1.NewCatalogServiceClient(c))
		}),
		all(&usherv1.ContextService_ServiceDesc, usherv1.UnimplementedContextServiceServer{}, func(ctx context.Context, m *runtime.ServeMux, c grpc.ClientConnInterface) error {
			return usherv1.RegisterContextServiceHandlerClient(ctx, m, usherv1.NewContextServiceClient(c))
		}),
		all(&usherv1.TokenService_ServiceDesc, usherv1.UnimplementedTokenServiceServer{}, func(ctx context.Context, m *runtime.ServeMux, c grpc.ClientConnInterface) error {
			return usherv1.RegisterTokenServiceHandlerClient(ctx, m, usherv1.NewTokenServiceClient(c))
		}),
		all(&usherv1.LearningService_ServiceDesc, usherv1.UnimplementedLearningServiceServer{}, func(ctx context.Context, m *runtime.ServeMux, c grpc.ClientConnInterface) error {
			return usherv1.RegisterLearningServiceHandlerClient(ctx, m, usherv1.NewLearningServiceClient(c))
		}),
	}
}

func start(t *testing.T, change func(*rpc.Config, *rpc.Deps)) *fixture {
	t.Helper()
	f := &fixture{impl: &outcomes{blocked: make(chan struct{})}, logs: &bytes.Buffer{}, reg: prometheus.NewRegistry()}
	cfg, deps := rpc.DefaultConfig(), rpc.Deps{
		Verifier: tokens{
			"good":   {ID: "t1", Account: "a", Scopes: rpc.ScopeIngest},
			"owner":  {ID: "t2", Scopes: rpc.ScopeAdmin},
			"reader": {ID: "t3", Account: "a", Scopes: rpc.ScopeRead},
		},
		Log: slog.New(slog.NewJSONHandler(f.logs, nil)), Metrics: f.reg, OpenAPI: proto.OpenAPI(), Version: "v0.1.0",
		Now: time.Now, NewID: func() string { return "error-1" },
		Status: func() []rpc.Fact { return []rpc.Fact{{Name: "Mode", Value: "SHADOW <b>"}} },
	}
	if change != nil {
		change(&cfg, &deps)
	}
	srv, err := rpc.New(cfg, deps, services(f.impl)...)
	if err != nil {
		t.Fatal(err)
	}
	lg, lh := listen(t), listen(t)
	f.base = "http://" + lh.Addr().String()
	f.conn, err = grpc.NewClient(lg.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ctx, lg, lh) }()
	t.Cleanup(func() {
		_ = f.conn.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve = %v", err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	return f
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// answer is a REST answer, an error's body taken apart.
type answer struct {
	code   int
	header http.Header
	text   string
	Code   int              `json:"code"`
	Msg    string           `json:"message"`
	Detail []map[string]any `json:"details"`
}

func (f *fixture) rest(t *testing.T, method, path, token, body string, headers ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, f.base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{code: resp.StatusCode, header: resp.Header, text: string(text)}
	_ = json.Unmarshal(text, &a)
	return a
}

func (f *fixture) report(ctx context.Context, token string, r *usherv1.ReportOutcomesRequest) (*usherv1.ReportOutcomesResponse, error) {
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	return usherv1.NewOutcomeServiceClient(f.conn).ReportOutcomes(ctx, r)
}

func TestEveryMethodOnBothDoorsNeedsAToken(t *testing.T) {
	f := start(t, nil)
	calls := 0
	for _, s := range services(f.impl) {
		for _, m := range s.Desc.Methods {
			name := "/" + s.Desc.ServiceName + "/" + m.MethodName
			for _, token := range []string{"", "wrong"} {
				ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
				err := f.conn.Invoke(ctx, name, &usherv1.ReportOutcomesRequest{}, &usherv1.ReportOutcomesResponse{})
				if status.Code(err) != codes.Unauthenticated {
					t.Errorf("gRPC %s with token %q = %v, want Unauthenticated", name, token, err)
				}
			}
			calls++
		}
	}
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(proto.OpenAPI(), &doc); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for path, verbs := range doc.Paths {
		for verb, op := range verbs {
			at := strings.NewReplacer("{", "", "}", "").Replace(path)
			for _, token := range []string{"", "wrong"} {
				if a := f.rest(t, strings.ToUpper(verb), at, token, "{}"); a.code != 401 || a.Code != int(codes.Unauthenticated) {
					t.Errorf("REST %s %s with token %q = %d %s, want 401", verb, at, token, a.code, a.text)
				}
			}
			seen[strings.TrimRight(op.OperationID, "0123456789")] = true
		}
	}
	if calls != len(seen) || calls < 20 {
		t.Errorf("%d methods over gRPC, %d over REST: the doors differ", calls, len(seen))
	}
	if f.impl.seen != nil {
		t.Error("a call reached the service")
	}
}

func TestBothDoorsObeyTheSameGuard(t *testing.T) {
	f := start(t, nil)
	for _, c := range []struct {
		token, parent, kind string
		want                codes.Code
		rest                int
	}{
		{"good", "accounts/a", "resolved", codes.OK, 200},
		{"owner", "accounts/b", "resolved", codes.OK, 200},
		{"good", "accounts/b", "resolved", codes.PermissionDenied, 403},
		{"reader", "accounts/a", "resolved", codes.PermissionDenied, 403},
		{"good", "accounts/a", "panic", codes.Internal, 500},
		{"good", "accounts/a", "bug", codes.Internal, 500},
		{"good", "accounts/a", "conflict", codes.Aborted, 409},
		{"good", "accounts/a", "invalid", codes.InvalidArgument, 400},
	} {
		name := fmt.Sprintf("%s %s %s", c.token, c.parent, c.kind)
		_, err := f.report(t.Context(), c.token, &usherv1.ReportOutcomesRequest{Parent: c.parent, Kind: c.kind})
		if status.Code(err) != c.want {
			t.Errorf("gRPC %s = %v, want %v", name, err, c.want)
		}
		a := f.rest(t, "POST", "/v1/"+c.parent+"/outcomes", c.token, `{"kind":"`+c.kind+`"}`)
		if a.code != c.rest || a.Code != int(c.want) {
			t.Errorf("REST %s = %d %s, want %d", name, a.code, a.text, c.rest)
		}
		if strings.Contains(a.text, "hunter2") || (err != nil && strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%s tells what only the log may know", name)
		}
	}
	if log := f.logs.String(); !strings.Contains(log, "hunter2") || !strings.Contains(log, `"error_id":"error-1"`) || !strings.Contains(log, "the service broke") {
		t.Errorf("the log lacks the causes: %s", log)
	}
	families, err := f.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	doors, byCode := map[string]float64{}, map[string]float64{}
	for _, fam := range families {
		for _, m := range fam.GetMetric() {
			for _, l := range m.GetLabel() {
				if fam.GetName() == "usher_rpc_calls_total" && l.GetName() == "door" {
					doors[l.GetValue()] += m.GetCounter().GetValue()
				}
				if fam.GetName() == "usher_rpc_calls_total" && l.GetName() == "code" {
					byCode[l.GetValue()] += m.GetCounter().GetValue()
				}
			}
		}
	}
	if byCode["PERMISSION_DENIED"] != 4 || byCode["INTERNAL"] != 4 || byCode["OK"] != 4 {
		t.Errorf("calls by code = %v", byCode)
	}
	if doors["grpc"] != 8 || doors["http"] != 8 {
		t.Errorf("calls by door = %v, want 8 each", doors)
	}
}

func TestErrorDetailsAreReadable(t *testing.T) {
	f := start(t, nil)
	a := f.rest(t, "POST", "/v1/accounts/a/outcomes", "good", `{"kind":"invalid"}`)
	text := fmt.Sprint(a.Detail)
	for _, want := range []string{"outcomes[3].kind", "must not be empty", "outcomes[4].value", "INVALID_ARGUMENT", "type.googleapis.com/google.rpc.BadRequest"} {
		if !strings.Contains(text, want) {
			t.Errorf("details lack %q: %s", want, a.text)
		}
	}
	if !strings.Contains(a.Msg, "outcomes[3].kind: must not be empty (and 1 more)") {
		t.Errorf("message = %q", a.Msg)
	}
	if a = f.rest(t, "POST", "/v1/accounts/a/outcomes", "good", `{"kind":"conflict"}`); !strings.Contains(a.text, `"etag"`) || !strings.Contains(a.text, `"12"`) {
		t.Errorf("a conflict does not tell the etag: %s", a.text)
	}
}

func TestRequestsThatCannotBeRead(t *testing.T) {
	f := start(t, func(c *rpc.Config, _ *rpc.Deps) { c.MaxBody = 2000 })
	a := f.rest(t, "GET", "/v1/accounts/a/policies?page_size=many", "good", "")
	if a.code != 400 || !strings.Contains(a.Msg, "page_size: has a value that cannot be read") {
		t.Errorf("a query that cannot be read = %d %s", a.code, a.text)
	}
	a = f.rest(t, "GET", "/v1/accounts/a/policies?page_size=many&nosuch=1", "good", "")
	if a.code != 400 || !strings.Contains(a.text, "page_size") || !strings.Contains(a.text, "unknown query parameter") {
		t.Errorf("a query with two faults = %d %s", a.code, a.text)
	}
	big := `{"label":"` + strings.Repeat("x", 2000) + `"}`
	if a := f.rest(t, "POST", "/v1/accounts/a/outcomes", "good", big); a.code != 413 || !strings.Contains(a.Msg, "2000 bytes") {
		t.Errorf("a large body = %d %s", a.code, a.text)
	}
	_, err := f.report(t.Context(), "good", &usherv1.ReportOutcomesRequest{Parent: "accounts/a", Label: strings.Repeat("x", 2000)})
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a large message = %v", err)
	}
}

func TestBothSpellingsAndTheIdempotencyKey(t *testing.T) {
	f := start(t, nil)
	for _, body := range []string{`{"decision_id":"d1","event_time":"2026-01-02T03:04:05Z"}`, `{"decisionId":"d1","eventTime":"2026-01-02T03:04:05Z"}`} {
		a := f.rest(t, "POST", "/v1/accounts/a/outcomes", "good", body, "Idempotency-Key", "key-7")
		if a.code != 200 || !strings.Contains(a.text, "key-7") {
			t.Fatalf("%s = %d %s", body, a.code, a.text)
		}
		if f.impl.seen.GetDecisionId() != "d1" || f.impl.seen.GetEventTime().AsTime().Year() != 2026 {
			t.Errorf("%s was read as %v", body, f.impl.seen)
		}
	}
	if f.impl.caller == nil || f.impl.caller.ID != "t1" {
		t.Errorf("the service does not know its caller: %v", f.impl.caller)
	}
}

func TestPathsWithoutAService(t *testing.T) {
	f := start(t, nil)
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/nothing", 404},
		{"GET", "/v1/nothing", 404},
		{"DELETE", "/v1/accounts/a/outcomes", 405},
		{"POST", "/openapi.json", 405},
		{"GET", "/policy.schema.json", 200},
		{"PATCH", "/v1/accounts/a/namespaces//contexts/x", 400},
	} {
		if a := f.rest(t, c.method, c.path, "good", ""); a.code != c.want {
			t.Errorf("%s %s = %d %s, want %d", c.method, c.path, a.code, a.text, c.want)
		}
	}
}

func TestLimits(t *testing.T) {
	t.Run("rate", func(t *testing.T) {
		now := time.Unix(1000, 0)
		f := start(t, func(c *rpc.Config, d *rpc.Deps) {
			c.RatePerToken, c.Burst = 2, 3
			d.Now = func() time.Time { return now }
		})
		for i := range 4 {
			a := f.rest(t, "POST", "/v1/accounts/a/outcomes", "good", "{}")
			if want := map[bool]int{true: 200, false: 429}[i < 3]; a.code != want {
				t.Errorf("call %d = %d %s, want %d", i, a.code, a.text, want)
			}
			if a.code == 429 && (a.header.Get("Retry-After") != "1" || !strings.Contains(a.text, "RetryInfo")) {
				t.Errorf("a refused call does not say when to come back: %v %s", a.header, a.text)
			}
		}
		if a := f.rest(t, "POST", "/v1/accounts/a/outcomes", "owner", "{}"); a.code != 200 {
			t.Errorf("another token = %d: it pays for the first", a.code)
		}
		now = now.Add(600 * time.Millisecond)
		if _, err := f.report(t.Context(), "good", &usherv1.ReportOutcomesRequest{Parent: "accounts/a"}); err != nil {
			t.Errorf("after the wait: %v", err)
		}
	})
	t.Run("in flight", func(t *testing.T) {
		f := start(t, func(c *rpc.Config, _ *rpc.Deps) { c.MaxInFlight = 1 })
		done := make(chan error, 1)
		go func() {
			_, err := f.report(context.WithoutCancel(t.Context()), "good", &usherv1.ReportOutcomesRequest{Parent: "accounts/a", Kind: "block"})
			done <- err
		}()
		deadline := time.Now().Add(time.Minute)
		for refused := false; !refused; {
			if time.Now().After(deadline) {
				t.Fatal("a second call was never refused")
			}
			_, err := f.report(t.Context(), "good", &usherv1.ReportOutcomesRequest{Parent: "accounts/a"})
			refused = status.Code(err) == codes.ResourceExhausted
		}
		close(f.impl.blocked)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestHealthAndTheOpenPages(t *testing.T) {
	ready := make(chan struct{})
	f := start(t, func(_ *rpc.Config, d *rpc.Deps) { d.Ready = ready })
	check := func(service string) healthpb.HealthCheckResponse_ServingStatus {
		resp, err := healthpb.NewHealthClient(f.conn).Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
		if err != nil {
			t.Fatal(err)
		}
		return resp.GetStatus()
	}
	if a := f.rest(t, "GET", "/healthz", "", ""); a.code != 503 || check("") != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Errorf("before readiness: %d %s, %v", a.code, a.text, check(""))
	}
	close(ready)
	for deadline := time.Now().Add(time.Minute); check("usher.v1.PolicyService") != healthpb.HealthCheckResponse_SERVING; {
		if time.Now().After(deadline) {
			t.Fatal("never serving")
		}
	}
	if a := f.rest(t, "GET", "/healthz", "", ""); a.code != 200 || !strings.Contains(a.text, "SERVING") {
		t.Errorf("/healthz = %d %s", a.code, a.text)
	}
	a := f.rest(t, "GET", "/openapi.json", "", "")
	if a.code != 200 || !strings.Contains(a.text, `"openapi": "3.`) || !strings.Contains(a.text, `"security"`) || !strings.Contains(a.text, "/v1/accounts") || !strings.Contains(a.text, `"v0.1.0"`) {
		t.Errorf("/openapi.json = %d", a.code)
	}
	if a = f.rest(t, "GET", "/", "", ""); a.code != 200 || !strings.Contains(a.text, "Serving") || strings.Contains(a.text, "SHADOW") {
		t.Errorf("the page shows a stranger %s", a.text)
	}
	if a = f.rest(t, "GET", "/", "owner", ""); !strings.Contains(a.text, "SHADOW &lt;b&gt;") {
		t.Errorf("the page shows the owner %s", a.text)
	}
}

func TestReflectionNeedsAToken(t *testing.T) {
	f := start(t, nil)
	desc := &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}
	for token, want := range map[string]codes.Code{"": codes.Unauthenticated, "good": codes.OK} {
		ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token))
		stream, err := f.conn.NewStream(ctx, desc, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		err = stream.RecvMsg(&usherv1.ReportOutcomesResponse{})
		if errors.Is(err, io.EOF) {
			err = nil
		}
		if status.Code(err) != want {
			t.Errorf("reflection with token %q = %v, want %v", token, err, want)
		}
		cancel()
	}
}

func TestStopWaitsForCallsButNotForWatchers(t *testing.T) {
	impl := &outcomes{blocked: make(chan struct{})}
	cfg := rpc.DefaultConfig()
	cfg.Drain = 20 * time.Second
	srv, err := rpc.New(cfg, rpc.Deps{
		Verifier: tokens{"good": {ID: "t1", Scopes: rpc.ScopeIngest}}, Log: slog.New(slog.DiscardHandler),
		Now: time.Now, NewID: func() string { return "id" },
	}, services(impl)...)
	if err != nil {
		t.Fatal(err)
	}
	lg, lh := listen(t), listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ctx, lg, lh) }()
	conn, err := grpc.NewClient(lg.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	watch, err := healthpb.NewHealthClient(conn).Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	f := &fixture{impl: impl, conn: conn}
	answered := make(chan error, 1)
	go func() {
		_, err := f.report(t.Context(), "good", &usherv1.ReportOutcomesRequest{Parent: "accounts/a", Kind: "block"})
		answered <- err
	}()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		impl.mu.Lock()
		arrived := impl.seen != nil
		impl.mu.Unlock()
		if arrived {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the call never arrives")
		}
	}
	cancel()
	for err == nil { // the watcher learns of the stop, then its stream ends
		_, err = watch.Recv()
	}
	select {
	case err := <-ended:
		t.Fatalf("Serve = %v with a call at work", err)
	default:
	}
	close(impl.blocked)
	if err := <-answered; err != nil {
		t.Errorf("the call at work = %v", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("Serve = %v", err)
	}
}

func TestCallsWithoutADeadlineGetOne(t *testing.T) {
	f := start(t, func(c *rpc.Config, _ *rpc.Deps) { c.Timeout = time.Minute })
	f.rest(t, "POST", "/v1/accounts/a/outcomes", "good", "{}")
	if left := time.Until(f.impl.deadline); left <= 0 || left > time.Minute {
		t.Errorf("the call has %v left, want up to a minute", left)
	}
}

func TestMethodWithoutARuleIsRefusedAtStart(t *testing.T) {
	s := services(&outcomes{})
	delete(s[1].Rules, "MovePolicy")
	_, err := rpc.New(rpc.DefaultConfig(), rpc.Deps{Log: slog.New(slog.DiscardHandler)}, s...)
	if err == nil || !strings.Contains(err.Error(), "MovePolicy") {
		t.Errorf("New = %v, want the method named", err)
	}
}

func TestConfigValidate(t *testing.T) {
	bad := rpc.Config{MaxBody: 0, MaxInFlight: 0, RatePerToken: 1, Burst: 0, Drain: -1}
	err := bad.Validate()
	for _, want := range []string{"max body", "max in flight", "burst", "timeout", "drain"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate = %v, want %q named", err, want)
		}
	}
	if err := rpc.DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}
