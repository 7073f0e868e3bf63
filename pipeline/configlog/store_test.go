package configlog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func change(id, kind, name string, base int64, value string) event.ConfigChange {
	return event.ConfigChange{
		ID: id, Account: "acme", Kind: kind, Name: name, Base: base, Value: []byte(value), Deleted: value == "",
		Author: "test", Time: time.Unix(1767225600, 0),
	}
}

// model is the rule said in the plainest way: a map of revisions.
type model struct {
	revision map[string]int64
	value    map[string]string
	last     int64
}

func (m *model) apply(offset int64, c event.ConfigChange) bool {
	current := m.revision[c.Name]
	if c.Base != current || c.Deleted && current == 0 {
		return false
	}
	m.last = offset + 1
	if c.Deleted {
		delete(m.revision, c.Name)
		delete(m.value, c.Name)
	} else {
		m.revision[c.Name], m.value[c.Name] = offset+1, string(c.Value)
	}
	return true
}

// TestFoldMatchesModel: any sequence of changes, right, stale, made up or
// repeated, folds to what the plain model says, whether a store saw it live or
// read it later, and no snapshot changes after it was handed out.
func TestFoldMatchesModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := model{revision: map[string]int64{}, value: map[string]string{}}
		live := &fold{store: New(new(Memory)), state: newState()}
		live.publishIfCaughtUp()
		n := rapid.IntRange(1, 30).Draw(t, "records")
		late := &fold{store: New(new(Memory)), state: newState(), end: int64(n)}
		old, oldSize := live.store.State(), 0
		for i := range n {
			name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name")
			base := rapid.OneOf(rapid.Just(m.revision[name]), rapid.Int64Range(0, int64(n))).Draw(t, "base")
			c := change(fmt.Sprint(i), KindPolicy, name, base, rapid.SampledFrom([]string{"1", "2", ""}).Draw(t, "value"))
			m.apply(int64(i), c)
			for _, f := range []*fold{live, late} {
				copied := c
				if err := f.apply(int64(i), &copied); err != nil {
					t.Fatal(err)
				}
			}
			if got := len(old.List("acme", KindPolicy)); got != oldSize {
				t.Fatalf("an old snapshot went from %d to %d resources", oldSize, got)
			}
			old = live.store.State()
			oldSize = len(old.List("acme", KindPolicy))
		}
		for _, f := range []*fold{live, late} {
			st := f.store.State()
			if st.KindRevision("acme", KindPolicy) != m.last || len(st.List("acme", KindPolicy)) != len(m.revision) {
				t.Fatalf("state %+v, model %+v", st, m)
			}
			for name, revision := range m.revision {
				if r, ok := st.Get("acme", KindPolicy, name); !ok || r.Revision != revision || string(r.Value) != m.value[name] {
					t.Fatalf("%s is %+v, want revision %d value %s", name, r, revision, m.value[name])
				}
			}
		}
	})
}

// TestPartsMatchModel: a change in parts is what its parts are one by one, if each
// of them would count, and nothing otherwise; the history holds just what counted.
func TestPartsMatchModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := model{revision: map[string]int64{}, value: map[string]string{}}
		f := &fold{store: New(new(Memory)), state: newState()}
		f.publishIfCaughtUp()
		counted := 0
		for i := range rapid.IntRange(1, 20).Draw(t, "records") {
			c := event.ConfigChange{ID: fmt.Sprint(i), Account: "acme", Author: "test", Time: time.Unix(1767225600, 0)}
			next, all := model{revision: maps.Clone(m.revision), value: maps.Clone(m.value), last: m.last}, true
			if rapid.Bool().Draw(t, "guarded") {
				base := rapid.OneOf(rapid.Just(m.last), rapid.Int64Range(0, int64(i))).Draw(t, "seen")
				c.Parts, all = append(c.Parts, event.ConfigPart{Kind: KindPolicy, Base: base}), base == m.last
			}
			names := rapid.Permutation([]string{"a", "b", "c"}).Draw(t, "names")[:rapid.IntRange(1, 3).Draw(t, "parts")]
			for _, name := range names {
				base := rapid.OneOf(rapid.Just(m.revision[name]), rapid.Just(m.revision[name]), rapid.Int64Range(0, int64(i))).Draw(t, "base")
				one := change("", KindPolicy, name, base, rapid.SampledFrom([]string{"1", "2", ""}).Draw(t, "value"))
				c.Parts = append(c.Parts, event.ConfigPart{Kind: one.Kind, Name: name, Base: base, Value: one.Value, Deleted: one.Deleted})
				all = next.apply(int64(i), one) && all
			}
			if all {
				m, counted = next, counted+len(names)
			}
			if err := f.apply(int64(i), &c); err != nil {
				t.Fatal(err)
			}
			st := f.store.State()
			if st.KindRevision("acme", KindPolicy) != m.last || len(st.List("acme", KindPolicy)) != len(m.revision) ||
				len(st.History("acme", KindPolicy)) != counted {
				t.Fatalf("after %+v the state is %+v, want %+v", c, st.kinds, m)
			}
			for name, revision := range m.revision {
				if r, ok := st.Get("acme", KindPolicy, name); !ok || r.Revision != revision || string(r.Value) != m.value[name] {
					t.Fatalf("%s is %+v, want revision %d value %s", name, r, revision, m.value[name])
				}
			}
		}
	})
}

