package skillstate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	_     decision.SkillSource = (*States)(nil)
	start                      = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
)

// topic is the log of skill reports in memory: what is appended is there for every
// follower, as on the real one.
type topic struct {
	mu       sync.Mutex
	messages []event.Message
	grown    chan struct{}
	refuse   error
}

func newTopic() *topic { return &topic{grown: make(chan struct{})} }

func (l *topic) Append(msgs ...event.Message) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refuse != nil {
		return l.refuse
	}
	l.messages = append(l.messages, msgs...)
	close(l.grown)
	l.grown = make(chan struct{})
	return nil
}

func (l *topic) Follow(ctx context.Context, _ time.Time, caughtUp func(), fn func(event.Message) error) error {
	l.mu.Lock()
	end := len(l.messages)
	l.mu.Unlock()
	for next := 0; ; {
		if next == end {
			caughtUp()
		}
		l.mu.Lock()
		news, grown := l.messages[next:], l.grown
		l.mu.Unlock()
		for _, m := range news {
			if err := fn(m); err != nil {
				return err
			}
			if next++; next == end {
				caughtUp()
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-grown:
		}
	}
}

// clock is a time that tests move.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(start.UnixNano())
	return c
}
func (c *clock) now() time.Time          { return time.Unix(0, c.at.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.at.Add(int64(d)) }

func states(t testing.TB, log *topic, c *clock, change ...func(*Config)) *States {
	t.Helper()
	cfg := DefaultConfig()
	for _, f := range change {
		f(&cfg)
	}
	s, err := New(cfg, Deps{Spool: log, Log: log, Logger: slog.New(slog.DiscardHandler), Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// running follows the log until the test ends, and has read its past.
func running(t *testing.T, s *States) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	<-s.Ready()
}

func report(skill string, queue int, at time.Time) *event.SkillState {
	return &event.SkillState{
		ID: fmt.Sprint(skill, queue, at), Source: "test", Account: "acme", Skill: skill,
		State: event.Skill{AgentsOnline: 1, QueueSize: queue, At: at},
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come to be", what)
		}
	}
}

func queueOf(s *States, skill string) int {
	state, ok := s.Skill("acme", skill)
	if !ok {
		return -1
	}
	return state.QueueSize
}

func TestAReportCountsAtOnceHereAndSoonElsewhere(t *testing.T) {
	log, c := newTopic(), newClock()
	here, there := states(t, log, c), states(t, log, c)
	running(t, there)
	if err := here.Report("acme", []*event.SkillState{report("billing", 7, c.now())}); err != nil {
		t.Fatal(err)
	}
	if got := queueOf(here, "billing"); got != 7 {
		t.Errorf("where it was reported the queue is %d", got)
	}
	eventually(t, "the report in the other process", func() bool { return queueOf(there, "billing") == 7 })
	if _, ok := there.Skill("other", "billing"); ok {
		t.Error("another account sees it")
	}
}

func TestARestartKnowsThePastAndProducersOfTheirOwn(t *testing.T) {
	log, c := newTopic(), newClock()
	if err := states(t, log, c).Report("acme", []*event.SkillState{report("billing", 3, c.now())}); err != nil {
		t.Fatal(err)
	}
	// A producer that knows nothing but the JSON, and one that knows less.
	if err := log.Append(
		event.Message{Value: []byte(`{"id":"1","source":"wfm","account":"acme","skill":"sales","state":{"agents_online":2,"load":0.5,"at":"2026-03-02T08:59:00Z"}}`)},
		event.Message{Value: []byte(`{"skill":"nobody"}`)}, event.Message{Value: []byte(`nonsense`)},
	); err != nil {
		t.Fatal(err)
	}
	s := states(t, log, c)
	running(t, s)
	want := []Named{
		{"billing", event.Skill{AgentsOnline: 1, QueueSize: 3, At: start}},
		{"sales", event.Skill{AgentsOnline: 2, Load: .5, At: start.Add(-time.Minute)}},
	}
	if diff := cmp.Diff(want, s.List("acme")); diff != "" {
		t.Error(diff)
	}
}

func TestStaleStateIsNone(t *testing.T) {
	log, c := newTopic(), newClock()
	s := states(t, log, c)
	if err := s.Report("acme", []*event.SkillState{report("billing", 3, c.now())}); err != nil {
		t.Fatal(err)
	}
	c.advance(10 * time.Minute)
	if queueOf(s, "billing") != 3 {
		t.Error("it is gone before it is stale")
	}
	c.advance(time.Nanosecond)
	if queueOf(s, "billing") != -1 || len(s.List("acme")) != 0 {
		t.Error("stale state counts")
	}
	if at, ok := s.LastReport("acme", "billing"); !ok || !at.Equal(start) {
		t.Errorf("the last report was at %v", at)
	}
}

func TestAClockAheadDoesNotBlockTheOthers(t *testing.T) {
	log, c := newTopic(), newClock()
	s := states(t, log, c)
	for i, at := range []time.Time{c.now().Add(time.Hour), c.now().Add(time.Second)} {
		if err := s.Report("acme", []*event.SkillState{report("billing", i, at)}); err != nil {
			t.Fatal(err)
		}
	}
	if got := queueOf(s, "billing"); got != 1 {
		t.Errorf("the queue is that of report %d", got)
	}
}

func TestWhatTheSpoolRefusesDoesNotCount(t *testing.T) {
	log, c := newTopic(), newClock()
	s := states(t, log, c, func(cfg *Config) { cfg.MaxNames = 2 })
	log.refuse = errors.New("disk full")
	err := s.Report("acme", []*event.SkillState{report("billing", 3, c.now())})
	if fault.KindOf(err) != fault.Unavailable || queueOf(s, "billing") != -1 {
		t.Errorf("got %v", err)
	}
	log.refuse = nil
	err = s.Report("acme", []*event.SkillState{report("a", 1, c.now()), report("b", 1, c.now()), report("c", 1, c.now())})
	if fault.KindOf(err) != fault.Exhausted || len(log.messages) != 0 {
		t.Errorf("got %v and %d messages", err, len(log.messages))
	}
}

// TestTheNewestWins: whatever the order and the batches, each skill shows its
// newest report, as a plain map says.
func TestTheNewestWins(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := newClock()
		s, newest := states(t, newTopic(), c), map[string]event.Skill{}
		for range rapid.IntRange(1, 10).Draw(rt, "batches") {
			var batch []*event.SkillState
			for range rapid.IntRange(0, 6).Draw(rt, "size") {
				r := report(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "skill"), rapid.IntRange(0, 99).Draw(rt, "queue"),
					start.Add(-time.Duration(rapid.IntRange(0, 5).Draw(rt, "age"))*time.Second))
				batch = append(batch, r)
				if known, ok := newest[r.Skill]; !ok || !known.At.After(r.State.At) {
					newest[r.Skill] = r.State
				}
			}
			if err := s.Report("acme", batch); err != nil {
				rt.Fatal(err)
			}
		}
		got := map[string]event.Skill{}
		for _, one := range s.List("acme") {
			got[one.Skill] = one.State
		}
		if diff := cmp.Diff(newest, got); diff != "" {
			rt.Fatal(diff)
		}
	})
}

