package attribute_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/attribute"
	"github.com/usherhq/usher/decision/catalog"
	"github.com/usherhq/usher/decision/contextstore"
	"github.com/usherhq/usher/decision/contextstore/pebble"
	"github.com/usherhq/usher/decision/control"
	"github.com/usherhq/usher/decision/function"
	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stage is an installation that decides: the engine over a real catalogue, a real
// context store and real functions.
type stage struct {
	t         testing.TB
	control   *control.Control
	catalog   *catalog.Catalog
	contexts  *contextstore.Store
	functions *function.Caller
	resolver  *attribute.Resolver
	engine    *decision.Engine
	set       atomic.Pointer[policy.Set]
	loads     atomic.Int64
	ids       atomic.Int64
}

// Load counts how often the context store is asked.
func (s *stage) Load(ctx context.Context, account string, sessions, namespaces []string) ([]contextstore.Document, error) {
	s.loads.Add(1)
	return s.contexts.Load(ctx, account, sessions, namespaces)
}

func (s *stage) Policies(string) *policy.Set { return s.set.Load() }

func open(t testing.TB, privateHosts ...string) *stage {
	t.Helper()
	s := &stage{t: t}
	log := configlog.New(&configlog.Memory{})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = log.Run(ctx) })
	<-log.Ready()
	s.control, s.catalog = control.New(log), catalog.New(log)
	engine, err := pebble.Open(t.TempDir(), slog.New(slog.DiscardHandler))
	must(t, err)
	s.contexts, err = contextstore.New(contextstore.DefaultConfig(), contextstore.Deps{
		Engine: engine, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	c := function.DefaultConfig()
	c.PrivateHosts = privateHosts
	s.functions, err = function.New(c, function.Deps{})
	must(t, err)
	t.Cleanup(func() {
		cancel()
		running.Wait()
		must(t, s.functions.Close())
		must(t, engine.Close())
	})
	_, err = s.control.CreateAccount(ctx, control.Account{ID: "acme"}, control.Author{Name: "test"})
	must(t, err)
	s.resolver, err = attribute.New(attribute.Deps{Catalog: s.catalog, Context: s, Functions: s.functions})
	must(t, err)
	s.policies()
	s.engine, err = decision.New(decision.DefaultConfig(), decision.Deps{
		Policies: s, Models: &model.Registry{}, Control: s.control, Now: time.Now, Attributes: s.resolver, Seats: s.resolver,
		NewID: func() string { return fmt.Sprint("id-", s.ids.Add(1)) },
	})
	must(t, err)
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// policies puts a list in force: one policy for each condition, that transfers to
// the skill of its place.
func (s *stage) policies(conditions ...string) {
	s.t.Helper()
	var list []*policy.Policy
	for i, when := range conditions {
		p, err := policy.Parse(fmt.Appendf(nil,
			`{"name": "p%d", "rank": %d, "when": %s, "effect": {"fixed": {"actions": [{"type": "TRANSFER_TO_SKILL", "target": "s%d"}]}}}`, i, i, when, i))
		must(s.t, err)
		list = append(list, p)
	}
	s.set.Store(policy.Compile(list, 1, policy.WithEnvironment(s.catalog.Environment("acme"))))
}

func (s *stage) attribute(a catalog.Attribute) {
	s.t.Helper()
	_, err := s.catalog.Attributes.Put(s.t.Context(), "acme", a, 0, control.Author{Name: "test"})
	must(s.t, err)
}

func (s *stage) function(f function.Function) {
	s.t.Helper()
	_, err := s.catalog.Functions.Put(s.t.Context(), "acme", catalog.Function{Function: f}, 0, control.Author{Name: "test"})
	must(s.t, err)
}

func (s *stage) save(namespace, session string, properties map[string]any) {
	s.t.Helper()
	_, err := s.contexts.Write(s.t.Context(), "acme", contextstore.Change{
		Key: contextstore.Key{Namespace: namespace, Session: session}, Set: properties,
	})
	must(s.t, err)
}

func (s *stage) decide(r decision.Request) *event.Decision {
	s.t.Helper()
	r.Account = "acme"
	d, err := s.engine.Decide(s.t.Context(), &r)
	must(s.t, err)
	must(s.t, d.Validate())
	return d
}

const gold = `{"attribute": "%s", "operator": "equal", "value": "gold"}`

func isGold(attribute string) string { return fmt.Sprintf(gold, attribute) }

func TestContextPrecedenceAndOneCall(t *testing.T) {
	s := open(t)
	s.save("crm", contextstore.Global, map[string]any{"tier": "gold", "region": "eu", "plan": "gold"})
	s.save("crm", contextstore.Consumer("u1"), map[string]any{"tier": "silver", "region": "us"})
	s.save("crm", "c1", map[string]any{"tier": "bronze"})
	s.save("bot", "c1", map[string]any{"deep": map[string]any{"mood": "gold"}})
	s.policies(isGold("crm.tier"), isGold("crm.region"), isGold("crm.plan"), isGold("bot.deep.mood"))
	d := s.decide(decision.Request{ConversationID: "c1", ConsumerID: "u1"})
	want := map[string]any{"crm.tier": "bronze", "crm.region": "us", "crm.plan": "gold", "bot.deep.mood": "gold"}
	if diff := cmp.Diff(want, d.Attributes); diff != "" {
		t.Error(diff)
	}
	sources := map[string]string{
		"crm.tier": "context:conversation", "crm.region": "context:consumer", "crm.plan": "context:global", "bot.deep.mood": "context:conversation",
	}
	if diff := cmp.Diff(sources, d.Sources); diff != "" {
		t.Error(diff)
	}
	if d.Policy != "p2" || s.loads.Load() != 1 {
		t.Errorf("%s decided after %d calls of the context store", d.Policy, s.loads.Load())
	}
	// The session that the request names stands in for the conversation; what it
	// brings itself is not looked up.
	s.save("crm", "visit-7", map[string]any{"tier": "gold"})
	if d := s.decide(decision.Request{SessionID: "visit-7", ConversationID: "c1"}); d.Policy != "p0" {
		t.Errorf("in the session %s decided", d.Policy)
	}
	d = s.decide(decision.Request{ConversationID: "c1", Attributes: map[string]any{
		"crm.tier": "gold", "crm": map[string]any{"region": "x", "plan": "y"}, "bot.deep": map[string]any{"mood": "z"},
	}})
	if d.Policy != "p0" || len(d.Sources) != 0 || s.loads.Load() != 2 {
		t.Errorf("%s decided, sources %v, %d calls", d.Policy, d.Sources, s.loads.Load())
	}
}

// TestOneCallForEverything: three scopes, what was captured and what a function is
// asked with come from the context store in one call.
func TestOneCallForEverything(t *testing.T) {
	s := open(t)
	s.patience(2 * time.Second)
	s.save("a", "c1", map[string]any{"x": "gold"})
	s.save("b", contextstore.Consumer("u1"), map[string]any{"x": "gold"})
	s.save("c", contextstore.Global, map[string]any{"x": "gold"})
	s.save("arg", contextstore.Consumer("u1"), map[string]any{"x": "gold"})
	_, err := s.contexts.Capture(t.Context(), "acme", contextstore.Capture{CustomerID: "u1", SDE: map[string]any{
		"visitorinfo": map[string]any{"customerinfo": map[string]any{"ctype": "gold"}},
	}})
	must(t, err)
	s.function(function.Function{ID: "f", Timeout: time.Second, JavaScript: &function.JavaScript{Source: `function main(args) { return args.x }`}})
	s.attribute(catalog.Attribute{
		Name: "custom.f", Type: policy.TypeString, Source: catalog.SourceFunction, Function: "f", Arguments: map[string]any{"x": "{{arg.x}}"},
	})
	const last = "consumer.ctype"
	s.policies(`{"all": [` + isGold("a.x") + `,` + isGold("b.x") + `,` + isGold("c.x") + `,` + isGold("custom.f") + `,` +
		isGold("sde.visitorinfo.customerinfo.ctype") + `,` + isGold(last) + `]}`)
	for _, dry := range []bool{false, true} {
		before := s.loads.Load()
		d := s.decide(decision.Request{ConversationID: "c1", ConsumerID: "u1", VisitorID: "v1", DryRun: dry})
		if n := s.loads.Load() - before; d.Policy != "p0" || n != 1 {
			t.Errorf("%q decided after %d calls of the context store: %+v", d.Policy, n, d.Policies)
		}
	}
}

// TestADryRunTakesItsWorldForGiven: the clock, context and live state it is given go
// before the real ones, in the order of the scopes.
func TestADryRunTakesItsWorldForGiven(t *testing.T) {
	s := open(t)
	s.save("crm", contextstore.Consumer("u1"), map[string]any{"tier": "silver", "plan": "gold", "gone": "gold"})
	s.policies(isGold("crm.tier"), isGold("crm.gone"), isGold("new.x"),
		`{"all": [`+isGold("crm.plan")+`, {"date": {"from": "2031-05-01", "to": "2031-05-02", "zone": "UTC"}},
			{"attribute": "skill.care.load", "operator": "less_than", "value": 0.5}]}`)
	ask := func(contexts ...decision.SuppliedContext) *event.Decision {
		return s.decide(decision.Request{ConversationID: "c1", ConsumerID: "u1", DryRun: true, Supplied: &decision.Supplied{
			Now: time.Date(2031, 5, 1, 12, 0, 0, 0, time.UTC), Contexts: contexts,
			Skills: map[string]event.Skill{"care": {AgentsOnline: 1, Load: 0.4, At: time.Date(2031, 5, 1, 12, 0, 0, 0, time.UTC)}},
		}})
	}
	document := func(session, name string, value any) decision.SuppliedContext {
		return decision.SuppliedContext{Namespace: "crm", Session: session, Properties: map[string]any{name: value}}
	}
	gone := document(contextstore.Consumer("u1"), "gone", nil)
	for want, d := range map[string]*event.Decision{
		"p3 2031":                 ask(gone),
		"p0 context:consumer":     ask(gone, document(contextstore.Consumer("u1"), "tier", "gold"), document(contextstore.Global, "tier", "x")),
		"p0 context:conversation": ask(document("c1", "tier", "gold")),
		"p1 hidden by consumer":   ask(document(contextstore.Global, "tier", "gold")),
		"p2 new":                  ask(gone, decision.SuppliedContext{Namespace: "new", Session: contextstore.Global, Properties: map[string]any{"x": "gold"}}),
	} {
		id, what, _ := strings.Cut(want, " ")
		if d.Policy != id || d.Time.Year() != 2031 || strings.HasPrefix(what, "context:") && d.Sources["crm.tier"] != what {
			t.Errorf("want %s: %q decided at %v from %v: %+v", want, d.Policy, d.Time, d.Sources, d.Policies)
		}
	}
	counted := decision.Request{Account: "acme", Supplied: &decision.Supplied{}}
	if _, err := s.engine.Decide(t.Context(), &counted); err == nil || !strings.Contains(err.Error(), "dry_run_options") {
		t.Errorf("a decision that counts: %v", err)
	}
}

func TestCapturedAttributes(t *testing.T) {
	s := open(t)
	info := func(tier string) map[string]any {
		return map[string]any{"visitorinfo": map[string]any{
			"customerinfo": map[string]any{"ctype": tier}, "personalinfo": map[string]any{"age": map[string]any{"age": 41.0}},
		}}
	}
	for _, c := range []contextstore.Capture{{CustomerID: "u1", SDE: info("gold")}, {VisitorID: "v1", SDE: info("silver")}} {
		_, err := s.contexts.Capture(t.Context(), "acme", c)
		must(t, err)
	}
	s.policies(`{"all": [`+isGold("sde.visitorinfo.customerinfo.ctype")+`,{"attribute":"sde.visitorinfo.personalinfo.age.age","operator":"greater_than","value":40}]}`,
		`{"attribute": "sde.visitorinfo.customerinfo.ctype", "operator": "equal", "value": "silver"}`)
	for _, c := range []struct {
		request decision.Request
		policy  string
		calls   int64
	}{
		{decision.Request{ConsumerID: "u1", VisitorID: "v1"}, "p0", 1},
		{decision.Request{VisitorID: "v1"}, "p1", 1},
		{decision.Request{ConversationID: "c1"}, "", 0}, // nobody to ask for: absent, not an error
	} {
		before := s.loads.Load()
		d := s.decide(c.request)
		if d.Policy != c.policy || s.loads.Load()-before != c.calls {
			t.Errorf("%+v: %q decided after %d calls", c.request, d.Policy, s.loads.Load()-before)
		}
	}
	s.policies(isGold("consumer.ctype"))
	if d := s.decide(decision.Request{ConsumerID: "u1"}); d.Policy != "p0" || d.Sources["consumer.ctype"] != "sde" {
		t.Errorf("%q decided by consumer.*, sources %v", d.Policy, d.Sources)
	}
}

func TestFieldsOfTheRequestComeFromTheBotsContextToo(t *testing.T) {
	s := open(t)
	s.save("orchestrator", "c1", map[string]any{"intent": "gold", "channel": "gold"})
	s.policies(isGold("orchestrator.intent"))
	if d := s.decide(decision.Request{ConversationID: "c1"}); d.Policy != "p0" {
		t.Errorf("the saved intent was not found: %+v", d.Policies)
	}
	if d := s.decide(decision.Request{ConversationID: "c1", Intent: "other"}); d.Policy != "" {
		t.Error("the saved intent won over that of the request")
	}
	s.policies(isGold("channel"))
	if d := s.decide(decision.Request{ConversationID: "c1"}); d.Policy != "p0" {
		t.Errorf("the saved channel was not found: %+v", d.Policies)
	}
}

func TestStaticAttributes(t *testing.T) {
	s := open(t)
	s.attribute(catalog.Attribute{Name: "custom.vips", Type: policy.TypeList, Source: catalog.SourceStatic, Value: []any{"u1", "u2"}})
	s.attribute(catalog.Attribute{Name: "custom.plan", Type: policy.TypeObject, Source: catalog.SourceStatic, Value: map[string]any{"name": "gold"}})
	s.policies(`{"all": [{"attribute": "consumer_id", "operator": "in", "value_from": "custom.vips"}, ` + isGold("custom.plan.name") + `]}`)
	d := s.decide(decision.Request{ConsumerID: "u2"})
	if d.Policy != "p0" || s.loads.Load() != 0 {
		t.Errorf("%q decided after %d calls: %+v", d.Policy, s.loads.Load(), d.Policies)
	}
	want := map[string]any{"custom.vips": []any{"u1", "u2"}, "custom.plan.name": "gold"}
	if diff := cmp.Diff(want, d.Attributes); diff != "" {
		t.Error(diff)
	}
}

func TestFunctionsTakeArgumentsFromContext(t *testing.T) {
	s := open(t)
	s.function(function.Function{ID: "score", CacheTTL: time.Minute, Timeout: time.Second, JavaScript: &function.JavaScript{
		Source: `function main(args) { return {tier: args.points > 10 ? "gold" : "none", who: args.who}; }`,
	}})
	s.attribute(catalog.Attribute{
		Name: "custom.tier", Type: policy.TypeString, Source: catalog.SourceFunction, Function: "score", Path: "tier",
		Arguments: map[string]any{"points": "{{crm.points}}", "who": "{{consumer_id}}"},
	})
	s.save("crm", "c1", map[string]any{"points": 11.0})
	s.policies(isGold("custom.tier"))
	// The first call of a runtime compiles it: it gets the time that a test machine
	// under load may need.
	s.patience(2 * time.Second)
	d := s.decide(decision.Request{ConversationID: "c1", ConsumerID: "u1"})
	if d.Policy != "p0" || len(d.Calls) != 1 || d.Calls[0].Result != event.CallOK || d.Sources["custom.tier"] != "function" {
		t.Fatalf("%q decided, calls %+v, traces %+v", d.Policy, d.Calls, d.Policies)
	}
	if _, there := d.Attributes["crm.points"]; there {
		t.Error("the record holds what only an argument was made of")
	}
	if d = s.decide(decision.Request{ConversationID: "c1", ConsumerID: "u1"}); d.Calls[0].Result != event.CallCached || d.Calls[0].Age <= 0 {
		t.Errorf("the second call was %+v", d.Calls)
	}
	if d = s.decide(decision.Request{ConversationID: "c2"}); d.Policy != "" {
		t.Error("another conversation got the first one's tier")
	}
}

// patience makes the engine anew with a budget of its own.
func (s *stage) patience(budget time.Duration) {
	s.t.Helper()
	c := decision.DefaultConfig()
	c.Budget = budget
	var err error
	s.engine, err = decision.New(c, decision.Deps{
		Policies: s, Models: &model.Registry{}, Control: s.control, Now: time.Now, Attributes: s.resolver, Seats: s.resolver,
		NewID: func() string { return fmt.Sprint("id-", s.ids.Add(1)) },
	})
	must(s.t, err)
}

func TestASlowFunctionEndsWithTheBudget(t *testing.T) {
	gone := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done(): // the asker has hung up
		case <-gone:
		}
	}))
	defer slow.Close()
	defer close(gone)
	host := strings.TrimPrefix(slow.URL, "http://")
	s := open(t, host)
	s.function(function.Function{ID: "crm", Timeout: time.Second, HTTP: &function.HTTP{URL: slow.URL}})
	s.attribute(catalog.Attribute{Name: "custom.tier", Type: policy.TypeString, Source: catalog.SourceFunction, Function: "crm"})
	s.policies(isGold("custom.tier"), `{"not": `+isGold("channel")+`}`)
	begun := time.Now()
	d := s.decide(decision.Request{Channel: "web"})
	if took := time.Since(begun); took > 500*time.Millisecond {
		t.Errorf("the decision took %v, its budget is 50ms", took)
	}
	if d.Policy != "p1" || len(d.Calls) != 1 || d.Calls[0].Result != event.CallBudget && d.Calls[0].Result != event.CallTimeout {
		t.Errorf("%q decided, calls %+v", d.Policy, d.Calls)
	}
	trace := d.Policies[0]
	if trace.State != event.Errored && trace.State != event.Unknown || !strings.Contains(trace.Conditions[0].Cause, "crm") {
		t.Errorf("the trace does not name the function: %+v", trace)
	}
	// With a value on error the policy decides, and the record says so.
	s.function(function.Function{ID: "crm2", Timeout: 10 * time.Millisecond, OnError: "gold", HTTP: &function.HTTP{URL: slow.URL}})
	s.attribute(catalog.Attribute{Name: "custom.safe", Type: policy.TypeString, Source: catalog.SourceFunction, Function: "crm2"})
	s.policies(isGold("custom.safe"))
	if d = s.decide(decision.Request{}); d.Policy != "p0" || !d.Calls[0].Fallback || d.Calls[0].Result != event.CallTimeout {
		t.Errorf("%q decided, calls %+v", d.Policy, d.Calls)
	}
}

