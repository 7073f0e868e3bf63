package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/segmentio/kafka-go"

	"github.com/usherhq/usher/analytics/clickhouse"
	engine "github.com/usherhq/usher/analytics/clickhouse/embedded"
	"github.com/usherhq/usher/pipeline"
	"github.com/usherhq/usher/pipeline/event"
	product_kafka "github.com/usherhq/usher/pipeline/kafka"
	broker "github.com/usherhq/usher/pipeline/kafka/embedded"
)

const partitions = 4

// lab is a broker and a warehouse, each in a process of its own.
type lab struct {
	dir    string
	broker string
	engine *engine.Server
	events int
	stop   []func()
}

// openLab starts both and fills the topic once with events outcomes of about
// 250 bytes of JSON.
func openLab(ctx context.Context, usher string, events int) (l *lab, err error) {
	dir, err := os.MkdirTemp("", "peers")
	if err != nil {
		return nil, err
	}
	l = &lab{dir: dir, events: events}
	l.stop = append(l.stop, func() { _ = os.RemoveAll(dir) })
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	var stop func()
	if l.broker, stop, err = startSelf("broker", filepath.Join(dir, "log")); err != nil {
		return nil, err
	}
	l.stop = append(l.stop, stop)
	if err := l.startEngine(ctx, usher); err != nil {
		return nil, err
	}
	return l, l.fill(ctx)
}

func (l *lab) close() {
	for i := len(l.stop) - 1; i >= 0; i-- {
		l.stop[i]()
	}
}

func (l *lab) startEngine(ctx context.Context, usher string) error {
	cfg := engine.DefaultConfig()
	cfg.DataDir, cfg.NativeAddr, cfg.HTTPAddr, cfg.Executable = filepath.Join(l.dir, "warehouse"), "127.0.0.1:0", "127.0.0.1:0", usher
	server, err := engine.New(cfg, engine.Deps{})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	l.engine = server
	l.stop = append(l.stop, func() { cancel(); <-ended })
	select {
	case <-server.Ready():
		return nil
	case err := <-ended:
		ended <- nil
		return fmt.Errorf("start the warehouse: %w", err)
	}
}

// fill writes the events as any producer would: JSON on the outcomes topic.
func (l *lab) fill(ctx context.Context) error {
	client, err := l.client("fill")
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.EnsureTopics(ctx, product_kafka.Topics(partitions)); err != nil {
		return err
	}
	w := client.NewWriter()
	defer w.Close()
	r := rand.New(rand.NewPCG(3, 3))
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	for done := 0; done < l.events; {
		batch := make([]event.Message, 0, 10_000)
		for ; len(batch) < cap(batch) && done < l.events; done++ {
			o := event.Outcome{
				ID: fmt.Sprintf("outcome-%08d", done), Source: "crm", Account: "bench", ConversationID: fmt.Sprintf("conversation-%07d", done/3),
				Kind: []string{"resolved", "csat", "transfers"}[done%3], Value: float64(r.IntN(6)), Label: fmt.Sprintf("skill-%d", r.IntN(20)),
				Time: at.Add(time.Duration(done) * time.Millisecond),
			}
			m, err := event.EncodeOutcome(&o, event.JSON)
			if err != nil {
				return err
			}
			batch = append(batch, m)
		}
		if err := w.Publish(ctx, batch); err != nil {
			return fmt.Errorf("fill the topic: %w", err)
		}
	}
	return nil
}

func (l *lab) client(group string) (*product_kafka.Client, error) {
	cfg := product_kafka.DefaultConfig()
	cfg.Brokers, cfg.Group = []string{l.broker}, group
	return product_kafka.NewClient(cfg, slog.New(slog.DiscardHandler), product_kafka.NewMetrics(nil))
}

// counted is the sink of the product with a stop-watch around it.
type counted struct {
	pipeline.Sink
	want  int
	once  sync.Once
	mu    sync.Mutex
	begin time.Time
	rows  int
	full  chan time.Duration
}

func (c *counted) Next(ctx context.Context, topic string, partition int) (int64, error) {
	c.once.Do(func() { c.begin = time.Now() })
	return c.Sink.Next(ctx, topic, partition)
}

func (c *counted) Write(ctx context.Context, b *pipeline.Block) error {
	if err := c.Sink.Write(ctx, b); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rows += b.Rows(); c.rows == c.want {
		c.full <- time.Since(c.begin)
	}
	return nil
}

// product runs the whole pipeline into a new database: group, decoding,
// validation, deduplication, dead letters, the real tables.
func (l *lab) product(ctx context.Context, round int) (time.Duration, error) {
	cfg := clickhouse.DefaultConfig()
	user := l.engine.Writer()
	cfg.Addr, cfg.User, cfg.Password, cfg.Database = []string{l.engine.NativeAddr()}, user.Name, user.Password, fmt.Sprintf("usher_p%d", round)
	db, err := clickhouse.Open(ctx, cfg)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	if err := db.Migrate(ctx, 0); err != nil {
		return 0, err
	}
	client, err := l.client(fmt.Sprintf("product-%d", round))
	if err != nil {
		return 0, err
	}
	defer client.Close()
	dead := client.NewWriter()
	defer dead.Close()
	sink := &counted{Sink: clickhouse.NewWriter(db, time.Now, nil), want: l.events, full: make(chan time.Duration, 1)}
	consumer, err := pipeline.New(pipeline.DefaultConfig(), pipeline.Deps{Source: client.NewGroup(event.TopicOutcomes), Sink: sink, DeadLetters: dead})
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- consumer.Run(ctx) }()
	var took time.Duration
	select {
	case took = <-sink.full:
	case err := <-ended:
		return 0, errors.Join(err, errors.New("the pipeline ended early"))
	}
	cancel()
	if err := <-ended; err != nil {
		return 0, err
	}
	return took, l.verify(cfg.Database+".outcomes", "outcome_id")
}

