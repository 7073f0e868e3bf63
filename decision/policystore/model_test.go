package policystore_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/decision/policystore"
	"github.com/usherhq/usher/pipeline/configlog"
)

// model is the list said in the plainest way: names and documents in order.
type model []modelPolicy

type modelPolicy struct{ name, document string }

func (m model) names() []string {
	var out []string
	for _, p := range m {
		out = append(out, p.name)
	}
	return out
}

func (m model) find(name string) int { return slices.Index(m.names(), name) }

// add puts a policy at the end, before the default policy.
func (m model) add(p modelPolicy) model {
	if n := len(m); n > 0 && m[n-1].name == policy.DefaultName && p.name != policy.DefaultName {
		return slices.Insert(slices.Clone(m), n-1, p)
	}
	return append(slices.Clone(m), p)
}

func (m model) replace(at int, document string) model {
	out := slices.Clone(m)
	out[at].document = document
	return out
}

func (m model) without(at int) model { return slices.Delete(slices.Clone(m), at, at+1) }

// move is what a mover of things expects.
func (m model) move(from, to int) model {
	p, rest := m[from], m.without(from)
	end := len(rest)
	if end > 0 && rest[end-1].name == policy.DefaultName {
		end--
	}
	return slices.Insert(rest, min(to, end), p)
}

