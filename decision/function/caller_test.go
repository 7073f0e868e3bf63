package function

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/event"
)

// service is a real HTTP service on this machine.
func service(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func caller(t *testing.T, change func(*Config, *Deps)) *Caller {
	t.Helper()
	cfg, deps := DefaultConfig(), Deps{}
	cfg.PrivateHosts = []string{"127.0.0.1"}
	if change != nil {
		change(&cfg, &deps)
	}
	c, err := New(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func web(url string) *Function {
	return &Function{ID: "crm", Revision: 1, HTTP: &HTTP{URL: url}, Timeout: MaxTimeout}
}

func answerJSON(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = io.WriteString(w, body)
	}
}

func TestAsksAService(t *testing.T) {
	t.Parallel()
	var method, target, body, secret string
	url := service(t, func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		method, target, body, secret = r.Method, r.RequestURI, string(data), r.Header.Get("X-Key")
		answerJSON(`{"customer":{"tiers":["gold"],"vip":true}}`)(w, r)
	})
	c := caller(t, nil)
	fn := web(url + "/customers/{{id}}?of={{of}}")
	fn.HTTP.SecretHeaders = map[string]string{"X-Key": "s3cret"}
	args := map[string]any{"id": "a/../b c", "of": "1&2"}
	for path, want := range map[string]any{"": nil, "customer.tiers.0": "gold", "customer.vip": true, "customer.tiers.1": nil, "customer.none.x": nil} {
		r := c.CallAll(t.Context(), "acme", []Request{{Function: fn, Attribute: "custom.tier", Path: path, Arguments: args}})[0]
		if r.Call.Result != event.CallOK || r.Call.Function != "crm" || r.Call.Attribute != "custom.tier" || r.Call.Latency <= 0 {
			t.Fatalf("%+v", r.Call)
		}
		if path != "" && r.Value != want {
			t.Errorf("%s is %v, want %v", path, r.Value, want)
		}
	}
	if method != "GET" || target != "/customers/a%2F..%2Fb%20c?of=1%262" || body != "" || secret != "s3cret" {
		t.Errorf("asked %s %s body %q key %q", method, target, body, secret)
	}
	fn.HTTP.Method = "POST"
	c.Call(t.Context(), "acme", fn, "", args)
	if method != "POST" || body != `{"id":"a/../b c","of":"1\u00262"}` {
		t.Errorf("asked %s body %q", method, body)
	}
}

// TestFailures: each way to fail is told apart, takes the value on error, and
// shows neither the address nor a secret.
func TestFailures(t *testing.T) {
	t.Parallel()
	slow := make(chan struct{})
	t.Cleanup(func() { close(slow) })
	url := service(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			select {
			case <-slow:
			case <-r.Context().Done():
			}
		case "/drip":
			w.Header().Set("Content-Type", "application/json")
			for range 1000 {
				if _, err := io.WriteString(w, " "); err != nil {
					return
				}
				w.(http.Flusher).Flush() //nolint:forcetypeassert // the server's always is one
				select {
				case <-slow:
				case <-r.Context().Done():
					return
				case <-time.After(5 * time.Millisecond):
				}
			}
		case "/redirect":
			http.Redirect(w, r, "/json", http.StatusFound)
		case "/huge":
			answerJSON(`"`+strings.Repeat("x", 70_000)+`"`)(w, r)
		case "/html":
			w.Header().Set("Content-Type", "text/html")
		case "/broken":
			answerJSON(`{"a":`)(w, r)
		case "/two":
			answerJSON(`{} {}`)(w, r)
		case "/empty":
			w.WriteHeader(http.StatusNoContent)
		default:
			answerJSON(`null`)(w, r)
		}
	})
	c := caller(t, func(cfg *Config, _ *Deps) { cfg.Failures = 100 })
	for _, one := range []struct {
		path   string
		result event.CallResult
		detail string
	}{
		{"/slow", event.CallTimeout, "no answer within 80ms"},
		{"/drip", event.CallTimeout, "no answer within 80ms"},
		{"/redirect", event.CallError, "answered 302"},
		{"/huge", event.CallError, "answered more than 65536 bytes"},
		{"/html", event.CallError, `answered "text/html", not application/json`},
		{"/broken", event.CallError, "answered what is no JSON"},
		{"/two", event.CallError, "answered what is no JSON"},
		{"/customers/{{id}}", event.CallError, `argument "id" of the address has no value`},
		{"/empty", event.CallOK, ""},
		{"/null", event.CallOK, ""},
	} {
		fn := web(url + one.path + "?q=private")
		fn.ID, fn.Timeout, fn.OnError = strings.Trim(one.path, "/{}"), 80*time.Millisecond, "none"
		fn.HTTP.SecretHeaders = map[string]string{"X-Key": "s3cret"}
		began := time.Now()
		v, call := c.Call(t.Context(), "acme", fn, "a", nil)
		failed := one.result != event.CallOK
		if call.Result != one.result || call.Detail != one.detail || call.Fallback != failed || (v == "none") != failed {
			t.Errorf("%s: %v, %+v", one.path, v, call)
		}
		if took := time.Since(began); took > 400*time.Millisecond {
			t.Errorf("%s took %v", one.path, took)
		}
	}
}

