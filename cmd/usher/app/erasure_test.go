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

// tables are rows of one person in a warehouse that can break at any step.
type tables struct {
	rows    analytics.Erased
	broken  map[string]int // how often a step fails: delete, after, recount
	during  func()         // happens after the first delete
	befores []time.Time
	counted []time.Time
}

func (s *tables) breaks(step string) error {
	if s.broken[step] == 0 {
		return nil
	}
	s.broken[step]--
	return errors.New(step + " is broken")
}

func (s *tables) Erase(_ context.Context, q analytics.Erasure, found func(analytics.Erased) error) (analytics.Erased, error) {
	s.befores = append(s.befores, q.Before)
	if err := found(s.rows); err != nil {
		return analytics.Erased{}, err
	}
	if err := s.breaks("delete"); err != nil {
		return analytics.Erased{}, err
	}
	done := s.rows
	s.rows = analytics.Erased{}
	if s.during != nil {
		s.during()
		s.during = nil
	}
	return done, s.breaks("after")
}

func (s *tables) Recount(_ context.Context, _ string, hours []time.Time) error {
	if err := s.breaks("recount"); err != nil {
		return err
	}
	s.counted = append(s.counted, hours...)
	return nil
}

func (b *book) rowEraser(db personRows, now func() time.Time) *rowEraser {
	return &rowEraser{
		store: b.store, control: b.control, db: db, retrain: time.Hour, now: now, log: slog.New(slog.DiscardHandler),
	}
}

// Wherever it breaks, and even when the rows are gone by then: the roll-ups are counted
// anew, the models are named, and a fit that has read the rows is out of date.
func TestNoStepOfAnErasureIsLost(t *testing.T) {
	hour := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	for _, step := range []string{"", "delete", "after", "recount"} {
		t.Run(step, func(t *testing.T) {
			b := newBook(t)
			at := hour.Add(time.Hour)
			b.request("default", "zoe", at)
			s := &tables{broken: map[string]int{step: 1}, rows: analytics.Erased{
				Decisions: 3, Outcomes: 2, Models: []string{"m1"}, Hours: []time.Time{hour, hour.Add(2 * time.Hour)},
			}}
			fits := directory{store: b.store, control: b.control}
			before, _, going, err := fits.erased("default")
			if err != nil || !going {
				t.Fatalf("before: going %v (%v)", going, err)
			}
			e := b.rowEraser(s, func() time.Time { return at.Add(time.Minute) })
			for range 2 {
				if err := e.round(t.Context(), map[string]int{}); err != nil && step == "" {
					t.Fatal(err)
				}
			}
			one := b.one("default", "zoe")
			if !one.RowsGone || len(one.Models) != 1 || one.RetrainBy.IsZero() || one.Decisions == 0 || len(one.Hours) != 0 {
				t.Errorf("the request is %+v", one)
			}
			if len(s.counted) != 2 || !s.counted[0].Equal(hour) || !s.counted[1].Equal(hour.Add(2*time.Hour)) {
				t.Errorf("counted anew are %v", s.counted)
			}
			if after, _, going, err := fits.erased("default"); err != nil || going || after <= before {
				t.Errorf("the trainer sees %d, then %d, going %v (%v)", before, after, going, err)
			}
		})
	}
}

// Rows that no model is known to have learned from count too: one that is being fitted
// may have read them.
func TestErasuresWithoutModelsMakeFitsStale(t *testing.T) {
	b := newBook(t)
	one := b.request("default", "zoe", time.Now())
	one.Decisions = 4
	b.rowsGone("default", one)
	fits := directory{store: b.store, control: b.control}
	if n, _, _, err := fits.erased("default"); err != nil || n == 0 {
		t.Errorf("the trainer sees %d (%v)", n, err)
	}
}

// Who asks again while rows go has them looked for up to the second time.
func TestAskedAgainWhileRowsGo(t *testing.T) {
	b := newBook(t)
	first := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	second := first.Add(time.Minute)
	b.request("default", "zoe", first)
	s := &tables{rows: analytics.Erased{Decisions: 1, Hours: []time.Time{first}}}
	s.during = func() { b.request("default", "zoe", second) }
	if err := b.rowEraser(s, func() time.Time { return first.Add(time.Hour) }).round(t.Context(), map[string]int{}); err != nil {
		t.Fatal(err)
	}
	if one := b.one("default", "zoe"); !one.RowsGone || !one.Requested.Equal(second) || one.Decisions != 1 {
		t.Errorf("the request is %+v", one)
	}
	if len(s.befores) != 2 || !s.befores[1].Equal(second) {
		t.Errorf("rows were looked for up to %v", s.befores)
	}
}