func TestFamiliesCanBeSwitchedOff(t *testing.T) {
	s := open(t)
	a, err := s.control.GetAccount("acme")
	must(t, err)
	off := false
	a.Attributes.SDE, a.Attributes.Conversation = &off, &off
	_, err = s.control.UpdateAccount(t.Context(), a, control.Author{Name: "test"})
	must(t, err)
	s.policies(isGold("sde.visitorinfo.customerinfo.ctype"), isGold("conversation.currentSkillId"), isGold("tier"))
	d := s.decide(decision.Request{Attributes: map[string]any{
		"sde.visitorinfo.customerinfo.ctype": "gold", "conversation": map[string]any{"currentSkillId": "gold"}, "tier": "gold",
	}})
	if d.Policy != "p2" {
		t.Errorf("%q decided", d.Policy)
	}
	if diff := cmp.Diff(map[string]any{"tier": "gold"}, d.Attributes); diff != "" {
		t.Errorf("the record holds what is switched off: %s", diff)
	}
}

func TestPersonalValuesStayOutOfTheRecord(t *testing.T) {
	s := open(t)
	s.attribute(catalog.Attribute{Name: "email", Type: policy.TypeString, Source: catalog.SourceRequest, PII: true})
	pii := []string{"phone"}
	_, err := s.contexts.PutNamespace(t.Context(), "acme", contextstore.NamespaceChange{ID: "crm", PII: &pii})
	must(t, err)
	s.save("crm", "c1", map[string]any{"phone": "+49 30 1234", "tier": "gold"})
	s.policies(`{"all": [{"attribute": "email", "operator": "ends_with", "value": "@example.com"},
		{"attribute": "crm.phone", "operator": "exists", "value": true}, ` + isGold("crm.tier") + `]}`)
	request := map[string]any{"email": "ann@example.com", "tier": "gold"}
	d := s.decide(decision.Request{ConversationID: "c1", Attributes: request})
	if d.Policy != "p0" {
		t.Fatalf("the values were not used: %+v", d.Policies)
	}
	want := map[string]any{"email": decision.Redacted, "crm.phone": decision.Redacted, "crm.tier": "gold", "tier": "gold"}
	if diff := cmp.Diff(want, d.Attributes); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"crm.phone", "email"}, d.Redacted); diff != "" {
		t.Error(diff)
	}
	m, err := event.EncodeDecision(d, event.JSON)
	must(t, err)
	for _, secret := range []string{"ann@", "1234"} {
		if strings.Contains(string(m.Value), secret) {
			t.Errorf("%q is in the record %s", secret, m.Value)
		}
	}
	if request["email"] != "ann@example.com" {
		t.Error("the caller's own map was changed")
	}
}

