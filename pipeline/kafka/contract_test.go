package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline"
	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/configlog/configlogtest"
	"github.com/usherhq/usher/pipeline/event"
	"github.com/usherhq/usher/pipeline/kafka"
)

// TestContract holds both brokers to what the rest of Usher relies on.
func TestContract(t *testing.T) {
	onBothBrokers(t, func(t *testing.T, b broker) {
		client := newClient(t, b.Addr())
		t.Run("topics", func(t *testing.T) { topics(t, client, b.Addr()) })
		t.Run("synchronous writes are fast", func(t *testing.T) { fastWrites(t, client) })
		t.Run("keys go where the Java client sends them", func(t *testing.T) { partitioning(t, client) })
		t.Run("too large a message is the caller's fault", func(t *testing.T) { tooLarge(t, client) })
		t.Run("tail", func(t *testing.T) { tail(t, client) })
		t.Run("since", func(t *testing.T) { since(t, client) })
		t.Run("a log that lost its end is refused", func(t *testing.T) { foreignLog(t, client) })
		t.Run("config log", func(t *testing.T) { configLogs(t, client) })
	})
}

func topics(t *testing.T, client *kafka.Client, addr string) {
	ctx := t.Context()
	for range 2 { // the second call finds them
		must(t, client.EnsureTopics(ctx, kafka.Topics(4)))
	}
	admin := &kafkago.Client{Addr: kafkago.TCP(addr), Transport: new(kafkago.Transport), Timeout: 10 * time.Second}
	defer admin.Transport.(*kafkago.Transport).CloseIdleConnections()
	for name, c := range map[string]struct {
		partitions int
		settings   map[string]string
		keepAll    bool
		want       string
	}{
		"expires":   {1, map[string]string{"retention.ms": "1000"}, true, "retention.ms=-1"},
		"bounded":   {1, map[string]string{"retention.ms": "-1", "retention.bytes": "100000"}, true, "retention.bytes=-1"},
		"compacted": {1, map[string]string{"cleanup.policy": "compact", "retention.ms": "-1"}, true, "cleanup.policy=delete"},
		"both":      {1, map[string]string{"cleanup.policy": "compact,delete"}, false, "cleanup.policy=delete"},
		"split":     {2, map[string]string{"retention.ms": "-1"}, true, "one partition"},
	} {
		config := kafkago.TopicConfig{Topic: "refused." + name, NumPartitions: c.partitions, ReplicationFactor: 1}
		for k, v := range c.settings {
			config.ConfigEntries = append(config.ConfigEntries, kafkago.ConfigEntry{ConfigName: k, ConfigValue: v})
		}
		res, err := admin.CreateTopics(ctx, &kafkago.CreateTopicsRequest{Topics: []kafkago.TopicConfig{config}})
		must(t, err)
		must(t, res.Errors[config.Topic])
		err = client.EnsureTopics(ctx, []kafka.Topic{{Name: config.Topic, Partitions: 1, KeepAll: c.keepAll}})
		if fault.KindOf(err) != fault.Precondition || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want a refusal that says %q", name, err, c.want)
		}
	}
}

// fastWrites: with the library's default each of these takes a second.
func fastWrites(t *testing.T, client *kafka.Client) {
	w := newWriter(t, client)
	m := event.Message{Topic: event.TopicSkills, Value: []byte("x")}
	must(t, w.Publish(t.Context(), []event.Message{m})) // connects
	const n = 20
	began := time.Now()
	for range n {
		must(t, w.Publish(t.Context(), []event.Message{m}))
	}
	each := time.Since(began) / n
	t.Logf("%s each", each)
	if each > 200*time.Millisecond {
		t.Errorf("a synchronous write takes %s", each)
	}
}

// partitioning compares with values of Kafka's own murmur2 partitioner.
func partitioning(t *testing.T, client *kafka.Client) {
	w := newWriter(t, client)
	var msgs []event.Message
	for i := range 50 {
		msgs = append(msgs, event.Message{Topic: event.TopicDecisions, Key: fmt.Appendf(nil, "conversation-%d", i), Value: []byte("x")})
	}
	must(t, w.Publish(t.Context(), msgs))
	seen := 0
	must(t, client.Scan(t.Context(), event.TopicDecisions, func(m event.Message) error {
		seen++
		if want := int(murmur2(m.Key)&0x7fffffff) % 4; m.Partition != want {
			t.Errorf("key %s is on partition %d, want %d", m.Key, m.Partition, want)
		}
		return nil
	}))
	if seen != len(msgs) {
		t.Errorf("%d of %d messages are there", seen, len(msgs))
	}
}

