package decision

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/pipeline/event"
)

// Deps is what an engine works with. What does not say otherwise must be there;
// Skills and Metrics may be nil.
type Deps struct {
	Policies PolicySource
	Models   ModelSource
	Control  ControlSource
	Skills   SkillSource
	Now      func() time.Time
	NewID    func() string // of decisions, and of requests that bring none
	Metrics  *Metrics
	// Attributes finds what requests do not bring, and Seats who serves what; both
	// may be nil.
	Attributes AttributeSource
	Seats      SeatSource
	// Scores stands in for the model where it has the scores; nil in service.
	Scores ScoreSource
	// Past tells a replay what bounded exploration; nil in service, where budgets are
	// counted.
	Past PastDraws
}

// Engine decides. It is safe for concurrent use and holds no state of its own
// but working memory and what was explored this hour.
type Engine struct {
	cfg  Config
	deps Deps
	pool sync.Pool // of *scratch

	budgets budgets
}

// New makes an engine. It starts nothing.
func New(cfg Config, deps Deps) (*Engine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("validate engine config: %w", err)
	}
	if deps.Policies == nil || deps.Models == nil || deps.Control == nil || deps.Now == nil || deps.NewID == nil {
		return nil, errors.New("engine needs policies, models, control, a clock and ids")
	}
	e := &Engine{cfg: cfg, deps: deps}
	e.pool.New = func() any { return &scratch{} }
	return e, nil
}

// scratch is the working memory of one decision at a time.
type scratch struct {
	input, defaults inputSlot
	flags           inputSlot // of the condition that forbids exploration
	encoder         model.Encoder
	model           model.Scratch
	options         []model.Option
	scores, scaled  []model.Score
	eligible, taken []bool
	probabilities   []float64
	caps            []float64
	unpriced        []float64 // priorities without a price on waiting
	held            []draw
	order           []int
	names           []string
	seen            map[string]bool
}

// inputSlot keeps an input as long as its set stays the live one.
type inputSlot struct {
	set *policy.Set
	in  *policy.Input
}

func (s *inputSlot) of(set *policy.Set) *policy.Input {
	if s.set != set {
		s.set, s.in = set, set.NewInput()
	}
	return s.in
}

// Decide answers one request with the record of it. The result is complete, valid and the caller's to
// keep; its lists share what the request brought, so neither may be changed.
// Errors: Invalid with every fault of the request, NotFound for an unknown
// account or policy, the context's own when it has ended. It waits for nothing but
// attributes that policies need and the request does not bring, and for those no
// longer than Config.Budget.
func (e *Engine) Decide(ctx context.Context, r *Request) (*event.Decision, error) {
	_, record, err := e.Answer(ctx, r)
	return record, err
}

// Answer decides like Decide and returns the decision twice: as the caller may have
// it, with personal values in the texts and targets that policies fill with them,
// and as it may be recorded or shown to others. They are one and the same when
// nothing is hidden, and share their lists otherwise; the answer's Attributes and
// Policies are those of the record.
func (e *Engine) Answer(ctx context.Context, r *Request) (answer, record *event.Decision, err error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, fmt.Errorf("decide: %w", err)
	}
	start := e.deps.Now()
	account, ok := e.deps.Control.Account(r.Account)
	if !ok {
		return nil, nil, fault.New(fault.NotFound, "ACCOUNT_NOT_FOUND", "account %q does not exist", r.Account)
	}
	if err := r.Validate(); err != nil {
		return nil, nil, err
	}
	s, _ := e.pool.Get().(*scratch)
	defer e.pool.Put(s)
	t := turn{engine: e, request: r, account: account, scratch: s, now: start}
	if r.Supplied != nil && !r.Supplied.Now.IsZero() {
		t.now = r.Supplied.Now
	}
	if err := t.begin(); err != nil {
		return nil, nil, err
	}
	t.resolve(ctx)
	t.policies()
	t.score()
	t.decide()
	t.record()
	t.d.Latency = max(e.deps.Now().Sub(start), 0)
	if !r.DryRun {
		e.deps.Metrics.count(t.d)
	}
	answer, record = t.part()
	return answer, record, nil
}

// Salts keep draws and splits independent of each other although all come from
// the request.
const (
	saltSeed  = 0x9e3779b97f4a7c15
	saltShare = 0xc2b2ae3d27d4eb4f
	saltSplit = 0x165667b19e3779f9
	saltArm   = 0x27d4eb2f165667c5
)

// Seed is the number that all randomness of a decision comes from.
func Seed(account, requestID string) uint64 {
	return mix(xxhash.Sum64String(account)*saltSeed ^ xxhash.Sum64String(requestID))
}

// mix is the finaliser of splitmix64: equal bits in, independent bits out.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// unit maps a hash to [0, 1).
func unit(x uint64) float64 { return float64(x>>11) / (1 << 53) }

// shareOf places a conversation in [0, 1), for splits that must not change while
// it lasts.
func (t *turn) shareOf() float64 {
	key := t.d.ConversationID
	if key == "" {
		key = t.d.RequestID
	}
	return unit(mix(xxhash.Sum64String(key)*saltShare ^ xxhash.Sum64String(t.d.Account)))
}
