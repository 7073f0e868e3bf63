package app

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/usherhq/usher/analytics"
	"github.com/usherhq/usher/decision/contextstore"
	"github.com/usherhq/usher/decision/contextstore/pebble"
	"github.com/usherhq/usher/decision/control"
	"github.com/usherhq/usher/decision/decisionlog"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/configlog"
)

// gone tells that every person is erased whose hash, here the id itself, is asked for.
type gone struct {
	asked func(person string) error // nil: nothing happens
	looks []string
}

func (g *gone) HashID(_ context.Context, id string) (string, error) { return id, nil }

func (g *gone) ErasedIDs(_ context.Context, _, person string) (analytics.ErasedIDs, error) {
	g.looks = append(g.looks, person)
	if g.asked != nil {
		if err := g.asked(person); err != nil {
			return nil, err
		}
	}
	return analytics.ErasedIDs{analytics.ErasedPerson: {person: true}}, nil
}

// book is a control state of its own that a test writes erasures to.
type book struct {
	t       *testing.T
	store   *configlog.Store
	control *control.Control
}

func newBook(t *testing.T) *book {
	t.Helper()
	store := configlog.New(&configlog.Memory{})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var done sync.WaitGroup
	done.Go(func() { _ = store.Run(ctx) }) // it returns nil always
	t.Cleanup(func() { cancel(); done.Wait() })
	<-store.Ready()
	b := &book{t: t, store: store, control: control.New(store)}
	if err := b.control.Bootstrap(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *book) request(account, person string, at time.Time) control.Erasure {
	b.t.Helper()
	e, err := b.control.RequestErasure(b.t.Context(), account, person, at, control.Author{Name: "ann"})
	if err != nil {
		b.t.Fatal(err)
	}
	return e
}

func (b *book) rowsGone(account string, e control.Erasure) {
	b.t.Helper()
	e.RowsGone = true
	if _, err := b.control.SaveErasure(b.t.Context(), account, e, control.Author{Name: "trainer"}); err != nil {
		b.t.Error(err)
	}
}

func (b *book) one(account, person string) control.Erasure {
	b.t.Helper()
	all, err := b.control.Erasures(account)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, e := range all {
		if e.Hash == person {
			return e
		}
	}
	b.t.Fatalf("nobody asked for %s", person)
	return control.Erasure{}
}

// local is an eraser with a spool and contexts in a folder.
func (b *book) local(people erasedPeople) *localEraser {
	b.t.Helper()
	dir, quiet := b.t.TempDir(), slog.New(slog.DiscardHandler)
	engine, err := pebble.Open(filepath.Join(dir, "context"), quiet)
	if err != nil {
		b.t.Fatal(err)
	}
	contexts, err := contextstore.New(contextstore.DefaultConfig(), contextstore.Deps{Engine: engine, Now: time.Now, Log: quiet})
	if err != nil {
		b.t.Fatal(err)
	}
	c := decisionlog.DefaultConfig()
	c.Dir = filepath.Join(dir, "spool")
	spool, err := decisionlog.Open(c, decisionlog.Deps{Log: quiet})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		if err := errors.Join(spool.Close(), engine.Close()); err != nil {
			b.t.Error(err)
		}
	})
	return &localEraser{
		store: b.store, control: b.control, people: people, contexts: contexts, spool: spool,
		path: filepath.Join(dir, "erased"), now: time.Now, log: quiet,
	}
}

// remembers writes context of a person.
func remembers(t *testing.T, e *localEraser, person string) {
	t.Helper()
	_, err := e.contexts.Write(t.Context(), "default", contextstore.Change{Key: contextOf(person), Set: map[string]any{"a": 1}})
	if err != nil {
		t.Fatal(err)
	}
}

func contextOf(person string) contextstore.Key {
	return contextstore.Key{Namespace: "crm", Session: contextstore.Consumer(person)}
}

func knows(t *testing.T, e *localEraser, person string) bool {
	t.Helper()
	_, err := e.contexts.Get(t.Context(), "default", contextOf(person))
	if err != nil && fault.KindOf(err) != fault.NotFound {
		t.Fatal(err)
	}
	return err == nil
}

// The rows of a second person go while the first one is being forgotten here: the
// second one's turn comes, although the first one ends later in the config log.
func TestErasuresThatOverlap(t *testing.T) {
	b, people := newBook(t), &gone{}
	e := b.local(people)
	remembers(t, e, "zoe")
	remembers(t, e, "max")
	at := time.Now().Add(time.Minute)
	zoe, late := b.request("default", "zoe", at), b.request("default", "max", at)
	b.rowsGone("default", zoe)
	people.asked = func(person string) error {
		if person == "zoe" {
			b.rowsGone("default", late)
		}
		return nil
	}
	for range 3 {
		if err := e.round(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, person := range []string{"zoe", "max"} {
		if one := b.one("default", person); one.State != control.ErasureDone || one.Contexts != 1 || knows(t, e, person) {
			t.Errorf("the erasure of %s is %+v, known %v", person, one, knows(t, e, person))
		}
	}
	if len(people.looks) != 2 {
		t.Errorf("it looked for %v, want once for each", people.looks)
	}
}

// A person that cannot be forgotten yet holds up nobody of this or another account.
func TestAnErasureThatFailsHoldsUpNoOther(t *testing.T) {
	b, people := newBook(t), &gone{}
	if _, err := b.control.CreateAccount(t.Context(), control.Account{ID: "another"}, control.Author{Name: "ann"}); err != nil {
		t.Fatal(err)
	}
	e := b.local(people)
	at := time.Now()
	for account, person := range map[string]string{"another": "max", "default": "zoe"} {
		b.rowsGone(account, b.request(account, person, at))
	}
	people.asked = func(person string) error {
		if person == "max" {
			return errors.New("the warehouse is away")
		}
		return nil
	}
	if err := e.round(t.Context()); err == nil {
		t.Error("nothing tells of the failure")
	}
	if one := b.one("default", "zoe"); one.State != control.ErasureDone {
		t.Errorf("the other one is %+v", one)
	}
	people.asked = nil
	if err := e.round(t.Context()); err != nil {
		t.Fatal(err)
	}
	if one := b.one("another", "max"); one.State != control.ErasureDone {
		t.Errorf("once the warehouse is back it is %+v", one)
	}
}

// A process without its data folder does every erasure again: who came back since keeps
// their context.
func TestWhoCameBackKeepsTheirContext(t *testing.T) {
	b := newBook(t)
	e := b.local(&gone{})
	remembers(t, e, "old")
	for _, person := range []string{"old", "back"} {
		at := time.Now().Add(time.Minute)
		if person == "back" {
			at = time.Now().Add(-time.Minute)
		}
		b.rowsGone("default", b.request("default", person, at))
	}
	remembers(t, e, "back")
	if err := e.round(t.Context()); err != nil {
		t.Fatal(err)
	}
	if knows(t, e, "old") || !knows(t, e, "back") {
		t.Errorf("old is known %v, back is known %v", knows(t, e, "old"), knows(t, e, "back"))
	}
}