// TestServerSideRequestForgery: neither a name nor a redirect nor a proxy leads
// into the network.
func TestServerSideRequestForgery(t *testing.T) {
	var asked atomic.Int32
	url := service(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		answerJSON(`1`)(w, r)
	})
	t.Setenv("HTTPS_PROXY", url)
	t.Setenv("HTTP_PROXY", url)
	c := caller(t, func(cfg *Config, _ *Deps) { cfg.PrivateHosts = []string{"other.lan"}; cfg.Failures = 100 })
	port := url[strings.LastIndex(url, ":"):]
	for _, target := range []string{
		url, "https://127.0.0.1" + port, "https://localhost" + port, "http://localhost" + port, "https://127.0.0.1/", "https://localhost/",
		"https://localhost./", "https://127.1/", "https://0x7f000001/", "https://2130706433/", "https://0/", "https://[::1]/", "https://[::ffff:127.0.0.1]/",
		"https://169.254.169.254/latest/meta-data", "https://[fe80::1]/", "https://10.0.0.1/", "ftp://127.0.0.1/", "https://user@127.0.0.1/",
	} {
		_, call := c.Call(t.Context(), "acme", &Function{ID: target, HTTP: &HTTP{URL: target}, Timeout: MaxTimeout}, "", nil)
		if call.Result != event.CallError {
			t.Errorf("%s: %+v", target, call)
		}
	}
	if asked.Load() != 0 {
		t.Errorf("the service was asked %d times", asked.Load())
	}
	// A name that the installation allows is still not led to link-local addresses.
	control := dialControl(true)
	if control("tcp4", "169.254.169.254:80", nil) == nil || control("udp4", "8.8.8.8:53", nil) == nil || control("tcp4", "10.0.0.1:80", nil) != nil {
		t.Error("the dialler's filter of allowed hosts is wrong")
	}
}

// TestBudget: the caller's time bounds a call whatever the function's own is, and
// without time nobody is asked.
func TestBudget(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{}, 1)
	url := service(t, func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		ended <- struct{}{}
	})
	c := caller(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, call := c.Call(ctx, "acme", web(url), "", nil)
	if took := time.Since(began); took > 300*time.Millisecond || call.Result != event.CallTimeout || call.Latency < 25*time.Millisecond {
		t.Errorf("took %v: %+v", took, call)
	}
	select {
	case <-ended: // the service sees that nobody waits
	case <-time.After(5 * time.Second):
		t.Error("the call went on")
	}
	if _, call := c.Call(ctx, "acme", web(url), "", nil); call.Result != event.CallBudget || call.Latency > 20*time.Millisecond {
		t.Errorf("%+v", call)
	}
}

