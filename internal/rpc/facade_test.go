package rpc_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/internal/rpc"
)

// foreign is a facade with a header and an error of its own.
func foreign() rpc.Facade {
	account := func(r *http.Request, _ []byte) (string, error) { return r.PathValue("account"), nil }
	echo := func(r *http.Request, body []byte) (*rpc.Answer, error) {
		switch string(body) {
		case "panic":
			panic("the route broke")
		case "bug":
			return nil, errors.New("password is hunter2")
		case "gone":
			return nil, fault.New(fault.NotFound, "GONE", "it is gone")
		case "slow":
			<-r.Context().Done()
			return nil, r.Context().Err()
		case "nothing":
			return nil, nil
		}
		text := fmt.Sprintf(`[%q,%q,%q]`, rpc.Caller(r.Context()).ID, r.PathValue("item"), body)
		return &rpc.Answer{Status: http.StatusOK, Header: http.Header{"X-Seen": {"yes"}}, Body: []byte(text)}, nil
	}
	none := func(*http.Request, []byte) (*rpc.Answer, error) {
		return &rpc.Answer{Status: http.StatusNoContent, Body: []byte("never sent")}, nil
	}
	return rpc.Facade{
		Prefixes: []string{"/v1/old/"},
		Token: func(r *http.Request) (string, error) {
			if key := r.Header.Get("Old-Key"); key != "" {
				return key, nil
			}
			return "", fault.New(fault.NoIdentity, "NO_KEY", "send Old-Key")
		},
		Refuse: func(_ *http.Request, p *rpc.Problem) *rpc.Answer {
			body, _ := json.Marshal(map[string]any{"old": p.Code, "reason": p.Reason, "text": p.Message})
			return &rpc.Answer{Status: p.Status, Body: body}
		},
		Routes: []rpc.Route{
			{Method: "GET", Path: "/v1/old/{account}/special/{item}", Scope: rpc.ScopeIngest, Account: account, Handler: none},
			{Method: "GET", Path: "/v1/old/{account}/effect", Scope: rpc.ScopeIngest, Account: account, Handler: none, Effects: true},
			{Method: "POST", Path: "/v1/old/{account}/{kind}/{item}", Scope: rpc.ScopeIngest, Account: account, Handler: echo},
			{Method: "DELETE", Path: "/v1/old/{account}/{kind}/{item}", Scope: rpc.ScopeAdmin, Account: account, Handler: none},
			{Method: "POST", Path: "/v1/old/{account}", Scope: rpc.ScopeIngest, Account: func(*http.Request, []byte) (string, error) { return "", nil }, Handler: echo},
		},
	}
}

func withFacade(c *rpc.Config, d *rpc.Deps) {
	d.Facades = []rpc.Facade{foreign()}
	c.MaxBody, c.Timeout = 1000, 20*time.Millisecond
}

// TestFacadePassesTheGuard: what holds for a method holds for a route.
func TestFacadePassesTheGuard(t *testing.T) {
	f := start(t, withFacade)
	for _, c := range []struct {
		name, method, path, key, body string
		code                          int
		want                          string
	}{
		{"a call", "POST", "/v1/old/a/k/i", "good", "x", 200, `["t1","i","x"]`},
		{"one slash at the end", "POST", "/v1/old/a/k/i/", "good", "x", 200, `"i"`},
		{"an escaped slash", "POST", "/v1/old/a/k/i%2Fj", "good", "x", 200, `"i/j"`},
		{"dots are a name", "POST", "/v1/old/a/k/%2E%2E", "good", "x", 200, `".."`},
		{"the installation's token", "POST", "/v1/old/b/k/i", "owner", "x", 200, `"t2"`},
		{"no content", "GET", "/v1/old/a/special/i", "good", "", 204, ""},
		{"only the header", "HEAD", "/v1/old/a/special/i", "good", "", 204, ""},
		{"with an effect", "GET", "/v1/old/a/effect", "good", "", 204, ""},
		{"HEAD must have none", "HEAD", "/v1/old/a/effect", "good", "", 405, ""},
		{"no key", "POST", "/v1/old/a/k/i", "", "x", 401, `"NO_KEY"`},
		{"a wrong key", "POST", "/v1/old/a/k/i", "bad", "x", 401, `"BAD_TOKEN"`},
		{"a key without the right", "POST", "/v1/old/a/k/i", "reader", "x", 403, `"SCOPE_MISSING"`},
		{"another right", "DELETE", "/v1/old/a/k/i", "good", "", 403, `"SCOPE_MISSING"`},
		{"another account", "POST", "/v1/old/b/k/i", "good", "x", 403, `"OTHER_ACCOUNT"`},
		{"a route that names no account", "POST", "/v1/old/a", "owner", "x", 403, `"OTHER_ACCOUNT"`},
		{"no such path", "GET", "/v1/old/a/b/c/d", "good", "", 404, `"NO_SUCH_PATH"`},
		{"an empty segment", "POST", "/v1/old/a//i", "good", "x", 404, `"NO_SUCH_PATH"`},
		{"not this method", "PUT", "/v1/old/a/k/i", "good", "x", 405, `"METHOD_NOT_ALLOWED"`},
		{"the first path that fits", "POST", "/v1/old/a/special/i", "good", "x", 405, `"METHOD_NOT_ALLOWED"`},
		{"too large", "POST", "/v1/old/a/k/i", "good", strings.Repeat("x", 1001), 413, `"TOO_LARGE"`},
		{"a fault", "POST", "/v1/old/a/k/i", "good", "gone", 404, `"GONE"`},
		{"a bug", "POST", "/v1/old/a/k/i", "good", "bug", 500, "error-1"},
		{"a panic", "POST", "/v1/old/a/k/i", "good", "panic", 500, "error-1"},
		{"no answer", "POST", "/v1/old/a/k/i", "good", "nothing", 500, "error-1"},
		{"out of time", "POST", "/v1/old/a/k/i", "good", "slow", 504, "not done in time"},
	} {
		a := f.rest(t, c.method, c.path, "", c.body, "Old-Key", c.key)
		if a.code != c.code || !strings.Contains(a.text, c.want) || strings.Contains(a.text, "hunter2") {
			t.Errorf("%s: %s %s = %d %s, want %d with %s", c.name, c.method, c.path, a.code, a.text, c.code, c.want)
		}
		if c.code == http.StatusMethodNotAllowed && a.header.Get("Allow") == "" {
			t.Errorf("%s: no Allow", c.name)
		}
	}
	series := map[string]int{}
	families, err := f.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			series[family.GetName()]++
			if family.GetName() == "usher_rpc_panics_total" && m.GetCounter().GetValue() != 1 {
				t.Errorf("%v panics are counted, want 1", m.GetCounter().GetValue())
			}
		}
	}
	if series["usher_rpc_calls_total"] < 5 || series["usher_rpc_panics_total"] != 1 {
		t.Errorf("series %v: routes are not counted", series)
	}
}

