package server

import (
	"bytes"
	"log/slog"
	"strings"
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
	s.applyContext(t.Context(), "acme", d)
	s.applyContext(t.Context(), "acme", &event.Decision{Actions: []event.Action{
		action("n", "consumer", map[string]any{"a": "secret"}), action("n", "", map[string]any{"a": "secret"}),
	}})
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
