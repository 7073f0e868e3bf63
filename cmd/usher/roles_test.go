package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/usherhq/usher/analytics/clickhouse/embedded"
	"github.com/usherhq/usher/internal/kafkatest"
	"github.com/usherhq/usher/pipeline/event"
	"github.com/usherhq/usher/pipeline/kafka"
)

// engine runs a ClickHouse server for roles that have none of their own, until it
// is stopped or the test ends.
func engine(t *testing.T) (dsn, httpAddr string, stop func()) {
	t.Helper()
	c := embedded.DefaultConfig()
	c.DataDir, c.LibraryPath, c.Executable = t.TempDir(), engineFolder(), binary()
	c.NativeAddr, c.HTTPAddr = "127.0.0.1:0", "127.0.0.1:0"
	server, err := embedded.New(c, embedded.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("stop the engine: %v", err)
		}
	})
	t.Cleanup(stop)
	select {
	case <-server.Ready():
	case err := <-done:
		done <- nil
		t.Fatalf("start the engine: %v", err)
	}
	w := server.Writer()
	return fmt.Sprintf("clickhouse://%s:%s@%s/usher", w.Name, w.Password, server.NativeAddr()), server.HTTPAddr(), stop
}

// cluster is a real Kafka and a real ClickHouse, and roles as processes.
type cluster struct {
	t        *testing.T
	broker   *kafkatest.Broker
	dsn      string
	httpAddr string
	stop     func() // of ClickHouse
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, broker: kafkatest.Start(t)}
	c.dsn, c.httpAddr, c.stop = engine(t)
	return c
}

func (c *cluster) store() string { return c.httpAddr }

// args are those of a role with a data folder of its own.
func (c *cluster) args(role string, more ...string) []string {
	args := []string{
		role, "--data-dir", filepath.Join(c.t.TempDir(), role), "--admin-addr", "127.0.0.1:0",
		"--kafka-brokers", c.broker.Addr(), "--clickhouse-dsn", c.dsn,
	}
	if role == "decide" {
		args = append(args, "--http-addr", "127.0.0.1:0", "--grpc-addr", "127.0.0.1:0")
	}
	return append(append(args, training()...), more...)
}

// TestLoopOnRealEngines plays the loop with every role in a process of its own,
// on Apache Kafka; the crash is that of the broker.
func TestLoopOnRealEngines(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	args := c.args("decide")
	decide := launch(t, args...)
	ingest := launch(t, c.args("ingest")...)
	train := launch(t, c.args("train")...)
	token := decide.ready.AdminToken
	if token == "" {
		t.Fatal("the first process of an installation prints no admin token")
	}
	s := &site{
		t: t, ledger: newLedger(), store: c.store,
		api: func() *client { return decide.client(token) },
	}
	s.crash = func() {
		c.broker.Kill()
		s.converse(20) // the API does not notice
		c.broker.Restart()
	}
	s.play()
	train.stop()
	champion := s.champion()
	eventually(t, "the champion answers", func() error {
		if _, last := s.converse(1); last.ModelVersion != champion {
			return fmt.Errorf("live is %q, champion %q", last.ModelVersion, champion)
		}
		return nil
	})
	ingest.stop()
	decide.stop()

	// A process that decides starts and answers with its models while the
	// warehouse is away.
	c.stop()
	decide = launch(t, args...)
	if decide.ready.AdminToken != "" {
		t.Error("a later start prints an admin token")
	}
	if _, last := s.converse(5); last.ModelVersion != champion {
		t.Errorf("without the warehouse %q answers, champion is %q", last.ModelVersion, champion)
	}
	decide.stop()
}

// TestKillIngest kills an ingest role at random moments while another one shares
// the work, so that partitions change hands all the time.
func TestKillIngest(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	stays := launch(t, c.args("ingest")...)
	args := c.args("ingest")
	p := launch(t, args...)
	l := newLedger()
	stop := c.producer(l)
	for range kills {
		pause(t.Context(), time.Duration(rand.IntN(300))*time.Millisecond)
		p.kill()
		p = launch(t, args...)
	}
	stop()
	l.settle(t, c.store, "default")
	p.stop()
	stays.stop()

	// All in one goes with real engines too, and then has none of its own.
	all := launch(t, append(free(t.TempDir()), "--kafka-brokers", c.broker.Addr(), "--clickhouse-dsn", c.dsn)...)
	if a := all.ready; a.Kafka != "" || a.ClickHouse != "" || a.ClickHouseHTTP != "" || a.AdminToken == "" {
		t.Errorf("ready says %+v", a)
	}
	s := &site{t: t, ledger: l, store: c.store, api: func() *client { return all.client(all.ready.AdminToken) }}
	s.converse(10)
	l.settle(t, c.store, "default")
	recount(t, c.store, "default")
	all.stop()
}

// producer writes outcomes to the log until it is stopped. What the log
// acknowledged is promised; what it did not is written again, so copies are on
// the log.
func (c *cluster) producer(l *ledger) (stop func()) {
	c.t.Helper()
	config := kafka.DefaultConfig()
	config.Brokers = []string{c.broker.Addr()}
	client, err := kafka.NewClient(config, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		c.t.Fatal(err)
	}
	writer := client.NewWriter()
	ctx, cancel := context.WithCancel(c.t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			c.produce(ctx, writer, l, n)
			pause(ctx, 10*time.Millisecond)
		}
	})
	stop = sync.OnceFunc(func() {
		cancel()
		done.Wait()
		if err := writer.Close(); err != nil {
			c.t.Errorf("close the writer: %v", err)
		}
		if err := client.Close(); err != nil {
			c.t.Errorf("close the client: %v", err)
		}
	})
	c.t.Cleanup(stop)
	return stop
}

// produce writes one batch of outcomes; every tenth batch is written twice, as a
// producer does that lost an answer.
func (c *cluster) produce(ctx context.Context, writer *kafka.Writer, l *ledger, n int) {
	value := float64(n % 7)
	var ids []string
	var msgs []event.Message
	for i := range 50 {
		o := &event.Outcome{
			ID: fmt.Sprintf("p%d-%d", n, i), Source: "ledger", Account: "default", ConversationID: fmt.Sprintf("c%d", (n+i)%97),
			Kind: "resolved", Value: value, Time: time.Now().UTC().Truncate(time.Millisecond),
		}
		m, err := event.EncodeOutcome(o, event.Format(n%2))
		if err != nil {
			c.t.Errorf("encode: %v", err)
			return
		}
		ids, msgs = append(ids, o.ID), append(msgs, m)
	}
	l.attempt(ids...)
	if err := writer.Publish(ctx, msgs); err != nil {
		return // no promise; the ids are never used again
	}
	l.keep(value, ids...)
	if n%10 == 0 {
		_ = writer.Publish(ctx, msgs) // a copy; whether it arrives does not matter
	}
}