// TestBuiltInAttributesCanBePersonal: what a consumer said and who it was is kept out
// of the record, under either name, and policies have it.
func TestBuiltInAttributesCanBePersonal(t *testing.T) {
	s := open(t)
	for _, name := range []string{"user_message", "consumer_id"} {
		s.attribute(catalog.Attribute{Name: name, PII: true})
	}
	s.documents(`"when": {"all": [{"attribute": "orchestrator.userMessage", "operator": "contains", "value": "help"},
		{"attribute": "conversation.consumerId", "operator": "exists", "value": true}]},
		"effect": {"fixed": {"actions": [{"type": "SEND_MESSAGE", "payload": {"text": "you said: {{user_message}}"}}]}}`)
	answer, record, err := s.engine.Answer(t.Context(), &decision.Request{
		Account: "acme", ConsumerID: canary, UserMessage: "help " + canary, Attributes: map[string]any{"user_message": canary, "tier": "gold"},
	})
	must(t, err)
	if answer.Policy != "p0" || answer.ConsumerID != canary || !strings.HasSuffix(fmt.Sprint(answer.Actions[0].Payload["text"]), canary) {
		t.Errorf("the answer is %+v", answer)
	}
	m, err := event.EncodeDecision(record, event.JSON)
	must(t, err)
	if strings.Contains(string(m.Value), canary) || record.Attributes["tier"] != "gold" {
		t.Errorf("the record is %s", m.Value)
	}
	if diff := cmp.Diff([]string{"consumer_id", "orchestrator.userMessage"}, record.Redacted); diff != "" {
		t.Error(diff)
	}
	for _, refused := range []catalog.Attribute{
		{Name: "conversation_id", PII: true},
		{Name: "user_message", Type: policy.TypeNumber, PII: true},
		{Name: "consumer_id", Source: catalog.SourceStatic, Value: "x"},
	} {
		if _, err := s.catalog.Attributes.Put(t.Context(), "acme", refused, 0, control.Author{Name: "test"}); err == nil {
			t.Errorf("%+v was stored", refused)
		}
	}
	// Taking the mark away leaves the attribute as it was built in.
	must(t, s.catalog.Attributes.Delete(t.Context(), "acme", "user_message", 0, control.Author{Name: "test"}))
	if a, err := s.catalog.AnyAttribute("acme", "user_message"); err != nil || a.PII || a.Source != catalog.SourceBuiltin {
		t.Errorf("left is %+v, %v", a, err)
	}
}

