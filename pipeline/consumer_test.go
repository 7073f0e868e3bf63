package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline"
	"github.com/usherhq/usher/pipeline/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func errTooLarge() error { return fault.New(fault.Invalid, "MESSAGE_TOO_LARGE", "too large") }

func outcome(t testing.TB, n int) event.Message {
	t.Helper()
	m, err := event.EncodeOutcome(&event.Outcome{
		ID: fmt.Sprint(n), Source: "test", Account: "acme", ConversationID: "c", Kind: "resolved", Value: float64(n),
		Time: time.Unix(1767225600, 0),
	}, event.JSON)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func quick() pipeline.Config {
	cfg := pipeline.DefaultConfig()
	cfg.MaxRows, cfg.MaxAge = 10, 5*time.Millisecond
	cfg.MinBackoff, cfg.MaxBackoff, cfg.DrainTimeout = time.Millisecond, 5*time.Millisecond, time.Second
	return cfg
}

// start runs a consumer and returns how to stop it.
func start(t testing.TB, cfg pipeline.Config, log *memoryLog, sink pipeline.Sink) (stop func()) {
	t.Helper()
	c, err := pipeline.New(cfg, pipeline.Deps{
		Source: log, Sink: sink, DeadLetters: log, Metrics: pipeline.NewMetrics(prometheus.NewRegistry()),
	})
	if err != nil {
		t.Fatal(err)
	}
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

func values(rows []pipeline.Stored[event.Outcome]) []float64 {
	out := make([]float64, len(rows))
	for i, r := range rows {
		out[i] = r.Value.Value
	}
	return out
}

func upTo(n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = float64(i)
	}
	return out
}

func TestBlocksFillAndAge(t *testing.T) {
	log, sink := newLog(event.TopicOutcomes), &memorySink{}
	for i := range 25 {
		log.append(outcome(t, i))
	}
	defer start(t, quick(), log, sink)()
	sink.await(t, 25) // two full blocks and one that became old
	rows, _, blocks := sink.all()
	if diff := cmp.Diff(upTo(25), values(rows)); diff != "" {
		t.Error(diff)
	}
	if blocks != 3 || sink.blocks[0].Rows() != 10 || sink.blocks[2].First != 20 || sink.blocks[2].Last != 24 {
		t.Errorf("%d blocks: %+v", blocks, sink.blocks)
	}
	for i, r := range rows {
		if r.Offset != int64(i) || r.Time.IsZero() {
			t.Errorf("row %d stands at %d, %s", i, r.Offset, r.Time)
		}
	}
}

func TestBytesFillABlock(t *testing.T) {
	log, sink := newLog(event.TopicOutcomes), &memorySink{}
	cfg := quick()
	cfg.MaxBytes, cfg.MaxAge = 1, time.Minute
	log.append(outcome(t, 0), outcome(t, 1))
	defer start(t, cfg, log, sink)()
	sink.await(t, 2)
	if _, _, blocks := sink.all(); blocks != 2 {
		t.Errorf("%d blocks, want one for each message", blocks)
	}
}

// TestFaultsDropNothing: attempts fail before and after storing, the consumer is
// stopped and started again, and every row is there once, in order.
func TestFaultsDropNothing(t *testing.T) {
	log := newLog(event.TopicOutcomes)
	sink := &memorySink{fail: func(attempt int) (error, error) {
		switch attempt % 4 {
		case 1:
			return errors.New("away"), nil
		case 2:
			return nil, errors.New("answer lost")
		default:
			return nil, nil
		}
	}}
	const n = 200
	for round := range 4 {
		stop := start(t, quick(), log, sink)
		for i := range n / 4 {
			log.append(outcome(t, round*n/4+i))
		}
		if round%2 == 0 {
			sink.await(t, int64(round*n/4+5)) // somewhere in the middle
		}
		stop()
	}
	stop := start(t, quick(), log, sink)
	sink.await(t, n)
	stop()
	rows, _, _ := sink.all()
	if diff := cmp.Diff(upTo(n), values(rows)); diff != "" {
		t.Error(diff)
	}
	if log.stored != n {
		t.Errorf("the hint is %d, want %d", log.stored, n)
	}
}

// TestStopStoresWhatWasGathered: a row that waits for company is stored at the
// end, not thrown away.
func TestStopStoresWhatWasGathered(t *testing.T) {
	log, sink := newLog(event.TopicOutcomes), &memorySink{}
	cfg := quick()
	cfg.MaxAge = time.Hour
	log.append(outcome(t, 0))
	stop := start(t, cfg, log, sink)
	log.awaitRead(t, 1)
	stop()
	if rows, _, _ := sink.all(); len(rows) != 1 {
		t.Errorf("%d rows are stored, want the one that was gathered", len(rows))
	}
}

// TestNoWriteWithoutLease: while the lease cannot be proven nothing is written,
// and nothing is lost when it can again.
func TestNoWriteWithoutLease(t *testing.T) {
	log, sink := newLog(event.TopicOutcomes), &memorySink{}
	log.setLease(errors.New("somebody else may hold it"))
	log.append(outcome(t, 0))
	stop := start(t, quick(), log, sink)
	log.awaitAsked(t, 5)
	if _, _, blocks := sink.all(); blocks != 0 {
		t.Error("a block was written without a lease")
	}
	log.setLease(nil)
	sink.await(t, 1)
	stop()

	log.setLease(errors.New("lost for good"))
	log.append(outcome(t, 1))
	stop = start(t, quick(), log, sink)
	log.awaitAsked(t, 2)
	stop() // must not wait for the lease
	if _, _, blocks := sink.all(); blocks != 1 {
		t.Error("the last block was written without a lease")
	}
}

func TestPoisonIsSetAsideAndReplayed(t *testing.T) {
	log, sink := newLog(event.TopicOutcomes), &memorySink{}
	log.limit = 1 << 20
	bad := event.Message{Key: []byte("k"), Value: []byte(`{"value":"x"}`), Headers: []event.Header{
		{Key: "ce_account", Value: []byte("acme")}, {Key: "usher_reason", Value: []byte("from an earlier life")},
	}}
	huge := event.Message{Value: make([]byte, 5<<20)}
	log.append(outcome(t, 0), bad, huge, outcome(t, 1))
	stop := start(t, quick(), log, sink)
	sink.await(t, 4)
	stop()
	rows, dead, _ := sink.all()
	if diff := cmp.Diff(upTo(2), values(rows)); diff != "" {
		t.Error(diff)
	}
	if len(dead) != 2 || dead[0].Reason != event.ReasonField || dead[0].Field != "value" || dead[0].Account != "acme" ||
		dead[0].Offset != 1 || string(dead[0].Key) != "k" || dead[1].Reason != event.ReasonTooLarge || len(dead[1].Value) != 5<<20 {
		t.Errorf("dead letters %+v", dead)
	}
	replayDeadLetters(t, log, dead[0])
}

func replayDeadLetters(t *testing.T, log *memoryLog, want event.DeadLetter) {
	t.Helper()
	got, err := pipeline.ReadDeadLetter(&log.letters[0])
	if err != nil {
		t.Fatal(err)
	}
	want.Headers = map[string]string{"ce_account": "acme"} // ours are not the producer's
	if diff := cmp.Diff(&want, got); diff != "" {
		t.Error(diff)
	}
	log.letters = append(log.letters, log.letters[0], event.Message{Value: []byte("not ours")})
	back := newLog(event.TopicOutcomes)
	older := pipeline.ReplaySkipped{Older: 1} // a crash had it twice
	for _, c := range []struct {
		filter pipeline.ReplayFilter
		want   pipeline.ReplayReport
	}{
		{pipeline.ReplayFilter{DryRun: true}, pipeline.ReplayReport{Seen: 4, Picked: 2, Skipped: older, Cut: 1, Unreadable: 1}},
		{pipeline.ReplayFilter{Reason: "X"}, pipeline.ReplayReport{Seen: 4, Unreadable: 1}},
		{pipeline.ReplayFilter{Account: "other"}, pipeline.ReplayReport{Seen: 4, Unreadable: 1}},
		{pipeline.ReplayFilter{Since: time.Now().Add(time.Hour)}, pipeline.ReplayReport{Seen: 4, Unreadable: 1}},
		{pipeline.ReplayFilter{Until: time.Now().Add(-time.Hour)}, pipeline.ReplayReport{Seen: 4, Unreadable: 1}},
		{pipeline.ReplayFilter{Limit: 1}, pipeline.ReplayReport{Seen: 4, Picked: 1, Skipped: older, Cut: 1, Unreadable: 1}},
		{pipeline.ReplayFilter{Field: "value"}, pipeline.ReplayReport{Seen: 4, Picked: 1, Replayed: 1, Skipped: older, Unreadable: 1}},
	} {
		c.filter.Topics = []string{event.TopicOutcomes}
		report, err := pipeline.Replayer{Log: log, Publisher: back}.Run(t.Context(), c.filter)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, report); diff != "" {
			t.Errorf("%+v: %s", c.filter, diff)
		}
	}
	if m := back.letters[0]; m.Topic != event.TopicOutcomes || string(m.Value) != `{"value":"x"}` || len(m.Headers) != 6 {
		t.Errorf("put back as %+v", m)
	}
}

