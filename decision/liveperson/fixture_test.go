package liveperson_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/attribute"
	"github.com/usherhq/usher/decision/catalog"
	"github.com/usherhq/usher/decision/contextstore"
	"github.com/usherhq/usher/decision/contextstore/pebble"
	"github.com/usherhq/usher/decision/control"
	"github.com/usherhq/usher/decision/decisionlog"
	"github.com/usherhq/usher/decision/liveperson"
	"github.com/usherhq/usher/decision/policystore"
	"github.com/usherhq/usher/decision/server"
	"github.com/usherhq/usher/decision/token"
	"github.com/usherhq/usher/internal/rpc"
	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/event"
	"github.com/usherhq/usher/proto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// nowhere is a log that takes everything.
type nowhere struct{}

func (nowhere) Publish(context.Context, []event.Message) error { return nil }

// fixture is an installation with the accounts acme and shop behind the facade;
// everything is real but for Kafka and the clock.
type fixture struct {
	url      string
	key      string // of acme
	other    string // of shop
	tokens   *token.Tokens
	keyID    string
	control  *control.Control
	policies *policystore.Store
	spool    *decisionlog.Log
	context  *contextstore.Store
	facade   rpc.Facade
	ahead    atomic.Int64 // ns that the clock is ahead of its start
}

// began is when the clock starts.
func began() time.Time { return time.Date(2027, 1, 15, 8, 0, 0, 0, time.UTC) }

func (f *fixture) now() time.Time { return began().Add(time.Duration(f.ahead.Load())) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// run starts a blocking part and stops it with the test.
func run(t testing.TB, part func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- part(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("a part ended with %v", err)
		}
	})
}

func start(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{}
	log, newID := slog.New(slog.DiscardHandler), func() string { return uuid.Must(uuid.NewV7()).String() }
	config := configlog.New(&configlog.Memory{})
	run(t, config.Run)
	<-config.Ready()
	declared := catalog.New(config)
	run(t, declared.Run)
	<-declared.Ready()
	f.control, f.tokens, f.policies = control.New(config), token.New(config, time.Now, rand.Reader), policystore.New(config)
	run(t, f.policies.Run)
	<-f.policies.Ready()
	f.furnish(t)
	engine, err := pebble.Open(t.TempDir(), log)
	must(t, err)
	t.Cleanup(func() { must(t, engine.Close()) })
	f.context, err = contextstore.New(contextstore.DefaultConfig(), contextstore.Deps{Engine: engine, Now: f.now, Log: log})
	must(t, err)
	spoolConfig := decisionlog.DefaultConfig()
	spoolConfig.Dir = t.TempDir()
	f.spool, err = decisionlog.Open(spoolConfig, decisionlog.Deps{Publisher: nowhere{}, Log: log})
	must(t, err)
	run(t, f.spool.Run)
	facts, err := attribute.New(attribute.Deps{Catalog: declared, Context: f.context})
	must(t, err)
	decider, err := decision.New(decision.DefaultConfig(), decision.Deps{
		Policies: f.policies, Models: &model.Registry{}, Control: f.control, Attributes: facts, Now: time.Now, NewID: newID,
	})
	must(t, err)
	answers := server.New(server.Deps{
		MaxSkew: 10 * time.Minute,
		Engine:  decider, Policies: f.policies, Control: f.control, Tokens: f.tokens, Recorder: f.spool,
		Contexts: f.context, Log: log, Now: time.Now, NewID: newID,
	})
	f.facade = liveperson.New(liveperson.Deps{
		Answers: answers, Policies: f.policies, Context: f.context, Bots: bots{},
		Account: func(id string) error { _, err := f.control.GetAccount(id); return err },
	})
	doors, err := rpc.New(rpc.DefaultConfig(), rpc.Deps{
		Verifier: f.tokens, Log: log, Facades: []rpc.Facade{f.facade}, OpenAPI: proto.OpenAPI(), Now: time.Now, NewID: newID,
	})
	must(t, err)
	web := httptest.NewServer(doors.Handler())
	t.Cleanup(func() { web.Close(); http.DefaultClient.CloseIdleConnections() })
	f.url = web.URL
	return f
}

// bots knows one bot.
type bots struct{}

func (bots) BotSkill(_, bot string) (string, bool) { return "billing-bots", bot == "billy" }

func (f *fixture) furnish(t testing.TB) {
	t.Helper()
	must(t, f.control.Bootstrap(t.Context()))
	for account, key := range map[string]*string{"acme": &f.key, "shop": &f.other} {
		_, err := f.control.CreateAccount(t.Context(), control.Account{ID: account}, control.Author{Name: "test"})
		must(t, err)
		plain, info, err := f.tokens.Create(t.Context(), token.Spec{Account: account, Scopes: rpc.ScopeDecide}, "test")
		must(t, err)
		*key = plain
		if account == "acme" {
			f.keyID = info.ID
		}
	}
}

// reply is an answer, whole.
type reply struct {
	status int
	header http.Header
	text   string
}

// call sends a request with the headers given in pairs.
func (f *fixture) call(t testing.TB, method, path, body string, headers ...string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, f.url+path, strings.NewReader(body))
	must(t, err)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	return reply{resp.StatusCode, resp.Header, string(text)}
}

// v1 calls as a v1 client does, with acme's key.
func (f *fixture) v1(t testing.TB, method, path, body string) reply {
	t.Helper()
	return f.call(t, method, path, body, "maven-api-key", f.key, "Content-Type", "application/json")
}

// differs says where got is not what want prints, "" when it is; "*" is any value.
func differs(t testing.TB, got, want string) string {
	t.Helper()
	if strings.TrimSpace(want) == "*" {
		return ""
	}
	if want == "" {
		return map[bool]string{true: "", false: "there is a body"}[got == ""]
	}
	var g, w any
	must(t, json.Unmarshal([]byte(want), &w))
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		return "it is no JSON: " + err.Error()
	}
	return unlike(g, w, "answer")
}

func unlike(got, want any, path string) string {
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok || len(object) != len(want) {
			return path + " has other members"
		}
		for k, v := range want {
			if _, there := object[k]; !there {
				return path + "." + k + " is missing"
			}
			if why := unlike(object[k], v, path+"."+k); why != "" {
				return why
			}
		}
		return ""
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			return path + " has another length"
		}
		for i, v := range want {
			if why := unlike(list[i], v, path+"[]"); why != "" {
				return why
			}
		}
		return ""
	}
	a, _ := json.Marshal(got)
	b, _ := json.Marshal(want)
	if want == "*" || bytes.Equal(a, b) {
		return ""
	}
	return path + " is another value"
}