func TestTheAccountsDefaultIsLookedUpFor(t *testing.T) {
	s := open(t)
	a, err := s.control.GetAccount("acme")
	must(t, err)
	a.DefaultEffect = []byte(`{"fixed": {"actions": [{"type": "TRANSFER_TO_SKILL", "target": "{{crm.desk}}"}]}}`)
	_, err = s.control.UpdateAccount(t.Context(), a, control.Author{Name: "test"})
	must(t, err)
	s.save("crm", "c1", map[string]any{"desk": "north", "tier": "silver"})
	s.policies(isGold("crm.tier"))
	d := s.decide(decision.Request{ConversationID: "c1"})
	if d.Chosen != "north" || d.Attributes["crm.desk"] != "north" || d.Attributes["crm.tier"] != "silver" {
		t.Errorf("%q answers, of %v", d.Chosen, d.Attributes)
	}
}

// TestWhatARequestBrings holds looking up to what policies find in a request: what
// they do not see there is looked up.
func TestWhatARequestBrings(t *testing.T) {
	s := open(t)
	s.save("crm", "c1", map[string]any{"a": map[string]any{"b": "gold"}})
	s.policies(isGold("crm.a.b"))
	for name, c := range map[string]struct {
		brought map[string]any
		policy  string
	}{
		"nested":             {map[string]any{"crm": map[string]any{"a": map[string]any{"b": "tin"}}}, ""},
		"half":               {map[string]any{"crm.a": map[string]any{"b": "tin"}}, ""},
		"a dot in an object": {map[string]any{"crm": map[string]any{"a.b": "tin"}}, "p0"},
		"null hides":         {map[string]any{"crm.a.b": nil, "crm": map[string]any{"a": map[string]any{"b": "tin"}}}, "p0"},
	} {
		if d := s.decide(decision.Request{ConversationID: "c1", Attributes: c.brought}); d.Policy != c.policy {
			t.Errorf("%s: %q decided: %+v", name, d.Policy, d.Policies)
		}
	}
}

