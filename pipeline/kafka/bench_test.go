package kafka_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/usherhq/usher/pipeline"
	"github.com/usherhq/usher/pipeline/event"
	"github.com/usherhq/usher/pipeline/kafka"
	"github.com/usherhq/usher/pipeline/kafka/embedded"
)

// countingSink stores nothing.
type countingSink struct{ rows, blocks atomic.Int64 }

func (s *countingSink) Next(context.Context, string, int) (int64, error) { return -1, nil }

func (s *countingSink) Write(_ context.Context, b *pipeline.Block) error {
	s.rows.Add(int64(b.Rows()))
	s.blocks.Add(1)
	return nil
}

// BenchmarkConsume reads JSON outcomes of 260 bytes from 4 partitions of the
// embedded broker, decodes, validates and gathers them, beside a loop that only
// fetches. Both run with the broker in the same process.
func BenchmarkConsume(b *testing.B) {
	const n = 400_000
	client, writer := benchBroker(b, n)
	b.Run("fetch only", func(b *testing.B) {
		began := cpuTime(b)
		for b.Loop() {
			var rows atomic.Int64
			ctx, cancel := context.WithCancel(b.Context())
			err := client.NewSole(event.TopicOutcomes).Run(ctx, func(ctx context.Context, c pipeline.Claim) {
				cursor, err := c.Open(ctx, -1)
				if err != nil {
					b.Error(err)
					return
				}
				for {
					if _, err := cursor.Fetch(ctx); err != nil {
						_ = cursor.Close()
						return
					}
					if rows.Add(1) == n {
						cancel()
					}
				}
			})
			must(b, err)
		}
		report(b, n, began)
	})
	b.Run("consumer", func(b *testing.B) {
		began := cpuTime(b)
		for b.Loop() {
			sink := &countingSink{}
			c, err := pipeline.New(pipeline.DefaultConfig(), pipeline.Deps{Source: client.NewSole(event.TopicOutcomes), Sink: sink, DeadLetters: writer})
			must(b, err)
			ctx, cancel := context.WithCancel(b.Context())
			done := make(chan error, 1)
			go func() { done <- c.Run(ctx) }()
			for sink.rows.Load() < n {
				time.Sleep(time.Millisecond)
			}
			cancel()
			must(b, <-done)
		}
		report(b, n, began)
	})
}

// report gives the processor time of a row beside the rate: it is steady on a
// machine that others use too.
func report(b *testing.B, n int, began time.Duration) {
	b.Helper()
	rows := float64(n) * float64(b.N)
	b.ReportMetric(rows/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(cpuTime(b)-began)/rows, "cpu-ns/row")
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func benchBroker(b *testing.B, n int) (*kafka.Client, *kafka.Writer) {
	b.Helper()
	broker, err := embedded.Open(b.Context(), embedded.Config{Dir: b.TempDir(), Addr: "127.0.0.1:0"}, slog.New(slog.DiscardHandler))
	must(b, err)
	b.Cleanup(func() { _ = broker.Close() })
	client := newClient(b, broker.Addr())
	must(b, client.EnsureTopics(b.Context(), kafka.Topics(4)))
	writer := newWriter(b, client)
	var msgs []event.Message
	for i := range n {
		m, err := event.EncodeOutcome(&event.Outcome{
			ID: fmt.Sprintf("0192f0c1-7a3b-7c4d-8e5f-%012d", i), Source: "desk/eu", Account: "default",
			DecisionID: fmt.Sprintf("0192f0c1-7a3b-7c4d-8e5f-%012d", i), ConversationID: fmt.Sprintf("conversation-%09d", i/3),
			Kind: "resolved", Value: 0.75, Label: "billing", Time: time.Unix(1767225600, 0),
		}, event.JSON)
		must(b, err)
		if msgs = append(msgs, m); len(msgs) == 10_000 || i == n-1 {
			must(b, writer.Publish(b.Context(), msgs))
			msgs = msgs[:0]
		}
	}
	return client, writer
}