// naive is the loop that one writes first: fetch, unmarshal, append ten thousand
// rows, send, commit. It validates nothing and would duplicate after a crash.
func (l *lab) naive(ctx context.Context, round int) (took time.Duration, err error) {
	conn, err := l.connect()
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	database := fmt.Sprintf("usher_n%d", round)
	for _, q := range []string{
		"CREATE DATABASE " + database + " ENGINE = Atomic",
		"CREATE TABLE " + database + `.outcomes (account LowCardinality(String), source LowCardinality(String), id String, decision_id String,
			conversation_id String, kind LowCardinality(String), value Float64, label LowCardinality(String), time DateTime64(3, 'UTC'))
			ENGINE = MergeTree ORDER BY (account, time, id)`,
	} {
		if err := conn.Exec(ctx, q); err != nil {
			return 0, err
		}
	}
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{l.broker}, GroupID: fmt.Sprintf("naive-%d", round), Topic: event.TopicOutcomes, StartOffset: kafka.FirstOffset,
		MinBytes: 1, MaxBytes: 10 << 20, MaxWait: 100 * time.Millisecond, QueueCapacity: 10_000,
	})
	defer reader.Close()
	var begin time.Time
	for rows := 0; rows < l.events; {
		batch, err := conn.PrepareBatch(ctx, "INSERT INTO "+database+".outcomes")
		if err != nil {
			return 0, err
		}
		messages := make([]kafka.Message, 0, 10_000)
		for len(messages) < cap(messages) && rows < l.events {
			m, err := reader.FetchMessage(ctx)
			if err != nil {
				return 0, err
			}
			if begin.IsZero() {
				begin = time.Now()
			}
			var o event.Outcome
			if err := json.Unmarshal(m.Value, &o); err != nil {
				return 0, err
			}
			if err := batch.Append(o.Account, o.Source, o.ID, o.DecisionID, o.ConversationID, o.Kind, o.Value, o.Label, o.Time); err != nil {
				return 0, err
			}
			messages = append(messages, m)
			rows++
		}
		if err := batch.Send(); err != nil {
			return 0, err
		}
		if err := reader.CommitMessages(ctx, messages...); err != nil {
			return 0, err
		}
	}
	took = time.Since(begin)
	return took, l.verify(database+".outcomes", "id")
}

func (l *lab) connect() (ch.Conn, error) {
	user := l.engine.Writer()
	return ch.Open(&ch.Options{Addr: []string{l.engine.NativeAddr()}, Auth: ch.Auth{Username: user.Name, Password: user.Password, Database: "system"}})
}

// verify counts what is stored against what was sent.
func (l *lab) verify(table, id string) error {
	conn, err := l.connect()
	if err != nil {
		return err
	}
	defer conn.Close()
	var rows, ids uint64
	if err := conn.QueryRow(context.Background(), "SELECT count(), uniqExact("+id+") FROM "+table).Scan(&rows, &ids); err != nil {
		return err
	}
	if int(rows) != l.events || int(ids) != l.events {
		return fmt.Errorf("%s holds %d rows of %d events, %d were sent", table, rows, ids, l.events)
	}
	return nil
}

func benchIngest(ctx context.Context, usher string, rounds, events int) ([]row, error) {
	l, err := openLab(ctx, usher, events)
	if err != nil {
		return nil, err
	}
	defer l.close()
	var us, them, ratios []float64
	for round := range rounds {
		a, err := l.product(ctx, round)
		if err != nil {
			return nil, fmt.Errorf("pipeline: %w", err)
		}
		b, err := l.naive(ctx, round)
		if err != nil {
			return nil, fmt.Errorf("naive loop: %w", err)
		}
		us, them = append(us, float64(events)/a.Seconds()), append(them, float64(events)/b.Seconds())
		ratios = append(ratios, b.Seconds()/a.Seconds())
	}
	r := median(ratios)
	return []row{{
		what: "Kafka to ClickHouse rows a second / naive loop", ours: rateText(median(us), "/s"), theirs: rateText(median(them), "/s"), ratio: r,
		goal: ">= 3", met: r >= 3, note: fmt.Sprintf("%d events; ours validates and stores each once", events),
	}}, nil
}

// startSelf runs this program again as a server and returns the address that it
// prints. The server ends when its standard input closes.
func startSelf(args ...string) (addr string, stop func(), err error) {
	cmd := exec.Command(os.Args[0], append([]string{"-as"}, args...)...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() { _ = in.Close(); _ = cmd.Wait() }
	addr, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		return "", nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	return strings.TrimSpace(addr), stop, nil
}

// serveBroker is the broker's process.
func serveBroker(dir string) error {
	b, err := broker.Open(context.Background(), broker.Config{Dir: dir, Addr: "127.0.0.1:0"}, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	fmt.Println(b.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
	return b.Close()
}