func TestRepeatedRecordDoesNotUndo(t *testing.T) {
	t.Parallel()
	f := &fold{store: New(new(Memory)), state: newState()}
	f.publishIfCaughtUp()
	create := change("1", KindPolicy, "p", 0, "{}")
	remove := change("2", KindPolicy, "p", 1, "")
	for i, c := range []*event.ConfigChange{&create, &remove, &create, nil} {
		if err := f.apply(int64(i), c); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := f.store.State().Get("acme", KindPolicy, "p"); ok {
		t.Error("the copy of an old creation brought a deleted policy back")
	}
}

func TestSeenIDsForgetsTheOldestOnly(t *testing.T) {
	t.Parallel()
	s := seenIDs{index: map[string]struct{}{}}
	for i := range seenWindow + 1 {
		if !s.add(fmt.Sprint(i)) {
			t.Fatalf("%d is new", i)
		}
	}
	if s.add("1") || !s.add("0") || len(s.index) != seenWindow {
		t.Error("want 1 remembered and 0 forgotten")
	}
}

func TestReadsOfAState(t *testing.T) {
	t.Parallel()
	f := &fold{store: New(new(Memory)), state: newState()}
	f.publishIfCaughtUp()
	for i, c := range []event.ConfigChange{
		change("1", KindAccount, "acme", 0, "{}"), change("2", KindPolicy, "z", 0, "{}"), change("3", KindPolicy, "a", 0, "{}"),
	} {
		if err := f.apply(int64(i), &c); err != nil {
			t.Fatal(err)
		}
	}
	st := f.store.State()
	if got := fmt.Sprint(st.Accounts()); got != "[acme]" {
		t.Errorf("accounts %s", got)
	}
	list := st.List("acme", KindPolicy)
	if len(list) != 2 || list[0].Name != "a" || list[1].Revision != 2 {
		t.Errorf("list %+v", list)
	}
	if st.KindRevision("acme", KindPolicy) != 3 || st.KindRevision("acme", KindAccount) != 1 || st.KindRevision("acme", KindMode) != 0 || st.Revision() != 3 {
		t.Errorf("revisions are wrong in %s", st)
	}
}

// brokenLog takes no record and gives none back until it heals.
type brokenLog struct {
	Memory
	failures int
}

func (b *brokenLog) End(ctx context.Context) (int64, error) {
	if b.failures > 0 {
		b.failures--
		return 0, errors.New("away")
	}
	return b.Memory.End(ctx)
}

func (b *brokenLog) Append(context.Context, *event.ConfigChange) error { return errors.New("away") }

func TestWriteToABrokenLogIsUnavailable(t *testing.T) {
	t.Parallel()
	s := New(&brokenLog{failures: 2}, WithClock(time.Now, func() string { return "id" }))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	<-s.Ready()
	_, err := s.Write(ctx, event.ConfigChange{Kind: KindMode, Name: "m", Value: []byte("1")})
	if fault.KindOf(err) != fault.Unavailable {
		t.Errorf("got %v", err)
	}
	if _, err := s.Write(ctx, event.ConfigChange{Kind: KindMode, Name: "m", Value: []byte("{")}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("got %v", err)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestWriteIsBoundedByItsContext(t *testing.T) {
	t.Parallel()
	s := New(new(Memory)) // nobody runs it, so nothing comes back
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := s.Write(ctx, change("1", KindMode, "m", 0, "1"))
	if fault.KindOf(err) != fault.Unavailable || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
