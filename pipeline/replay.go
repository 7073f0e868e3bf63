package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/usherhq/usher/pipeline/event"
)

// Scanner reads what is on topics now.
type Scanner interface {
	// Scan calls fn for every message that is on the topic when it begins, in
	// order within each partition, and returns after the last or with fn's error.
	Scan(ctx context.Context, topic string, fn func(event.Message) error) error
}

// EventIndex knows which events are stored.
type EventIndex interface {
	// HoldsEvents tells for each id whether an event of the topic with it is
	// stored, in the order of ids.
	HoldsEvents(ctx context.Context, topic string, ids []event.Identity) ([]bool, error)
}

// ReplayFilter picks dead letters; empty fields pick all that are still dead.
type ReplayFilter struct {
	Topics       []string // originals, such as usher.outcomes; must not be empty
	Account      string
	Reason       string
	Field        string
	Since, Until time.Time // broker time of the original; Until is exclusive
	Limit        int       // at most so many; 0 has no limit
	Again        bool      // also those that were put back since they died, or are stored
	DryRun       bool      // pick and count, but publish nothing
}

func (f *ReplayFilter) picks(l *event.DeadLetter) bool {
	return (f.Account == "" || f.Account == l.Account) && (f.Reason == "" || f.Reason == l.Reason) &&
		(f.Field == "" || f.Field == l.Field) && (f.Since.IsZero() || !l.Time.Before(f.Since)) &&
		(f.Until.IsZero() || l.Time.Before(f.Until))
}

// ReplayReport counts what a replay did. Of an event that died several times only
// the last letter counts as picked or skipped.
type ReplayReport struct {
	Seen       int           `json:"seen"`       // dead letters looked at
	Picked     int           `json:"picked"`     // that the filter picks and nothing skips
	Replayed   int           `json:"replayed"`   // put back on their topic
	Skipped    ReplaySkipped `json:"skipped"`    // that the filter picks, with why they are left alone
	Cut        int           `json:"cut"`        // picked, but without payload: cannot be put back
	Unreadable int           `json:"unreadable"` // on the dead-letter topic without our headers
}

// ReplaySkipped counts the letters that a replay leaves alone, by reason.
type ReplaySkipped struct {
	Older    int `json:"older"`    // the same event died again later: that letter stands for it
	Replayed int `json:"replayed"` // put back since it last died
	Stored   int `json:"stored"`   // an event with its id is stored meanwhile
}

// Replayer puts dead letters back on the topic they came from, for example after a
// decoder was mended. It notes on the dead-letter topic what it has put back.
// Publisher may be nil for dry runs. A nil Stored does not ask what is stored; Each,
// called for every letter picked, may be nil.
type Replayer struct {
	Log       Scanner
	Publisher Publisher
	Stored    EventIndex
	Each      func(*event.DeadLetter)
}

// Run puts back each event that the filter picks, once per call however often it
// died, and only when it is still dead: not put back since, and not stored. The
// copy carries its origin, so one that is still poison comes back as the same
// letter, one attempt older. A crash may leave copies without their note; these are
// put back again by the next run and dropped as copies by their id. Two runs at once
// may put the same letters back twice, with the same end.
func (r Replayer) Run(ctx context.Context, f ReplayFilter) (ReplayReport, error) {
	run := replay{Replayer: r, filter: f}
	for _, topic := range f.Topics {
		if err := run.topic(ctx, topic); err != nil {
			return run.report, fmt.Errorf("replay dead letters of %q: %w", topic, err)
		}
	}
	return run.report, nil
}

// replay is one run.
type replay struct {
	Replayer
	filter ReplayFilter
	report ReplayReport
	deaths map[deathKey]*death
	batch  []candidate
	bytes  int
}

// deathKey identifies an origin on one topic. A topic that is made anew counts from
// 0 again: the time tells the two apart.
type deathKey struct {
	partition    int
	offset, time int64
}

func (o *origin) key() deathKey { return deathKey{o.partition, o.offset, o.time.UnixMilli()} }

// death is what the dead-letter topic says of one event. It holds no payload: a
// topic may hold more of these than memory does.
type death struct {
	attempt   int // of the last letter
	replayed  int // the last attempt that was noted as put back
	partition int
	offset    int64 // where the last letter stands
}

// candidate is a letter that the filter picks, with its message.
type candidate struct {
	letter *event.DeadLetter
	m      event.Message
	next   int // the attempt that putting it back makes
}

// A batch is put back and noted at once; a crash repeats no more than one.
const (
	replayBatch      = 256
	replayBatchBytes = 4 << 20
)

