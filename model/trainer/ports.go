package trainer

import (
	"context"
	"time"

	"github.com/usherhq/usher/model"
)

// Account is one account to train for, with the objective that says what its
// rewards mean.
type Account struct {
	ID string
	// Objective names the objective; ObjectiveVersion changes whenever its rewards
	// come to mean something else, and makes the trainer start afresh. Revision, which
	// changes with every write of it, is put on cards.
	Objective        string
	ObjectiveVersion int64
	Revision         int64
	// RewardMin and RewardMax bound rewards; both 0 means 0 to 1.
	RewardMin, RewardMax float64
	// Margin is what the lower bound of a challenger's gain must reach, in reward:
	// below 0 a loss that is risked, above 0 a gain that must be proven, 0 the
	// default share of the range.
	Margin float64
	// OpenRows is how decisions count whose outcomes may still come: WeighOpenRows,
	// or else they wait.
	OpenRows string
	// Shadow says that nothing that is decided follows the live model.
	Shadow bool
	// Erased grows with every erasure of rows that a model may have learned from, and
	// makes the trainer start afresh: a learner cannot unlearn.
	Erased int64
	// Retrain is a live version that learned from erased rows and must go. What is
	// fitted to the rest is then judged as a first model, which needs no proof of
	// being as good as that.
	Retrain string
}

// rewards is the account without what may change while its rewards mean the same.
func (a Account) rewards() Account {
	a.Shadow, a.Retrain, a.Revision = false, "", 0
	return a
}

// Row is one decision joined with what came of it, as logged. A source hands over
// each decision at most once per call and does not touch the row afterwards;
// option lists that are equal should be one slice, shared.
type Row struct {
	ID   string
	Time time.Time // of the decision
	// Facts and Options are what the decision knew of its conversation and of
	// its eligible candidates.
	Facts   model.Facts
	Options []model.Option
	// Chosen is the key of the action taken, Propensity its probability under
	// what was live then; 0 or less means that nobody knows it.
	Chosen     string
	Propensity float64
	Reward     float64
	// Watermark is the latest ingest time among the row's outcomes.
	Watermark time.Time
	// Settled is the time of the last outcome counted; zero when none came inside
	// the window and the reward is that of silence.
	Settled time.Time
	// Weight is how many decisions the row stands for; 0 means 1. The trainer sets
	// it where open rows are weighed.
	Weight float64
	// PolicyOnly is the key of what policy alone would have done, if known.
	PolicyOnly string
}

// Progress is what there is to learn from.
type Progress struct {
	// Rows is about how many rows TrainingRows would read, silent decisions that
	// have a reward included: a fit waits for it to grow.
	Rows int64
	// Watermark is the newest ingest time of any outcome.
	Watermark time.Time
}

// Query picks rows: those of one account and objective decided at or after From,
// the newest Limit of them.
type Query struct {
	Account, Objective string
	From               time.Time
	Limit              int
}

// RowSource reads joined rows. Progress must be cheap: it is called at every
// check, and less often where it takes long. TrainingRows calls fn once per row in any order, and stops with fn's
// error when it returns one.
type RowSource interface {
	Progress(ctx context.Context, account, objective string) (Progress, error)
	TrainingRows(ctx context.Context, q Query, fn func(*Row) error) error
}

// Store keeps models. SaveModel returns nil only when card and artifact can be
// read back; saving the same version again is no error.
type Store interface {
	SaveModel(ctx context.Context, card model.Card, artifact []byte) error
	// LoadModel returns an error of kind NotFound when there is no such version.
	LoadModel(ctx context.Context, account, version string) (model.Card, []byte, error)
}

// Promoter knows and sets which version is live. Champion returns "" when there
// is none.
type Promoter interface {
	Champion(ctx context.Context, account string) (version string, err error)
	Promote(ctx context.Context, card *model.Card, reason string) error
}

// Holder is an ability that a Promoter may have: to say that nothing is to be
// promoted. It should hold after a person has rolled a model back, until a
// person promotes one: the next model is fitted to nearly the same rows as the
// one that was found wanting. Models are fitted, judged and stored all the same.
type Holder interface {
	Held(ctx context.Context, account string) (held bool, err error)
}

// Directory lists the accounts to train for.
type Directory interface {
	Accounts(ctx context.Context) ([]Account, error)
}
