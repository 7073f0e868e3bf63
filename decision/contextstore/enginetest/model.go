package enginetest

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/usherhq/usher/decision/contextstore"
)

// reference is what the store should be, in maps.
type reference struct {
	namespaces map[string]*refNamespace
}

type refNamespace struct {
	ttl       time.Duration
	pii       []string
	etag      string
	documents map[string]*refDocument
}

type refDocument struct {
	properties map[string]any
	ttl        time.Duration
	expires    time.Time
	created    time.Time
	etag       string
}

func (r *reference) live(k contextstore.Key, now time.Time) *refDocument {
	n := r.namespaces[k.Namespace]
	if n == nil {
		return nil
	}
	d := n.documents[k.Session]
	if d == nil || !now.Before(d.expires) {
		return nil
	}
	return d
}

func (d *refDocument) version() string {
	if d == nil {
		return "0"
	}
	return d.etag
}

// write applies a change as the documentation says.
func (r *reference) write(c *contextstore.Change, now time.Time) {
	n := r.namespaces[c.Namespace]
	if n == nil {
		n = &refNamespace{documents: map[string]*refDocument{}}
		r.namespaces[c.Namespace] = n
	}
	d := r.live(c.Key, now)
	next := &refDocument{properties: map[string]any{}, created: now}
	if d != nil {
		next.ttl, next.created = d.ttl, d.created
		if !c.Replace {
			maps.Copy(next.properties, d.properties)
		}
	}
	maps.Copy(next.properties, c.Set)
	for _, name := range c.Remove {
		delete(next.properties, name)
	}
	if c.TTL != nil {
		next.ttl = *c.TTL
	}
	lives := 395 * 24 * time.Hour
	if next.ttl > 0 {
		lives = min(lives, next.ttl)
	} else if n.ttl > 0 {
		lives = min(lives, n.ttl)
	}
	next.expires = now.Add(lives)
	n.documents[c.Session] = next
}

// machine runs random operations against a store and the reference.
type machine struct {
	store   *contextstore.Store
	clock   *clock
	account string
	ref     reference
}

// model runs random operations on a store over the engine and on the reference:
// the two answer alike all the way.
func model(t *testing.T, e contextstore.Engine) {
	rapid.Check(t, func(rt *rapid.T) {
		c := start()
		m := &machine{clock: c, account: account(), store: newStore(t, e, c), ref: reference{namespaces: map[string]*refNamespace{}}}
		rt.Repeat(map[string]func(*rapid.T){
			"":          func(rt *rapid.T) { m.compare(t, rt) },
			"wait":      m.wait,
			"write":     func(rt *rapid.T) { m.write(t, rt) },
			"delete":    func(rt *rapid.T) { m.delete(t, rt) },
			"namespace": func(rt *rapid.T) { m.namespace(t, rt) },
			"drop":      func(rt *rapid.T) { m.drop(t, rt) },
			"list":      func(rt *rapid.T) { m.list(t, rt) },
			"sweep": func(rt *rapid.T) {
				if _, err := m.store.Sweep(t.Context()); err != nil {
					rt.Fatal(err)
				}
			},
		})
	})
}

func namespaceID() *rapid.Generator[string] { return rapid.SampledFrom([]string{"n", "orders", "N_1"}) }

func sessionID() *rapid.Generator[string] {
	return rapid.SampledFrom([]string{"c1", contextstore.Consumer("c1"), contextstore.Global, "a/b:c"})
}

func keys() *rapid.Generator[contextstore.Key] {
	return rapid.Custom(func(t *rapid.T) contextstore.Key {
		return key(namespaceID().Draw(t, "namespace"), sessionID().Draw(t, "session"))
	})
}

func ttls() *rapid.Generator[*time.Duration] {
	return rapid.Ptr(rapid.SampledFrom([]time.Duration{0, time.Millisecond, time.Minute, time.Hour, 30 * 24 * time.Hour, 1000 * 24 * time.Hour}), true)
}

func properties() *rapid.Generator[string] { return rapid.SampledFrom([]string{"a", "b", "é.x"}) }

