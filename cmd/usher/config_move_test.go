package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/event"
)

// runningStore is a store over a log in memory, folded and following.
func runningStore(t *testing.T) *configlog.Store {
	t.Helper()
	store := configlog.New(&configlog.Memory{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- store.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("follow the log: %v", err)
		}
	})
	<-store.Ready()
	return store
}

func put(t *testing.T, s *configlog.Store, account, kind, name, value string) {
	t.Helper()
	current, _ := s.State().Get(account, kind, name)
	c := event.ConfigChange{Account: account, Kind: kind, Name: name, Base: current.Revision, Value: []byte(value), Author: "test"}
	if _, err := s.Write(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func TestExportThenImportIsTheSameState(t *testing.T) {
	from, to := runningStore(t), runningStore(t)
	put(t, from, "shop", "policy", "b", `{"rank":2}`)
	put(t, from, "shop", "policy", "a", `{"rank":1}`)
	put(t, from, "shop", "mode", "account", `{"mode":"ON"}`)
	put(t, from, "shop", "account", "shop", `{"display_name":"Shop"}`)
	put(t, from, "shop", "model", "champion", `{"version":"v1"}`)
	put(t, to, "shop", "policy", "a", `{ "rank": 1 }`)
	put(t, to, "shop", "mode", "account", `{"mode":"OFF"}`)

	var exported, report bytes.Buffer
	if err := exportState(from.State(), "", &exported); err != nil {
		t.Fatal(err)
	}
	list, err := readExport(bytes.NewReader(exported.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		dryRun bool
		last   string
	}{
		{true, "would import: 2 new, 1 changed, 1 unchanged"},
		{false, "imported: 2 new, 1 changed, 1 unchanged"},
		{false, "imported: 0 new, 0 changed, 4 unchanged"},
	} {
		report.Reset()
		i := importer{store: to, author: "test", dryRun: step.dryRun, out: &report}
		if err := i.run(t.Context(), list); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(strings.TrimSpace(report.String()), step.last) {
			t.Errorf("want %q at the end of:\n%s", step.last, report.String())
		}
	}
	var again bytes.Buffer
	if err := exportState(to.State(), "shop", &again); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.ReplaceAll(again.String(), " ", ""), exported.String(); got != want {
		t.Errorf("the states differ:\n%s\n%s", got, want)
	}
	if err := exportState(to.State(), "nobody", &again); err == nil {
		t.Error("an account that does not exist is exported")
	}
}

// TestAnExportOfPartsMovesAndKeepsSecrets: what several changes in parts made is
// exported as it stands, the policies of an account arrive as one change, and the
// secrets of functions stay where they are.
func TestAnExportOfPartsMovesAndKeepsSecrets(t *testing.T) {
	from, to := runningStore(t), runningStore(t)
	c := event.ConfigChange{Account: "shop", Author: "test", Parts: []event.ConfigPart{
		{Kind: "account", Name: "shop", Value: []byte(`{}`)},
		{Kind: "policy", Name: "a", Value: []byte(`{"rank":1}`)},
		{Kind: "policy", Name: "b", Value: []byte(`{"rank":2}`)},
		{Kind: "policydraft", Name: "d", Value: []byte(`{}`)},
		{Kind: "function", Name: "crm", Value: []byte(`{"http":{"url":"https://crm/new","secret_headers":{"K":"s3cret"}}}`)},
	}}
	if _, err := from.Write(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	put(t, to, "shop", "function", "crm", `{"http":{"url":"https://crm/old","secret_headers":{"K":"other"}}}`)
	var exported, report bytes.Buffer
	if err := exportState(from.State(), "", &exported); err != nil {
		t.Fatal(err)
	}
	if text := exported.String(); strings.Contains(text, "s3cret") || strings.Contains(text, "policydraft") {
		t.Errorf("exported %s", text)
	}
	list, err := readExport(bytes.NewReader(exported.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	i := importer{store: to, author: "test", out: &report}
	if err := i.run(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	if r, _ := to.State().Get("shop", "function", "crm"); string(r.Value) != `{"http":{"secret_headers":{"K":"other"},"url":"https://crm/new"}}` {
		t.Errorf("the function is %s", r.Value)
	}
	policies := to.State().List("shop", "policy")
	if len(policies) != 2 || policies[0].Revision != policies[1].Revision {
		t.Errorf("policies %+v", policies)
	}
	report.Reset()
	if err := i.run(t.Context(), list); err != nil || !strings.Contains(report.String(), "0 new, 0 changed, 4 unchanged") {
		t.Errorf("imported twice: %s, %v", report.String(), err)
	}
}

func TestImportNamesEveryFault(t *testing.T) {
	_, err := readExport(strings.NewReader(`{"account":"a","kind":"policy","name":"p","value":{}}
nonsense
{"account":"a","kind":"token","name":"t","value":{}}
{"account":"a","kind":"policy","name":"","value":{}}
{"account":"a","kind":"policy","name":"p","value":{},"extra":1}
`))
	text := explain(err)
	for _, want := range []string{"line 2: ", `line 3: kind "token"`, "line 4: ", `line 5: json: unknown field "extra"`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	if strings.Contains(text, "line 1") {
		t.Errorf("the good line is named:\n%s", text)
	}
}