// documentText is a policy without its place.
func documentText(p *policy.Policy) string {
	own := *p
	own.Rank = 0
	text, err := policy.Marshal(&own)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func modelOf(list []*policy.Policy) model {
	out := model{}
	for _, p := range list {
		out = append(out, modelPolicy{p.Name, documentText(p)})
	}
	return out
}

// genPolicy makes a policy that is enabled, with a document that varies.
func genPolicy(name string) *rapid.Generator[*policy.Policy] {
	return rapid.Custom(func(t *rapid.T) *policy.Policy {
		p := &policy.Policy{Name: name, Enabled: true, DisplayName: rapid.SampledFrom([]string{"", "A", "B c"}).Draw(t, "title")}
		if name != policy.DefaultName {
			for i := range rapid.IntRange(0, 3).Draw(t, "leaves") {
				if p.When == nil {
					p.When = &policy.Condition{}
				}
				p.When.All = append(p.When.All, &policy.Condition{
					Attribute: fmt.Sprintf("a%d", i), Operator: policy.Equal, Value: rapid.SampledFrom([]any{"x", 1.0, true}).Draw(t, "value"),
				})
			}
		}
		p.Effect.Rank = &policy.Rank{}
		if rapid.Bool().Draw(t, "levers") {
			p.Effect.Rank.Levers = map[string]float64{"odd key.1": 5, "b": rapid.SampledFrom([]float64{1, 2.5}).Draw(t, "lever")}
		}
		return p
	})
}

// world is a store, its model, and all lists that ever were by revision.
type world struct {
	t     *rapid.T
	ctx   context.Context
	store *policystore.Store
	now   model
	past  map[int64]model
	order []int64
	n     int
}

// record takes the revision that a change made; a change of nothing makes none.
func (w *world) record(next model, err error) {
	if err != nil {
		w.t.Fatalf("the change is refused: %v", err)
	}
	w.now = next
	list, revision := w.store.List("acme")
	if got := modelOf(list); !slices.Equal(got, w.now) {
		w.t.Fatalf("the list is %v, want %v", got, w.now)
	}
	if _, known := w.past[revision]; !known && revision > 0 {
		w.past[revision] = w.now
		w.order = append(w.order, revision)
	}
}

func (w *world) some() (string, int) {
	at := rapid.IntRange(0, len(w.now)-1).Draw(w.t, "which")
	return w.now[at].name, at
}

func (w *world) step() {
	op := rapid.SampledFrom([]string{"create", "create", "update", "disable", "delete", "move", "move", "publish", "rebase", "rollback", "import"}).Draw(w.t, "op")
	c := policystore.Change{Author: "ada", Reason: op}
	if len(w.now) == 0 && op != "import" {
		op = "create"
	}
	switch op {
	case "create":
		w.n++
		name := fmt.Sprintf("p%d", w.n)
		if w.now.find(policy.DefaultName) < 0 && rapid.IntRange(0, 4).Draw(w.t, "default") == 0 {
			name = policy.DefaultName
		}
		p := genPolicy(name).Draw(w.t, "policy")
		_, err := w.store.Create(w.ctx, "acme", p, c)
		w.record(w.now.add(modelPolicy{name, documentText(p)}), err)
	case "update":
		name, at := w.some()
		p := genPolicy(name).Draw(w.t, "policy")
		_, err := w.store.Update(w.ctx, "acme", name, c, func(own *policy.Policy) error {
			*own = *p
			return nil
		})
		w.record(w.now.replace(at, documentText(p)), err)
	case "disable":
		name, at := w.some()
		if name == policy.DefaultName {
			return
		}
		p, err := w.store.SetEnabled(w.ctx, "acme", name, false, c)
		if err != nil {
			w.t.Fatal(err)
		}
		w.record(w.now.replace(at, documentText(p)), nil)
	case "delete":
		name, at := w.some()
		w.record(w.now.without(at), w.store.Delete(w.ctx, "acme", name, c))
	case "move":
		name, at := w.some()
		to := rapid.IntRange(0, len(w.now)).Draw(w.t, "to")
		_, err := w.store.Move(w.ctx, "acme", name, to, c)
		if name == policy.DefaultName {
			if err == nil {
				w.t.Fatal("the default policy moved")
			}
			return
		}
		w.record(w.now.move(at, to), err)
	case "publish", "rebase":
		w.publish(op == "rebase")
	case "rollback":
		if len(w.order) == 0 {
			return
		}
		to := rapid.SampledFrom(w.order).Draw(w.t, "revision")
		_, err := w.store.Rollback(w.ctx, "acme", to, policystore.ListChange{Author: "ada"})
		w.record(w.past[to], err)
	case "import":
		w.imports()
	}
}

// shuffled draws a list of the policies there are and new ones, in any order.
func (w *world) shuffled() []*policy.Policy {
	live, _ := w.store.List("acme")
	var out []*policy.Policy
	for _, p := range live {
		switch rapid.IntRange(0, 3).Draw(w.t, "keep") {
		case 0:
		case 1:
			out = append(out, genPolicy(p.Name).Draw(w.t, "changed"))
		default:
			out = append(out, p)
		}
	}
	for range rapid.IntRange(0, 2).Draw(w.t, "new") {
		w.n++
		out = append(out, genPolicy(fmt.Sprintf("p%d", w.n)).Draw(w.t, "policy"))
	}
	return rapid.Permutation(out).Draw(w.t, "order")
}

func defaultLast(m model) model {
	if at := m.find(policy.DefaultName); at >= 0 {
		return append(m.without(at), m[at])
	}
	return m
}

func (w *world) publish(rebase bool) {
	target := w.shuffled()
	d := &policystore.Draft{ID: "next", Documents: []json.RawMessage{}}
	for _, p := range target {
		d.Documents = append(d.Documents, json.RawMessage(documentText(p)))
	}
	if _, err := w.store.CreateDraft(w.ctx, "acme", d, policystore.Change{}); err != nil {
		w.t.Fatal(err)
	}
	want := defaultLast(modelOf(target))
	if rebase {
		// Somebody adds a policy meanwhile; it stands where it was put.
		w.n++
		other := genPolicy(fmt.Sprintf("p%d", w.n)).Draw(w.t, "other")
		_, err := w.store.Create(w.ctx, "acme", other, policystore.Change{})
		w.record(w.now.add(modelPolicy{other.Name, documentText(other)}), err)
		if _, err := w.store.PublishDraft(w.ctx, "acme", "next", policystore.Publish{}); err == nil {
			w.t.Fatal("a draft of an older list was published")
		}
		out, err := w.store.PublishDraft(w.ctx, "acme", "next", policystore.Publish{Rebase: true})
		if err != nil {
			w.t.Fatal(err)
		}
		got := modelOf(out.Policies)
		at := got.find(other.Name)
		if at < 0 || !slices.Equal(got.without(at), want) || got[at].document != documentText(other) {
			w.t.Fatalf("rebased to %v, want %v and %s", got, want, other.Name)
		}
		want = got
	} else if _, err := w.store.PublishDraft(w.ctx, "acme", "next", policystore.Publish{}); err != nil {
		w.t.Fatal(err)
	}
	w.record(want, nil)
	if _, err := w.store.Draft("acme", "next"); err == nil {
		w.t.Fatal("a published draft is still there")
	}
}

func (w *world) imports() {
	brought := w.shuffled()
	in := policystore.Import{Policies: brought, Replace: rapid.Bool().Draw(w.t, "replace")}
	out, err := w.store.Import(w.ctx, "acme", in, policystore.ListChange{Author: "ada"})
	want := defaultLast(modelOf(brought))
	if !in.Replace {
		want = w.now
		for _, p := range modelOf(brought) {
			if at := want.find(p.name); at >= 0 {
				want = want.replace(at, p.document)
			} else {
				want = want.add(p)
			}
		}
	}
	w.record(want, err)
	if got := modelOf(out.Policies); !slices.Equal(got, want) {
		w.t.Fatalf("the import says %v, want %v", got, want)
	}
}

// TestListsAreWhatAPlainModelSays: any sequence of changes leaves the list that a
// plain model has; every list that ever was can be had again, here and on a store
// that reads the log later; and the differences between any two, applied to one,
// give the other.
func TestListsAreWhatAPlainModelSays(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		log := &configlog.Memory{}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		defer running.Wait()
		defer stop()
		w := &world{t: rt, ctx: ctx, store: runStore(ctx, &running, log), past: map[int64]model{}}
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			w.step()
		}
		late := runStore(ctx, &running, log)
		for _, s := range []*policystore.Store{w.store, late} {
			w.holds(s)
		}
		if len(w.order) > 0 {
			from, to := rapid.SampledFrom(w.order).Draw(rt, "from"), rapid.SampledFrom(w.order).Draw(rt, "to")
			w.differs(from, to)
		}
	})
}

