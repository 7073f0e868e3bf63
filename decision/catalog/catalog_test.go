package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/usherhq/usher/decision/catalog"
	"github.com/usherhq/usher/decision/control"
	"github.com/usherhq/usher/decision/function"
	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/decision/policystore"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/configlog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var ann = control.Author{Name: "ann", Reason: "because"}

// replica follows the log as one process of several does.
func replica(t *testing.T, log configlog.Log) *configlog.Store {
	t.Helper()
	store := configlog.New(log)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { _ = store.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	<-store.Ready()
	return store
}

func start(t *testing.T) (*catalog.Catalog, *configlog.Store) {
	t.Helper()
	store := replica(t, &configlog.Memory{})
	open(t, store, "shop")
	return catalog.New(store), store
}

func open(t *testing.T, store *configlog.Store, account string) {
	t.Helper()
	if _, err := control.New(store).CreateAccount(t.Context(), control.Account{ID: account}, ann); err != nil {
		t.Fatal(err)
	}
}

func put[T any](t *testing.T, s *catalog.Shelf[T], v T) T {
	t.Helper()
	stored, err := s.Put(t.Context(), "shop", v, 0, ann)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func js(id string) catalog.Function {
	return catalog.Function{Function: function.Function{ID: id, JavaScript: &function.JavaScript{Source: "function main() { return 1 }"}}}
}

// TestNames: a name that no policy could read is refused, with one that would do.
func TestNames(t *testing.T) {
	c, _ := start(t)
	put(t, c.Functions, js("f"))
	data, err := os.ReadFile("testdata/names.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSuffix(line, "\n"); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		parts := strings.SplitN(line, " | ", 3)
		source, name, want := parts[0], parts[1], parts[2]
		a := catalog.Attribute{Name: name, Source: source}
		switch source {
		case catalog.SourceStatic:
			a.Value = "x"
		case catalog.SourceFunction:
			a.Function = "f"
		}
		stored, err := c.Attributes.Put(t.Context(), "shop", a, 0, ann)
		switch {
		case want == "ok" && err != nil:
			t.Errorf("%s: %v", line, err)
		case want != "ok" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: got %v", line, err)
		case err == nil && stored.Name != name:
			t.Errorf("%s: stored as %q", line, stored.Name)
		}
	}
}

// TestEveryFaultAtOnce: one error names all of them by path.
func TestEveryFaultAtOnce(t *testing.T) {
	c, _ := start(t)
	put(t, c.Functions, js("f"))
	put(t, c.Attributes, catalog.Attribute{Name: "custom.asked", Source: catalog.SourceFunction, Function: "f"})
	put(t, c.Skills, catalog.Skill{ID: "1"})
	for name, one := range map[string]struct {
		err  error
		want string
	}{
		"static": {
			check(t, c.Attributes, catalog.Attribute{Name: "vip list", Source: "static", Type: "number", Value: "x", Allowed: []any{1.0, "a", 1.0}, Function: "f", Path: "a"}),
			"allowed_values[1], allowed_values[2], function, name, result_path, value",
		},
		"not allowed": {check(t, c.Attributes, catalog.Attribute{Name: "custom.a", Source: "static", Value: []any{"x", "y"}, Allowed: []any{"x"}, Type: "list"}), "value"},
		"no value":    {check(t, c.Attributes, catalog.Attribute{Name: "custom.a", Source: "static"}), "value"},
		"function": {
			check(t, c.Attributes, catalog.Attribute{Name: "custom.a", Source: "function", Function: "none", Path: "a..b", Value: 1.0, Type: "text", Arguments: map[string]any{
				"a b": 1.0, "me": "{{custom.a}}", "one": "{{candidate.id}}", "other": "{{custom.asked}}", "nobody": "x{{custom.nobody}}", "fine": "{{crm.id}}", "family": "{{sde.nothing}}",
			}}),
			"arguments, arguments.family, arguments.me, arguments.nobody, arguments.one, arguments.other, function, result_path, type, value",
		},
		"source":   {check(t, c.Attributes, catalog.Attribute{Name: "a", Source: "builtin"}), "source"},
		"built in": {check(t, c.Attributes, catalog.Attribute{Name: "weekday", Source: "request"}), "name"},
		"calendar": {check(t, c.Calendars, catalog.Calendar{ID: "a b", Calendar: policy.Calendar{Zone: "Mars", Hours: []policy.Hours{{Days: []string{"DAY"}, From: "9"}}, Holidays: []policy.Holiday{{Date: "2026-13-01"}}}}), "holidays[0].date, hours[0].days[0], hours[0].from, name, zone"},
		"closed":   {check(t, c.Calendars, catalog.Calendar{ID: "a"}), "hours"},
		"agent":    {check(t, c.Agents, catalog.Agent{ID: " x", Skills: []string{"1", "2", "1"}}), "name, skills[1], skills[2]"},
		"function of both kinds": {
			check(t, c.Functions, catalog.Function{Function: function.Function{ID: "/", HTTP: &function.HTTP{URL: "x", SecretHeaders: map[string]string{"K": ""}}, JavaScript: &function.JavaScript{Source: "x"}}}),
			"http.secret_headers.K, http.url, javascript, name",
		},
	} {
		if fault.KindOf(one.err) != fault.Invalid || fields(one.err) != one.want {
			t.Errorf("%s:\n got %s (%v)\nwant %s", name, fields(one.err), one.err, one.want)
		}
	}
}

func check[T any](t *testing.T, s *catalog.Shelf[T], v T) error {
	t.Helper()
	_, err := s.Put(t.Context(), "shop", v, 0, ann)
	return err
}

// fields lists the violated fields, each once, sorted.
func fields(err error) string {
	e, ok := errors.AsType[*fault.Error](err)
	if !ok {
		return ""
	}
	seen := map[string]bool{}
	for _, v := range e.Violations {
		seen[v.Field] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(seen)), ", ")
}

func TestEtags(t *testing.T) {
	c, _ := start(t)
	first := put(t, c.Skills, catalog.Skill{ID: "1", DisplayName: "Sales"})
	if _, err := c.Skills.Put(t.Context(), "shop", catalog.Skill{ID: "1"}, 0, ann); fault.KindOf(err) != fault.Exists {
		t.Errorf("made twice: %v", err)
	}
	second, err := c.Skills.Put(t.Context(), "shop", catalog.Skill{ID: "1", DisplayName: "Selling"}, first.Revision, ann)
	if err != nil || second.Revision <= first.Revision || second.DisplayName != "Selling" {
		t.Errorf("%+v, %v", second, err)
	}
	for name, err := range map[string]error{
		"put":    func() error { _, err := c.Skills.Put(t.Context(), "shop", first, first.Revision, ann); return err }(),
		"delete": c.Skills.Delete(t.Context(), "shop", "1", first.Revision, ann),
	} {
		e, ok := errors.AsType[*fault.Error](err)
		if !ok || e.Kind != fault.Conflict || e.Reason != "ABORTED" || e.Metadata["etag"] != fmt.Sprint(second.Revision) {
			t.Errorf("stale %s: %v", name, err)
		}
	}
	if err := c.Skills.Delete(t.Context(), "shop", "1", second.Revision, ann); err != nil {
		t.Error(err)
	}
	if _, err := c.Skills.Get("shop", "1"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("deleted: %v", err)
	}
}

// TestEnvironment: what policies are checked against follows the catalogue and
// the account, in every process, and one account does not see another's.
func TestEnvironment(t *testing.T) {
	log := &configlog.Memory{}
	store, other := replica(t, log), replica(t, log)
	open(t, store, "shop")
	open(t, store, "other")
	c, elsewhere := catalog.New(store), catalog.New(other)
	put(t, c.Functions, js("f"))
	put(t, c.Attributes, catalog.Attribute{Name: "custom.vips", Source: "static", Value: []any{"a"}, PII: true})
	put(t, c.Attributes, catalog.Attribute{Name: "custom.tier", Source: "function", Function: "f", Type: "string", Arguments: map[string]any{"id": "{{consumer_id}}", "text": "is {{crm.id}}", "n": 1.0}})
	before := c.Environment("shop")
	if before.Strict || before.Skills != nil || before.Attributes["custom.vips"].Type != policy.TypeList || !before.Attributes["custom.vips"].PII {
		t.Errorf("%+v", before)
	}
	put(t, c.Attributes, catalog.Attribute{Name: "tier", Source: "request", Type: "string"})
	put(t, c.Skills, catalog.Skill{ID: "1"})
	put(t, c.Agents, catalog.Agent{ID: "ann", Skills: []string{"1"}})
	put(t, c.Calendars, catalog.Calendar{ID: "support", Calendar: policy.Calendar{Hours: []policy.Hours{{From: "09:00"}}}})
	put(t, c.Bots, catalog.Bot{ID: "front", Skills: []string{"1"}})
	put(t, c.Bots, catalog.Bot{ID: "offers"})
	off, on := false, true
	settings := control.Attributes{SDE: &off, Conversation: &on, RoutingSkills: []string{"9", "1"}}
	if _, err := control.New(store).UpdateAccount(t.Context(), control.Account{ID: "shop", Attributes: settings}, ann); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { return other.State().Revision() == store.State().Revision() })
	for _, c := range []*catalog.Catalog{c, elsewhere} {
		env := c.Environment("shop")
		_, skill := env.Skills["1"]
		if !env.Strict || !skill || len(env.Agents) != 1 || env.Calendars["support"] == nil || env.RoutingSkills[0] != "9" || env.Revision <= before.Revision {
			t.Errorf("%+v", env)
		}
		if fmt.Sprint(env.RoutingBots) != "[front]" || !env.Loops(policy.TransferToBot, "front") || env.Loops(policy.TransferToBot, "offers") {
			t.Errorf("routing bots %v", env.RoutingBots)
		}
		if c.Environment("shop") != env {
			t.Error("the environment changes though nothing did")
		}
		if f := c.Families("shop"); f.SDE || !f.Conversation {
			t.Errorf("families %+v", f)
		}
		a, ok := c.Attribute("shop", "custom.tier")
		args := a.Bind(func(name string) (any, bool) { return map[string]any{"consumer_id": 7.0}[name], name == "consumer_id" })
		if !ok || fmt.Sprint(a.Needs()) != "[consumer_id crm.id]" || fmt.Sprint(args) != "map[id:7 n:1 text:is ]" {
			t.Errorf("%+v needs %v and is called with %v", a, a.Needs(), args)
		}
		if f, ok := c.Function("shop", "f"); !ok || f.Revision == 0 {
			t.Errorf("function %+v", f)
		}
		if a, ok := c.Agent("shop", "ann"); !ok || a.Skills[0] != "1" {
			t.Errorf("agent %+v", a)
		}
		if a, ok := c.Attribute("shop", "weekday"); !ok || a.Source != catalog.SourceBuiltin || a.Fits("MON") != nil || a.Fits("mon") == nil {
			t.Errorf("built in %+v", a)
		}
		if env := c.Environment("other"); len(env.Attributes)+len(env.Skills)+len(env.Calendars) != 0 || env.Strict {
			t.Errorf("another account's: %+v", env)
		}
		if env := c.Environment("nobody"); env == nil || len(env.Attributes) != 0 {
			t.Errorf("nobody's: %+v", env)
		}
	}
}

