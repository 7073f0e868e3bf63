package app

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/usherhq/usher/decision/control"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/pipeline/configlog"
)

// shelf is an artifact source that a test fills and closes.
type shelf struct {
	mu     sync.Mutex
	away   bool
	models map[string][]byte
	asked  int
}

func (s *shelf) Artifact(_ context.Context, account, version string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.away {
		return nil, fault.New(fault.Unavailable, "AWAY", "the warehouse is away")
	}
	return s.models[account+"/"+version], nil
}

func (s *shelf) set(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = away
}

func artifact(t *testing.T, version string) []byte {
	t.Helper()
	l, err := model.New(model.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	return l.Snapshot(version).Encode()
}

// running is the control state of a test and what follows it.
type running struct {
	control  *control.Control
	registry *model.Registry
	follower *champions
}

func follow(t *testing.T, source artifactSource) *running {
	t.Helper()
	store := configlog.New(&configlog.Memory{})
	r := &running{control: control.New(store), registry: &model.Registry{}}
	r.follower = &champions{
		store: store, control: r.control, source: source, registry: r.registry,
		log: slog.New(slog.DiscardHandler), ready: make(chan struct{}),
	}
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { _ = store.Run(ctx) }) // it returns nil always
	t.Cleanup(func() {
		cancel()
		done.Wait()
	})
	<-store.Ready()
	if err := r.control.Bootstrap(t.Context()); err != nil {
		t.Fatal(err)
	}
	done.Go(func() { _ = r.follower.Run(ctx) }) // it returns nil always
	<-r.follower.ready
	return r
}

func (r *running) live() string {
	if m := r.registry.Current("default"); m != nil {
		return m.Version()
	}
	return ""
}

func (r *running) wants(t *testing.T, version string) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for r.live() != version {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("live is %q, want %q", r.live(), version)
		}
	}
}

func TestChampionsFollowTheLog(t *testing.T) {
	s := &shelf{models: map[string][]byte{
		"default/v1": artifact(t, "v1"), "default/v2": artifact(t, "v2"),
		"default/lie": artifact(t, "truth"), "default/torn": artifact(t, "torn")[:20],
	}}
	r := follow(t, s)
	p := promoter{control: r.control, author: "test"}
	r.wants(t, "")
	for _, version := range []string{"v1", "v2"} {
		if err := p.Promote(t.Context(), &model.Card{Account: "default", Version: version}, "better"); err != nil {
			t.Fatal(err)
		}
		r.wants(t, version)
	}
	// A model that is damaged, or another one than it says, never goes live: the
	// one before stays.
	for _, version := range []string{"lie", "torn"} {
		if err := p.Promote(t.Context(), &model.Card{Account: "default", Version: version}, "better"); err != nil {
			t.Fatal(err)
		}
		if err := r.follower.sync(t.Context()); err == nil || r.live() != "v2" {
			t.Errorf("%q was promoted: live is %q, error %v", version, r.live(), err)
		}
	}
	for _, want := range []string{"v2", "v2", "v1", ""} { // from torn to lie first
		if _, err := r.control.Rollback(t.Context(), "default", control.Author{Name: "ann", Reason: "worse"}); err != nil {
			t.Fatal(err)
		}
		r.wants(t, want)
	}
	if held, err := p.Held(t.Context(), "default"); err != nil || !held {
		t.Errorf("after a rollback promotion is held: %v, %v", held, err)
	}
}

// TestTheModelBeforeStaysWarm: going back, and forth, fetches and reads nothing.
func TestTheModelBeforeStaysWarm(t *testing.T) {
	s := &shelf{models: map[string][]byte{"default/v1": artifact(t, "v1"), "default/v2": artifact(t, "v2")}}
	r := follow(t, s)
	p := promoter{control: r.control, author: "test"}
	for _, version := range []string{"v1", "v2"} {
		if err := p.Promote(t.Context(), &model.Card{Account: "default", Version: version}, "better"); err != nil {
			t.Fatal(err)
		}
		r.wants(t, version)
	}
	first := r.registry.Previous("default")
	s.set(true) // the warehouse is away
	s.mu.Lock()
	asked := s.asked
	s.mu.Unlock()
	if _, err := r.control.Rollback(t.Context(), "default", control.Author{Name: "ann", Reason: "worse"}); err != nil {
		t.Fatal(err)
	}
	r.wants(t, "v1")
	if r.registry.Current("default") != first {
		t.Error("the model that is live again is not the one that was kept")
	}
	if err := p.Promote(t.Context(), &model.Card{Account: "default", Version: "v2"}, "after all"); err != nil {
		t.Fatal(err)
	}
	r.wants(t, "v2")
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked != asked {
		t.Errorf("%d models were fetched", s.asked-asked)
	}
}

func TestChampionIsFetchedWhenTheWarehouseIsBack(t *testing.T) {
	s := &shelf{away: true, models: map[string][]byte{"default/v1": artifact(t, "v1")}}
	r := follow(t, s)
	if err := (promoter{control: r.control, author: "test"}).Promote(t.Context(), &model.Card{Account: "default", Version: "v1"}, "first"); err != nil {
		t.Fatal(err)
	}
	if r.live() != "" {
		t.Fatalf("%q is live although the warehouse is away", r.live())
	}
	s.set(false)
	r.wants(t, "v1")
}

// At the start of a process the champion may be out of reach and the one before
// it in the cache: better an old model than none.
func TestTheModelBeforeStandsIn(t *testing.T) {
	s := &shelf{models: map[string][]byte{"default/v1": artifact(t, "v1"), "default/v2": []byte("torn")}}
	r := follow(t, s)
	p := promoter{control: r.control, author: "test"}
	s.set(true) // neither is fetched while both are promoted
	for _, version := range []string{"v1", "v2"} {
		if err := p.Promote(t.Context(), &model.Card{Account: "default", Version: version}, "better"); err != nil {
			t.Fatal(err)
		}
	}
	s.set(false)
	r.wants(t, "v1")
}

func TestArtifactCache(t *testing.T) {
	s := &shelf{models: map[string][]byte{"a/b/../v1": artifact(t, "../v1")}}
	dir := t.TempDir()
	cache := artifactCache{dir: dir, source: s}
	get := func() ([]byte, error) { return cache.Artifact(t.Context(), "a/b", "../v1") }
	for range 2 {
		if data, err := get(); err != nil || string(data) != string(s.models["a/b/../v1"]) {
			t.Fatalf("artifact: %d bytes, %v", len(data), err)
		}
	}
	if s.asked != 1 {
		t.Errorf("the source was asked %d times", s.asked)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("in the folder are %v, %v: names must not lead out of it", files, err)
	}
	if err := os.WriteFile(files[0], []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := get(); err != nil || s.asked != 2 {
		t.Errorf("a damaged file is not fetched again: %v, asked %d times", err, s.asked)
	}
	s.set(true)
	if _, err := get(); err != nil {
		t.Errorf("a cached model needs no warehouse: %v", err)
	}
	if _, err := cache.Artifact(t.Context(), "a", "v9"); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a model that is not cached: %v", err)
	}
	s.set(false)
	if _, err := cache.Artifact(t.Context(), "a", "v9"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a model that does not exist: %v", err)
	}
}
