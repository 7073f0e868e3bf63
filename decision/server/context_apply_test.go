package server

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/usherhq/usher/decision/contextstore"
	"github.com/usherhq/usher/decision/contextstore/pebble"
	"github.com/usherhq/usher/pipeline/event"
)

func TestSetContextIsCarriedOut(t *testing.T) {
	var said bytes.Buffer
	log := slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelWarn}))
	engine, err := pebble.Open(t.TempDir(), log)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	}()
	store, err := contextstore.New(contextstore.DefaultConfig(), contextstore.Deps{Engine: engine, Now: time.Now, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	s := New(Deps{Contexts: store, Log: log, Now: time.Now})
	action := func(namespace, scope string, properties any) event.Action {
		return event.Action{Type: setContext, Payload: map[string]any{"namespace": namespace, "scope": scope, "properties": properties}}
	}
	d := &event.Decision{ID: "d", ConversationID: "consumer:c", ConsumerID: "anna", Actions: []event.Action{
		action("n", "", map[string]any{"a": "conversation", "b": 1.0}),
		action("n", "conversation", map[string]any{"b": nil}),
		action("n", "consumer", map[string]any{"a": "consumer"}),
		action("n", "global", map[string]any{"a": "global"}),
		{Type: "TRANSFER_TO_SKILL", Target: "sales"},
		action("sde", "global", map[string]any{"a": "secret"}),
		action("n", "planet", map[string]any{"a": "secret"}),
		action("n", "global", "secret"),
	}}
	s.applyContext(t.Context(), "acme", d, d)
	nobody := &event.Decision{Actions: []event.Action{
		action("n", "consumer", map[string]any{"a": "secret"}), action("n", "", map[string]any{"a": "secret"}),
	}}
	s.applyContext(t.Context(), "acme", nobody, nobody)
	docs, err := store.Load(t.Context(), "acme", contextstore.Sessions("", "consumer:c", "anna"), []string{"n"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, doc := range docs {
		got = append(got, doc.Properties["a"].(string))
		if len(doc.Properties) != 1 {
			t.Errorf("%s holds %v", doc.Session, doc.Properties)
		}
	}
	if diff := cmp.Diff([]string{"conversation", "consumer", "global"}, got); diff != "" {
		t.Errorf("context (-want +got):\n%s", diff)
	}
	if n := strings.Count(said.String(), "action was not carried out"); n != 5 || strings.Contains(said.String(), "secret") {
		t.Errorf("%d failures are logged, want 5 without values:\n%s", n, said.String())
	}
}

// hanging is an engine that answers nothing until the caller's time is up, as
// Redis behind a broken network.
type hanging struct {
	contextstore.Engine
	reads atomic.Int32
}

func (h *hanging) Read(ctx context.Context, _ string, _ []contextstore.Key) ([]string, error) {
	h.reads.Add(1)
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestSetContextIsOneWrite: many actions cost a decision one bounded wait, and of
// those that name one document the later ones win.
func TestSetContextIsOneWrite(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	engine, err := pebble.Open(t.TempDir(), log)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	}()
	var actions []event.Action
	add := func(namespace, name string, value any) {
		actions = append(actions, event.Action{Type: setContext, Payload: map[string]any{
			"namespace": namespace, "scope": "global", "properties": map[string]any{name: value},
		}})
	}
	for i := range 20 {
		add(fmt.Sprint("n", i%10), fmt.Sprint("p", i), float64(i))
	}
	add("n0", "p0", nil)
	add("n1", "gone", nil)
	add("n1", "gone", "back")
	for _, c := range []struct {
		name   string
		engine contextstore.Engine
	}{{"works", engine}, {"hangs", &hanging{Engine: engine}}} {
		store, err := contextstore.New(contextstore.DefaultConfig(), contextstore.Deps{Engine: c.engine, Now: time.Now, Log: log})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		New(Deps{Contexts: store, Log: log, Now: time.Now}).applyContext(t.Context(), "acme", &event.Decision{Actions: actions}, &event.Decision{Actions: actions})
		if h, hangs := c.engine.(*hanging); hangs {
			if took := time.Since(began); took > 4*applyTimeout || h.reads.Load() != 1 {
				t.Errorf("%d writes took %v", h.reads.Load(), took)
			}
			continue
		}
		for namespace, want := range map[string]string{"n0": "map[p10:10]", "n1": "map[gone:back p1:1 p11:11]"} {
			doc, err := store.Get(t.Context(), "acme", contextstore.Key{Namespace: namespace, Session: contextstore.Global})
			if err != nil || fmt.Sprint(doc.Properties) != want {
				t.Errorf("%s holds %v, want %s: %v", namespace, doc.Properties, want, err)
			}
		}
	}
}

// TestWhatIsPersonalStaysSoInContext: pii follows a value that an action copies.
func TestWhatIsPersonalStaysSoInContext(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	engine, err := pebble.Open(t.TempDir(), log)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	}()
	store, err := contextstore.New(contextstore.DefaultConfig(), contextstore.Deps{Engine: engine, Now: time.Now, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.PutNamespace(t.Context(), "acme", contextstore.NamespaceChange{ID: "n", PII: &[]string{"passport"}}); err != nil {
		t.Fatal(err)
	}
	decision := func(mail, deep string) *event.Decision {
		set := func(namespace string, properties map[string]any) event.Action {
			return event.Action{Type: setContext, Payload: map[string]any{"namespace": namespace, "scope": "global", "properties": properties}}
		}
		return &event.Decision{ID: "d", Actions: []event.Action{
			set("n", map[string]any{"mail": mail, "tier": "gold"}), set("fresh", map[string]any{"who": map[string]any{"name": deep}, "gone": nil}),
		}}
	}
	s := New(Deps{Contexts: store, Log: log, Now: time.Now})
	for range 2 {
		s.applyContext(t.Context(), "acme", decision("ann@example.com", "Ann"), decision("[redacted]", "[redacted]"))
	}
	for id, want := range map[string][]string{"n": {"mail", "passport"}, "fresh": {"who"}} {
		n, err := store.Namespace(t.Context(), "acme", id)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, n.PII); diff != "" {
			t.Errorf("%s: personal (-want +got):\n%s", id, diff)
		}
	}
	doc, err := store.Get(t.Context(), "acme", contextstore.Key{Namespace: "n", Session: contextstore.Global})
	if err != nil || doc.Properties["mail"] != "ann@example.com" || doc.Properties["tier"] != "gold" {
		t.Errorf("%v, %v", doc.Properties, err)
	}
}
