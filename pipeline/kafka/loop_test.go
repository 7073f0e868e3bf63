package kafka_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/usherhq/usher/pipeline"
	"github.com/usherhq/usher/pipeline/event"
	"github.com/usherhq/usher/pipeline/kafka"
)

// consumerConfig makes small blocks, so that a test sees many of them.
func consumerConfig() pipeline.Config {
	cfg := pipeline.DefaultConfig()
	cfg.MaxRows, cfg.MaxAge = 50, 20*time.Millisecond
	cfg.MinBackoff, cfg.MaxBackoff = 5*time.Millisecond, 100*time.Millisecond
	return cfg
}

// consume runs a consumer until the returned function is called.
func consume(t *testing.T, source pipeline.Source, sink pipeline.Sink, dead pipeline.Publisher) (stop func()) {
	t.Helper()
	c, err := pipeline.New(consumerConfig(), pipeline.Deps{Source: source, Sink: sink, DeadLetters: dead})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestLedger: numbered events per key, poison among them, a sink with faults,
// consumers that come and go, and a broker that is killed with SIGKILL in the
// middle. Nothing acknowledged is lost, nothing is stored twice.
func TestLedger(t *testing.T) {
	onBothBrokers(t, func(t *testing.T, b broker) {
		ctx := t.Context()
		client := newClient(t, b.Addr())
		must(t, client.EnsureTopics(ctx, kafka.Topics(3)))
		writer := newWriter(t, client)
		l := newLedger(true)
		p := &producer{topic: event.TopicOutcomes, pub: writer, written: map[string]int{}}

		stop := consume(t, client.NewSole(event.TopicOutcomes), l, writer)
		p.write(ctx, t, 7, 60)
		poison := []event.Message{
			{Topic: event.TopicOutcomes, Key: []byte("bad"), Value: []byte("{"), Headers: []event.Header{{Key: "ce_account", Value: []byte("acme")}}},
			{Topic: event.TopicOutcomes, Key: []byte("bad"), Value: []byte(`{"kind":"csat"}`)},
		}
		must(t, writer.Publish(ctx, poison))
		p.write(ctx, t, 7, 20)
		stop() // a clean restart of the consumer, in the middle

		// From here on two members of a group share the partitions.
		grouped := newClient(t, b.Addr())
		stopA := consume(t, grouped.NewGroup(event.TopicOutcomes), l, writer)
		stopB := consume(t, grouped.NewGroup(event.TopicOutcomes), l, writer)
		p.write(ctx, t, 7, 40)
		b.Kill()
		restarted := make(chan struct{})
		go func() { defer close(restarted); time.Sleep(300 * time.Millisecond); b.Restart() }()
		p.write(ctx, t, 7, 40) // tries until the broker is back
		<-restarted
		p.write(ctx, t, 7, 40)
		stopA()
		p.write(ctx, t, 7, 20)
		l.await(t, 7*220+len(poison), time.Minute)
		stopB()
		l.check(t, p.written)
		checkDeadLetters(t, client, writer, l)
		t.Logf("%d rows, %d publish retries", l.count(), p.retries)
	})
}

func checkDeadLetters(t *testing.T, client *kafka.Client, writer *kafka.Writer, l *ledger) {
	t.Helper()
	if len(l.dead) != 2 || l.dead[0].Reason != event.ReasonMalformed || l.dead[0].Account != "acme" || l.dead[1].Reason != event.ReasonInvalid {
		t.Errorf("dead letters %+v", l.dead)
	}
	var reasons []string
	note := func(d *event.DeadLetter) { reasons = append(reasons, d.Reason) }
	filter := pipeline.ReplayFilter{Topics: []string{event.TopicOutcomes}, DryRun: true}
	dry, err := pipeline.Replayer{Log: client, Publisher: writer, Each: note}.Run(t.Context(), filter)
	must(t, err)
	if dry.Picked != 2 || dry.Replayed != 0 || len(reasons) != 2 {
		t.Errorf("dry run: %+v, letters %v", dry, reasons)
	}
	filter.DryRun, filter.Reason = false, event.ReasonMalformed
	wet, err := pipeline.Replayer{Log: client, Publisher: writer}.Run(t.Context(), filter)
	must(t, err)
	if wet.Picked != 1 || wet.Replayed != 1 {
		t.Errorf("replay: %+v", wet)
	}
	back := 0
	must(t, client.Scan(t.Context(), event.TopicOutcomes, func(m event.Message) error {
		if string(m.Value) == "{" {
			back++
			if _, marked := m.Header("usher_reason"); marked {
				t.Error("a replayed message carries our headers")
			}
		}
		return nil
	}))
	if back != 2 {
		t.Errorf("the malformed message is %d times on its topic, want the original and the replay", back)
	}
}

// TestFrozenMember stops a consumer process with SIGSTOP for longer than the
// session timeout, lets another take over, and wakes it up: it must not write
// what the other one has stored.
func TestFrozenMember(t *testing.T) {
	onBothBrokers(t, func(t *testing.T, b broker) {
		ctx := t.Context()
		client := newClient(t, b.Addr())
		must(t, client.EnsureTopics(ctx, kafka.Topics(2)))
		writer := newWriter(t, client)
		l := newLedger(false)
		p := &producer{topic: event.TopicOutcomes, pub: writer, written: map[string]int{}}

		frozen, _ := play(t, playConsumer+"="+b.Addr()+","+l.serve(t))
		defer frozen.kill()
		p.write(ctx, t, 5, 20)
		l.await(t, 100, 30*time.Second)
		must(t, frozen.cmd.Process.Signal(syscall.SIGSTOP))
		p.write(ctx, t, 5, 20)
		stop := consume(t, client.NewGroup(event.TopicOutcomes), l, writer)
		defer stop()
		l.await(t, 200, time.Minute) // the session has expired and the other took over
		must(t, frozen.cmd.Process.Signal(syscall.SIGCONT))
		p.write(ctx, t, 5, 100)
		l.await(t, 700, time.Minute)
		l.check(t, p.written)
	})
}

// TestKilledConsumer kills a consumer process with SIGKILL, again and again, at
// random moments of a stream, while the sink fails now and then.
func TestKilledConsumer(t *testing.T) {
	b := startEmbedded(t)
	client := newClient(t, b.Addr())
	must(t, client.EnsureTopics(t.Context(), kafka.Topics(2)))
	writer := newWriter(t, client)
	l := newLedger(true)
	sink := l.serve(t)
	p := &producer{topic: event.TopicOutcomes, pub: writer, written: map[string]int{}}
	rng := rand.New(rand.NewPCG(3, 4))
	const kills = 12
	for range kills {
		victim, _ := play(t, playConsumer+"="+b.Addr()+","+sink+",sole")
		killed := make(chan struct{})
		after := 50*time.Millisecond + time.Duration(rng.Int64N(int64(300*time.Millisecond)))
		time.AfterFunc(after, func() { victim.kill(); close(killed) })
		p.write(t.Context(), t, 5, 30)
		<-killed
	}
	defer consume(t, client.NewSole(event.TopicOutcomes), l, writer)()
	l.await(t, kills*150, time.Minute)
	l.check(t, p.written)
}

// consumerProcess stores into its parent's ledger, as a member of the group or
// alone.
func consumerProcess(v string) int {
	addr, sink, _ := strings.Cut(v, ",")
	sink, alone := strings.CutSuffix(sink, ",sole")
	cfg := kafka.DefaultConfig()
	cfg.Brokers, cfg.SessionTimeout, cfg.Heartbeat = []string{addr}, 6*time.Second, 500*time.Millisecond
	client, err := kafka.NewClient(cfg, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		fmt.Println("error:", err)
		return 1
	}
	var source pipeline.Source = client.NewGroup(event.TopicOutcomes)
	if alone {
		source = client.NewSole(event.TopicOutcomes)
	}
	c, err := pipeline.New(consumerConfig(), pipeline.Deps{
		Source: source, Sink: remoteSink(sink), DeadLetters: client.NewWriter(),
	})
	if err != nil {
		fmt.Println("error:", err)
		return 1
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until the parent is gone
		cancel()
	}()
	fmt.Println("started")
	if err := c.Run(ctx); err != nil {
		return 1
	}
	return 0
}

// remoteSink is the address of a ledger in another process.
type remoteSink string

func (r remoteSink) Next(ctx context.Context, topic string, partition int) (next int64, err error) {
	err = r.call(ctx, http.MethodGet, fmt.Sprintf("/next/%s/%d", topic, partition), nil, &next)
	return next, err
}

func (r remoteSink) Write(ctx context.Context, b *pipeline.Block) error {
	body, err := json.Marshal(b)
	if err != nil {
		return err
	}
	return r.call(ctx, http.MethodPost, "/write", body, nil)
}

func (r remoteSink) call(ctx context.Context, method, path string, body []byte, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, string(r)+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }() // only read from
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("sink answered %s", res.Status)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(res.Body).Decode(into)
}