func TestCacheAndRevisions(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	url := service(t, func(w http.ResponseWriter, r *http.Request) {
		answerJSON(fmt.Sprintf(`"%s %d"`, r.URL.Query().Get("id"), asked.Add(1)))(w, r)
	})
	now := time.Unix(1_800_000_000, 0)
	c := caller(t, func(_ *Config, d *Deps) { d.Now = func() time.Time { return now } })
	fn := web(url + "/?id={{id}}")
	fn.CacheTTL = time.Minute
	call := func(account, id, want string, result event.CallResult, age time.Duration) {
		t.Helper()
		v, call := c.Call(t.Context(), account, fn, "", map[string]any{"id": id})
		if v != want || call.Result != result || call.Age != age {
			t.Errorf("%v, %+v, want %s %s %v", v, call, want, result, age)
		}
	}
	call("acme", "a", "a 1", event.CallOK, 0)
	now = now.Add(30 * time.Second)
	call("acme", "a", "a 1", event.CallCached, 30*time.Second)
	call("acme", "b", "b 2", event.CallOK, 0)
	call("shop", "a", "a 3", event.CallOK, 0)
	now = now.Add(30 * time.Second)
	call("acme", "a", "a 4", event.CallOK, 0)
	second := *fn
	second.Revision = 2
	fn = &second
	call("acme", "a", "a 5", event.CallOK, 0)
	if v, tried := c.Try(t.Context(), "acme", fn, map[string]any{"id": "a"}); v != "a 6" || tried.Result != event.CallOK {
		t.Errorf("trying gives %v, %+v", v, tried)
	}
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	c, now := newCache(10_000), time.Unix(0, 0)
	c.put("large", strings.Repeat("x", 5000), now, time.Hour)
	for i := range 1000 {
		c.put(fmt.Sprint(i), map[string]any{"tier": "gold", "list": []any{1.0, true}}, now, time.Hour)
	}
	if c.size > 10_000 || len(c.entries) != c.recent.Len() || len(c.entries) > 60 || len(c.entries) < 10 {
		t.Errorf("%d entries of %d bytes", len(c.entries), c.size)
	}
	if _, _, ok := c.get("999", now); !ok {
		t.Error("the newest is gone")
	}
	if _, _, ok := c.get("large", now); ok {
		t.Error("what takes more than its share is kept")
	}
}

// TestConcurrency: same questions are asked once, different ones up to the cap,
// and the rest is refused at once.
func TestConcurrency(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	release := make(chan struct{})
	url := service(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		<-release
		answerJSON(`"x"`)(w, r)
	})
	c := caller(t, nil)
	fn := web(url + "/{{id}}")
	fn.MaxConcurrency = 2
	var calls sync.WaitGroup
	results := make([]event.Call, 30)
	for i := range results {
		calls.Go(func() { _, results[i] = c.Call(t.Context(), "acme", fn, "", map[string]any{"id": fmt.Sprint(i % 2)}) })
	}
	waitFor(t, func() bool { return asked.Load() == 2 && waiting(c) == 30 })
	if _, call := c.Call(t.Context(), "acme", fn, "", map[string]any{"id": "2"}); call.Result != event.CallRefused || call.Detail != "2 calls of it are under way" {
		t.Errorf("%+v", call)
	}
	close(release)
	calls.Wait()
	for i, call := range results {
		if call.Result != event.CallOK {
			t.Errorf("call %d: %+v", i, call)
		}
	}
	if asked.Load() != 2 {
		t.Errorf("asked %d times", asked.Load())
	}
}

func waiting(c *Caller) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.flights {
		n += f.waiters
	}
	return n
}

func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not come to that")
		}
	}
}

