package enginetest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/usherhq/usher/decision/contextstore"
	"github.com/usherhq/usher/internal/fault"
)

// clock is a time that tests set.
type clock struct{ now time.Time }

func (c *clock) time() time.Time { return c.now }

// newStore is a store over an engine with a clock of its own.
func newStore(t testing.TB, e contextstore.Engine, c *clock) *contextstore.Store {
	t.Helper()
	s, err := contextstore.New(contextstore.DefaultConfig(), contextstore.Deps{
		Engine: e, Now: c.time, Log: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	return s
}

func start() *clock { return &clock{now: time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)} }

// rules that a reader of the documentation would try first.
func rules(t *testing.T, e contextstore.Engine) {
	ctx, acc, c := t.Context(), account(), start()
	s := newStore(t, e, c)
	k := key("orders", "c1")
	write := func(change contextstore.Change) contextstore.Document {
		t.Helper()
		docs, err := s.Write(ctx, acc, change)
		must(t, err)
		return docs[0]
	}
	value := map[string]any{"s": "é\u2028", "n": -1.5e300, "b": true, "z": nil, "l": []any{1.0, "x", []any{}}, "o": map[string]any{"": map[string]any{}}}
	first := write(contextstore.Change{Key: k, Set: map[string]any{"a": value, "b": 1}})
	second := write(contextstore.Change{Key: k, Set: map[string]any{"b": "two"}, Remove: []string{"none"}})
	if diff := cmp.Diff(map[string]any{"a": value, "b": "two"}, second.Properties); diff != "" {
		t.Errorf("merged (-want +got):\n%s", diff)
	}
	got, err := s.Get(ctx, acc, k)
	must(t, err)
	if diff := cmp.Diff(second, got); diff != "" {
		t.Errorf("what is read is not what the write answered (-want +got):\n%s", diff)
	}
	if _, err := s.Write(ctx, acc, contextstore.Change{Key: k, Etag: first.Etag, Set: map[string]any{"b": 3}}); fault.KindOf(err) != fault.Conflict {
		t.Errorf("writing over an old version answers %v", err)
	}
	if _, err := s.Write(ctx, acc, contextstore.Change{Key: k, Etag: "0"}); fault.KindOf(err) != fault.Conflict {
		t.Errorf("creating what exists answers %v", err)
	}
	write(contextstore.Change{Key: k, Etag: second.Etag, Set: map[string]any{"c": 3}, Replace: true})
	if got, _ := s.Get(ctx, acc, k); len(got.Properties) != 1 {
		t.Errorf("replaced: %v", got.Properties)
	}
	// Deleting and writing anew is another version, even in the same instant.
	must(t, s.Delete(ctx, acc, k, ""))
	again := write(contextstore.Change{Key: k, Etag: "0", Set: map[string]any{"c": 3}})
	if again.Etag == second.Etag || fault.KindOf(s.Delete(ctx, acc, k, second.Etag)) != fault.Conflict {
		t.Error("a document deleted and written anew has an old version")
	}
	must(t, s.Delete(ctx, acc, k, again.Etag))
	if err := s.Delete(ctx, acc, k, ""); fault.KindOf(err) != fault.NotFound {
		t.Errorf("deleting twice answers %v", err)
	}
}

// limit holds the size of a document to its limit.
func limit(t *testing.T, e contextstore.Engine) {
	ctx, acc := t.Context(), account()
	s := newStore(t, e, start())
	k := key("n", contextstore.Global)
	// {"a":"..."} has 8 characters beside the text, of two bytes each.
	fits := strings.Repeat("é", contextstore.DefaultConfig().MaxCharacters-8)
	_, err := s.Write(ctx, acc, contextstore.Change{Key: k, Set: map[string]any{"a": fits}})
	must(t, err)
	for _, more := range []contextstore.Change{
		{Key: k, Set: map[string]any{"a": fits + "x"}},
		{Key: k, Set: map[string]any{"b": nil}},
		{Key: k, Set: map[string]any{"a": fits[2:] + "\n"}},
	} {
		if _, err := s.Write(ctx, acc, contextstore.Change{Key: key("n", "other")}, more); fault.KindOf(err) != fault.TooLarge {
			t.Errorf("a document over the limit answers %v", err)
		}
	}
	if _, err := s.Get(ctx, acc, key("n", "other")); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a batch with a document over the limit was written in part: %v", err)
	}
	got, err := s.Get(ctx, acc, k)
	must(t, err)
	if got.Properties["a"] != fits || len(got.Properties) != 1 {
		t.Error("the stored document has changed")
	}
	_, err = s.Write(ctx, acc, contextstore.Change{Key: k, Set: map[string]any{"a": "small", "b": 1}})
	must(t, err)
}

