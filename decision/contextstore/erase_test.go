package contextstore

import "testing"

func TestScopesOfSessions(t *testing.T) {
	for session, want := range map[string]struct {
		scope Scope
		id    string
	}{
		Consumer("a"): {ScopePerson, "a"}, Customer("a"): {ScopePerson, "a"}, Visitor("a"): {ScopePerson, "a"},
		Conversation("a"): {ScopePlain, "a"}, Conversation("visitor:a"): {ScopePlain, "visitor:a"}, "group": {ScopePlain, "group"},
	} {
		if scope, id := scopeOf(session); scope != want.scope || id != want.id {
			t.Errorf("%q is of scope %v, id %q", session, scope, id)
		}
	}
}