// TestOneThatLeavesDoesNotEndTheCallOfAnother.
func TestOneThatLeavesDoesNotEndTheCallOfAnother(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	url := service(t, func(w http.ResponseWriter, r *http.Request) {
		<-release
		answerJSON(`"x"`)(w, r)
	})
	c := caller(t, nil)
	fn := web(url)
	hasty, cancel := context.WithCancel(t.Context())
	var calls sync.WaitGroup
	var first, second event.Call
	calls.Go(func() { _, first = c.Call(hasty, "acme", fn, "", nil) })
	waitFor(t, func() bool { return waiting(c) == 1 })
	calls.Go(func() { _, second = c.Call(t.Context(), "acme", fn, "", nil) })
	waitFor(t, func() bool { return waiting(c) == 2 })
	cancel()
	waitFor(t, func() bool { return waiting(c) == 1 })
	close(release)
	calls.Wait()
	if first.Result != event.CallTimeout || second.Result != event.CallOK {
		t.Errorf("%+v, %+v", first, second)
	}
}

// counted is the value of a counter, of the one with a label of this value.
func counted(t *testing.T, reg *prometheus.Registry, name, label string) (n float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (label == "" || strings.Contains(m.String(), label)) {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

func TestCircuit(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	var healed atomic.Bool
	url := service(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if !healed.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		answerJSON(`"x"`)(w, r)
	})
	reg := prometheus.NewRegistry()
	var log bytes.Buffer
	c := caller(t, func(cfg *Config, d *Deps) {
		cfg.Failures, cfg.OpenFor = 3, 50*time.Millisecond
		d.Metrics, d.Log = reg, slog.New(slog.NewTextHandler(&log, nil))
	})
	fn := web(url + "/{{id}}")
	for i := range 5 {
		_, call := c.Call(t.Context(), "acme", fn, "", map[string]any{"id": "private"})
		if want := []event.CallResult{event.CallError, event.CallRefused}[i/3]; call.Result != want {
			t.Errorf("call %d: %+v", i, call)
		}
	}
	if asked.Load() != 3 || counted(t, reg, "usher_function_circuits_opened_total", "") != 1 || counted(t, reg, "usher_function_calls_total", "REFUSED") != 2 {
		t.Errorf("asked %d times", asked.Load())
	}
	if _, call := c.Call(t.Context(), "shop", fn, "", map[string]any{"id": "1"}); call.Result != event.CallError {
		t.Errorf("another account's circuit: %+v", call)
	}
	healed.Store(true)
	waitFor(t, func() bool {
		_, call := c.Call(t.Context(), "acme", fn, "", map[string]any{"id": "1"})
		return call.Result == event.CallOK
	})
	if text := log.String(); !strings.Contains(text, "function=crm") || strings.Contains(text, "private") {
		t.Errorf("log %s", text)
	}
}

// TestCallAll: calls run at once within one budget, in the order of the requests,
// JavaScript beside services.
func TestCallAll(t *testing.T) {
	t.Parallel()
	url := service(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(60 * time.Millisecond):
		case <-r.Context().Done():
		}
		answerJSON(`"web"`)(w, r)
	})
	c := caller(t, nil)
	js := &Function{ID: "js", Revision: 1, JavaScript: &JavaScript{Source: `function main(a) { return {tier: a.n * 2} }`}, Timeout: MaxTimeout}
	endless := &Function{ID: "endless", Revision: 1, JavaScript: &JavaScript{Source: `function main() { for (;;); }`}, OnError: "none", Timeout: 200 * time.Millisecond}
	requests := []Request{{Function: web(url + "/1")}, {Function: js, Path: "tier", Arguments: map[string]any{"n": 21.0}}, {Function: endless}}
	for i := range 8 {
		other := web(url + "/2")
		other.ID = fmt.Sprint(i)
		requests = append(requests, Request{Function: other})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := c.Warm(); err != nil {
		t.Fatal(err)
	}
	c.Try(ctx, "acme", js, map[string]any{"n": 1.0}) // compiles it
	began := time.Now()
	results := c.CallAll(ctx, "acme", requests)
	if took := time.Since(began); took > 600*time.Millisecond {
		t.Errorf("took %v", took)
	}
	if results[0].Value != "web" || results[1].Value != 42.0 || results[2].Value != "none" || results[2].Call.Result != event.CallTimeout || results[10].Value != "web" {
		t.Errorf("%+v", results)
	}
}

