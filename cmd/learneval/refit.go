package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/model/evaluate"
	"github.com/usherhq/usher/model/explore"
	"github.com/usherhq/usher/model/trainer"
)

const (
	// refitRows is after how many decisions the trainer is asked to refit.
	refitRows = 250
	// medianDelay is the median delay of an outcome, in decisions.
	medianDelay = 250
)

// delays are the times from opening to resolution of the incident log, as shares
// of their median; what was never resolved is infinite.
func delays(root string) ([]float64, error) {
	t, err := evaluate.ReadTable(inRoot(root, incidentsFile))
	if err != nil {
		return nil, err
	}
	opened, err := t.Column("opened_at")
	if err != nil {
		return nil, err
	}
	resolved, err := t.Column("resolved_at")
	if err != nil {
		return nil, err
	}
	const minute = "2006-01-02T15:04"
	var out, known []float64
	for _, row := range t.Rows {
		a, err := time.Parse(minute, row[opened])
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", incidentsFile, err)
		}
		d := math.Inf(1)
		if row[resolved] != "" {
			b, err := time.Parse(minute, row[resolved])
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", incidentsFile, err)
			}
			d = b.Sub(a).Minutes()
			known = append(known, d)
		}
		out = append(out, d)
	}
	slices.Sort(known)
	half := known[len(known)/2]
	for i := range out {
		out[i] = max(0, out[i]/half)
	}
	return out, nil
}

// refitResult is what a run with periodic refits came to.
type refitResult struct {
	Error    float64
	Never    float64 // share of outcomes that did not come before the end
	Models   int
	Promoted int
	Last     model.Card
}

// dueAt draws when the outcome of decision i comes, in decisions; after the end
// when it never does.
func dueAt(r *rand.Rand, scale []float64, i int) int {
	d := scale[r.IntN(len(scale))] * medianDelay
	if math.IsInf(d, 1) || d > 1e9 {
		return math.MaxInt
	}
	return i + 1 + int(d)
}

// drawDelays uses one stream of random numbers per seed.
func drawDelays(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 250)) } //nolint:gosec // repeatable draws, not secrets

// refits plays a stream through the product's trainer, with its fitter, gate and
// artifacts, on a clock that moves with the decisions: 250 decisions, then a look of
// the trainer. Until a model is live, decisions are even draws.
func refits(ctx context.Context, s *evaluate.Stream, seed uint64, scale []float64, margin float64) (refitResult, error) {
	d, err := newDesk(s)
	if err != nil {
		return refitResult{}, err
	}
	d.margin = margin
	r, wrong := drawDelays(seed), 0
	for i := range s.Known {
		d.arrive(i)
		if i > 0 && i%refitRows == 0 {
			if err := d.look(ctx); err != nil {
				return refitResult{}, err
			}
		}
		row := d.decide(i, seed)
		if row.Reward == 0 {
			wrong++
		}
		if due := dueAt(r, scale, i); due != math.MaxInt {
			o := open{due, row}
			at, _ := slices.BinarySearchFunc(d.waiting, o, func(a, b open) int { return cmp.Or(cmp.Compare(a.due, b.due), -1) })
			d.waiting = slices.Insert(d.waiting, at, o)
		}
	}
	out := refitResult{Error: float64(wrong) / float64(len(s.Known)), Models: len(d.cards)}
	out.Never = 1 - float64(len(d.known))/float64(len(s.Known))
	for _, c := range d.cards {
		if c.Gate == "passed" {
			out.Promoted++
		}
	}
	if len(d.cards) > 0 {
		out.Last = d.cards[len(d.cards)-1]
	}
	return out, nil
}

// open is a decision whose outcome has not come yet.
type open struct {
	due int
	row *trainer.Row
}

// desk is what a trainer works with, in memory.
type desk struct {
	trainer *trainer.Trainer
	stream  *evaluate.Stream
	options []model.Option
	now     time.Time
	waiting []open
	known   []*trainer.Row
	cards   []model.Card
	store   map[string][]byte
	live    string
	margin  float64
	model   *model.Model

	enc     model.Encoder
	scratch model.Scratch
	scores  []model.Score
	p       []float64
}

