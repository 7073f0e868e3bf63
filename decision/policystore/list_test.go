package policystore_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/decision/policystore"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/event"
)

// faultOf takes an error for a fault.
func faultOf(t *testing.T, err error) *fault.Error {
	t.Helper()
	f, ok := errors.AsType[*fault.Error](err)
	if !ok {
		t.Fatalf("no fault but %v", err)
	}
	return f
}

func violations(t *testing.T, err error) string {
	t.Helper()
	var out []string
	for _, v := range faultOf(t, err).Violations {
		out = append(out, v.Field)
	}
	return strings.Join(out, " ")
}

// draft stores a draft of documents with these names; a name such as a=x has a
// display name.
func draft(t *testing.T, s *policystore.Store, id string, names ...string) *policystore.Draft {
	t.Helper()
	d := &policystore.Draft{ID: id, Documents: []json.RawMessage{}}
	for _, n := range names {
		name, title, _ := strings.Cut(n, "=")
		p := somePolicy(name)
		p.DisplayName = title
		value, err := policy.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		d.Documents = append(d.Documents, value)
	}
	stored, err := s.CreateDraft(t.Context(), "acme", d, policystore.Change{Author: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

// TestOfTwoPublishersOneWins: on two replicas at once, round after round, exactly
// one publishes and the other is told the list's etag, although they never touch
// the same policy.
func TestOfTwoPublishersOneWins(t *testing.T) {
	log := &configlog.Memory{}
	stores := []*policystore.Store{start(t, log), start(t, log)}
	for round := range 10 {
		ids := []string{fmt.Sprintf("left-%d", round), fmt.Sprintf("right-%d", round)}
		have := strings.Fields(names(stores[0]))
		for i, id := range ids {
			eventually(t, func() bool { return names(stores[i]) == strings.Join(have, " ") })
			draft(t, stores[i], id, append(append([]string{}, have...), id)...)
		}
		errs := make([]error, 2)
		var both sync.WaitGroup
		for i, id := range ids {
			both.Go(func() { _, errs[i] = stores[i].PublishDraft(t.Context(), "acme", id, policystore.Publish{Author: id}) })
		}
		both.Wait()
		winner, loser := 0, 1
		if errs[0] != nil {
			winner, loser = 1, 0
		}
		if errs[winner] != nil || fault.KindOf(errs[loser]) != fault.Conflict {
			t.Fatalf("round %d: %v and %v", round, errs[0], errs[1])
		}
		want := strings.Join(append(have, ids[winner]), " ")
		for _, s := range stores {
			eventually(t, func() bool { return names(s) == want })
		}
		_, revision := stores[0].List("acme")
		if f := faultOf(t, errs[loser]); f.Metadata["etag"] != fmt.Sprint(revision) {
			t.Errorf("the loser is told etag %q, the list has %d", f.Metadata["etag"], revision)
		}
		if d, err := stores[loser].Draft("acme", ids[loser]); err != nil || !d.Stale {
			t.Errorf("the loser's draft: %+v, %v", d, err)
		}
		if err := stores[loser].DeleteDraft(t.Context(), "acme", ids[loser], policystore.Change{}); err != nil {
			t.Error(err)
		}
	}
}

// TestRebaseKeepsBoth: what others changed since stays; what both changed is a
// conflict that names it.
func TestRebaseKeepsBoth(t *testing.T) {
	s := start(t, &configlog.Memory{})
	create(t, s, "a", "b", "c", "d")
	touch := func(name, title string) {
		t.Helper()
		_, err := s.Update(t.Context(), "acme", name, policystore.Change{}, func(p *policy.Policy) error {
			p.DisplayName = title
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	draft(t, s, "mine", "x", "d", "a=mine", "c") // b gone, x new in front, d moved, a changed
	touch("c", "theirs")
	create(t, s, "y")
	if _, err := s.PublishDraft(t.Context(), "acme", "mine", policystore.Publish{}); fault.KindOf(err) != fault.Conflict {
		t.Fatalf("published over a list that changed: %v", err)
	}
	out, err := s.PublishDraft(t.Context(), "acme", "mine", policystore.Publish{Rebase: true, Reason: "spring"})
	if err != nil {
		t.Fatal(err)
	}
	if got := names(s); got != "x d a c y" {
		t.Errorf("order %q", got)
	}
	for name, want := range map[string]string{"a": "mine", "c": "theirs"} {
		if p, _, err := s.Get("acme", name); err != nil || p.DisplayName != want {
			t.Errorf("%s is %+v, %v", name, p, err)
		}
	}
	if r, err := s.Revision("acme", out.Revision); err != nil || r.Reason != "spring" || len(r.Changes) != 4 {
		t.Errorf("revision %+v, %v", r, err)
	}
	draft(t, s, "again", "x", "d=mine", "a=mine", "y")
	touch("d", "theirs")
	touch("c", "theirs too")
	_, err = s.PublishDraft(t.Context(), "acme", "again", policystore.Publish{Rebase: true})
	if f := faultOf(t, err); f.Kind != fault.Conflict || f.Metadata["policies"] != "c, d" {
		t.Errorf("conflict %+v", f)
	}
}

func TestDraftsMayHoldFaultsUntilPublished(t *testing.T) {
	s := start(t, &configlog.Memory{})
	create(t, s, "a")
	d := &policystore.Draft{ID: "wip", Documents: []json.RawMessage{
		json.RawMessage(`{"name":"default","effect":{"rank":{}}}`),
		json.RawMessage(`{"name":"bad","rank":7,"when":{"attribute":"x","operator":"sounds_like","value":1},"effect":{"teleport":{}}}`),
		json.RawMessage(`{"effect":{"rank":{}}}`),
	}}
	stored, err := s.CreateDraft(t.Context(), "acme", d, policystore.Change{Author: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(stored.Documents[2]); got != `{"name":"default","enabled":true,"effect":{"rank":{}}}` || strings.Contains(string(stored.Documents[0]), "rank\":7") {
		t.Errorf("stored %s", stored.Documents)
	}
	_, err = s.PublishDraft(t.Context(), "acme", "wip", policystore.Publish{})
	fields := strings.Fields(violations(t, err))
	slices.Sort(fields)
	if got := strings.Join(fields, " "); got != "policies[0].effect policies[0].effect.teleport policies[0].when.operator policies[1].name" {
		t.Errorf("all at once: %s", got)
	}
	stored, err = s.UpdateDraft(t.Context(), "acme", "wip", policystore.Change{Etag: stored.Revision}, func(d *policystore.Draft) error {
		d.Documents[1] = json.RawMessage(`{"name":"good","effect":{"rank":{}}}`)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.PublishDraft(t.Context(), "acme", "wip", policystore.Publish{})
	fields = strings.Fields(violations(t, err))
	slices.Sort(fields)
	if got := strings.Join(fields, " "); got != "policies[0].effect policies[0].effect.teleport policies[0].when.operator" {
		t.Errorf("faults: %s (%v)", got, err)
	}
	// It can be tried out all the same; what is wrong never matches.
	set, err := s.Compiled(t.Context(), "acme", "accounts/acme/policyDrafts/wip")
	if err != nil || set.Len() != 3 || set.Live() != 1 || set.Default() == nil {
		t.Errorf("compiled %+v, %v", set, err)
	}
	if _, err := s.PublishDraft(t.Context(), "acme", "wip", policystore.Publish{Etag: stored.Revision - 1}); fault.KindOf(err) != fault.Conflict {
		t.Errorf("with a stale etag: %v", err)
	}
	for id, want := range map[string]fault.Kind{"live": fault.Invalid, "12": fault.Invalid, "": fault.Invalid, "wip": fault.Exists} {
		if _, err := s.CreateDraft(t.Context(), "acme", &policystore.Draft{ID: id}, policystore.Change{}); fault.KindOf(err) != want {
			t.Errorf("draft %q: %v", id, err)
		}
	}
	if names(s) != "a" {
		t.Errorf("a draft changed the list to %q", names(s))
	}
}

// TestDefaultPolicyIsLast whatever happens to the others, and takes the place of
// the default effect that the account's own document may have.
func TestDefaultPolicyIsLast(t *testing.T) {
	log := &configlog.Memory{}
	s := start(t, log)
	err := log.Append(t.Context(), &event.ConfigChange{
		ID: "acc", Account: "acme", Kind: configlog.KindAccount, Name: "acme", Author: "x", Time: time.Now(),
		Value: []byte(`{"display_name":"Acme","default_effect":{"rank":{}}}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	create(t, s, "a")
	last := &policy.Policy{Name: policy.DefaultName, Enabled: true, Effect: policy.Effect{Rank: &policy.Rank{}}}
	if _, err := s.Create(t.Context(), "acme", last, policystore.Change{}); err != nil {
		t.Fatal(err)
	}
	folded := folded(t, log)
	if r, _ := folded.Get("acme", configlog.KindAccount, "acme"); string(r.Value) != `{"display_name":"Acme"}` {
		t.Errorf("the account is %s", r.Value)
	}
	create(t, s, "b", "c")
	if _, err := s.Move(t.Context(), "acme", "a", 99, policystore.Change{}); err != nil || names(s) != "b c a default" {
		t.Errorf("order %q, %v", names(s), err)
	}
	if s.Policies("acme").Default() == nil {
		t.Error("there is no default")
	}
	for what, err := range map[string]error{
		"moved":    second(s.Move(t.Context(), "acme", "default", 0, policystore.Change{})),
		"disabled": second(s.SetEnabled(t.Context(), "acme", "default", false, policystore.Change{})),
		"given a condition": second(s.Update(t.Context(), "acme", "default", policystore.Change{}, func(p *policy.Policy) error {
			p.When = somePolicy("x").When
			return nil
		})),
	} {
		if kind := fault.KindOf(err); kind != fault.Invalid && kind != fault.Precondition {
			t.Errorf("the default policy was %s: %v", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// folded is the state of a log now.
func folded(t *testing.T, log configlog.Log) *configlog.State {
	t.Helper()
	store := configlog.New(log)
	done := make(chan struct{})
	ctx := t.Context()
	go func() {
		defer close(done)
		_ = store.Run(ctx)
	}()
	t.Cleanup(func() { <-done })
	<-store.Ready()
	return store.State()
}

// overtaken is a log on which another writer is always faster than the answer.
type overtaken struct {
	*configlog.Store
	then func()
}

func (o *overtaken) Write(ctx context.Context, c event.ConfigChange) (configlog.Resource, error) {
	r, err := o.Store.Write(ctx, c)
	if then := o.then; then != nil && err == nil {
		o.then = nil
		then()
	}
	return r, err
}

// TestAnOutcomeNamesItsOwnRevision, also when the list has changed again since.
func TestAnOutcomeNamesItsOwnRevision(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	folded := configlog.New(&configlog.Memory{})
	var wg sync.WaitGroup
	wg.Go(func() { _ = folded.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	<-folded.Ready()
	log := &overtaken{Store: folded}
	mine, other := policystore.New(log), policystore.New(folded)
	log.then = func() { create(t, other, "theirs") }
	d := draft(t, mine, "d", "a")
	log.then = func() { create(t, other, "later") }
	out, err := mine.PublishDraft(t.Context(), "acme", d.ID, policystore.Publish{Rebase: true})
	if err != nil {
		t.Fatal(err)
	}
	told, err := mine.Revision("acme", out.Revision)
	if err != nil || len(told.Changes) != 1 || told.Changes[0].Policy != "a" {
		t.Errorf("revision %d is %+v, %v", out.Revision, told, err)
	}
	if len(out.Policies) != 2 || find(out.Policies, "later") {
		t.Errorf("the list after it has %d policies", len(out.Policies))
	}
}

// TestARebaseConflictSaysWhatToDo: the names and the lists to compare.
func TestARebaseConflictSaysWhatToDo(t *testing.T) {
	s := start(t, &configlog.Memory{})
	create(t, s, "a")
	d := draft(t, s, "d", "a=mine")
	if _, err := s.Update(t.Context(), "acme", "a", policystore.Change{}, func(p *policy.Policy) error { p.DisplayName = "theirs"; return nil }); err != nil {
		t.Fatal(err)
	}
	_, err := s.PublishDraft(t.Context(), "acme", d.ID, policystore.Publish{Rebase: true})
	f := faultOf(t, err)
	for _, want := range []string{"policies: a;", fmt.Sprintf("from revision %d", d.Base), "drop or redo", "publish it again"} {
		if f.Reason != "REBASE_CONFLICT" || !strings.Contains(f.Error(), want) {
			t.Errorf("%s %q does not say %q", f.Reason, f.Error(), want)
		}
	}
}

func find(list []*policy.Policy, name string) bool {
	return slices.ContainsFunc(list, func(p *policy.Policy) bool { return p.Name == name })
}

// environment is a catalogue that a test sets.
type environment struct {
	mu      sync.Mutex
	env     *policy.Environment
	changed chan struct{}
}

func (e *environment) Environment(string) *policy.Environment {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.env
}

func (e *environment) Changed() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.changed
}

func (e *environment) set(env *policy.Environment) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.env = env
	close(e.changed)
	e.changed = make(chan struct{})
}

func TestWritesAreHeldToTheCatalogue(t *testing.T) {
	env := &environment{changed: make(chan struct{})}
	s := start(t, &configlog.Memory{}, policystore.WithEnvironment(env))
	to := func(name, skill string) *policy.Policy {
		p := somePolicy(name)
		p.Effect = policy.Effect{Fixed: &policy.Fixed{Actions: []event.Action{{Type: "TRANSFER_TO_SKILL", Target: skill}}}}
		return p
	}
	if _, err := s.Create(t.Context(), "acme", to("a", "sales"), policystore.Change{}); err != nil {
		t.Fatal(err)
	}
	env.set(&policy.Environment{Skills: map[string]struct{}{"billing": {}}})
	problems := s.Problems("acme")
	if len(problems) != 1 || problems[0].Code != policy.CodeUnknownSkill || problems[0].Policy != "a" {
		t.Errorf("problems %+v", problems)
	}
	_, err := s.Create(t.Context(), "acme", to("b", "sales"), policystore.Change{})
	if got := violations(t, err); got != "effect.fixed.actions[0].target" {
		t.Errorf("faults %s", got)
	}
	// What the change does not touch does not stand in its way, and going back
	// always works.
	if _, err := s.Create(t.Context(), "acme", to("c", "billing"), policystore.Change{}); err != nil {
		t.Error(err)
	}
	if _, err := s.SetEnabled(t.Context(), "acme", "a", false, policystore.Change{}); err != nil {
		t.Error(err)
	}
	if _, err := s.Import(t.Context(), "acme", policystore.Import{Policies: []*policy.Policy{to("e", "sales")}}, policystore.ListChange{}); violations(t, err) != "policies[2].effect.fixed.actions[0].target" {
		t.Errorf("import: %v", err)
	}
	first, _, err := s.Revisions("acme", "", 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := s.Rollback(t.Context(), "acme", first[len(first)-1].Number, policystore.ListChange{}); err != nil || names(s) != "a" || out.Revision <= first[0].Number {
		t.Errorf("rolled back to %q: %v", names(s), err)
	}
	// A whole list that was checked by itself: warnings do not refuse.
	found := s.Check("acme", to("a", "billing"), somePolicy("z"))
	if hasErrors(found) {
		t.Errorf("problems %+v", found)
	}
}

// TestBrokenDocumentsGoWithTheirList: one that cannot be read any more is moved
// about, rolled back and exported as it is.
func TestBrokenDocumentsGoWithTheirList(t *testing.T) {
	log := &configlog.Memory{}
	s := start(t, log)
	create(t, s, "a", "b")
	_, before := s.List("acme")
	err := log.Append(t.Context(), &event.ConfigChange{
		ID: "later", Account: "acme", Kind: configlog.KindPolicy, Name: "future", Author: "x", Time: time.Now(),
		Value: []byte(`{"name":"future","rank":1.5,"enabled":true,"effect":{"teleport":{}}}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return names(s) == "a future b" })
	_, with := s.List("acme")
	if _, err := s.Move(t.Context(), "acme", "b", 0, policystore.Change{}); err != nil || names(s) != "b a future" {
		t.Errorf("order %q, %v", names(s), err)
	}
	if _, err := s.Rollback(t.Context(), "acme", before, policystore.ListChange{}); err != nil || names(s) != "a b" {
		t.Errorf("order %q, %v", names(s), err)
	}
	if _, err := s.Rollback(t.Context(), "acme", with, policystore.ListChange{}); err != nil || names(s) != "a future b" {
		t.Errorf("order %q, %v", names(s), err)
	}
	text, err := s.Export("acme", policystore.Live)
	if err != nil || !strings.Contains(string(text), `{"effect":{"teleport":{}},"enabled":true,"name":"future"}`) {
		t.Errorf("exported %s, %v", text, err)
	}
	if _, err := s.Rollback(t.Context(), "acme", before, policystore.ListChange{Guarded: true, Seen: before}); fault.KindOf(err) != fault.Conflict {
		t.Errorf("with a stale etag: %v", err)
	}
	for _, name := range []string{"99999", "-1", "nothing"} {
		if _, err := s.Compiled(t.Context(), "acme", name); fault.KindOf(err) != fault.NotFound {
			t.Errorf("list %q: %v", name, err)
		}
	}
}

func TestNothingIsStoredWhenOnlyValidating(t *testing.T) {
	s := start(t, &configlog.Memory{})
	create(t, s, "a")
	only := policystore.Change{ValidateOnly: true}
	p, err := s.Create(t.Context(), "acme", somePolicy("b"), only)
	if err != nil || p.Rank != 2 {
		t.Errorf("would be %+v, %v", p, err)
	}
	if _, err := s.Create(t.Context(), "acme", somePolicy("a"), only); fault.KindOf(err) != fault.Exists {
		t.Errorf("one that exists: %v", err)
	}
	only.Etag = 77
	if _, err := s.Update(t.Context(), "acme", "a", only, func(*policy.Policy) error { return nil }); fault.KindOf(err) != fault.Conflict {
		t.Errorf("with a stale etag: %v", err)
	}
	out, err := s.Import(t.Context(), "acme", policystore.Import{Policies: []*policy.Policy{somePolicy("c")}, Replace: true}, policystore.ListChange{ValidateOnly: true})
	if err != nil || len(out.Changes) != 2 || out.Policies[0].Name != "c" {
		t.Errorf("would be %+v, %v", out, err)
	}
	if names(s) != "a" {
		t.Errorf("the list became %q", names(s))
	}
}
