package server_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/contextstore"
	"github.com/usherhq/usher/decision/control"
	"github.com/usherhq/usher/decision/decisionlog"
	"github.com/usherhq/usher/decision/policystore"
	"github.com/usherhq/usher/decision/server"
	"github.com/usherhq/usher/decision/skillstate"
	"github.com/usherhq/usher/decision/token"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/internal/rpc"
	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/event"
	"github.com/usherhq/usher/proto"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// kafka is a log that takes everything.
type kafka struct {
	mu   sync.Mutex
	msgs []event.Message
}

func (k *kafka) Publish(_ context.Context, msgs []event.Message) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.msgs = append(k.msgs, msgs...)
	return nil
}

// published counts the messages of a topic once the spool is empty.
func (f *fixture) published(t *testing.T, topic string) []event.Message {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); f.spool.Stats().Backlog > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the spool does not drain")
		}
	}
	f.kafka.mu.Lock()
	defer f.kafka.mu.Unlock()
	var out []event.Message
	for _, m := range f.kafka.msgs {
		if m.Topic == topic {
			out = append(out, m)
		}
	}
	return out
}

// warehouse holds old decisions and model cards.
type warehouse struct {
	decisions map[string]*event.Decision
	usage     *server.Usage
	spool     *decisionlog.Log
	cards     []server.ModelCard
	reading   reading
	away      error
}

func (w *warehouse) Decision(_ context.Context, account, id string) (*event.Decision, error) {
	if d, ok := w.decisions[account+"/"+id]; ok && w.away == nil {
		return d, nil
	}
	if w.away != nil {
		return nil, w.away
	}
	return nil, fault.New(fault.NotFound, "X", "none")
}

func (w *warehouse) ModelCards(context.Context, string) ([]server.ModelCard, error) {
	return w.cards, w.away
}

// fixture is an installation in one process, all real but for Kafka and the
// warehouse, behind both doors.
type fixture struct {
	spool     *decisionlog.Log
	kafka     *kafka
	warehouse *warehouse
	tokens    *token.Tokens
	control   *control.Control
	config    *configlog.Store
	server    *server.Server
	contexts  *contextstore.Store
	admin     string
	url       string
	conn      *grpc.ClientConn
}

// parts starts blocking parts and stops them, last first, with the test.
type parts struct {
	t testing.TB
}

func (p parts) start(name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(p.t.Context()))
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	p.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			p.t.Errorf("%s ended with %v", name, err)
		}
	})
}

