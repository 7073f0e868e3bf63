package app

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/usherhq/usher/analytics"
	"github.com/usherhq/usher/analytics/clickhouse"
	"github.com/usherhq/usher/decision/server"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/model/trainer"
	"github.com/usherhq/usher/pipeline/event"
)

// warehouse opens the database when it is first needed and can be had: a process
// that decides starts and answers while the warehouse is away. It is safe for
// concurrent use.
type warehouse struct {
	cfg clickhouse.Config

	mu     sync.Mutex
	db     *clickhouse.DB
	failed time.Time
	err    error
}

// reopenPause keeps requests from waiting one after the other for a warehouse
// that is away.
const reopenPause = time.Second

// get returns the open database, or an Unavailable fault.
func (w *warehouse) get(ctx context.Context) (*clickhouse.DB, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.db != nil {
		return w.db, nil
	}
	if w.err == nil || time.Since(w.failed) > reopenPause {
		db, err := clickhouse.Open(ctx, w.cfg)
		if err == nil {
			w.db = db
			return db, nil
		}
		w.failed, w.err = time.Now(), err
	}
	return nil, &fault.Error{Kind: fault.Unavailable, Reason: "WAREHOUSE_AWAY", Message: "the warehouse cannot be reached", Cause: w.err}
}

// Close closes the database when it was opened.
func (w *warehouse) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.db == nil {
		return nil
	}
	return w.db.Close()
}

// Artifact implements artifactSource.
func (w *warehouse) Artifact(ctx context.Context, account, version string) ([]byte, error) {
	db, err := w.get(ctx)
	if err != nil {
		return nil, err
	}
	return db.LoadArtifact(ctx, account, version)
}

// Decision implements server.RecordSource.
func (w *warehouse) Decision(ctx context.Context, account, id string) (*event.Decision, error) {
	db, err := w.get(ctx)
	if err != nil {
		return nil, err
	}
	return db.Decision(ctx, account, id)
}

// ModelCards implements server.ModelCatalog.
func (w *warehouse) ModelCards(ctx context.Context, account string) ([]server.ModelCard, error) {
	db, err := w.get(ctx)
	if err != nil {
		return nil, err
	}
	list, err := db.Cards(ctx, account, 0)
	if err != nil {
		return nil, err
	}
	cards := make([]server.ModelCard, len(list))
	for i, m := range list {
		cards[i] = server.ModelCard{Version: m.Version, Created: m.CreatedAt, Card: m.Card}
	}
	return cards, nil
}

// FittedRows implements ladder.Fits.
func (w *warehouse) FittedRows(ctx context.Context, account, version string) (int64, error) {
	cards, err := w.ModelCards(ctx, account)
	if err != nil {
		return 0, err
	}
	at := slices.IndexFunc(cards, func(c server.ModelCard) bool { return c.Version == version })
	if at < 0 {
		return 0, nil
	}
	var card model.Card
	if err := json.Unmarshal(cards[at].Card, &card); err != nil {
		return 0, fmt.Errorf("read the card of model %q: %w", version, err)
	}
	return card.Rows, nil
}

// trainingStore gives the trainer its rows and keeps its models: two vocabularies
// that must not know each other meet here.
type trainingStore struct{ db *clickhouse.DB }

var (
	_ trainer.RowSource = trainingStore{}
	_ trainer.Store     = trainingStore{}
)

// Progress implements trainer.RowSource.
func (s trainingStore) Progress(ctx context.Context, account, objective string) (trainer.Progress, error) {
	p, err := s.db.TrainingProgress(ctx, analytics.TrainingQuery{Account: account, Objective: objective})
	return trainer.Progress{Rows: int64(p.Rows), Watermark: p.KnownAt}, err //nolint:gosec // a count
}

// TrainingRows implements trainer.RowSource.
func (s trainingStore) TrainingRows(ctx context.Context, q trainer.Query, fn func(*trainer.Row) error) error {
	var options optionLists
	for row, err := range s.db.TrainingRows(ctx, analytics.TrainingQuery{
		Account: q.Account, Objective: q.Objective, From: q.From, Limit: q.Limit,
	}) {
		if err != nil {
			return err
		}
		if err := fn(trainerRow(row, &options)); err != nil {
			return err
		}
	}
	return nil
}

func trainerRow(r *analytics.TrainingRow, options *optionLists) *trainer.Row {
	row := &trainer.Row{
		ID: r.DecisionID, Time: r.Time,
		Facts:   model.Facts{Channel: r.Channel, Intent: r.Intent, Attributes: r.Attributes, Baseline: r.Baseline},
		Options: options.of(r), Chosen: r.Chosen, Propensity: r.Propensity,
		Reward: r.Reward, Watermark: r.KnownAt, PolicyOnly: r.PolicyOnly,
	}
	if !r.Silent {
		row.Settled = r.RewardTime
	}
	return row
}

// optionLists shares equal lists of options among rows: most decisions of an
// account choose among the same few.
type optionLists struct{ last []model.Option }

// of returns the row's eligible candidates. Only the chosen one's attributes are
// kept in columns, and only it is learned from.
func (l *optionLists) of(r *analytics.TrainingRow) []model.Option {
	list := make([]model.Option, 0, len(r.CandidateKeys))
	for i, key := range r.CandidateKeys {
		if !r.CandidateEligible[i] {
			continue
		}
		o := model.Option{Key: key}
		if key == r.Chosen {
			o.Attributes = r.ChosenAttributes
		}
		list = append(list, o)
	}
	plain := func(o model.Option) bool { return len(o.Attributes) == 0 }
	same := func(a, b model.Option) bool { return a.Key == b.Key && plain(a) && plain(b) }
	if slices.EqualFunc(list, l.last, same) {
		return l.last
	}
	l.last = list
	return list
}

// SaveModel implements trainer.Store.
func (s trainingStore) SaveModel(ctx context.Context, card model.Card, artifact []byte) error {
	text, err := json.Marshal(card)
	if err != nil {
		return fmt.Errorf("write the card of model %q: %w", card.Version, err)
	}
	return s.db.SaveModel(ctx, analytics.Model{
		Account: card.Account, Version: card.Version, Objective: card.Objective, CreatedAt: card.CreatedTime,
		Rows: card.Rows, Gate: card.Gate, GateReason: card.GateReason, Card: text,
		SHA256: card.SHA256, Size: card.Size, Artifact: artifact,
	})
}

// LoadModel implements trainer.Store.
func (s trainingStore) LoadModel(ctx context.Context, account, version string) (model.Card, []byte, error) {
	artifact, err := s.db.LoadArtifact(ctx, account, version)
	if err != nil {
		return model.Card{}, nil, err
	}
	list, err := s.db.Cards(ctx, account, 0)
	if err != nil {
		return model.Card{}, nil, err
	}
	at := slices.IndexFunc(list, func(m analytics.Model) bool { return m.Version == version })
	if at < 0 {
		return model.Card{}, nil, fault.New(fault.NotFound, "MODEL_NOT_FOUND", "model %q has no card", version)
	}
	var card model.Card
	if err := json.Unmarshal(list[at].Card, &card); err != nil {
		return model.Card{}, nil, fmt.Errorf("read the card of model %q: %w", version, err)
	}
	return card, artifact, nil
}