// murmur2 is written after the Java client's Utils.murmur2.
func murmur2(data []byte) uint32 {
	const m, r = 0x5bd1e995, 24
	h := uint32(0x9747b28c) ^ uint32(len(data))
	for ; len(data) >= 4; data = data[4:] {
		k := uint32(data[0]) | uint32(data[1])<<8 | uint32(data[2])<<16 | uint32(data[3])<<24
		k *= m
		k ^= k >> r
		k *= m
		h = h*m ^ k
	}
	switch len(data) {
	case 3:
		h ^= uint32(data[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(data[1]) << 8
		fallthrough
	case 1:
		h ^= uint32(data[0])
		h *= m
	}
	h ^= h >> 13
	h *= m
	return h ^ h>>15
}

func tooLarge(t *testing.T, client *kafka.Client) {
	w := newWriter(t, client)
	err := w.Publish(t.Context(), []event.Message{{Topic: event.TopicSkills, Value: make([]byte, 40<<20)}})
	if fault.KindOf(err) != fault.Invalid {
		t.Errorf("got %v", err)
	}
}

// since: a follower gets what is younger than a time, is told when it has that, and
// gets what comes after.
func since(t *testing.T, client *kafka.Client) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	topic := kafka.Topic{Name: "since.test", Partitions: 2}
	must(t, client.EnsureTopics(ctx, []kafka.Topic{topic}))
	w := newWriter(t, client)
	publish := func(v string) {
		must(t, w.Publish(ctx, []event.Message{{Topic: topic.Name, Key: []byte("k"), Value: []byte(v)}}))
	}
	publish("a")
	publish("b")
	publish("c")
	var times []time.Time
	enough := errors.New("enough")
	read := func(from time.Time, want int) (got []string, caughtUp int) {
		err := client.Since(ctx, topic.Name, from, func() { caughtUp = len(got); publish("new") }, func(m event.Message) error {
			got, times = append(got, string(m.Value)), append(times, m.Time)
			if len(got) == want {
				return enough
			}
			return nil
		})
		if !errors.Is(err, enough) {
			t.Fatalf("since gave %v and %v", got, err)
		}
		return got, caughtUp
	}
	if got, past := read(time.Unix(0, 0), 4); fmt.Sprint(got) != "[a b c new]" || past != 3 {
		t.Errorf("since the beginning came %v, caught up after %d", got, past)
	}
	last := times[3]
	if got, past := read(last, 2); fmt.Sprint(got) != "[new new]" || past != 1 {
		t.Errorf("since %v came %v, caught up after %d", last, got, past)
	}
	if got, past := read(last.Add(time.Hour), 1); fmt.Sprint(got) != "[new]" || past != 0 {
		t.Errorf("since a time to come came %v, caught up after %d", got, past)
	}
	if err := client.Since(ctx, "no.such.topic", last, nil, nil); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a missing topic gave %v", err)
	}
}

func tail(t *testing.T, client *kafka.Client) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	topic := kafka.Topic{Name: "tail.test", Partitions: 2}
	must(t, client.EnsureTopics(ctx, []kafka.Topic{topic}))
	w := newWriter(t, client)
	publish := func(v string) {
		must(t, w.Publish(ctx, []event.Message{{Topic: topic.Name, Key: []byte("k"), Value: []byte(v), Headers: []event.Header{{Key: "h", Value: []byte("v")}}}}))
	}
	publish("old")
	publish("last")
	enough := errors.New("enough")
	var got []string
	err := client.Tail(ctx, topic.Name, 1, func(m event.Message) error {
		if h, _ := m.Header("h"); h != "v" || m.Time.IsZero() {
			t.Errorf("headers or time are gone in %+v", m)
		}
		if got = append(got, string(m.Value)); len(got) == 2 {
			return enough
		}
		publish("new")
		return nil
	})
	if !errors.Is(err, enough) || fmt.Sprint(got) != "[last new]" {
		t.Errorf("tail gave %v and %v", got, err)
	}
	if err := client.Tail(ctx, "no.such.topic", 1, nil); fault.KindOf(err) != fault.NotFound {
		t.Errorf("tail of a missing topic gave %v", err)
	}
	lag, err := client.Lag(ctx, topic.Name, func(int) (int64, error) { return 1, nil })
	must(t, err)
	if lag[0]+lag[1] != 2 {
		t.Errorf("lag %v, want 2 in all", lag)
	}
}

// foreignLog: a sink that has more than the log ever had must not be fed from it.
func foreignLog(t *testing.T, client *kafka.Client) {
	ctx, cancel := context.WithCancel(t.Context())
	err := client.NewSole(event.TopicSkills).Run(ctx, func(ctx context.Context, c pipeline.Claim) {
		defer cancel()
		if _, err := c.Open(ctx, 1_000_000); err == nil || !strings.Contains(err.Error(), "created anew") {
			t.Errorf("got %v", err)
		}
	})
	must(t, err)
}

func configLogs(t *testing.T, client *kafka.Client) {
	var n atomic.Int64
	configlogtest.TestLog(t, func(t *testing.T) configlog.Log {
		topic := kafka.Topics(1)[3]
		topic.Name = fmt.Sprintf("config.%d", n.Add(1))
		must(t, client.EnsureTopics(t.Context(), []kafka.Topic{topic}))
		return client.NewConfigLog(newWriter(t, client), topic.Name)
	})
}
