package kafka

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/usherhq/usher/pipeline/event"
	"github.com/usherhq/usher/pipeline/kafka/embedded"
)

func testClient(t *testing.T) *Client {
	t.Helper()
	b, err := embedded.Open(t.Context(), embedded.Config{Dir: t.TempDir(), Addr: "127.0.0.1:0"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.Brokers, cfg.StallAfter, cfg.LagInterval = []string{b.Addr()}, 50*time.Millisecond, 10*time.Millisecond
	c, err := NewClient(cfg, slog.New(slog.DiscardHandler), NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(c.Close(), b.Close()); err != nil {
			t.Error(err)
		}
	})
	if err := c.EnsureTopics(t.Context(), Topics(1)); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestSleepingReaderIsRebuilt gives a cursor a reader that never delivers, as
// the library's does after some broker restarts, and sees the messages arrive
// all the same, each once.
func TestSleepingReaderIsRebuilt(t *testing.T) {
	c := testClient(t)
	cl := &claim{client: c, topic: event.TopicOutcomes, measured: true}
	opened, err := cl.Open(t.Context(), -1)
	if err != nil {
		t.Fatal(err)
	}
	cur := opened.(*cursor)
	defer func() {
		if err := cur.Close(); err != nil {
			t.Error(err)
		}
	}()
	asleep, err := c.reader(event.TopicSkills, 0, 0) // an empty topic
	if err != nil {
		t.Fatal(err)
	}
	cur.mu.Lock()
	awake := cur.reader
	cur.reader = asleep
	cur.mu.Unlock()
	if err := awake.Close(); err != nil {
		t.Fatal(err)
	}
	w := c.NewWriter()
	defer func() { _ = w.Close() }()
	for _, v := range []string{"a", "b"} {
		if err := w.Publish(t.Context(), []event.Message{{Topic: event.TopicOutcomes, Value: []byte(v)}}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for i, want := range []string{"a", "b"} {
		m, err := cur.Fetch(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if string(m.Value) != want || m.Offset != int64(i) {
			t.Errorf("message %d is %s at %d", i, m.Value, m.Offset)
		}
	}
}

func TestForeignLogsAreRefused(t *testing.T) {
	c := testClient(t)
	cl := &claim{client: c, topic: event.TopicOutcomes}
	if _, err := cl.Open(t.Context(), 5); !errors.Is(err, errForeignLog) {
		t.Errorf("a log shorter than what is stored gave %v", err)
	}
	l := c.NewConfigLog(nil, event.TopicConfig)
	if err := l.Follow(t.Context(), 3, nil); !errors.Is(err, errShrunk) {
		t.Errorf("a config log shorter than what was read gave %v", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Brokers, cfg.Group, cfg.DialTimeout, cfg.QueueMessages, cfg.SessionTimeout = []string{"nowhere"}, "", 0, 0, time.Second
	err := cfg.Validate()
	for _, want := range []string{"host:port", "group", "dial timeout", "queue", "third of the session"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %q", err, want)
		}
	}
	if _, err := NewClient(Config{}, nil, nil); err == nil {
		t.Error("an empty config is valid")
	}
}
