package configlog

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/usherhq/usher/pipeline/event"
)

// TestAsOfIsTheStateThatWas: cutting the newest state back to a revision gives, of
// the account, the state that the fold had there.
func TestAsOfIsTheStateThatWas(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		states := []*State{newState()}
		for offset := range rapid.Int64Range(1, 30).Draw(r, "changes") {
			st := states[len(states)-1]
			c := &event.ConfigChange{
				Account: rapid.SampledFrom([]string{"acme", "other"}).Draw(r, "account"),
				Kind:    rapid.SampledFrom([]string{KindPolicy, KindMode}).Draw(r, "kind"),
				Name:    rapid.SampledFrom([]string{"a", "b"}).Draw(r, "name"), Value: fmt.Append(nil, offset),
			}
			if current, ok := st.Get(c.Account, c.Kind, c.Name); ok {
				c.Base, c.Deleted = current.Revision, rapid.Bool().Draw(r, "deleted")
			}
			next, _, err := st.with(offset, c, false)
			if err != nil {
				r.Fatal(err)
			}
			states = append(states, next)
		}
		at := rapid.IntRange(0, len(states)-1).Draw(r, "at")
		was, now := states[at], states[len(states)-1]
		got := now.AsOf("acme", func(v *Version) bool { return v.Revision <= int64(at) })
		for _, kind := range []string{KindPolicy, KindMode} {
			if g, w := got.List("acme", kind), was.List("acme", kind); fmt.Sprint(g) != fmt.Sprint(w) {
				r.Fatalf("%s: %v, want %v", kind, g, w)
			}
			if g, w := got.KindRevision("acme", kind), was.KindRevision("acme", kind); g != w {
				r.Fatalf("%s: revision %d, want %d", kind, g, w)
			}
			if g, w := got.History("acme", kind), was.History("acme", kind); fmt.Sprint(g) != fmt.Sprint(w) {
				r.Fatalf("%s: history %v, want %v", kind, g, w)
			}
			if len(got.List("other", kind)) > 0 {
				r.Fatal("another account is in it")
			}
		}
	})
}