// TestClose ends what is under way and refuses what comes later.
func TestClose(t *testing.T) {
	t.Parallel()
	url := service(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	c := caller(t, nil)
	var call event.Call
	var calls sync.WaitGroup
	calls.Go(func() { _, call = c.Call(t.Context(), "acme", web(url), "", nil) })
	waitFor(t, func() bool { return waiting(c) == 1 })
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	calls.Wait()
	if call.Result == event.CallOK {
		t.Errorf("%+v", call)
	}
	if _, call := c.Call(t.Context(), "acme", web(url), "", nil); call.Result != event.CallRefused {
		t.Errorf("%+v", call)
	}
}

func TestCheckNamesEveryFault(t *testing.T) {
	t.Parallel()
	fn := &Function{
		ID: "x", Timeout: 2 * time.Second, CacheTTL: -1, MaxConcurrency: 1000,
		HTTP: &HTTP{
			URL: "http://{{host}}/", Method: "PUT",
			Headers: map[string]string{"Authorization": "Bearer s3cret", "X-A": "a\nb", "b c": "", "Host": "x"},
		},
		JavaScript: &JavaScript{},
	}
	var check fault.Check
	fn.Check(&check)
	text := check.Err("x").Error()
	for _, want := range []string{
		"javascript: stands beside", "timeout: 2s", "cache_ttl:", "max_concurrency: 1000", "http.url: has an argument in its host", "http.method:",
		"http.headers.Authorization: holds a secret", "http.headers.X-A:", `"b c" is no name`, "http.headers.Host: is set by", "javascript.source: is missing",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s\nlacks %s", text, want)
		}
	}
	if strings.Contains(text, "s3cret") {
		t.Error("a fault shows a secret")
	}
	c := caller(t, nil)
	for want, fn := range map[string]*Function{
		"decision.function_hosts":        {HTTP: &HTTP{URL: "http://crm.lan/"}},
		"only 443":                       {HTTP: &HTTP{URL: "https://crm.lan:8443/"}},
		"javascript.source: line 2: Syn": {JavaScript: &JavaScript{Source: "function"}},
	} {
		if err := c.Check("acme", fn); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestSecretsStayAtTheirHost(t *testing.T) {
	t.Parallel()
	stored := &HTTP{URL: "https://crm.example/a", SecretHeaders: map[string]string{"X-Key": "s3cret"}}
	if m := stored.MaskSecrets(); m.SecretHeaders["X-Key"] != "" || stored.SecretHeaders["X-Key"] != "s3cret" {
		t.Errorf("%+v", m)
	}
	for url, want := range map[string]string{
		"https://crm.example/b": "s3cret", "https://CRM.example:443/b": "s3cret",
		"https://evil.example/a": "", "http://crm.example/a": "", "https://crm.example:8443/a": "",
	} {
		next := &HTTP{URL: url, SecretHeaders: map[string]string{"X-Key": "", "X-New": "n"}}
		next.KeepSecrets(stored)
		if next.SecretHeaders["X-Key"] != want || next.SecretHeaders["X-New"] != "n" || (len(next.EmptySecrets()) == 0) != (want != "") {
			t.Errorf("%s: %v", url, next.SecretHeaders)
		}
	}
}

func BenchmarkJavaScript(b *testing.B) {
	c, err := New(DefaultConfig(), Deps{})
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Warm(); err != nil {
		b.Fatal(err)
	}
	fn := &Function{ID: "js", JavaScript: &JavaScript{Source: `function main(a) { return a.points > 100 ? "gold" : "silver" }`}}
	b.ReportAllocs()
	for b.Loop() {
		if v, call := c.Call(b.Context(), "acme", fn, "", map[string]any{"points": 120.0}); v != "gold" {
			b.Fatalf("%+v", call)
		}
	}
	if err := c.Close(); err != nil {
		b.Fatal(err)
	}
}