// TestManyAttributes asks for so many that comparing all pairs would take minutes.
func TestManyAttributes(t *testing.T) {
	s := open(t)
	names := make([]string, 200_000)
	for i := range names {
		names[i] = fmt.Sprint("custom.n", i)
	}
	begun := time.Now()
	s.resolver.Attributes(t.Context(), &decision.AttributeQuery{Account: "acme", Request: &decision.Request{}, Names: names})
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestAgentsWithoutTheSkill(t *testing.T) {
	s := open(t)
	for _, id := range []string{"billing", "sales"} {
		_, err := s.catalog.Skills.Put(t.Context(), "acme", catalog.Skill{ID: id}, 0, control.Author{Name: "test"})
		must(t, err)
	}
	_, err := s.catalog.Agents.Put(t.Context(), "acme", catalog.Agent{ID: "ann", Skills: []string{"billing"}}, 0, control.Author{Name: "test"})
	must(t, err)
	for _, c := range []struct {
		agent, skill  string
		serves, known bool
	}{{"ann", "billing", true, true}, {"ann", "sales", false, true}, {"bob", "sales", false, false}} {
		if serves, known := s.resolver.Serves("acme", c.agent, c.skill); serves != c.serves || known != c.known {
			t.Errorf("%s serves %s: %v, known %v", c.agent, c.skill, serves, known)
		}
	}
}

func TestRulesCostNothing(t *testing.T) {
	s := open(t)
	s.attribute(catalog.Attribute{Name: "email", Type: policy.TypeString, Source: catalog.SourceRequest, PII: true})
	if got := s.resolver.Rules("acme").Personal; len(got) != 1 || got[0] != "email" {
		t.Errorf("personal are %v", got)
	}
	if n := testing.AllocsPerRun(100, func() { s.resolver.Rules("acme") }); n != 0 {
		t.Errorf("%g allocations", n)
	}
	if _, err := attribute.New(attribute.Deps{}); err == nil {
		t.Error("made without a catalogue")
	}
}

// TestTogether decides while attributes and context change: no decision fails, and
// each sees one of the values.
func TestTogether(t *testing.T) {
	s := open(t)
	s.save("crm", "c1", map[string]any{"tier": "gold"})
	s.policies(isGold("crm.tier"), `{"attribute": "crm.tier", "operator": "exists", "value": true}`)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 100 {
				d, err := s.engine.Decide(t.Context(), &decision.Request{Account: "acme", ConversationID: "c1"})
				if err != nil || d.Policy == "" {
					t.Errorf("%v %+v", err, d)
					return
				}
			}
		})
	}
	all.Go(func() {
		for i := range 50 {
			s.save("crm", "c1", map[string]any{"tier": []string{"gold", "silver"}[i%2]})
		}
	})
	all.Wait()
}
