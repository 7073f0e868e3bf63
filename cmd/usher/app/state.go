package app

import (
	"context"
	"time"

	"github.com/usherhq/usher/decision/server"
	"github.com/usherhq/usher/model/trainer"
)

// learningSource tells how learning is, from the warehouse and by the settings of the
// trainer, which may run elsewhere with the same ones.
type learningSource struct {
	warehouse *warehouse
	training  trainer.Config
	now       func() time.Time
}

var _ server.LearningSource = learningSource{}

// LearningState implements server.LearningSource.
func (l learningSource) LearningState(ctx context.Context, account, objective string) (server.LearningState, error) {
	db, err := l.warehouse.get(ctx)
	if err != nil {
		return server.LearningState{}, err
	}
	st, err := db.LearningState(ctx, account, objective)
	if err != nil {
		return server.LearningState{}, err
	}
	rows := int64(st.Rows)                                                                                             //nolint:gosec // a count
	out := server.LearningState{Rows: rows, Open: int64(st.Open), Maturity: st.Maturity, Explored: map[string]int64{}} //nolint:gosec // a count
	for target, n := range st.Explored {
		out.Explored[target] = int64(n) //nolint:gosec // a count
	}
	out.NextFit = func(fitted int64, made time.Time) string {
		return l.training.NextFit(rows, fitted, made, l.now())
	}
	return out, nil
}

// Arms implements server.LearningSource.
func (l learningSource) Arms(ctx context.Context, account string) ([]string, error) {
	db, err := l.warehouse.get(ctx)
	if err != nil {
		return nil, err
	}
	return db.Arms(ctx, account, l.now().Add(-l.training.Window))
}