// topic reads the dead letters twice: first to learn which letter of each event is
// the last and what was put back, then to put back.
func (r *replay) topic(ctx context.Context, topic string) error {
	dead := event.DeadLetterTopic(topic)
	r.deaths = map[deathKey]*death{}
	if err := r.Log.Scan(ctx, dead, func(m event.Message) error {
		r.learn(&m)
		return nil
	}); err != nil {
		return err
	}
	if err := r.Log.Scan(ctx, dead, func(m event.Message) error {
		r.take(&m)
		if len(r.batch) < replayBatch && r.bytes < replayBatchBytes {
			return nil
		}
		return r.flush(ctx, topic)
	}); err != nil {
		return err
	}
	return r.flush(ctx, topic)
}

func (r *replay) learn(m *event.Message) {
	o, err := readOrigin(m)
	if err != nil {
		return
	}
	d := r.deaths[o.key()]
	if d == nil {
		d = &death{attempt: -1}
		r.deaths[o.key()] = d
	}
	if _, note := m.Header(headerReplayed); note {
		d.replayed = max(d.replayed, o.attempt)
	} else if o.attempt >= d.attempt { // a crash repeats letters: the last one counts
		d.attempt, d.partition, d.offset = o.attempt, m.Partition, m.Offset
	}
}

// take counts a letter and keeps it when it is to be put back.
func (r *replay) take(m *event.Message) {
	if _, note := m.Header(headerReplayed); note {
		return
	}
	r.report.Seen++
	l, err := ReadDeadLetter(m)
	if err != nil {
		r.report.Unreadable++
		return
	}
	if !r.filter.picks(l) {
		return
	}
	o := origin{partition: l.Partition, offset: l.Offset, time: l.Time}
	d := r.deaths[o.key()]
	switch {
	case d == nil || d.partition != m.Partition || d.offset < m.Offset: // came since the first reading
	case d.offset != m.Offset:
		r.report.Skipped.Older++
	case d.replayed > d.attempt && !r.filter.Again:
		r.report.Skipped.Replayed++
	default:
		r.batch = append(r.batch, candidate{letter: l, m: *m, next: max(d.attempt, d.replayed) + 1})
		r.bytes += len(m.Value)
	}
}

// flush puts back what was taken and is not stored, then notes it. The note comes
// last: an event that is noted and was not put back would be lost.
func (r *replay) flush(ctx context.Context, topic string) error {
	batch := r.batch
	r.batch, r.bytes = nil, 0
	stored, err := r.stored(ctx, topic, batch)
	if err != nil {
		return err
	}
	var back, notes []event.Message
	for i := range batch {
		c := &batch[i]
		switch {
		case stored[i]:
			r.report.Skipped.Stored++
			continue
		case r.filter.Limit > 0 && r.report.Picked >= r.filter.Limit:
			continue
		}
		r.report.Picked++
		if r.Each != nil {
			r.Each(c.letter)
		}
		if _, cut := c.m.Header(headerCut); cut {
			r.report.Cut++
			continue
		}
		copied, note := c.messages()
		back, notes = append(back, copied), append(notes, note)
	}
	if r.filter.DryRun || len(back) == 0 {
		return nil
	}
	if err := r.Publisher.Publish(ctx, back); err != nil {
		return fmt.Errorf("put %d letters back: %w", len(back), err)
	}
	r.report.Replayed += len(back)
	if err := r.Publisher.Publish(ctx, notes); err != nil {
		return fmt.Errorf("note that %d letters were put back: %w", len(back), err)
	}
	return nil
}

// stored tells which candidates need not be put back, because their events are
// stored.
func (r *replay) stored(ctx context.Context, topic string, batch []candidate) ([]bool, error) {
	none := make([]bool, len(batch))
	if len(batch) == 0 || r.Stored == nil || r.filter.Again {
		return none, nil
	}
	ids := make([]event.Identity, len(batch))
	for i := range batch {
		ids[i] = event.IdentityOf(&batch[i].m)
	}
	held, err := r.Stored.HoldsEvents(ctx, topic, ids)
	if err != nil {
		return nil, fmt.Errorf("ask which events are stored: %w", err)
	}
	for i := range ids {
		held[i] = held[i] && ids[i].ID != "" // nobody can tell without an id
	}
	return held, nil
}

// messages are the copy for the original topic and the note that it was put back.
func (c *candidate) messages() (back, note event.Message) {
	l := c.letter
	o := origin{l.Topic, l.Partition, l.Offset, l.Time, c.next}
	back = event.Message{Topic: l.Topic, Key: c.m.Key, Value: c.m.Value, Headers: append(foreign(c.m.Headers), o.headers()...)}
	note = event.Message{Topic: c.m.Topic, Key: c.m.Key, Headers: append(o.headers(), event.Header{Key: headerReplayed, Value: []byte("true")})}
	return back, note
}
