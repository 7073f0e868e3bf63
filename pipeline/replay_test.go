package pipeline_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/usherhq/usher/pipeline"
	"github.com/usherhq/usher/pipeline/event"
)

// looped puts messages where a broker would: originals on the log, letters and
// notes beside them.
type looped struct{ *memoryLog }

func (l looped) Publish(ctx context.Context, msgs []event.Message) error {
	for _, m := range msgs {
		if strings.HasSuffix(m.Topic, event.DeadLetterSuffix) {
			if err := l.memoryLog.Publish(ctx, []event.Message{m}); err != nil {
				return err
			}
			continue
		}
		l.append(m)
	}
	return nil
}

type index map[event.Identity]bool

func (x index) HoldsEvents(_ context.Context, _ string, ids []event.Identity) ([]bool, error) {
	held := make([]bool, len(ids))
	for i, id := range ids {
		held[i] = x[id]
	}
	return held, nil
}

// poison are two events that die, and one that would live if it came again.
func poison(t *testing.T) []event.Message {
	stored := outcome(t, 7)
	stored.Headers = append(stored.Headers, event.Header{Key: event.ContentTypeHeader, Value: []byte("text/plain")})
	return []event.Message{{Key: []byte("k"), Value: []byte("x")}, {Key: []byte("k"), Value: []byte("{}")}, stored}
}

// TestReplayKeepsOneLetterPerEvent: replaying what is still poison neither makes
// more of it nor sends twice what is on its way or stored.
func TestReplayKeepsOneLetterPerEvent(t *testing.T) {
	log, sink := newLog(event.TopicOutcomes), &memorySink{}
	log.append(poison(t)...)
	defer start(t, quick(), log, sink)()
	sink.await(t, 3)
	shown := map[int64]int{}
	r := pipeline.Replayer{
		Log: log, Publisher: looped{log}, Stored: index{{Account: "acme", Source: "test", ID: "7"}: true},
		Each: func(l *event.DeadLetter) { shown[l.Offset] = l.Attempt },
	}
	run := func(f pipeline.ReplayFilter) pipeline.ReplayReport {
		t.Helper()
		f.Topics = []string{event.TopicOutcomes}
		report, err := r.Run(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		return report
	}
	for round := range 3 {
		want := pipeline.ReplayReport{Seen: 3 + 2*round, Picked: 2, Replayed: 2, Skipped: pipeline.ReplaySkipped{Older: 2 * round, Stored: 1}}
		if diff := cmp.Diff(want, run(pipeline.ReplayFilter{})); diff != "" {
			t.Errorf("round %d: %s", round, diff)
		}
		if diff := cmp.Diff(map[int64]int{0: round, 1: round}, shown); diff != "" {
			t.Errorf("round %d, attempts by offset: %s", round, diff)
		}
		sink.await(t, int64(5+2*round))
	}
	_, dead, _ := sink.all()
	for i, l := range dead[3:] {
		if l.Offset != int64(i%2) || !l.Time.Equal(dead[i%2].Time) || l.Attempt != 1+i/2 {
			t.Errorf("letter %d is of %d, %s, attempt %d: not of its origin", i, l.Offset, l.Time, l.Attempt)
		}
	}
	// Mended: what is put back lives now, and no later replay sends it again.
	put := log.letters
	r.Publisher = newLog("away")
	if got := run(pipeline.ReplayFilter{Limit: 1}); got.Replayed != 1 {
		t.Errorf("put back %+v", got)
	}
	log.letters = slices.Concat(put, r.Publisher.(*memoryLog).letters[1:]) // its note
	got := run(pipeline.ReplayFilter{DryRun: true})
	if got.Picked != 1 || got.Skipped.Replayed != 1 || got.Skipped.Stored != 1 {
		t.Errorf("after one was put back well: %+v", got)
	}
	if got := run(pipeline.ReplayFilter{DryRun: true, Again: true}); got.Picked != 3 {
		t.Errorf("again: %+v", got)
	}
}

// TestForeignOriginIsNotBelieved: headers that look like ours and name another
// topic, or nothing that can be read, do not hide where a message stands.
func TestForeignOriginIsNotBelieved(t *testing.T) {
	log, sink := newLog(event.TopicOutcomes), &memorySink{}
	for _, topic := range []string{event.TopicSkills, ""} {
		m := event.Message{Value: []byte("x")}
		for key, value := range map[string]string{
			"usher_topic": topic, "usher_partition": "4", "usher_offset": "44", "usher_time": "2026-01-02T03:04:05Z", "usher_attempt": "1",
		} {
			m.Headers = append(m.Headers, event.Header{Key: key, Value: []byte(value)})
		}
		log.append(m)
	}
	defer start(t, quick(), log, sink)()
	sink.await(t, 2)
	_, dead, _ := sink.all()
	for i, l := range dead {
		if l.Topic != event.TopicOutcomes || l.Partition != 0 || l.Offset != int64(i) || l.Attempt != 0 {
			t.Errorf("letter %d claims %s/%d/%d", i, l.Topic, l.Partition, l.Offset)
		}
	}
}