func until(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not come to that")
		}
	}
}

// TestChanged tells of changes of the catalogue, and of nothing else.
func TestChanged(t *testing.T) {
	c, store := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	<-c.Ready()
	changed := c.Changed()
	policies := policystore.New(store)
	p, err := policy.Parse([]byte(`{"name":"p","effect":{"fixed":{"actions":[{"type":"CLOSE"}]}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := policies.Create(t.Context(), "shop", p, policystore.Change{Author: "ann"}); err != nil {
		t.Fatal(err)
	}
	put(t, c.Skills, catalog.Skill{ID: "1"})
	select {
	case <-changed:
	case <-time.After(10 * time.Second):
		t.Error("nothing was told")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestInUse: what would break what works is refused with the name of who needs it.
func TestInUse(t *testing.T) {
	c, store := start(t)
	put(t, c.Functions, js("f"))
	put(t, c.Attributes, catalog.Attribute{Name: "custom.id", Source: "static", Value: "x"})
	put(t, c.Attributes, catalog.Attribute{Name: "custom.tier", Source: "function", Function: "f", Type: "string", Arguments: map[string]any{"id": "{{custom.id}}"}})
	put(t, c.Calendars, catalog.Calendar{ID: "support", Calendar: policy.Calendar{Hours: []policy.Hours{{From: "09:00"}}}})
	for _, id := range []string{"1", "2", "3"} {
		put(t, c.Skills, catalog.Skill{ID: id})
	}
	put(t, c.Agents, catalog.Agent{ID: "ann", Skills: []string{"1"}})
	put(t, c.Bots, catalog.Bot{ID: "hello"})
	put(t, c.Bots, catalog.Bot{ID: "other"})
	policies := policystore.New(store, policystore.WithEnvironment(c))
	for _, text := range []string{
		`{"name":"sells","enabled":true,"when":{"all":[{"attribute":"custom.tier","operator":"equal","value":"gold"},{"time":{"calendar":"support"}}]},"effect":{"fixed":{"actions":[{"type":"TRANSFER_TO_SKILL","target":"2"}]}}}`,
		`{"name":"greets","enabled":true,"effect":{"fixed":{"actions":[{"type":"TRANSFER_TO_BOT","target":"hello"}]}}}`,
		`{"name":"idle","enabled":false,"effect":{"fixed":{"actions":[{"type":"TRANSFER_TO_SKILL","target":"3"}]}}}`,
	} {
		p, err := policy.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := policies.Create(t.Context(), "shop", p, policystore.Change{Author: "ann"}); err != nil {
			t.Fatal(err)
		}
	}
	tier, err := c.Attributes.Get("shop", "custom.tier")
	if err != nil {
		t.Fatal(err)
	}
	number := tier
	number.Type = policy.TypeNumber
	_, retyped := c.Attributes.Put(t.Context(), "shop", number, tier.Revision, ann)
	for want, err := range map[string]error{
		"attribute custom.tier":  c.Functions.Delete(t.Context(), "shop", "f", 0, ann),
		"attribute custom.tier ": c.Attributes.Delete(t.Context(), "shop", "custom.id", 0, ann),
		"policy sells":           c.Attributes.Delete(t.Context(), "shop", "custom.tier", 0, ann),
		"policy sells ":          retyped,
		"policy sells  ":         c.Calendars.Delete(t.Context(), "shop", "support", 0, ann),
		"agent ann":              c.Skills.Delete(t.Context(), "shop", "1", 0, ann),
		"policy sells   ":        c.Skills.Delete(t.Context(), "shop", "2", 0, ann),
		"policy greets":          c.Bots.Delete(t.Context(), "shop", "hello", 0, ann),
	} {
		e, ok := errors.AsType[*fault.Error](err)
		if !ok || e.Kind != fault.Precondition || !strings.HasSuffix(e.Reason, "_IN_USE") || !strings.Contains(e.Message, strings.TrimSpace(want)) {
			t.Errorf("%s: %v", want, err)
		}
	}
	for what, err := range map[string]error{
		"a skill of a disabled policy": c.Skills.Delete(t.Context(), "shop", "3", 0, ann),
		"a bot that nobody names":      c.Bots.Delete(t.Context(), "shop", "other", 0, ann),
		"a built-in attribute":         nil,
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	tier.Description = "of the customer"
	if _, err := c.Attributes.Put(t.Context(), "shop", tier, tier.Revision, ann); err != nil {
		t.Errorf("a description: %v", err)
	}
	if err := c.Attributes.Delete(t.Context(), "shop", "weekday", 0, ann); fault.KindOf(err) != fault.Precondition {
		t.Errorf("a built-in attribute: %v", err)
	}
}

// TestSecretsAreNotFormatted: not by any verb that a log or a test may use.
func TestSecretsAreNotFormatted(t *testing.T) {
	c, _ := start(t)
	f := catalog.Function{Function: function.Function{ID: "crm", HTTP: &function.HTTP{URL: "https://crm.example/", SecretHeaders: map[string]string{"X-Key": "s3cret"}}}}
	stored := put(t, c.Functions, f)
	if stored.HTTP.SecretHeaders["X-Key"] != "s3cret" {
		t.Fatal("the secret is lost")
	}
	for _, verb := range []string{"%v", "%+v", "%s"} {
		if text := fmt.Sprintf(verb, stored); strings.Contains(text, "s3cret") || !strings.Contains(text, "X-Key") {
			t.Errorf("%s gives %s", verb, text)
		}
	}
	next := stored
	next.HTTP = stored.HTTP.MaskSecrets()
	next.Description = "changed"
	kept, err := c.Functions.Put(t.Context(), "shop", next, stored.Meta.Revision, ann)
	if err != nil || kept.HTTP.SecretHeaders["X-Key"] != "s3cret" {
		t.Errorf("%v, %v", kept, err)
	}
	next.HTTP.URL = "https://evil.example/"
	if _, err := c.Functions.Put(t.Context(), "shop", next, kept.Meta.Revision, ann); fields(err) != "http.secret_headers.X-Key" {
		t.Errorf("to another host: %v", err)
	}
}

// TestValueOnErrorFits: what stands in for a failed call must be of the attribute's
// type, whichever of the two is written last.
func TestValueOnErrorFits(t *testing.T) {
	c, _ := start(t)
	f := js("f")
	f.OnError = "none"
	stored := put(t, c.Functions, f)
	number := catalog.Attribute{Name: "custom.n", Source: "function", Function: "f", Type: "number"}
	if err := check(t, c.Attributes, number); err == nil || !strings.Contains(err.Error(), "value on error") {
		t.Errorf("an attribute over the wrong value: %v", err)
	}
	f.OnError = 0.0
	stored, err := c.Functions.Put(t.Context(), "shop", f, stored.Meta.Revision, ann)
	if err != nil {
		t.Fatal(err)
	}
	put(t, c.Attributes, number)
	f.OnError = true
	if _, err := c.Functions.Put(t.Context(), "shop", f, stored.Meta.Revision, ann); err == nil || !strings.Contains(err.Error(), "custom.n") {
		t.Errorf("the wrong value under an attribute: %v", err)
	}
}