func start(t testing.TB) *fixture {
	t.Helper()
	newID := func() string { return uuid.Must(uuid.NewV7()).String() }
	log := slog.New(slog.DiscardHandler)
	p := parts{t}
	store := configlog.New(&configlog.Memory{})
	p.start("config", store.Run)
	<-store.Ready()
	f := &fixture{
		kafka: &kafka{}, warehouse: &warehouse{decisions: map[string]*event.Decision{}},
		config: store, control: control.New(store), tokens: token.New(store, time.Now, rand.Reader),
	}
	policies := policystore.New(store)
	p.start("policies", policies.Run)
	<-policies.Ready()
	must(t, f.control.Bootstrap(t.Context()))
	var err error
	f.admin, err = f.tokens.Bootstrap(t.Context())
	must(t, err)
	spoolConfig := decisionlog.DefaultConfig()
	spoolConfig.Dir = t.TempDir()
	f.spool, err = decisionlog.Open(spoolConfig, decisionlog.Deps{Publisher: f.kafka, Log: log})
	must(t, err)
	p.start("spool", f.spool.Run)
	skills, err := skillstate.New(skillstate.DefaultConfig(), skillstate.Deps{Spool: f.spool, Logger: log, Now: time.Now})
	must(t, err)
	engine, err := decision.New(decision.DefaultConfig(), decision.Deps{
		Policies: policies, Models: &model.Registry{}, Control: f.control, Skills: skills, Now: time.Now, NewID: newID,
	})
	must(t, err)
	f.contexts = openContexts(t, log)
	functions, declared := openCatalog(t, store)
	verifier, simulator := f.again(t, store, policies)
	f.server = server.New(server.Deps{
		MaxSkew: 10 * time.Minute,
		Latest:  f.spool, Search: f.warehouse, Usage: f.warehouse, Verifier: verifier, Simulator: simulator, Distiller: &f.warehouse.reading,
		Contexts: f.contexts, Catalog: declared, Functions: functions,
		Engine: engine, Policies: policies, Control: f.control, Tokens: f.tokens, Recorder: f.spool, Skills: skills,
		Records: f.warehouse, Models: f.warehouse, Log: log, Now: time.Now, NewID: newID, Ladder: f.steps(t),
	})
	doors, err := rpc.New(rpc.DefaultConfig(), rpc.Deps{
		Verifier: f.tokens, Log: log, OpenAPI: proto.OpenAPI(), Version: "test", Now: time.Now, NewID: newID,
		Status: func() []rpc.Fact { return f.server.Status(control.DefaultAccount) },
	}, f.server.Services()...)
	must(t, err)
	lg, lh := listen(t), listen(t)
	p.start("doors", func(ctx context.Context) error { return doors.Serve(ctx, lg, lh) })
	f.url = "http://" + lh.Addr().String()
	f.conn, err = grpc.NewClient(lg.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(t, err)
	t.Cleanup(func() {
		_ = f.conn.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return f
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	return l
}

// as is a context of a gRPC caller.
func as(t testing.TB, token string) context.Context {
	return metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
}

// rest calls the REST door as the admin and holds the status.
func (f *fixture) rest(t testing.TB, method, path, body string, want int) map[string]any {
	t.Helper()
	return f.restAs(t, f.admin, method, path, body, want)
}

func (f *fixture) restAs(t testing.TB, token, method, path, body string, want int, headers ...string) map[string]any {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, f.url+path, strings.NewReader(body))
	must(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	if resp.StatusCode != want {
		t.Fatalf("%s %s %s = %d %s, want %d", method, path, body, resp.StatusCode, text, want)
	}
	var out map[string]any
	if err := json.Unmarshal(text, &out); err != nil && string(bytes.TrimSpace(text)) != "null" {
		t.Fatalf("%s %s answers no JSON: %s", method, path, text)
	}
	return out
}

// violated lists the fields that an error names.
func violated(a map[string]any) string {
	var fields []string
	details, _ := a["details"].([]any)
	for _, d := range details {
		m, _ := d.(map[string]any)
		list, _ := m["field_violations"].([]any)
		for _, v := range list {
			fields = append(fields, fmt.Sprint(v.(map[string]any)["field"]))
		}
	}
	return strings.Join(fields, " ")
}

const ask = `{"request_id":"r1","conversation_id":"c1","intent":"billing","attributes":{"tier":"gold","age":31},
	"candidates":[{"target":"sales","attributes":{"language":"en"}},{"target":"billing"}],"baseline":{"target":"sales"}}`

func TestDecideRecordAndReadBack(t *testing.T) {
	f := start(t)
	a := f.rest(t, "POST", "/v1/accounts/default/nextActions", ask, 200)
	actions, _ := a["actions"].([]any)
	if len(actions) == 0 || a["decision_id"] == "" || a["mode"] != "SHADOW" || a["reason"] == "" || a["no_match_reason"] != "NO_POLICIES" {
		t.Fatalf("answer = %v", a)
	}
	if first := actions[0].(map[string]any); first["type"] != "TRANSFER_TO_SKILL" || first["target"] != "sales" {
		t.Errorf("first action = %v, want the baseline kept in the shadow", first)
	}
	record := f.rest(t, "GET", "/v1/accounts/default/decisions/"+a["decision_id"].(string), "", 200)
	if record["conversation_id"] != "c1" || record["chosen"] != "sales" || len(record["candidates"].([]any)) != 2 {
		t.Errorf("record = %v", record)
	}
	msgs := f.published(t, event.TopicDecisions)
	if len(msgs) != 1 {
		t.Fatalf("%d decisions are on the log, want 1", len(msgs))
	}
	d, err := event.DecodeDecision(&msgs[0])
	must(t, err)
	if d.ID != a["decision_id"] || d.Attributes["tier"] != "gold" || d.Attributes["age"] != 31.0 || d.Validate() != nil {
		t.Errorf("the log has %+v", d)
	}
}

func TestRetryIsOneDecision(t *testing.T) {
	f := start(t)
	client := usherv1.NewDecisionServiceClient(f.conn)
	request := func() *usherv1.NextActionsRequest {
		return &usherv1.NextActionsRequest{
			Parent: "accounts/default", RequestId: "r1", ConversationId: "c1",
			Candidates: []*usherv1.ActionCandidate{{Target: "a"}, {Target: "b"}, {Target: "c"}},
		}
	}
	first, err := client.NextActions(as(t, f.admin), request())
	must(t, err)
	for range 5 {
		again, err := client.NextActions(as(t, f.admin), request())
		must(t, err)
		if again.String() != first.String() {
			t.Fatalf("a retry answers %v, not %v", again, first)
		}
	}
	explained := request()
	explained.Explain = true
	why, err := client.NextActions(as(t, f.admin), explained)
	must(t, err)
	if why.GetDecisionId() != first.GetDecisionId() || why.GetExplanation().GetDecisionId() != first.GetDecisionId() {
		t.Errorf("asking why makes another decision: %v", why)
	}
	other := request()
	other.Candidates = other.Candidates[1:]
	different, err := client.NextActions(as(t, f.admin), other)
	must(t, err)
	if different.GetDecisionId() == first.GetDecisionId() {
		t.Error("another question under the same request id is the same decision")
	}
	if msgs := f.published(t, event.TopicDecisions); len(msgs) != 2 {
		t.Errorf("%d decisions are on the log, want 2", len(msgs))
	}
	// Over REST the header does the same.
	body := `{"conversation_id":"c2","candidates":[{"target":"a"}]}`
	one := f.restAs(t, f.admin, "POST", "/v1/accounts/default/nextActions", body, 200, "Idempotency-Key", "k")
	two := f.restAs(t, f.admin, "POST", "/v1/accounts/default/nextActions", body, 200, "Idempotency-Key", "k")
	free := f.rest(t, "POST", "/v1/accounts/default/nextActions", body, 200)
	if one["decision_id"] != two["decision_id"] || one["decision_id"] == free["decision_id"] {
		t.Errorf("decisions %v, %v, %v: want the first two alike", one["decision_id"], two["decision_id"], free["decision_id"])
	}
}

func TestDryRunLeavesNothing(t *testing.T) {
	f := start(t)
	a := f.rest(t, "POST", "/v1/accounts/default/nextActions", `{"dry_run":true,"explain":true,"candidates":[{"target":"x"}]}`, 200)
	if e, _ := a["explanation"].(map[string]any); e == nil || e["decision_id"] != a["decision_id"] {
		t.Errorf("no explanation in %v", a)
	}
	f.rest(t, "GET", "/v1/accounts/default/decisions/"+a["decision_id"].(string), "", 404)
	if msgs := f.published(t, event.TopicDecisions); len(msgs) != 0 {
		t.Errorf("%d decisions are on the log", len(msgs))
	}
}

func TestOldDecisionsComeFromTheWarehouse(t *testing.T) {
	f := start(t)
	f.warehouse.decisions["default/old"] = &event.Decision{ID: "old", Account: "default", Time: time.Unix(1, 0), Mode: "ON", Intent: "past"}
	if a := f.rest(t, "GET", "/v1/accounts/default/decisions/old", "", 200); a["intent"] != "past" {
		t.Errorf("record = %v", a)
	}
	f.warehouse.away = io.ErrUnexpectedEOF
	if a := f.rest(t, "GET", "/v1/accounts/default/decisions/new", "", 503); strings.Contains(fmt.Sprint(a), "EOF") {
		t.Errorf("the answer tells the cause: %v", a)
	}
}

func TestBadQuestionsAreNamedInFull(t *testing.T) {
	f := start(t)
	a := f.rest(t, "POST", "/v1/accounts/default/nextActions", `{"max_actions":1000,"candidates":[{"target":"a"},{"target":"a"},{}]}`, 400)
	if got := violated(a); got != "max_actions candidates[1] candidates[2]" {
		t.Errorf("violations = %q: %v", got, a)
	}
	if a := f.rest(t, "POST", "/v1/accounts/nobody/nextActions", ask, 404); fmt.Sprint(a["code"]) != "5" {
		t.Errorf("an unknown account = %v", a)
	}
}

// What the log can never take is refused, not answered and lost; it is not
// counted among what the disk did not take.
func TestTooLargeToBeRecorded(t *testing.T) {
	f := start(t)
	big := strings.Repeat("x", 30_000)
	var attributes, candidates []string
	for i := range 40 {
		attributes = append(attributes, fmt.Sprintf(`"a%d":%q`, i, big))
		candidates = append(candidates, fmt.Sprintf(`{"target":"t%d","payload":{"text":%q}}`, i, big))
	}
	for field, body := range map[string]string{
		"attributes": `{"candidates":[{"target":"a"}],"attributes":{` + strings.Join(attributes, ",") + `}}`,
		"candidates": `{"candidates":[` + strings.Join(candidates, ",") + `],"attributes":{"a":1}}`,
	} {
		a := f.rest(t, "POST", "/v1/accounts/default/nextActions", body, 400)
		if text := fmt.Sprint(a); violated(a) != field || !strings.Contains(text, "REQUEST_TOO_LARGE") || !strings.Contains(text, "at most 1000000") {
			t.Errorf("%s: %v", field, a)
		}
	}
	if s := f.spool.Stats(); s.NotRecorded != 0 || s.Recorded != 0 {
		t.Errorf("spool = %+v", s)
	}
	if text := fmt.Sprint(f.server.Status("default")); !strings.Contains(text, "{Decisions since start 0}") {
		t.Errorf("a refused request counts as decided: %s", text)
	}
	// What the policies said of a small request is not the caller's doing.
	long := strings.Repeat("y", 4000)
	leaf := `{"attribute":"tier","operator":"eq","value":"gold"}`
	for i := range 15 {
		f.rest(t, "POST", "/v1/accounts/default/policies", fmt.Sprintf(`{"name":"p%d","enabled":true,"when":{"any":[%s]},"effect":{"rank":{}}}`, i, strings.Repeat(leaf+",", 19)+leaf), 200)
	}
	a := f.rest(t, "POST", "/v1/accounts/default/nextActions", `{"candidates":[{"target":"a"}],"attributes":{"tier":"`+long+`"}}`, 200)
	record := f.rest(t, "GET", "/v1/accounts/default/decisions/"+a["decision_id"].(string), "", 200)
	if s := f.spool.Stats(); s.NotRecorded != 0 || s.Recorded != 1 || len(record["policies"].([]any)) != 0 {
		t.Errorf("spool = %+v, traces %v", s, len(record["policies"].([]any)))
	}
}

func TestOutcomes(t *testing.T) {
	f := start(t)
	one := f.rest(t, "POST", "/v1/accounts/default/outcomes", `{"conversation_id":"c1","kind":"resolved","value":1,"event_time":"2026-05-01T10:00:00Z"}`, 200)
	if ids := one["ids"].([]any); len(ids) != 1 || ids[0] == "" {
		t.Errorf("ids = %v", one)
	}
	batch := f.restAs(t, f.admin, "POST", "/v1/accounts/default/outcomes:batchCreate",
		`{"outcomes":[{"id":"o1","decision_id":"d1","kind":"csat","value":4,"source":"desk"},{"decision_id":"d1","kind":"sale","value":12.5,"label":"EUR"}]}`,
		200, "Idempotency-Key", "k9")
	if got := fmt.Sprint(batch["ids"]); got != "[o1 k9/1]" {
		t.Errorf("ids = %v", got)
	}
	msgs := f.published(t, event.TopicOutcomes)
	if len(msgs) != 3 {
		t.Fatalf("%d outcomes are on the log, want 3", len(msgs))
	}
	o, err := event.DecodeOutcome(&msgs[0])
	must(t, err)
	if o.Source != "api" || o.Account != "default" || o.Kind != "resolved" || o.Time.Day() != 1 {
		t.Errorf("the log has %+v", o)
	}
	for body, want := range map[string]string{
		`{}`:              "outcomes kind decision_id",
		`{"outcomes":[]}`: "outcomes kind decision_id",
		`{"kind":"a"}`:    "decision_id",
		`{"outcomes":[{"kind":"a","decision_id":"d"},{"decision_id":"d"},{"kind":"b"}]}`:                                                         "outcomes[1].kind outcomes[2].decision_id",
		`{"kind":"x","outcomes":[{"kind":"a","decision_id":"d"}]}`:                                                                               "outcomes",
		`{"kind":"a","decision_id":"d","value":"NaN"}`:                                                                                           "value",
		`{"kind":"a","decision_id":"d","event_time":"9999-12-31T23:59:59Z"}`:                                                                     "event_time",
		`{"kind":"a","decision_id":"d","event_time":"1999-12-31T23:59:59Z"}`:                                                                     "event_time",
		`{"outcomes":[{"kind":"a","decision_id":"d","event_time":"` + time.Now().Add(time.Hour).Format(time.RFC3339) + `","value":"Infinity"}]}`: "outcomes[0].value outcomes[0].event_time",
		`{"kind":"a","decision_id":"d","conversation_id":"a\u0000b","id":"x\ny"}`:                                                                "id conversation_id",
		`{"kind":"a","decision_id":"d","outcome":{}}`:                                                                                            "outcome",
	} {
		a := f.rest(t, "POST", "/v1/accounts/default/outcomes", body, 400)
		if got := violated(a); got != want {
			t.Errorf("%s violates %q, want %q", body, got, want)
		}
	}
	if n := len(f.published(t, event.TopicOutcomes)); n != 3 {
		t.Errorf("%d outcomes are on the log: a refused batch left some", n)
	}
	f.rest(t, "POST", "/v1/accounts/nobody/outcomes", `{"kind":"a","decision_id":"d"}`, 404)
}

func TestTokensAreHeldToTheirAccountAndScopes(t *testing.T) {
	f := start(t)
	f.rest(t, "POST", "/v1/accounts", `{"name":"accounts/shop","display_name":"Shop"}`, 200)
	mint := func(account string, scopes rpc.Scope) string {
		plain, _, err := f.tokens.Create(t.Context(), token.Spec{Account: account, Scopes: scopes}, "test")
		must(t, err)
		return plain
	}
	bot, reader, owner := mint("shop", rpc.ScopeDecide), mint("shop", rpc.ScopeRead), mint("shop", rpc.ScopeAdmin)
	for _, c := range []struct {
		token, method, path, body string
		want                      int
	}{
		{bot, "POST", "/v1/accounts/shop/nextActions", ask, 200},
		{bot, "POST", "/v1/accounts/default/nextActions", ask, 403},
		{bot, "POST", "/v1/accounts/nobody/nextActions", ask, 403},
		{bot, "GET", "/v1/accounts/shop/policies", "", 403},
		{bot, "POST", "/v1/accounts/shop/outcomes", `{}`, 403},
		{reader, "GET", "/v1/accounts/shop/policies", "", 200},
		{reader, "GET", "/v1/accounts/default/policies", "", 403},
		{reader, "POST", "/v1/accounts/shop/nextActions", ask, 403},
		{owner, "POST", "/v1/accounts/shop/nextActions", ask, 200},
		{owner, "PATCH", "/v1/accounts/shop", `{"display_name":"Our shop"}`, 200},
		{owner, "PATCH", "/v1/accounts/default", `{"display_name":"Mine"}`, 403},
		{owner, "POST", "/v1/accounts", `{"name":"accounts/more"}`, 403},
	} {
		f.restAs(t, c.token, c.method, c.path, c.body, c.want)
	}
	if seen := f.restAs(t, reader, "GET", "/v1/accounts", "", 200); len(seen["accounts"].([]any)) != 1 {
		t.Errorf("the shop's reader sees %v", seen)
	}
	if seen := f.rest(t, "GET", "/v1/accounts", "", 200); len(seen["accounts"].([]any)) != 2 {
		t.Errorf("the installation's admin sees %v", seen)
	}
}

func TestStatusPageTellsHowItStands(t *testing.T) {
	f := start(t)
	f.rest(t, "POST", "/v1/accounts/default/nextActions", ask, 200)
	text := fmt.Sprint(f.server.Status("default"))
	for _, want := range []string{"{Decisions since start 1}", "by baseline or default 1", "{Account default mode SHADOW, no model yet, 0 of 0 policies at work, policy revision 0, 1 decisions}"} {
		if !strings.Contains(text, want) {
			t.Errorf("status lacks %s: %s", want, text)
		}
	}
}
