package contextstore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/usherhq/usher/internal/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// FuzzValue takes any JSON: what is written is what is read, and its length in
// characters is that of the JSON text.
func FuzzValue(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":null,"b":[true,false,[]],"é":{"":"\u2028<&>"}}`, `{"n":-1.5e300,"m":-0,"z":5e-324,"i":12345678901234567890}`,
		`{"s":"\u0000\u001f\"\\\n\ud83d\ude00"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var want map[string]any
		if json.Unmarshal(text, &want) != nil || want == nil {
			return
		}
		r := &record{version: 3, expires: 9, created: 1, updated: 2, ttl: 5, properties: want}
		b, err := r.encode()
		if err != nil {
			return // nested too deep
		}
		got, err := decode(string(b), 8)
		if err != nil || !reflect.DeepEqual(r, got) {
			t.Fatalf("wrote %v, read %v, %v", r, got, err)
		}
		if gone, err := decode(string(b), 9); gone != nil || err != nil {
			t.Fatalf("it has not expired: %v, %v", gone, err)
		}
		var plain bytes.Buffer
		e := json.NewEncoder(&plain)
		e.SetEscapeHTML(false)
		if err := e.Encode(want); err != nil {
			t.Fatal(err)
		}
		exact := utf8.RuneCount(plain.Bytes()) - 1
		if n, err := characters(want, len(b), 1); err != nil || n != exact {
			t.Fatalf("%d characters, want %d, %v", n, exact, err)
		}
		if exact > 6*len(b) {
			t.Fatalf("%d bytes are %d characters: the estimate is too low", len(b), exact)
		}
	})
}

// FuzzRecord reads any bytes without breaking, and what it reads writes back.
func FuzzRecord(f *testing.F) {
	good, err := (&record{version: 1, expires: never, properties: map[string]any{"a": []any{1.0, nil, "x"}}}).encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:HeaderSize+3])
	f.Add(append(slices.Clone(good[:HeaderSize+4]), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decode(string(data), 0)
		if err != nil || r == nil {
			return
		}
		again, err := r.encode()
		if err != nil {
			return // numbers that JSON lacks
		}
		if back, err := decode(string(again), 0); err != nil || back == nil {
			t.Fatalf("%x became %x, which cannot be read: %v", data, again, err)
		}
	})
}

func TestDamagedRecord(t *testing.T) {
	good, err := (&record{version: 1, expires: never, properties: map[string]any{"a": "text"}}).encode()
	if err != nil {
		t.Fatal(err)
	}
	for cut := 1; cut < len(good); cut++ {
		if _, err := decode(string(good[:cut]), 0); !errors.Is(err, errRecord) {
			t.Errorf("the first %d of %d bytes are read: %v", cut, len(good), err)
		}
	}
	if _, err := decode(string(good)+"x", 0); !errors.Is(err, errRecord) {
		t.Errorf("a byte too many is read: %v", err)
	}
}

func TestWhatIsNoJSON(t *testing.T) {
	deep := any(1.0)
	for range maxDepth + 1 {
		deep = []any{deep}
	}
	for name, value := range map[string]any{
		"infinite": math.Inf(1), "no number": math.NaN(), "type": struct{}{}, "text": "\xff", "name": map[string]any{"\xff": 1},
		"deep": deep, "range": json.Number("1e999"), "inside": []any{map[string]any{"a": make(chan int)}},
	} {
		if _, err := appendValue(nil, value, 0); err == nil {
			t.Errorf("%s: was encoded", name)
		}
	}
	for _, n := range []any{7, int64(7), json.Number("7"), 7.0} {
		b, err := appendValue(nil, n, 0)
		if err != nil {
			t.Fatal(err)
		}
		if r := (&reader{rest: string(b)}); r.value(0) != 7.0 {
			t.Errorf("%T became something else", n)
		}
	}
}

func TestSessionsNeverCollide(t *testing.T) {
	ids := []string{"", "1", Global, "consumer:1", "customer:1", "visitor:1", "conversation:1", "conversation:consumer:1", "consumer:consumer:1"}
	seen := map[string]string{}
	for _, id := range ids {
		for scope, session := range map[string]string{
			"conversation": Conversation(id), "consumer": Consumer(id), "customer": Customer(id), "visitor": Visitor(id), "global": Global,
		} {
			owner := scope + " " + id
			if scope == "global" {
				owner = scope
			}
			if other, taken := seen[session]; taken && other != owner {
				t.Errorf("%s and %s share the session %q", owner, other, session)
			}
			seen[session] = owner
		}
	}
	for _, c := range []struct{ session, conversation, consumer, want string }{
		{"", "", "", "__default__"},
		{"s", "c", "k", "s consumer:k __default__"},
		{"", "c", "k", "c consumer:k __default__"},
		{"", "consumer:k", "", "conversation:consumer:k __default__"},
	} {
		if got := strings.Join(Sessions(c.session, c.conversation, c.consumer), " "); got != c.want {
			t.Errorf("sessions of %+v are %q", c, got)
		}
	}
}

func TestLookup(t *testing.T) {
	d := Document{Properties: map[string]any{
		"a": map[string]any{"b": 1.0, "c.d": 2.0}, "a.b": 3.0, "x.y": map[string]any{"z": map[string]any{"q": 4.0}}, "n": nil, "s": "text",
	}}
	for path, want := range map[string]any{
		"a.b": 3.0, "a.c.d": 2.0, "x.y.z.q": 4.0, "n": nil, "s": "text",
		"a.x": "absent", "s.t": "absent", "x": "absent", "": "absent", ".": "absent", "a.": "absent",
	} {
		got, ok := d.Lookup(path)
		if !ok {
			got = "absent"
		}
		if got != want {
			t.Errorf("%q finds %v, want %v", path, got, want)
		}
	}
}

// Nothing of what documents and changes hold may reach a log.
func TestLogsHoldNoValues(t *testing.T) {
	var text, lines bytes.Buffer
	d := &Document{Key: Key{"n", "consumer:secret"}, Properties: map[string]any{"iban": "secret"}, PII: []string{"iban"}}
	c := &Change{Key: d.Key, Set: d.Properties, Remove: []string{"x"}}
	for _, h := range []slog.Handler{slog.NewTextHandler(&text, nil), slog.NewJSONHandler(&lines, nil)} {
		slog.New(h).Info("test", "document", d, "change", c)
	}
	fmt.Fprintf(&text, "%v %+v %s %v %+v", d, d, d, c, c)
	if said := text.String() + lines.String(); strings.Contains(said, "secret") || !strings.Contains(said, "properties=2") {
		t.Errorf("printed: %s", said)
	}
}

// memory is the least that an engine can be.
type memory struct {
	mu      sync.Mutex
	records map[Key]string
	commits int
	sweeps  int
	// fail, unless nil, says what becomes of the n-th commit.
	fail func(n int, apply func()) error
}

func (m *memory) Read(_ context.Context, _ string, keys []Key) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]string, len(keys))
	for i, k := range keys {
		out[i] = m.records[k]
	}
	return out, nil
}

func (m *memory) Commit(_ context.Context, _ string, mutations []Mutation) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.commits++
	for i := range mutations {
		if RecordVersion(m.records[mutations[i].Key]) != mutations[i].Expect {
			return ErrConflict
		}
	}
	apply := func() {
		for i := range mutations {
			switch mutations[i].Op {
			case Put:
				m.records[mutations[i].Key] = string(mutations[i].Record)
			case Remove:
				delete(m.records, mutations[i].Key)
			case Verify:
			}
		}
	}
	if m.fail != nil {
		return m.fail(m.commits, apply)
	}
	apply()
	return nil
}

func (m *memory) Scan(context.Context, string, string, string, int) ([]Entry, error) { return nil, nil }

func (m *memory) Drop(context.Context, string, string) error { return nil }

func (m *memory) Sweep(context.Context, int64, int) (int, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sweeps++
	if m.sweeps == 1 {
		return 0, false, errors.New("away")
	}
	return 2, m.sweeps == 2, nil
}

func store(t *testing.T, m *memory, metrics *Metrics) *Store {
	t.Helper()
	cfg := DefaultConfig()
	cfg.SweepEvery = time.Millisecond
	m.records = map[Key]string{}
	s, err := New(cfg, Deps{Engine: m, Now: time.Now, Log: slog.New(slog.DiscardHandler), Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A commit whose answer gets lost is found to have happened.
func TestLostAnswer(t *testing.T) {
	m := &memory{fail: func(n int, apply func()) error {
		apply()
		if n == 1 {
			return ErrConflict // what a retry by the client library would meet
		}
		return nil
	}}
	s := store(t, m, nil)
	docs, err := s.Write(t.Context(), "a", Change{Key: Key{"n", "s"}, Set: map[string]any{"i": 1}, Etag: "0"})
	if err != nil || len(docs) != 1 || m.commits != 1 {
		t.Fatalf("wrote %v, %v in %d commits", docs, err, m.commits)
	}
	if got, err := s.Get(t.Context(), "a", docs[0].Key); err != nil || cmp.Diff(docs[0], got) != "" {
		t.Errorf("read %v, %v", got, err)
	}
}

// counted adds up the counters of a name whose label, if any, is the given one.
func counted(t *testing.T, registry *prometheus.Registry, name, call string) (sum float64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (call == "" || m.GetLabel()[0].GetValue() == call) {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

func TestContention(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := &memory{fail: func(int, func()) error { return ErrConflict }}
	s := store(t, m, NewMetrics(registry))
	if _, err := s.Write(t.Context(), "a", Change{Key: Key{"n", "s"}}); fault.KindOf(err) != fault.Unavailable || m.commits != maxAttempts {
		t.Errorf("%v after %d attempts", err, m.commits)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Write(ctx, "a", Change{Key: Key{"n", "s"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled write answers %v", err)
	}
	s.ActionFailed()
	if n := counted(t, registry, "usher_context_failures_total", "write"); n != 1 {
		t.Errorf("%v failures are counted, want 1: the caller's own are none", n)
	}
	if n := counted(t, registry, "usher_context_failures_total", "action"); n != 1 {
		t.Errorf("%v failed actions are counted", n)
	}
}

// restless is an engine whose documents somebody changes before each read.
type restless struct {
	Engine
	change func()
	reads  int
}

func (r *restless) Read(ctx context.Context, account string, keys []Key) ([]string, error) {
	r.reads++
	r.change()
	return r.Engine.Read(ctx, account, keys)
}

// TestRemovingEndsUnderContention: it gives up as a write does.
func TestRemovingEndsUnderContention(t *testing.T) {
	m, key := &memory{}, Key{"n", "s"}
	others := store(t, m, nil)
	version := uint64(1000)
	others.deps.Version = func() uint64 { version++; return version }
	engine := &restless{Engine: m, change: func() {
		if _, err := others.Write(t.Context(), "a", Change{Key: key, Set: map[string]any{"i": 1}}); err != nil {
			t.Fatal(err)
		}
	}}
	s, err := New(DefaultConfig(), Deps{Engine: engine, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.RemoveProperties(t.Context(), "a", key, []string{"i"}, ""); fault.KindOf(err) != fault.Unavailable || engine.reads != 2*maxAttempts {
		t.Errorf("%v after %d reads", err, engine.reads)
	}
}

func TestRunSweeps(t *testing.T) {
	m := &memory{}
	registry := prometheus.NewRegistry()
	s := store(t, m, NewMetrics(registry))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	for deadline := time.Now().Add(time.Minute); counted(t, registry, "usher_context_swept_total", "") < 4; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing is swept after the engine was away")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestConfig(t *testing.T) {
	if _, err := New(Config{}, Deps{}); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "sweep_every") {
		t.Errorf("no configuration answers %v", err)
	}
}

func TestExpiry(t *testing.T) {
	day := (24 * time.Hour).Milliseconds()
	for _, c := range []struct{ own, namespace, days int64 }{
		{0, 0, 395}, {1, 0, 1}, {0, 2, 2}, {3, 2, 3}, {1000, 2, 395}, {0, 1000, 395},
	} {
		if got := expiry(7, c.own*day, c.namespace*day); got != 7+c.days*day {
			t.Errorf("own %d days, namespace %d: lives %d days, want %d", c.own, c.namespace, (got-7)/day, c.days)
		}
	}
	if milliseconds(1) != 1 || milliseconds(0) != 0 || milliseconds(time.Second) != 1000 {
		t.Error("times to live are not rounded up")
	}
}

func TestCaptureKnowsAll(t *testing.T) {
	var names []string
	for group, list := range map[string]string{
		customerInfo: "cType cStatus balance customerId socialId imei userName companySize companyBranch accountName role loginStatus lastPaymentDate registrationDate",
		personalInfo: "age gender language company",
	} {
		for name := range strings.FieldsSeq(list) {
			attribute, _, ok := captured(group, strings.ToLower(name))
			if !ok {
				t.Errorf("%s is not known", name)
			}
			names = append(names, attribute)
		}
	}
	if slices.Sort(names); len(slices.Compact(names)) != 18 {
		t.Errorf("%d attributes: %v", len(names), names)
	}
	if _, _, ok := captured(personalInfo, "ctype"); ok {
		t.Error("an attribute of another group is taken")
	}
	in := intake{check: &fault.Check{}, change: &Change{Set: map[string]any{}}}
	in.tree(map[string]any{"visitorinfo": map[string]any{"customerinfo": map[string]any{"ctype": nil}}})
	in.entity("e", map[string]any{"type": "CTMRINFO", "info": map[string]any{"ctype": "vip"}})
	if !maps.Equal(in.change.Set, map[string]any{customerInfo + "ctype": "vip"}) || len(in.change.Remove) != 0 {
		t.Errorf("the later form does not win: %v %v", in.change.Set, in.change.Remove)
	}
}