// TestFacadeIsLimitedWithTheToken: routes and methods share one budget.
func TestFacadeIsLimitedWithTheToken(t *testing.T) {
	f := start(t, func(c *rpc.Config, d *rpc.Deps) {
		withFacade(c, d)
		c.RatePerToken, c.Burst = 0.01, 1
	})
	if a := f.rest(t, "POST", "/v1/accounts/a/outcomes", "good", `{}`); a.code != 200 {
		t.Fatalf("the first call = %d %s", a.code, a.text)
	}
	a := f.rest(t, "POST", "/v1/old/a/k/i", "", "x", "Old-Key", "good")
	if a.code != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" {
		t.Errorf("the second = %d %s %v, want 429 and when to come back", a.code, a.text, a.header)
	}
}

// TestFacadeWithoutARuleIsRefused: a route that the guard cannot judge does not
// come up.
func TestFacadeWithoutARuleIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(*rpc.Facade){
		"no scope":   func(f *rpc.Facade) { f.Routes[0].Scope = 0 },
		"no account": func(f *rpc.Facade) { f.Routes[0].Account = nil },
		"no handler": func(f *rpc.Facade) { f.Routes[0].Handler = nil },
		"elsewhere":  func(f *rpc.Facade) { f.Routes[0].Path = "/v1/accounts/{account}" },
		"no token":   func(f *rpc.Facade) { f.Token = nil },
	} {
		facade := foreign()
		spoil(&facade)
		var deps rpc.Deps
		cfg := rpc.DefaultConfig()
		withFacade(&cfg, &deps)
		deps.Facades = []rpc.Facade{facade}
		if _, err := rpc.New(cfg, deps, services(&outcomes{})...); err == nil {
			t.Errorf("%s: the server comes up", name)
		}
	}
}

// FuzzFacadePath: no spelling of a path reaches another account than its own.
func FuzzFacadePath(f *testing.F) {
	for _, seed := range []string{"a/k/i", "b/k/i", "b%2Fk/i/x", "a/../b/k/i", "%61/k/i", "a//i", "b/k/i/", "b\x00/k/i"} {
		f.Add(seed)
	}
	var deps rpc.Deps
	cfg := rpc.DefaultConfig()
	withFacade(&cfg, &deps)
	facade := foreign()
	reached := ""
	for i := range facade.Routes {
		inner := facade.Routes[i].Handler
		facade.Routes[i].Handler = func(r *http.Request, body []byte) (*rpc.Answer, error) {
			reached = r.PathValue("account")
			return inner(r, body)
		}
	}
	deps.Facades = []rpc.Facade{facade}
	deps.Verifier = tokens{"good": {ID: "t1", Account: "a", Scopes: rpc.ScopeAdmin}}
	deps.Log, deps.Now, deps.NewID = slog.New(slog.DiscardHandler), time.Now, func() string { return "e" }
	srv, err := rpc.New(cfg, deps, services(&outcomes{})...)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, path string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://host/v1/old/"+path, strings.NewReader("x"))
		if err != nil {
			return
		}
		r.Header.Set("Old-Key", "good")
		reached = ""
		srv.Handler().ServeHTTP(&sink{header: http.Header{}}, r)
		if reached != "" && reached != "a" {
			t.Errorf("%q reaches account %q", path, reached)
		}
	})
}

// sink is an answer that nobody reads.
type sink struct {
	header http.Header
	bytes.Buffer
}

func (s *sink) Header() http.Header { return s.header }
func (s *sink) WriteHeader(int)     {}