// tenancy calls everything there is on one account and looks for traces of
// another that uses the same names.
func tenancy(t *testing.T, e contextstore.Engine) {
	ctx, mine, other := t.Context(), account(), account()
	s := newStore(t, e, start())
	k := key("n", "s")
	for acc, secret := range map[string]string{mine: "mine", other: "other"} {
		_, err := s.PutNamespace(ctx, acc, contextstore.NamespaceChange{ID: "only_" + secret, PII: &[]string{secret}})
		must(t, err)
		_, err = s.Write(ctx, acc, contextstore.Change{Key: k, Set: map[string]any{"whose": secret}},
			contextstore.Change{Key: key("only_"+secret, secret), Set: map[string]any{secret: secret}})
		must(t, err)
		_, err = s.Capture(ctx, acc, contextstore.Capture{CustomerID: "c", SDE: map[string]any{
			"visitorinfo": map[string]any{"customerinfo": map[string]any{"ctype": secret}},
		}})
		must(t, err)
	}
	namespaces := []string{"n", "only_mine", "only_other", "sde", ""}
	sessions := []string{"s", "mine", "other", contextstore.Global, contextstore.Customer("c"), ""}
	said := func() string {
		var out strings.Builder
		docs, err := s.Load(ctx, mine, sessions, namespaces)
		must(t, err)
		list, err := s.Namespaces(ctx, mine)
		must(t, err)
		fmt.Fprintln(&out, list)
		for _, n := range namespaces[:4] {
			page, _, err := s.List(ctx, mine, n, "", 100)
			if err != nil && fault.KindOf(err) != fault.NotFound {
				t.Fatal(err)
			}
			docs = append(docs, page...)
			page, _ = s.Page(ctx, mine, n, 0, 100)
			docs = append(docs, page...)
			one, _ := s.Namespace(ctx, mine, n)
			fmt.Fprintln(&out, one)
		}
		for _, d := range docs {
			fmt.Fprintln(&out, d.Key, d.Properties, d.PII)
		}
		return out.String()
	}
	before := said()
	if strings.Contains(before, "other") || !strings.Contains(before, "mine") {
		t.Errorf("an account reads another: %s", before)
	}
	for _, n := range namespaces[:4] { // what the other one destroys
		if err := s.DeleteNamespace(ctx, other, n); err != nil && fault.KindOf(err) != fault.NotFound {
			t.Fatal(err)
		}
	}
	if after := said(); after != before {
		t.Errorf("an account destroys what is another's: %s", after)
	}
}

// dropRace deletes a namespace while documents are written into it: no document
// may be left that its namespace does not list.
func dropRace(t *testing.T, e contextstore.Engine) {
	ctx, acc := t.Context(), account()
	s := newStore(t, e, start())
	var group sync.WaitGroup
	for w := range 4 {
		group.Go(func() {
			for i := range 40 {
				k := key("n", fmt.Sprint(w, i%3))
				if _, err := s.Write(ctx, acc, contextstore.Change{Key: k, Set: map[string]any{"i": i}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 20 {
		if err := s.DeleteNamespace(ctx, acc, "n"); err != nil && fault.KindOf(err) != fault.NotFound {
			t.Error(err)
		}
	}
	group.Wait()
	entries, err := e.Scan(context.WithoutCancel(ctx), acc, "n", "", 100)
	must(t, err)
	if _, err := s.Namespace(ctx, acc, "n"); len(entries) > 0 && err != nil {
		t.Errorf("%d documents are left of a namespace that is gone: %v", len(entries), err)
	}
	if err := s.DeleteNamespace(ctx, acc, "n"); err != nil && fault.KindOf(err) != fault.NotFound {
		t.Error(err)
	}
}

// sorted lists the keys of a map in order.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// kind is what a test compares of an error.
func kind(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	}
	return fmt.Sprint("fault ", fault.KindOf(err))
}