func TestEveryTopicFlows(t *testing.T) {
	decision := &event.Decision{ID: "d", Account: "a", Time: time.Unix(1767225600, 0), Mode: "ON", DecidedBy: event.DecidedByModel}
	skill := &event.SkillState{ID: "s", Source: "x", Account: "a", Skill: "b", State: event.Skill{At: time.Unix(1767225600, 0)}}
	change := &event.ConfigChange{ID: "c", Kind: "mode", Name: "m", Value: []byte("1"), Time: time.Unix(1767225600, 0)}
	for topic, c := range map[string]struct {
		encode func() (event.Message, error)
		rows   func(*pipeline.Block) int
	}{
		event.TopicDecisions: {func() (event.Message, error) { return event.EncodeDecision(decision, event.JSON) }, func(b *pipeline.Block) int { return len(b.Decisions) }},
		event.TopicSkills:    {func() (event.Message, error) { return event.EncodeSkill(skill, event.Protobuf) }, func(b *pipeline.Block) int { return len(b.Skills) }},
		event.TopicConfig:    {func() (event.Message, error) { return event.EncodeConfig(change, event.JSON) }, func(b *pipeline.Block) int { return len(b.Config) }},
		"somebody.elses":     {func() (event.Message, error) { return event.Message{Value: []byte("x")}, nil }, func(b *pipeline.Block) int { return len(b.Dead) }},
	} {
		m, err := c.encode()
		if err != nil {
			t.Fatal(err)
		}
		log, sink := newLog(topic), &memorySink{}
		log.append(m)
		stop := start(t, quick(), log, sink)
		sink.await(t, 1)
		stop()
		if b := sink.blocks[0]; c.rows(b) != 1 || b.Rows() != 1 || b.Topic != topic {
			t.Errorf("%s: block %+v", topic, b)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	if err := pipeline.DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	err := pipeline.Config{MinBackoff: -1, MaxBackoff: -2}.Validate()
	for _, want := range []string{"block", "block age", "write timeout", "drain timeout", "backoff"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
	if _, err := pipeline.New(pipeline.DefaultConfig(), pipeline.Deps{}); err == nil {
		t.Error("a consumer without parts was made")
	}
}
