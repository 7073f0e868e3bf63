package policystore_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/decision/policystore"
	"github.com/usherhq/usher/pipeline/configlog"
)

// declaring is a catalogue without anything in which the account declares its
// first attribute, so that other names become errors.
func declaring(s *policystore.Store, env *environment) {
	env.set(&policy.Environment{Strict: true, Attributes: map[string]policy.Attribute{"tier": {Type: policy.TypeString, Source: "request"}}})
	s.List("acme")
}

// free makes policies that ask for a name that nobody declares.
func free(t *testing.T, s *policystore.Store, names ...string) {
	t.Helper()
	create(t, s, names...)
	for _, name := range names {
		if _, err := s.Update(t.Context(), "acme", name, policystore.Change{}, func(p *policy.Policy) error {
			*p = *freePolicy(name)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}

func freePolicy(name string) *policy.Policy {
	p := somePolicy(name)
	p.When = &policy.Condition{Attribute: "loyalty", Operator: policy.Equal, Value: name}
	return p
}

// freeDraft stores a draft of such policies, with a display name each.
func freeDraft(t *testing.T, s *policystore.Store, id string, names ...string) *policystore.Draft {
	t.Helper()
	d := &policystore.Draft{ID: id}
	for _, name := range names {
		p := freePolicy(name)
		p.DisplayName = "Other " + name
		value, err := policy.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		d.Documents = append(d.Documents, value)
	}
	stored, err := s.CreateDraft(t.Context(), "acme", d, policystore.Change{})
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

// TestOldErrorsDoNotRefuse: what the catalogue turned into an error under a live
// policy stands in the way of nothing but new ones.
func TestOldErrorsDoNotRefuse(t *testing.T) {
	env := &environment{env: &policy.Environment{}, changed: make(chan struct{})}
	s := start(t, &configlog.Memory{}, policystore.WithEnvironment(env))
	free(t, s, "a", "b")
	d := freeDraft(t, s, "d", "a")
	declaring(s, env)
	if !hasErrors(s.Problems("acme")) {
		t.Fatal("an undeclared attribute is no error")
	}
	rename := func(p *policy.Policy) error { p.DisplayName = "Old friend"; return nil }
	if _, err := s.PublishDraft(t.Context(), "acme", d.ID, policystore.Publish{}); err != nil {
		t.Errorf("publish: %v", err)
	}
	create(t, s, "z")
	if _, err := s.Update(t.Context(), "acme", "a", policystore.Change{}, rename); err != nil {
		t.Errorf("update: %v", err)
	}
	for _, enabled := range []bool{false, true} {
		if _, err := s.SetEnabled(t.Context(), "acme", "a", enabled, policystore.Change{}); err != nil {
			t.Errorf("enabled %v: %v", enabled, err)
		}
	}
	if _, err := s.Move(t.Context(), "acme", "a", 1, policystore.Change{}); err != nil {
		t.Errorf("move: %v", err)
	}
	list, _ := s.List("acme")
	if _, err := s.Import(t.Context(), "acme", policystore.Import{Policies: list}, policystore.ListChange{}); err != nil {
		t.Errorf("import: %v", err)
	}
}

// TestNewErrorsDo: neither a policy that was not there nor another condition of one
// that was brings errors in.
func TestNewErrorsDo(t *testing.T) {
	env := &environment{env: &policy.Environment{}, changed: make(chan struct{})}
	s := start(t, &configlog.Memory{}, policystore.WithEnvironment(env))
	free(t, s, "a")
	declaring(s, env)
	worse := func(p *policy.Policy) error {
		p.When = &policy.Condition{All: []*policy.Condition{p.When, {Attribute: "mood", Operator: policy.Equal, Value: "good"}}}
		return nil
	}
	_, err := s.Update(t.Context(), "acme", "a", policystore.Change{}, worse)
	if got := violations(t, err); got != "when.all[1].attribute" {
		t.Errorf("update: %s", got)
	}
	if _, err = s.Create(t.Context(), "acme", freePolicy("b"), policystore.Change{}); violations(t, err) != "when.attribute" {
		t.Errorf("create: %v", err)
	}
	d := freeDraft(t, s, "d", "a", "b")
	if _, err = s.PublishDraft(t.Context(), "acme", d.ID, policystore.Publish{}); violations(t, err) != "policies[1].when.attribute" {
		t.Errorf("publish: %v", err)
	}
	broken, err := s.CreateDraft(t.Context(), "acme", &policystore.Draft{ID: "e", Documents: []json.RawMessage{[]byte(`{"name":"a","effect":{"sorcery":1}}`)}}, policystore.Change{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = s.PublishDraft(t.Context(), "acme", broken.ID, policystore.Publish{}); err == nil {
		t.Error("published a policy that cannot be read")
	}
}

// TestOnlyCalendarsCompileAnew: a thousand agents do not compile the list a
// thousand times, and what is wrong is told by the newest catalogue all the same.
func TestOnlyCalendarsCompileAnew(t *testing.T) {
	calendars := func(from string) map[string]*policy.Calendar {
		return map[string]*policy.Calendar{"support": {Zone: "UTC", Hours: []policy.Hours{{Days: []string{"MON"}, From: from, To: "17:00"}}}}
	}
	env := &environment{env: &policy.Environment{Calendars: calendars("09:00")}, changed: make(chan struct{})}
	s := start(t, &configlog.Memory{}, policystore.WithEnvironment(env))
	free(t, s, "a")
	before := s.Policies("acme")
	env.set(&policy.Environment{
		Calendars: calendars("09:00"), Strict: true,
		Attributes: map[string]policy.Attribute{"tier": {}}, Agents: map[string]struct{}{"ann": {}},
	})
	if !hasErrors(s.Problems("acme")) || s.Policies("acme") != before {
		t.Errorf("compiled anew %v, problems %v", s.Policies("acme") != before, s.Problems("acme"))
	}
	env.set(&policy.Environment{Calendars: calendars("10:00")})
	if s.List("acme"); s.Policies("acme") == before {
		t.Error("another calendar compiled nothing")
	}
}

// hasErrors reports whether one of the problems is an error.
func hasErrors(problems []policy.Problem) bool {
	return slices.ContainsFunc(problems, func(p policy.Problem) bool { return p.Severity == policy.Error })
}
