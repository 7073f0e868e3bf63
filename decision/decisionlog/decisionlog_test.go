package decisionlog_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/usherhq/usher/decision/decisionlog"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/event"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("USHER_TEST_SPOOL"); dir != "" {
		appendForEver(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// kafka is a log that can be away.
type kafka struct {
	mu    sync.Mutex
	away  bool
	limit int // of a value's length; 0 means none
	got   []event.Message
}

var errAway = errors.New("no broker answers")

func (k *kafka) Publish(_ context.Context, msgs []event.Message) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.away {
		// Half of the batch may arrive all the same.
		k.got = append(k.got, msgs[:len(msgs)/2]...)
		return errAway
	}
	for i := range msgs {
		if k.limit > 0 && len(msgs[i].Value) > k.limit {
			return fault.New(fault.Invalid, "MESSAGE_TOO_LARGE", "a message is larger than the log accepts")
		}
	}
	k.got = append(k.got, msgs...)
	return nil
}

func (k *kafka) set(away bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.away = away
}

// values are those that arrived, in order, repetitions left out.
func (k *kafka) values() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	seen := map[string]bool{}
	var out []string
	for _, m := range k.got {
		if v := string(m.Value); !seen[v] {
			seen[v] = true
			out = append(out, v)
		}
	}
	return out
}

func config(dir string) decisionlog.Config {
	c := decisionlog.DefaultConfig()
	c.Dir, c.SegmentBytes, c.Batch = dir, 4096, 7
	c.Linger, c.RetryFrom, c.RetryTo, c.Drain = 0, time.Millisecond, 5*time.Millisecond, 2*time.Second
	return c
}