func TestReadersAndWritersTogether(t *testing.T) {
	log, c := newTopic(), newClock()
	s := states(t, log, c)
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for i := range 300 {
				if err := s.Report("acme", []*event.SkillState{report(fmt.Sprint("s", i%40), i, start), report(fmt.Sprint("w", w, i), i, start)}); err != nil {
					t.Error(err)
				}
			}
		})
		all.Go(func() {
			for i := range 5000 {
				s.Skill("acme", fmt.Sprint("s", i%40))
			}
		})
	}
	all.Wait()
	if got := len(s.List("acme")); got != 40+4*300 {
		t.Errorf("%d names are known", got)
	}
}

func TestReadingAllocatesNothing(t *testing.T) {
	log, c := newTopic(), newClock()
	s := states(t, log, c)
	if err := s.Report("acme", []*event.SkillState{report("billing", 3, c.now())}); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { s.Skill("acme", "billing"); s.Skill("acme", "gone") }); n != 0 {
		t.Errorf("%g allocations", n)
	}
}

func TestALogThatIsAwayKeepsNobodyWaiting(t *testing.T) {
	c := newClock()
	cfg := DefaultConfig()
	cfg.Patience, cfg.Retry = time.Millisecond, time.Millisecond
	away := &awayLog{}
	s, err := New(cfg, Deps{Spool: newTopic(), Log: away, Logger: slog.New(slog.DiscardHandler), Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	running(t, s)
	eventually(t, "another try", func() bool { return away.tries.Load() > 2 })
}

type awayLog struct{ tries atomic.Int64 }

func (a *awayLog) Follow(context.Context, time.Time, func(), func(event.Message) error) error {
	a.tries.Add(1)
	return errors.New("away")
}

func TestConfigReportsEveryFault(t *testing.T) {
	if err := (Config{MaxSkew: -1}).Validate(); err == nil || len(err.Error()) < 100 {
		t.Errorf("got %v", err)
	}
	if _, err := New(DefaultConfig(), Deps{}); err == nil {
		t.Error("made without parts")
	}
}