// runStore starts a store that ends with ctx.
func runStore(ctx context.Context, running *sync.WaitGroup, log configlog.Log) *policystore.Store {
	folded := configlog.New(log)
	running.Go(func() { _ = folded.Run(ctx) })
	<-folded.Ready()
	return policystore.New(folded)
}

// holds compares every former list, and the list of revisions.
func (w *world) holds(s *policystore.Store) {
	for _, revision := range w.order {
		_, list, err := s.At("acme", revision)
		if got := modelOf(list); err != nil || !slices.Equal(got, w.past[revision]) {
			w.t.Fatalf("at %d the list was %v (%v), want %v", revision, got, err, w.past[revision])
		}
	}
	revisions, more, err := s.Revisions("acme", "", 0, 1000)
	if err != nil || more || len(revisions) != len(w.order) {
		w.t.Fatalf("%d revisions, want %d (%v)", len(revisions), len(w.order), err)
	}
	before := model{}
	for i, number := range w.order {
		r := revisions[len(revisions)-1-i]
		after := apply(w.t, before, r.Changes)
		if r.Number != number || !slices.Equal(after, w.past[number]) {
			w.t.Fatalf("revision %d made %v, want %d and %v", r.Number, after, number, w.past[number])
		}
		before = after
	}
}

func (w *world) differs(from, to int64) {
	changes, err := w.store.Diff("acme", strconv.FormatInt(from, 10), strconv.FormatInt(to, 10))
	if err != nil {
		w.t.Fatal(err)
	}
	if got := apply(w.t, w.past[from], changes); !slices.Equal(got, w.past[to]) {
		w.t.Fatalf("applied to %v the differences give %v, want %v: %+v", w.past[from], got, w.past[to], changes)
	}
	if from == to && len(changes) > 0 {
		w.t.Fatalf("a list differs from itself by %+v", changes)
	}
}