func open(t *testing.T, cfg decisionlog.Config, k *kafka) *decisionlog.Log {
	t.Helper()
	l, err := decisionlog.Open(cfg, decisionlog.Deps{Publisher: k, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// run publishes until the returned function is called.
func run(t *testing.T, l *decisionlog.Log) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

func add(t *testing.T, l *decisionlog.Log, from, to int) (want []string) {
	t.Helper()
	for i := from; i < to; i++ {
		v := strconv.Itoa(i) + strings.Repeat(".", i%300)
		if err := l.Append(event.Message{Topic: event.TopicDecisions, Key: []byte("k"), Value: []byte(v)}); err != nil {
			t.Fatal(err)
		}
		want = append(want, v)
	}
	return want
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not so in time: %s", what)
		}
	}
}

func TestEverythingArrivesInOrderHoweverOftenTheLogIsAway(t *testing.T) {
	dir, k := t.TempDir(), &kafka{away: true}
	l := open(t, config(dir), k)
	stop := run(t, l)
	defer stop()
	want := add(t, l, 0, 300)
	eventually(t, "publication is tried again", func() bool { return l.Stats().Failures >= 3 })
	k.set(false)
	want = append(want, add(t, l, 300, 400)...)
	eventually(t, "all is published", func() bool { return l.Stats().Backlog == 0 })
	if got := k.values(); !slices.Equal(got, want) {
		t.Errorf("%d values arrived, want %d in order", len(got), len(want))
	}
	segments, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(segments) != 3 { // lock, cursor, active segment
		t.Errorf("%d files are left, want the published segments removed", len(segments))
	}
	if s := l.Stats(); s.Published != 400 || s.Recorded != 400 || s.NotRecorded != 0 || s.Bytes > 4096 {
		t.Errorf("stats = %+v", s)
	}
}

func TestWhatTheLogNeverTakesIsSetAside(t *testing.T) {
	dir, k := t.TempDir(), &kafka{limit: 200}
	l := open(t, config(dir), k)
	stop := run(t, l)
	defer stop()
	var small, large []string
	for _, v := range add(t, l, 0, 300) {
		if len(v) > k.limit {
			large = append(large, v)
		} else {
			small = append(small, v)
		}
	}
	eventually(t, "nothing waits", func() bool { return l.Stats().Backlog == 0 })
	if got := k.values(); !slices.Equal(got, small) {
		t.Errorf("%d values arrived, want %d in order", len(got), len(small))
	}
	kept, err := os.ReadFile(filepath.Join(dir, "refused.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var aside []string
	for line := range strings.Lines(string(kept)) {
		var m struct {
			Topic string
			Value []byte
		}
		if err := json.Unmarshal([]byte(line), &m); err != nil || m.Topic != event.TopicDecisions {
			t.Fatalf("line %q: %v", line, err)
		}
		aside = append(aside, string(m.Value))
	}
	if !slices.Equal(aside, large) || l.Stats().Refused != uint64(len(large)) {
		t.Errorf("%d are set aside, %d counted, want %d", len(aside), l.Stats().Refused, len(large))
	}
}

func TestBacklogIsPublishedAfterARestartWithoutRepeatingAll(t *testing.T) {
	dir, k := t.TempDir(), &kafka{}
	l := open(t, config(dir), k)
	stop := run(t, l)
	want := add(t, l, 0, 100)
	eventually(t, "the first part is published", func() bool { return l.Stats().Backlog == 0 })
	k.set(true)
	want = append(want, add(t, l, 100, 200)...)
	cfg := config(dir)
	stop() // the drain time passes in vain, with the log away
	k.set(false)
	before := len(k.got)

	l = open(t, cfg, k)
	if s := l.Stats(); s.Backlog < 100 || s.Backlog > 107 {
		t.Errorf("backlog found = %d, want the 100 that are left", s.Backlog)
	}
	stop = run(t, l)
	defer stop()
	eventually(t, "the rest is published", func() bool { return l.Stats().Backlog == 0 })
	if got := k.values(); !slices.Equal(got, want) {
		t.Errorf("%d values arrived, want %d in order", len(got), len(want))
	}
	if again := len(k.got) - before; again > 107 {
		t.Errorf("%d messages were published after the restart, want about 100", again)
	}
}

func TestStopDrainsWhatWasAppended(t *testing.T) {
	dir, k := t.TempDir(), &kafka{}
	cfg := config(dir)
	cfg.Linger = time.Hour // nothing leaves before the stop
	l := open(t, cfg, k)
	stop := run(t, l)
	want := add(t, l, 0, 50)
	stop()
	if got := k.values(); !slices.Equal(got, want) {
		t.Errorf("%d values arrived, want %d", len(got), len(want))
	}
	if err := l.Append(event.Message{Value: []byte("late")}); !errors.Is(err, decisionlog.ErrClosed) {
		t.Errorf("Append after the stop = %v", err)
	}
}

func TestFullSpoolRefusesAndCounts(t *testing.T) {
	cfg := config(t.TempDir())
	cfg.MaxBytes = 10_000
	k := &kafka{away: true}
	reg := prometheus.NewRegistry()
	l, err := decisionlog.Open(cfg, decisionlog.Deps{Publisher: k, Log: slog.New(slog.DiscardHandler), Metrics: reg})
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for i := range 100 {
		err := l.Append(event.Message{Topic: event.TopicDecisions, Value: []byte(strconv.Itoa(i) + strings.Repeat("x", 200))})
		if errors.Is(err, decisionlog.ErrFull) {
			refused++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if refused == 0 || l.Stats().NotRecorded != uint64(refused) || l.Stats().Bytes > cfg.MaxBytes {
		t.Errorf("%d refused, stats %+v", refused, l.Stats())
	}
	shown := -1.0
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "usher_decisions_not_recorded_total" {
			shown = f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	if shown != float64(refused) {
		t.Errorf("usher_decisions_not_recorded_total = %v, want %d", shown, refused)
	}
	k.set(false)
	stop := run(t, l)
	eventually(t, "the accepted ones are published", func() bool { return l.Stats().Backlog == 0 })
	if got := len(k.values()); got != 100-refused {
		t.Errorf("%d arrived, want %d", got, 100-refused)
	}
	if err := l.Append(event.Message{Topic: event.TopicDecisions, Value: []byte("room again")}); err != nil {
		t.Errorf("Append with room again = %v", err)
	}
	stop()
}

func TestManyWritersShareTheSpool(t *testing.T) {
	k := &kafka{}
	l := open(t, config(t.TempDir()), k)
	stop := run(t, l)
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			for i := range 200 {
				if err := l.Append(event.Message{Key: []byte{byte(w)}, Value: fmt.Appendf(nil, "%d %d", w, i)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	stop()
	next := map[byte]int{}
	for _, m := range k.got {
		if want := fmt.Sprintf("%d %d", m.Key[0], next[m.Key[0]]); string(m.Value) != want {
			t.Fatalf("writer %d: got %q, want %q", m.Key[0], m.Value, want)
		}
		next[m.Key[0]]++
	}
	if len(k.got) != 1600 {
		t.Errorf("%d arrived, want 1600", len(k.got))
	}
}

func TestRecordsAreAtHandAndPublished(t *testing.T) {
	k := &kafka{}
	l := open(t, config(t.TempDir()), k)
	stop := run(t, l)
	d := &event.Decision{ID: "0199", Account: "a", Time: time.Unix(1, 0).UTC(), Mode: "ON", DecidedBy: event.DecidedByModel, ConversationID: "c"}
	if err := l.Record(d); err != nil {
		t.Fatal(err)
	}
	o := &event.Outcome{ID: "o", Source: "s", Account: "a", ConversationID: "c", Kind: "resolved", Value: 1, Time: time.Unix(2, 0).UTC()}
	if err := l.Report(o, o); err != nil {
		t.Fatal(err)
	}
	if got, ok := l.Recent("a", "0199"); !ok || got != d {
		t.Errorf("Recent = %v, %v", got, ok)
	}
	if _, ok := l.Recent("b", "0199"); ok {
		t.Error("another account reads the decision")
	}
	stop()
	if len(k.got) != 3 || k.got[0].Topic != event.TopicDecisions || k.got[1].Topic != event.TopicOutcomes {
		t.Fatalf("published %v", k.got)
	}
	back, err := event.DecodeDecision(&k.got[0])
	if err != nil || back.ID != d.ID {
		t.Errorf("the record reads back as %v, %v", back, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	cfg := config(t.TempDir())
	l := open(t, cfg, &kafka{})
	if _, err := decisionlog.Open(cfg, decisionlog.Deps{}); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a second Open = %v", err)
	}
	large := event.Message{Topic: event.TopicDecisions, Value: make([]byte, cfg.MaxRecord+1)}
	err := l.Append(event.Message{}, large)
	if e, ok := errors.AsType[*fault.Error](err); !ok || e.Kind != fault.Invalid || e.Reason != decisionlog.TooLarge || e.Metadata["index"] != "1" {
		t.Errorf("a record over the limit = %v", err)
	}
	if s := l.Stats(); s.NotRecorded != 0 {
		t.Errorf("a sender's fault is counted as not recorded: %+v", s)
	}
	if err := errors.Join(l.Close(), l.Close()); err != nil {
		t.Error(err)
	}
	if err := (decisionlog.Config{}).Validate(); err == nil || !strings.Contains(err.Error(), "dir") || !strings.Contains(err.Error(), "retry") {
		t.Errorf("Validate of nothing = %v", err)
	}
}

// appendForEver is the child of TestKillLosesNothing: it appends and says on
// standard output what was acknowledged, until it is killed.
func appendForEver(dir string) {
	cfg := config(dir)
	k := &kafka{away: rand.IntN(2) == 0}
	l, err := decisionlog.Open(cfg, decisionlog.Deps{Publisher: k, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println("error", err)
		return
	}
	first, _ := strconv.Atoi(os.Getenv("USHER_TEST_FIRST"))
	for i := first; ; i++ {
		v := strconv.Itoa(i)
		if err := l.Append(event.Message{Topic: "t", Value: []byte(v + strings.Repeat("x", i%500))}); err != nil {
			fmt.Println("error", err)
			return
		}
		fmt.Println(v)
	}
}

func TestKillLosesNothing(t *testing.T) {
	dir := t.TempDir()
	acknowledged := 0
	for round := range 20 {
		acknowledged = killedChild(t, dir, acknowledged)
		if round%5 != 4 {
			continue
		}
		// Every few rounds the spool is published; what is missing shows.
		k := &kafka{}
		l := open(t, config(dir), k)
		stop := run(t, l)
		eventually(t, "all is published", func() bool { return l.Stats().Backlog == 0 })
		stop()
		seen := map[int]bool{}
		for _, v := range k.values() {
			n, err := strconv.Atoi(strings.TrimRight(v, "x"))
			if err != nil || len(v) != len(strconv.Itoa(n))+n%500 {
				t.Fatalf("%q arrived, which nobody appended", v)
			}
			seen[n] = true
		}
		missing := 0
		for n := lastPublished(t, dir); n < acknowledged; n++ {
			if !seen[n] {
				missing++
			}
		}
		if missing > 0 {
			t.Fatalf("round %d: %d of %d acknowledged messages are lost", round, missing, acknowledged)
		}
		keepPublished(t, dir, acknowledged)
	}
	if acknowledged < 100 {
		t.Errorf("only %d messages were acknowledged: the test shows nothing", acknowledged)
	}
}

// killedChild lets a child append from first on, kills it at a random point, and
// returns one past the last number it was told to be on disk.
func killedChild(t *testing.T, dir string, first int) (next int) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), "USHER_TEST_SPOOL="+dir, "USHER_TEST_FIRST="+strconv.Itoa(first))
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(time.Duration(5+rand.IntN(60))*time.Millisecond, func() { _ = child.Process.Kill() })
	next = first
	for lines := bufio.NewScanner(out); lines.Scan(); {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatalf("child: %s", lines.Text())
		}
		next = n + 1
	}
	_ = child.Wait()
	return next
}

func lastPublished(t *testing.T, dir string) int {
	t.Helper()
	text, err := os.ReadFile(dir + "/published")
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	n, err2 := strconv.Atoi(string(text))
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	return n
}

func keepPublished(t *testing.T, dir string, n int) {
	t.Helper()
	if err := os.WriteFile(dir+"/published", []byte(strconv.Itoa(n)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkAppend(b *testing.B) {
	cfg := decisionlog.DefaultConfig()
	cfg.Dir = b.TempDir()
	l, err := decisionlog.Open(cfg, decisionlog.Deps{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	m := event.Message{Topic: event.TopicDecisions, Key: []byte("conversation"), Value: make([]byte, 2000)}
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Append(m); err != nil {
			b.Fatal(err)
		}
	}
}
