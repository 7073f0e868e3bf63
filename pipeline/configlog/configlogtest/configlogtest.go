// Package configlogtest holds every implementation of configlog.Log to one
// contract.
package configlogtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/event"
)

// timeout bounds every wait of the suite; it is far beyond what any log needs.
const timeout = 60 * time.Second

// TestLog runs the suite. open returns an empty log; logs returned by different
// calls must not share records.
func TestLog(t *testing.T, open func(t *testing.T) configlog.Log) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, configlog.Log){
		"offsets count from zero in order":       offsets,
		"a late follower sees the same records":  lateFollower,
		"following stops with fn's error":        stopping,
		"two writers with one base":              twoWriters,
		"writers at once lose nothing":           counters,
		"a store is ready only when folded":      readiness,
		"parts count together or not at all":     atomicParts,
		"a guard sees every change of its kind":  guards,
		"history is the same on every store":     history,
		"large records pass, larger are refused": largeRecords,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// Change is a sound change of a mode, for suites that need one.
func Change(name string, base int64, value string) event.ConfigChange {
	return event.ConfigChange{
		ID: fmt.Sprintf("%s-%d-%s", name, base, value), Account: "acme", Kind: configlog.KindMode, Name: name, Base: base,
		Value: []byte(value), Author: "test", Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
}

func offsets(t *testing.T, log configlog.Log) {
	ctx := testContext(t)
	const n = 5
	for i := range n {
		c := Change("m", int64(i), fmt.Sprint(i))
		must(t, log.Append(ctx, &c))
	}
	end, err := log.End(ctx)
	must(t, err)
	if end != n {
		t.Errorf("end is %d, want %d", end, n)
	}
	for i, c := range collect(t, log, 0, n) {
		if string(c.Value) != fmt.Sprint(i) || c.Base != int64(i) || !c.Time.Equal(Change("", 0, "").Time) {
			t.Errorf("record %d came back as %+v", i, c)
		}
	}
	if got := collect(t, log, 3, 2); string(got[0].Value) != "3" {
		t.Errorf("following from 3 began with %s", got[0].Value)
	}
}

func lateFollower(t *testing.T, log configlog.Log) {
	ctx := testContext(t)
	first := Change("a", 0, "1")
	must(t, log.Append(ctx, &first))
	seen := make(chan string, 10)
	following, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = log.Follow(following, 0, func(_ int64, c *event.ConfigChange) error {
			seen <- c.Name
			return nil
		})
	})
	defer wg.Wait()
	defer stop()
	for _, name := range []string{"b", "c"} {
		c := Change(name, 0, "1")
		must(t, log.Append(ctx, &c))
	}
	for _, want := range []string{"a", "b", "c"} {
		select {
		case got := <-seen:
			if got != want {
				t.Fatalf("saw %q, want %q", got, want)
			}
		case <-ctx.Done():
			t.Fatalf("%q did not arrive", want)
		}
	}
}