// apply makes the differences to a list.
func apply(t *rapid.T, list model, changes []policystore.Difference) model {
	placed := map[int]modelPolicy{}
	gone := map[string]bool{}
	rest := slices.Clone(list)
	size := len(list)
	for _, d := range changes {
		position := -1
		for _, f := range d.Fields {
			if f.Path == "position" && f.After != nil {
				position, _ = strconv.Atoi(string(f.After))
			}
		}
		at := list.find(d.Policy)
		document := fmt.Sprintf(`{"name":%q}`, d.Policy)
		if at >= 0 {
			document = list[at].document
		}
		switch d.Kind {
		case policystore.Removed:
			gone[d.Policy] = true
			size--
			continue
		case policystore.Added:
			size++
		case policystore.Changed, policystore.Moved:
		}
		own := modelPolicy{d.Policy, patch(t, document, d.Fields)}
		if position >= 0 {
			gone[d.Policy] = true
			placed[position] = own
		} else {
			rest[at] = own
		}
	}
	rest = slices.DeleteFunc(rest, func(p modelPolicy) bool { return gone[p.name] })
	out := model{}
	for i := range size {
		if p, ok := placed[i]; ok {
			out = append(out, p)
			continue
		}
		if len(rest) == 0 {
			t.Fatalf("the differences leave place %d empty: %+v", i, changes)
		}
		out, rest = append(out, rest[0]), rest[1:]
	}
	return out
}

// patch sets and takes away the fields of a document and gives it its canonical
// form again.
func patch(t *rapid.T, document string, fields []policystore.FieldDiff) string {
	var tree any
	if err := json.Unmarshal([]byte(document), &tree); err != nil {
		t.Fatal(err)
	}
	for _, f := range fields {
		if f.Path != "position" && f.After != nil {
			tree = put(tree, tokens(f.Path), f.After)
		}
	}
	for _, f := range slices.Backward(fields) { // the ends of lists first
		if f.Path != "position" && f.After == nil {
			tree = put(tree, tokens(f.Path), nil)
		}
	}
	text, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.Parse(text)
	if err != nil {
		t.Fatalf("the patched document %s: %v", text, err)
	}
	return documentText(p)
}

// tokens takes a path apart: keys are strings, places ints.
func tokens(path string) []any {
	var out []any
	for path != "" {
		switch {
		case strings.HasPrefix(path, `["`):
			quoted, _ := strconv.QuotedPrefix(path[1:])
			key, _ := strconv.Unquote(quoted)
			out, path = append(out, key), path[len(quoted)+2:]
		case path[0] == '[':
			end := strings.IndexByte(path, ']')
			n, _ := strconv.Atoi(path[1:end])
			out, path = append(out, n), path[end+1:]
		default:
			path = strings.TrimPrefix(path, ".")
			end := strings.IndexAny(path, ".[")
			if end < 0 {
				end = len(path)
			}
			out, path = append(out, path[:end]), path[end:]
		}
	}
	return out
}

func put(tree any, path []any, value json.RawMessage) any {
	if len(path) == 0 {
		var v any
		_ = json.Unmarshal(value, &v)
		return v
	}
	switch key := path[0].(type) {
	case int:
		list, _ := tree.([]any)
		switch {
		case value == nil && len(path) == 1:
			return slices.Delete(list, key, key+1)
		case key == len(list):
			return append(list, put(nil, path[1:], value))
		}
		list[key] = put(list[key], path[1:], value)
		return list
	case string:
		object, _ := tree.(map[string]any)
		if value == nil && len(path) == 1 {
			delete(object, key)
			return object
		}
		object[key] = put(object[key], path[1:], value)
		return object
	}
	return nil
}
