package kafka_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/usherhq/usher/pipeline"
	"github.com/usherhq/usher/pipeline/event"
)

// row is one stored outcome.
type row struct {
	Key    string
	N      int
	Offset int64
}

// ledger is a sink that keeps its promises, notes every break of the reader's,
// and fails as real ones do: before storing, after storing, and slowly.
type ledger struct {
	mu     sync.Mutex
	faults bool
	rng    *rand.Rand
	next   map[string]int64
	tokens map[string]bool
	rows   map[string][]row // by partition
	dead   []event.DeadLetter
	broken []string
}

func newLedger(faults bool) *ledger {
	return &ledger{
		faults: faults, rng: rand.New(rand.NewPCG(1, 2)),
		next: map[string]int64{}, tokens: map[string]bool{}, rows: map[string][]row{},
	}
}

func (l *ledger) Next(_ context.Context, topic string, partition int) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.faults && l.rng.IntN(4) == 0 {
		return 0, errors.New("the sink is away")
	}
	if next, ok := l.next[at(topic, partition)]; ok {
		return next, nil
	}
	return -1, nil
}

func (l *ledger) Write(_ context.Context, b *pipeline.Block) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	roll := 100
	if l.faults {
		roll = l.rng.IntN(10)
	}
	if roll == 0 {
		return errors.New("the sink is away")
	}
	l.store(b)
	if roll == 1 {
		return errors.New("the answer of the sink was lost")
	}
	return nil
}

func (l *ledger) store(b *pipeline.Block) {
	p := at(b.Topic, b.Partition)
	token := fmt.Sprintf("%s/%d-%d", p, b.First, b.Last)
	if l.tokens[token] {
		return
	}
	if b.First < l.next[p] {
		l.broken = append(l.broken, fmt.Sprintf("%s stored again: next was %d", token, l.next[p]))
	}
	l.tokens[token] = true
	l.next[p] = b.Last + 1
	for _, o := range b.Outcomes {
		n, err := strconv.Atoi(o.Value.Label)
		if err != nil {
			l.broken = append(l.broken, err.Error())
		}
		l.rows[p] = append(l.rows[p], row{o.Value.ConversationID, n, o.Offset})
	}
	l.dead = append(l.dead, b.Dead...)
}

func at(topic string, partition int) string { return topic + "/" + strconv.Itoa(partition) }

func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.dead)
	for _, rows := range l.rows {
		n += len(rows)
	}
	return n
}

// check compares with what producers were told is written: for each key the
// numbers 0..n-1, each there, in order. A producer that retried may have put a
// number on the log twice, one after the other; it is then there twice, at two
// offsets.
func (l *ledger) check(t *testing.T, written map[string]int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.broken {
		t.Error(b)
	}
	seen := map[string]int{}
	for p, rows := range l.rows {
		if !slices.IsSortedFunc(rows, func(a, b row) int { return int(a.Offset - b.Offset) }) {
			t.Errorf("%s: rows are out of order", p)
		}
		for i, r := range rows {
			if i > 0 && r.Offset == rows[i-1].Offset {
				t.Errorf("%s: offset %d is stored twice", p, r.Offset)
			}
			if r.N > seen[r.Key] {
				t.Errorf("key %s: %d came before %d", r.Key, r.N, seen[r.Key])
			}
			seen[r.Key] = max(seen[r.Key], r.N+1)
		}
	}
	for key, n := range written {
		if seen[key] < n {
			t.Errorf("key %s: %d of %d acknowledged events are stored", key, seen[key], n)
		}
	}
}

// await waits until everything written is stored.
func (l *ledger) await(t *testing.T, n int, limit time.Duration) {
	t.Helper()
	for deadline := time.Now().Add(limit); l.count() < n; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d rows are stored after %s", l.count(), n, limit)
		}
	}
}

// producer writes numbered events for some keys, as the spool does: one call
// after the other, each repeated until it is acknowledged.
type producer struct {
	topic   string
	pub     pipeline.Publisher
	written map[string]int
	retries int
}

func (p *producer) write(ctx context.Context, t *testing.T, keys, rounds int) {
	t.Helper()
	for range rounds {
		msgs := make([]event.Message, keys)
		for k := range keys {
			msgs[k] = p.message(t, fmt.Sprintf("key-%d", k))
		}
		for {
			err := p.pub.Publish(ctx, msgs)
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				t.Fatal(err)
			}
			p.retries++
		}
		for k := range keys {
			p.written[fmt.Sprintf("key-%d", k)]++
		}
	}
}

func (p *producer) message(t *testing.T, key string) event.Message {
	t.Helper()
	n := p.written[key]
	m, err := event.EncodeOutcome(&event.Outcome{
		ID: fmt.Sprintf("%s/%d", key, n), Source: "ledger", Account: "acme", ConversationID: key, Kind: "resolved",
		Value: 1, Label: strconv.Itoa(n), Time: time.Unix(1767225600, 0),
	}, event.Format(n%2))
	must(t, err)
	m.Topic = p.topic
	return m
}

// serve makes the ledger a sink for other processes.
func (l *ledger) serve(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /next/{topic}/{partition}", func(w http.ResponseWriter, r *http.Request) {
		p, err := strconv.Atoi(r.PathValue("partition"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		next, err := l.Next(r.Context(), r.PathValue("topic"), p)
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_ = json.NewEncoder(w).Encode(next)
	})
	mux.HandleFunc("POST /write", func(w http.ResponseWriter, r *http.Request) {
		var b pipeline.Block
		err := json.NewDecoder(r.Body).Decode(&b)
		if err == nil {
			err = l.Write(r.Context(), &b)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}
