package function

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usherhq/usher/pipeline/event"
)

// budget is what a decision has in these tests, much less than a function's own time.
const budget = 30 * time.Millisecond

// decide makes one call as a decision does.
func decide(t *testing.T, c *Caller, fn *Function, id string) (any, event.Call) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), budget)
	defer cancel()
	return c.Call(ctx, "acme", fn, "a", map[string]any{"id": id})
}

// TestAServiceThatHangsIsLeftAlone: decisions wait in vain for a few times, then
// they are refused at no cost, whether they ask the same or not, and whether the
// answer would be kept or not. Close ends what still runs.
func TestAServiceThatHangsIsLeftAlone(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Function, int) string{
		"same question, kept":           func(fn *Function, _ int) string { fn.CacheTTL = time.Minute; return "1" },
		"same question":                 func(*Function, int) string { return "1" },
		"different questions, kept":     func(fn *Function, i int) string { fn.CacheTTL = time.Minute; return fmt.Sprint(i) },
		"different questions, not kept": func(_ *Function, i int) string { return fmt.Sprint(i) },
	} {
		url := service(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		c := caller(t, func(cfg *Config, _ *Deps) { cfg.OpenFor = time.Minute })
		waited, refused := 0, 0
		for i := range 40 {
			fn := web(url + "/{{id}}")
			_, call := decide(t, c, fn, change(fn, i))
			if call.Result == event.CallTimeout {
				waited++
			}
			if call.Result == event.CallRefused {
				refused++
				if call.Latency > budget/2 {
					t.Errorf("%s: a refusal took %v", name, call.Latency)
				}
			}
		}
		if waited != 5 || refused != 35 {
			t.Errorf("%s: %d decisions waited and %d were refused, want 5 and 35", name, waited, refused)
		}
		began := time.Now()
		if err := c.Close(); err != nil || time.Since(began) > grace {
			t.Errorf("%s: closed after %v: %v", name, time.Since(began), err)
		}
		if len(c.flights) != 0 {
			t.Errorf("%s: %d calls go on", name, len(c.flights))
		}
	}
}

// TestASlowServiceFillsTheCache: its answer comes after the decision, and serves
// the next one even though the function is left alone by then.
func TestASlowServiceFillsTheCache(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var asked atomic.Int32
	url := service(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		<-release
		answerJSON(`"gold"`)(w, r)
	})
	c := caller(t, func(cfg *Config, _ *Deps) { cfg.Failures, cfg.OpenFor = 1, time.Minute })
	fn := web(url)
	fn.CacheTTL = time.Minute
	if _, call := decide(t, c, fn, "1"); call.Result != event.CallTimeout {
		t.Errorf("%+v", call)
	}
	if _, call := decide(t, c, fn, "1"); call.Result != event.CallRefused {
		t.Errorf("%+v", call)
	}
	close(release)
	waitFor(t, func() bool {
		v, call := decide(t, c, fn, "1")
		return v == "gold" && call.Result == event.CallCached
	})
	if asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}
}

// TestCallersThatGoAwayOpenNoCircuit: they say nothing about the function.
func TestCallersThatGoAwayOpenNoCircuit(t *testing.T) {
	t.Parallel()
	url := service(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	c := caller(t, nil)
	for i := range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(2*fairWait, cancel)
		if _, call := c.Call(ctx, "acme", web(url), "", nil); call.Result != event.CallTimeout {
			t.Fatalf("call %d: %+v", i, call)
		}
	}
}