// Values draws what a property can hold, in the types that a reader gets.
func Values(depth int) *rapid.Generator[any] {
	simple := []*rapid.Generator[any]{
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.String().AsAny(),
		rapid.Custom(func(t *rapid.T) any { return rapid.Float64().Draw(t, "number") }),
	}
	if depth == 0 {
		return rapid.OneOf(simple...)
	}
	return rapid.OneOf(append(simple,
		rapid.Custom(func(t *rapid.T) any { return rapid.SliceOfN(Values(depth-1), 0, 3).Draw(t, "list") }),
		rapid.Custom(func(t *rapid.T) any {
			return rapid.MapOfN(rapid.String(), Values(depth-1), 0, 3).Draw(t, "object")
		}),
	)...)
}

func (m *machine) wait(rt *rapid.T) {
	m.clock.now = m.clock.now.Add(rapid.SampledFrom([]time.Duration{
		0, time.Millisecond, 59 * time.Second, time.Hour, 29 * 24 * time.Hour, 394 * 24 * time.Hour,
	}).Draw(rt, "pause"))
}

// etag draws a version: any, the right one, or a wrong one.
func (m *machine) etag(rt *rapid.T, current string) (etag string, holds bool) {
	etag = rapid.SampledFrom([]string{"", "", current, "0", "17"}).Draw(rt, "etag")
	return etag, etag == "" || etag == current
}

func (m *machine) write(t *testing.T, rt *rapid.T) {
	named := map[contextstore.Key]bool{}
	var changes []contextstore.Change
	want := "ok"
	for range rapid.IntRange(1, 3).Draw(rt, "documents") {
		c := contextstore.Change{
			Key: keys().Draw(rt, "key"), Replace: rapid.Bool().Draw(rt, "replace"), TTL: ttls().Draw(rt, "ttl"),
			Set:    rapid.MapOfN(properties(), Values(2), 0, 3).Draw(rt, "set"),
			Remove: rapid.SliceOfN(properties(), 0, 2).Draw(rt, "remove"),
		}
		if named[c.Key] {
			continue
		}
		named[c.Key] = true
		var holds bool
		if c.Etag, holds = m.etag(rt, m.ref.live(c.Key, m.clock.now).version()); !holds {
			want = "fault 4" // Conflict
		}
		changes = append(changes, c)
	}
	docs, err := m.store.Write(t.Context(), m.account, changes...)
	if got := kind(err); got != want {
		rt.Fatalf("write answers %v, want %s", err, want)
	}
	if err != nil {
		return
	}
	for i := range changes {
		m.ref.write(&changes[i], m.clock.now)
		m.ref.namespaces[docs[i].Namespace].documents[docs[i].Session].etag = docs[i].Etag
	}
	m.same(rt, docs)
}

func (m *machine) delete(t *testing.T, rt *rapid.T) {
	k := keys().Draw(rt, "key")
	d := m.ref.live(k, m.clock.now)
	etag, holds := m.etag(rt, d.version())
	want := "ok"
	switch {
	case !holds:
		want = "fault 4" // Conflict
	case d == nil:
		want = "fault 2" // NotFound
	}
	if got := kind(m.store.Delete(t.Context(), m.account, k, etag)); got != want {
		rt.Fatalf("delete answers %s, want %s", got, want)
	}
	if want == "ok" {
		delete(m.ref.namespaces[k.Namespace].documents, k.Session)
	}
}

func (m *machine) namespace(t *testing.T, rt *rapid.T) {
	change := contextstore.NamespaceChange{
		ID: namespaceID().Draw(rt, "namespace"), TTL: ttls().Draw(rt, "ttl"),
		PII: rapid.Ptr(rapid.SliceOfNDistinct(properties(), 0, 2, rapid.ID[string]), true).Draw(rt, "pii"),
	}
	n, err := m.store.PutNamespace(t.Context(), m.account, change)
	if err != nil {
		rt.Fatal(err)
	}
	ref := m.ref.namespaces[change.ID]
	if ref == nil {
		ref = &refNamespace{documents: map[string]*refDocument{}}
		m.ref.namespaces[change.ID] = ref
	}
	same := ref.etag != ""
	if change.TTL != nil {
		same = same && ref.ttl == *change.TTL
		ref.ttl = *change.TTL
	}
	if change.PII != nil {
		sorted := slices.Sorted(slices.Values(*change.PII))
		same = same && slices.Equal(ref.pii, sorted)
		ref.pii = sorted
	}
	if same != (ref.etag == n.Etag) {
		rt.Fatalf("the version of a namespace went from %q to %q, changed: %v", ref.etag, n.Etag, !same)
	}
	ref.etag = n.Etag
}

