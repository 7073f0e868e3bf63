package trainer

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/model/explore"
)

// loop plays the service desk's log in its real order with its real delays: a
// decision's reward is known when the incident was resolved, the trainer looks
// once a second, and the live model decides once it exists and the shadow is
// over. The clock runs at a fixed number of decisions a second.
type loop struct {
	known     []*Row
	now       time.Time
	cards     []model.Card
	artifacts map[string][]byte
	champion  string
}

func (l *loop) Accounts(context.Context) ([]Account, error) {
	return []Account{{ID: "demo", Objective: "default", Revision: 1, RewardMax: 1}}, nil
}

func (l *loop) Progress(context.Context, string, string) (Progress, error) {
	p := Progress{Rows: int64(len(l.known))}
	if n := len(l.known); n > 0 {
		p.Watermark = l.known[n-1].Watermark
	}
	return p, nil
}

func (l *loop) TrainingRows(_ context.Context, _ Query, fn func(*Row) error) error {
	return log(l.known).TrainingRows(context.Background(), Query{}, fn)
}

func (l *loop) SaveModel(_ context.Context, card model.Card, artifact []byte) error {
	if _, err := json.Marshal(card); err != nil { // as the warehouse will
		return err
	}
	l.cards = append(l.cards, card)
	l.artifacts[card.Version] = artifact
	return nil
}

func (l *loop) LoadModel(_ context.Context, _, version string) (model.Card, []byte, error) {
	at := slices.IndexFunc(l.cards, func(c model.Card) bool { return c.Version == version })
	if at < 0 {
		return model.Card{}, nil, fault.New(fault.NotFound, "MODEL_NOT_FOUND", "no model %q", version)
	}
	return l.cards[at], l.artifacts[version], nil
}

func (l *loop) Champion(context.Context, string) (string, error) { return l.champion, nil }

func (l *loop) Promote(_ context.Context, card *model.Card, _ string) error {
	l.champion = card.Version
	return nil
}

// open is a decided incident whose outcome is not known yet.
type open struct {
	due time.Time
	row *Row
}

const (
	decisionsPerSecond = 120
	shadowShare        = 0.1
)

func TestServiceDeskLoopBeatsPeople(t *testing.T) {
	incidents := incidents(t)
	l := &loop{now: day, artifacts: map[string][]byte{}}
	tr, err := New(DefaultConfig(), Deps{Directory: l, Rows: l, Store: l, Promoter: l, Now: func() time.Time { return l.now }})
	if err != nil {
		t.Fatal(err)
	}
	var (
		waiting       []open
		live          *model.Model
		enc           model.Encoder
		scratch       model.Scratch
		people, usher int
		scores        []model.Score
		p             []float64
	)
	for i, in := range incidents {
		for len(waiting) > 0 && !waiting[0].due.After(in.row.Time) {
			waiting[0].row.Watermark = l.now
			l.known = append(l.known, waiting[0].row)
			waiting = waiting[1:]
		}
		l.now = day.Add(time.Duration(i) * time.Second / decisionsPerSecond)
		if i%decisionsPerSecond == 0 {
			if tr.step(t.Context()); l.champion != "" && (live == nil || live.Version() != l.champion) {
				if live, err = model.Decode(l.artifacts[l.champion]); err != nil {
					t.Fatal(err)
				}
			}
		}
		row := *in.row
		row.Time, row.Chosen, row.Propensity = l.now, in.people, 1
		if live != nil && float64(i) > shadowShare*float64(len(incidents)) {
			scores, p = resize(scores, len(row.Options)), slices.Grow(p[:0], len(row.Options))[:len(row.Options)]
			live.Score(&scratch, enc.Context(&row.Facts), enc.Arms(row.Options, row.Facts.Baseline), scores)
			explore.Probabilities(explore.DefaultConfig(), scores, nil, p)
			drawn := explore.Draw(p, explore.Seed(row.ID))
			row.Chosen, row.Propensity = row.Options[drawn].Key, p[drawn]
		}
		row.Reward = truth(row.Chosen == in.right)
		if i >= len(incidents)/2 {
			people += int(truth(in.people == in.right))
			usher += int(row.Reward)
		}
		if !in.resolved.IsZero() {
			o := open{in.resolved, &row}
			at, _ := slices.BinarySearchFunc(waiting, o, func(a, b open) int { return a.due.Compare(b.due) })
			waiting = slices.Insert(waiting, at, o)
		}
	}
	promoted := 0
	for _, c := range l.cards {
		promoted += int(truth(c.Gate == gatePassed))
		t.Log(c.Rows, c.Gate, c.Exact, fmt.Sprintf("%.4f %.4f", c.HeldOut.Loss, c.HeldOut.Constant), c.GateReason)
	}
	half := len(incidents) - len(incidents)/2
	t.Logf("last half: people %.3f, usher %.3f; %d models, %d promoted", float64(people)/float64(half), float64(usher)/float64(half), len(l.cards), promoted)
	if usher <= people {
		t.Errorf("over the last half people were right %d times, the loop %d times", people, usher)
	}
	if promoted < len(l.cards)/2 {
		t.Errorf("%d of %d models promoted", promoted, len(l.cards))
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