func stopping(t *testing.T, log configlog.Log) {
	ctx := testContext(t)
	c := Change("a", 0, "1")
	must(t, log.Append(ctx, &c))
	enough := errors.New("enough")
	if err := log.Follow(ctx, 0, func(int64, *event.ConfigChange) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("follow returned %v", err)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if err := log.Follow(canceled, 0, func(int64, *event.ConfigChange) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("follow with an ended context returned %v", err)
	}
}

func twoWriters(t *testing.T, log configlog.Log) {
	ctx := testContext(t)
	a, b := run(t, log), run(t, log)
	created, err := a.Write(ctx, Change("m", 0, "0"))
	must(t, err)
	if r, ok := a.State().Get("acme", configlog.KindMode, "m"); !ok || r.Revision != created.Revision {
		t.Fatalf("a does not read its own write: %+v, %v", r, ok)
	}
	results := make(chan error, 2)
	for i, s := range []*configlog.Store{a, b} {
		go func() {
			_, err := s.Write(ctx, Change("m", created.Revision, fmt.Sprintf("%d", i+1)))
			results <- err
		}()
	}
	first, second := <-results, <-results
	if first != nil {
		first, second = second, first
	}
	if first != nil || fault.KindOf(second) != fault.Conflict {
		t.Fatalf("want one winner and one conflict, got %v and %v", first, second)
	}
	var f *fault.Error
	errors.As(second, &f)
	until(ctx, t, a, func(st *configlog.State) bool {
		r, _ := st.Get("acme", configlog.KindMode, "m")
		return fmt.Sprint(r.Revision) == f.Metadata["etag"]
	})
	if _, err := b.Write(ctx, Change("m", 0, "9")); fault.KindOf(err) != fault.Exists {
		t.Errorf("creating what exists gave %v", err)
	}
	if _, err := b.Write(ctx, Change("none", 7, "9")); fault.KindOf(err) != fault.NotFound {
		t.Errorf("changing what does not exist gave %v", err)
	}
}

// counters: many writers add one to the same value with optimistic retries; each
// success must count exactly once, on every store.
func counters(t *testing.T, log configlog.Log) {
	const writers, increments = 4, 8
	ctx := testContext(t)
	stores := []*configlog.Store{run(t, log), run(t, log)}
	_, err := stores[0].Write(ctx, Change("n", 0, "0"))
	must(t, err)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range increments {
				if err := increment(ctx, stores[w%len(stores)], fmt.Sprintf("%d/%d", w, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, s := range stores {
		until(ctx, t, s, func(st *configlog.State) bool {
			r, _ := st.Get("acme", configlog.KindMode, "n")
			return string(r.Value) == fmt.Sprint(writers*increments)
		})
	}
}

func increment(ctx context.Context, s *configlog.Store, id string) error {
	for attempt := 0; ; attempt++ {
		r, ok := s.State().Get("acme", configlog.KindMode, "n")
		if !ok {
			select { // a store that has not folded the creation yet
			case <-s.Changed():
				continue
			case <-time.After(time.Millisecond):
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		var n int
		if _, err := fmt.Sscan(string(r.Value), &n); err != nil {
			return err
		}
		c := Change("n", r.Revision, fmt.Sprint(n+1))
		c.ID = fmt.Sprintf("%s/%d", id, attempt)
		_, err := s.Write(ctx, c)
		if fault.KindOf(err) != fault.Conflict || err == nil {
			return err
		}
	}
}

func readiness(t *testing.T, log configlog.Log) {
	ctx := testContext(t)
	const n = 50
	for i := range n {
		c := Change(fmt.Sprint(i), 0, "1")
		must(t, log.Append(ctx, &c))
	}
	s := run(t, log)
	if got := len(s.State().List("acme", configlog.KindMode)); got != n {
		t.Errorf("a ready store holds %d of %d resources", got, n)
	}
}

// changes makes one change of several modes: name, base and value each; an empty
// value deletes, an empty name guards.
func changes(id string, parts ...event.ConfigPart) event.ConfigChange {
	c := Change(id, 0, "1")
	c.Kind, c.Name, c.Value, c.Parts = "", "", nil, parts
	for i := range c.Parts {
		c.Parts[i].Kind = configlog.KindMode
		c.Parts[i].Deleted = c.Parts[i].Name != "" && len(c.Parts[i].Value) == 0
	}
	return c
}

func atomicParts(t *testing.T, log configlog.Log) {
	ctx := testContext(t)
	a, b := run(t, log), run(t, log)
	one := []byte("1")
	made, err := a.Write(ctx, changes("first", event.ConfigPart{Name: "x", Value: one}, event.ConfigPart{Name: "y", Value: one}))
	must(t, err)
	if made.Name != "x" || made.Revision == 0 {
		t.Errorf("the write returned %+v", made)
	}
	// One stale part, wherever it stands, keeps all of them from counting.
	for name, c := range map[string]event.ConfigChange{
		"stale":   changes("s", event.ConfigPart{Name: "z", Value: one}, event.ConfigPart{Name: "x", Base: made.Revision + 9, Value: one}),
		"exists":  changes("e", event.ConfigPart{Name: "y", Value: one}, event.ConfigPart{Name: "z", Value: one}),
		"missing": changes("m", event.ConfigPart{Name: "z", Value: one}, event.ConfigPart{Name: "w", Base: 3}),
		"guarded": changes("g", event.ConfigPart{Name: "z", Value: one}, event.ConfigPart{Base: made.Revision + 9}),
	} {
		want := map[string]fault.Kind{"stale": fault.Conflict, "exists": fault.Exists, "missing": fault.NotFound, "guarded": fault.Conflict}[name]
		if _, err := b.Write(ctx, c); fault.KindOf(err) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	last, err := b.Write(ctx, changes("last",
		event.ConfigPart{Base: made.Revision}, event.ConfigPart{Name: "x", Base: made.Revision}, event.ConfigPart{Name: "z", Value: one}))
	must(t, err)
	for _, s := range []*configlog.Store{a, b} {
		until(ctx, t, s, func(st *configlog.State) bool { return st.KindRevision("acme", configlog.KindMode) == last.Revision })
		var names strings.Builder
		for _, r := range s.State().List("acme", configlog.KindMode) {
			fmt.Fprintf(&names, "%s@%d ", r.Name, r.Revision)
		}
		if want := fmt.Sprintf("y@%d z@%d ", made.Revision, last.Revision); names.String() != want {
			t.Errorf("resources %q, want %q", names.String(), want)
		}
	}
}

// guards: of many writers that each replace what they saw of a whole kind exactly
// one wins each round, although no two touch the same resource.
func guards(t *testing.T, log configlog.Log) {
	const writers = 6
	ctx := testContext(t)
	stores := []*configlog.Store{run(t, log), run(t, log)}
	for round := range 4 {
		seen := stores[0].State().KindRevision("acme", configlog.KindMode)
		results := make(chan error, writers)
		for w := range writers {
			go func() {
				_, err := stores[w%len(stores)].Write(ctx, changes(fmt.Sprintf("%d/%d", round, w),
					event.ConfigPart{Base: seen}, event.ConfigPart{Name: fmt.Sprintf("r%d-%d", round, w), Value: []byte("1")}))
				results <- err
			}()
		}
		won := 0
		for range writers {
			if err := <-results; err == nil {
				won++
			} else if fault.KindOf(err) != fault.Conflict {
				t.Error(err)
			}
		}
		if now := len(stores[0].State().List("acme", configlog.KindMode)); won != 1 || now != round+1 {
			t.Fatalf("round %d: %d won, %d resources", round, won, now)
		}
	}
}

func history(t *testing.T, log configlog.Log) {
	ctx := testContext(t)
	s := run(t, log)
	created, err := s.Write(ctx, Change("a", 0, "1"))
	must(t, err)
	before := s.State().History("acme", configlog.KindMode)
	both, err := s.Write(ctx, changes("both",
		event.ConfigPart{Name: "a", Base: created.Revision, Value: []byte("2")}, event.ConfigPart{Name: "b", Value: []byte("1")}))
	must(t, err)
	if _, err := s.Write(ctx, changes("lost", event.ConfigPart{Name: "a", Base: created.Revision, Value: []byte("3")})); err == nil {
		t.Error("a stale change counts")
	}
	_, err = s.Write(ctx, changes("end", event.ConfigPart{Name: "a", Base: both.Revision}))
	must(t, err)
	if len(before) != 1 || cap(before) != 1 {
		t.Errorf("a snapshot's history went to %d of %d", len(before), cap(before))
	}
	want := ""
	for i, st := range []*configlog.State{s.State(), run(t, log).State()} {
		var told strings.Builder
		for _, v := range st.History("acme", configlog.KindMode) {
			fmt.Fprintf(&told, "%s@%d=%s %v by %s; ", v.Name, v.Revision-created.Revision, v.Value, v.Deleted, v.Author)
		}
		got := told.String()
		if i == 0 {
			want = got
		}
		if got != want || got[:len("a@0=1 false by test; ")] != "a@0=1 false by test; " || len(st.History("acme", configlog.KindMode)) != 4 {
			t.Errorf("history %q, want %q", got, want)
		}
	}
}

func largeRecords(t *testing.T, log configlog.Log) {
	ctx := testContext(t)
	s := run(t, log)
	document := func(bytes int) []byte { return fmt.Appendf(nil, "%q", strings.Repeat("x", bytes)) }
	// Just below the limit, once base64 has taken its third.
	large := Change("m", 0, "1")
	large.Value = document(configlog.MaxRecord/4*3 - 4096)
	r, err := s.Write(ctx, large)
	must(t, err)
	if got, ok := s.State().Get("acme", configlog.KindMode, "m"); !ok || got.Revision != r.Revision {
		t.Errorf("a large record came back as revision %d", got.Revision)
	}
	half := document(configlog.MaxRecord / 8 * 3)
	_, err = s.Write(ctx, changes("larger", event.ConfigPart{Name: "x", Value: half}, event.ConfigPart{Name: "y", Value: half}))
	if f, ok := errors.AsType[*fault.Error](err); !ok || f.Kind != fault.Invalid || f.Reason != "RECORD_TOO_LARGE" {
		t.Errorf("a record over the limit gave %v", err)
	}
	if _, err := s.Write(ctx, Change("n", 0, "1")); err != nil {
		t.Errorf("after a large record: %v", err)
	}
}

// run starts a store and returns it when it is ready.
func run(t *testing.T, log configlog.Log) *configlog.Store {
	t.Helper()
	s := configlog.New(log)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	select {
	case <-s.Ready():
	case <-time.After(timeout):
		t.Fatal("the store did not become ready")
	}
	return s
}

func until(ctx context.Context, t *testing.T, s *configlog.Store, ok func(*configlog.State) bool) {
	t.Helper()
	for {
		changed := s.Changed()
		if ok(s.State()) {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("the state did not come, it is %s", s.State())
		}
	}
}

func collect(t *testing.T, log configlog.Log, from int64, n int) []*event.ConfigChange {
	t.Helper()
	var out []*event.ConfigChange
	enough := errors.New("enough")
	err := log.Follow(testContext(t), from, func(offset int64, c *event.ConfigChange) error {
		if offset != from+int64(len(out)) {
			t.Errorf("got offset %d, want %d", offset, from+int64(len(out)))
		}
		if out = append(out, c); len(out) == n {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Fatal(err)
	}
	return out
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