func (m *machine) drop(t *testing.T, rt *rapid.T) {
	id := namespaceID().Draw(rt, "namespace")
	want := "fault 2" // NotFound
	if m.ref.namespaces[id] != nil {
		want = "ok"
	}
	if got := kind(m.store.DeleteNamespace(t.Context(), m.account, id)); got != want {
		rt.Fatalf("deleting a namespace answers %s, want %s", got, want)
	}
	delete(m.ref.namespaces, id)
}

// list reads a namespace in pages, both ways.
func (m *machine) list(t *testing.T, rt *rapid.T) {
	id := namespaceID().Draw(rt, "namespace")
	size := rapid.IntRange(1, 3).Draw(rt, "size")
	var want []contextstore.Key
	if n := m.ref.namespaces[id]; n != nil {
		for _, session := range sorted(n.documents) {
			if m.ref.live(key(id, session), m.clock.now) != nil {
				want = append(want, key(id, session))
			}
		}
	}
	var got, paged []contextstore.Key
	for after := ""; ; {
		docs, next, err := m.store.List(t.Context(), m.account, id, after, size)
		if (err == nil) != (m.ref.namespaces[id] != nil) {
			rt.Fatalf("listing answers %v", err)
		}
		m.same(rt, docs)
		for _, d := range docs {
			got = append(got, d.Key)
		}
		if after = next; next == "" {
			break
		}
	}
	for page := 0; ; page++ {
		docs, _ := m.store.Page(t.Context(), m.account, id, page, size)
		for _, d := range docs {
			paged = append(paged, d.Key)
		}
		if len(docs) < size {
			break
		}
	}
	if diff := cmp.Diff(want, got) + cmp.Diff(want, paged); diff != "" {
		rt.Fatalf("lists (-want +got):\n%s", diff)
	}
}

// compare reads everything as a decision would.
func (m *machine) compare(t *testing.T, rt *rapid.T) {
	sessions := []string{"c1", contextstore.Consumer("c1"), contextstore.Global, "a/b:c", "never"}
	docs, err := m.store.Load(t.Context(), m.account, sessions, []string{"n", "none", "orders", "N_1"})
	if err != nil {
		rt.Fatal(err)
	}
	m.same(rt, docs)
	want := 0
	for id, n := range m.ref.namespaces {
		for session := range n.documents {
			if m.ref.live(key(id, session), m.clock.now) != nil {
				want++
			}
		}
	}
	if len(docs) != want {
		rt.Fatalf("%d documents loaded, want %d", len(docs), want)
	}
	list, err := m.store.Namespaces(t.Context(), m.account)
	if err != nil {
		rt.Fatal(err)
	}
	var got []string
	for _, n := range list {
		ref := m.ref.namespaces[n.ID]
		if ref == nil || ref.ttl != n.TTL || !slices.Equal(ref.pii, n.PII) {
			rt.Fatalf("namespace %+v, want %+v", n, ref)
		}
		got, ref.etag = append(got, n.ID), n.Etag
	}
	if diff := cmp.Diff(sorted(m.ref.namespaces), got); diff != "" && len(got)+len(m.ref.namespaces) > 0 {
		rt.Fatalf("namespaces (-want +got):\n%s", diff)
	}
}

// same holds documents against the reference.
func (m *machine) same(rt *rapid.T, docs []contextstore.Document) {
	for _, d := range docs {
		ref := m.ref.live(d.Key, m.clock.now)
		if ref == nil {
			rt.Fatalf("%v is there, and should not be", d.Key)
		}
		want := contextstore.Document{
			Key: d.Key, Properties: ref.properties, PII: m.ref.namespaces[d.Namespace].pii, TTL: ref.ttl,
			Created: ref.created, Updated: d.Updated, Expires: ref.expires, Etag: ref.etag,
		}
		if len(want.PII) == 0 {
			want.PII = nil
		}
		if diff := cmp.Diff(want, d); diff != "" {
			rt.Fatalf("%v (-want +got):\n%s", fmt.Sprint(d.Key), diff)
		}
	}
}