// TestOneArgumentDoesNotOpenTheCircuitForOthers: what depends on the arguments is
// an error of the call, with its cause, and no failure of the function.
func TestOneArgumentDoesNotOpenTheCircuitForOthers(t *testing.T) {
	t.Parallel()
	url := service(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ada" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		answerJSON(`"gold"`)(w, r)
	})
	c := caller(t, nil)
	crm := web(url + "/{{id}}")
	crm.OnError = "none"
	code := &Function{ID: "code", Timeout: MaxTimeout, OnError: "none", JavaScript: &JavaScript{
		Source: `function main(a) { if (a.id !== "ada") throw new Error("nobody"); return "gold" }`,
	}}
	for fn, cause := range map[*Function]string{crm: "answered 404", code: "threw Error"} {
		for i := range 20 {
			v, call := c.Call(t.Context(), "acme", fn, "a", map[string]any{"id": fmt.Sprint(i)})
			if v != "none" || call.Result != event.CallError || !strings.Contains(call.Detail, cause) || !call.Fallback {
				t.Fatalf("%s, call %d: %v, %+v", fn.ID, i, v, call)
			}
		}
		if v, call := c.Call(t.Context(), "acme", fn, "a", map[string]any{"id": "ada"}); v != "gold" || call.Result != event.CallOK {
			t.Errorf("%s: %v, %+v", fn.ID, v, call)
		}
	}
}

// TestAPanicIsAnErrorOfTheCall: of a service's and of code, whose runtime is not
// used again.
func TestAPanicIsAnErrorOfTheCall(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	c := caller(t, func(cfg *Config, d *Deps) {
		cfg.Runtimes = 1
		d.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	url := service(t, answerJSON(`"x"`))
	clients := c.asker.clients
	c.asker.clients = nil
	if _, call := c.Call(t.Context(), "acme", web(url), "", nil); call.Result != event.CallError || !strings.Contains(call.Detail, "fault of Usher") {
		t.Errorf("%+v", call)
	}
	c.asker.clients = clients
	code := &Function{ID: "code", Timeout: MaxTimeout, JavaScript: &JavaScript{Source: `function main() { return "y" }`}}
	warm(t, c.sandbox)
	broken := c.sandbox.idle[0]
	vm := broken.vm
	broken.vm = nil
	if _, call := c.Call(t.Context(), "acme", code, "", nil); call.Result != event.CallError || !strings.Contains(call.Detail, "fault of Usher") {
		t.Errorf("%+v", call)
	}
	if len(c.sandbox.idle) != 0 || len(c.sandbox.slots) != 0 {
		t.Errorf("%d runtimes rest, %d are at work", len(c.sandbox.idle), len(c.sandbox.slots))
	}
	broken.vm = vm
	broken.close()
	for _, fn := range []*Function{web(url), code} {
		if v, call := c.Call(t.Context(), "acme", fn, "", nil); v == nil || call.Result != event.CallOK {
			t.Errorf("afterwards: %v, %+v", v, call)
		}
	}
	if n := strings.Count(log.String(), "a function call panicked"); n != 2 || !strings.Contains(log.String(), "flight.go") {
		t.Errorf("%d panics are logged, want 2 with their stacks:\n%s", n, log.String())
	}
}

// TestTryingIsNotKept: nobody would find it.
func TestTryingIsNotKept(t *testing.T) {
	t.Parallel()
	c := caller(t, nil)
	fn := web(service(t, answerJSON(`"x"`)))
	fn.CacheTTL = time.Minute
	if v, call := c.Try(t.Context(), "acme", fn, nil); v != "x" || call.Result != event.CallOK {
		t.Errorf("%v, %+v", v, call)
	}
	if n := len(c.cache.entries); n != 0 {
		t.Errorf("%d answers are kept", n)
	}
}

// TestWarmAfterCloseKeepsNothing: a runtime that comes up while the sandbox is
// closed is closed, too.
func TestWarmAfterCloseKeepsNothing(t *testing.T) {
	t.Parallel()
	s := newSandbox(1, 100)
	made := s.prelude
	s.prelude = func() ([]byte, error) {
		s.close()
		return made()
	}
	if err := s.warm(1); err != nil || len(s.idle) != 0 {
		t.Errorf("%d runtimes rest, %v", len(s.idle), err)
	}
}