func newDesk(s *evaluate.Stream) (*desk, error) {
	d := &desk{
		stream: s, now: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC), store: map[string][]byte{},
		scores: make([]model.Score, len(s.Arms)), p: make([]float64, len(s.Arms)),
	}
	for _, a := range s.Arms {
		d.options = append(d.options, model.Option{Key: "TRANSFER_TO_SKILL:" + a})
	}
	cfg := trainer.DefaultConfig()
	// Every look refits: the looks are what is spaced, by rows.
	cfg.Check, cfg.MinRows, cfg.GrowthShare, cfg.MaxAge = time.Millisecond, minRows, 1e-9, 24*time.Hour
	var err error
	d.trainer, err = trainer.New(cfg, trainer.Deps{Directory: d, Rows: d, Store: d, Promoter: d, Now: func() time.Time { return d.now }})
	return d, err
}

// minRows is the least growth that a refit asks for in these runs.
const minRows = 50

// arrive takes in the outcomes that are due at decision i.
func (d *desk) arrive(i int) {
	d.now = d.now.Add(time.Second)
	for len(d.waiting) > 0 && d.waiting[0].due <= i {
		row := d.waiting[0].row
		row.Watermark, row.Settled = d.now, d.now
		d.known = append(d.known, row)
		d.waiting = d.waiting[1:]
	}
}

// look lets the trainer look once, and takes over what it has promoted.
func (d *desk) look(ctx context.Context) error {
	d.trainer.Look(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if d.live == "" || d.model != nil && d.model.Version() == d.live {
		return nil
	}
	var err error
	d.model, err = model.Decode(d.store[d.live])
	return err
}

func (d *desk) decide(i int, seed uint64) *trainer.Row {
	facts := d.stream.Known[i]
	for k := range d.p {
		d.p[k] = 1 / float64(len(d.p))
	}
	if d.model != nil {
		d.model.Score(&d.scratch, d.enc.Context(&facts), d.enc.Arms(d.options, ""), d.scores)
		explore.Probabilities(explore.DefaultConfig(), d.scores, nil, d.p)
	}
	drawn := explore.Draw(d.p, explore.Seed(fmt.Sprintf("%d:draw:%d", seed, i)))
	row := &trainer.Row{
		ID: fmt.Sprintf("%08d", i), Time: d.now, Facts: facts, Options: d.options,
		Chosen: d.options[drawn].Key, Propensity: d.p[drawn],
	}
	if drawn == d.stream.Right[i] {
		row.Reward = 1
	}
	return row
}

// Accounts implements trainer.Directory.
func (d *desk) Accounts(context.Context) ([]trainer.Account, error) {
	return []trainer.Account{{ID: "eval", Objective: "default", Revision: 1, RewardMax: 1, Margin: d.margin}}, nil
}

// Progress implements trainer.RowSource.
func (d *desk) Progress(context.Context, string, string) (trainer.Progress, error) {
	p := trainer.Progress{Rows: int64(len(d.known))}
	if n := len(d.known); n > 0 {
		p.Watermark = d.known[n-1].Watermark
	}
	return p, nil
}

// TrainingRows implements trainer.RowSource.
func (d *desk) TrainingRows(_ context.Context, _ trainer.Query, fn func(*trainer.Row) error) error {
	for _, r := range d.known {
		row := *r
		if err := fn(&row); err != nil {
			return err
		}
	}
	return nil
}

// SaveModel implements trainer.Store.
func (d *desk) SaveModel(_ context.Context, card model.Card, artifact []byte) error {
	d.cards = append(d.cards, card)
	d.store[card.Version] = artifact
	return nil
}

// LoadModel implements trainer.Store.
func (d *desk) LoadModel(_ context.Context, _, version string) (model.Card, []byte, error) {
	at := slices.IndexFunc(d.cards, func(c model.Card) bool { return c.Version == version })
	if at < 0 {
		return model.Card{}, nil, fault.New(fault.NotFound, "MODEL_NOT_FOUND", "no model %q", version)
	}
	return d.cards[at], d.store[version], nil
}

// Champion implements trainer.Promoter.
func (d *desk) Champion(context.Context, string) (string, error) { return d.live, nil }

// Promote implements trainer.Promoter.
func (d *desk) Promote(_ context.Context, card *model.Card, _ string) error {
	d.live = card.Version
	return nil
}
