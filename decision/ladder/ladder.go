package ladder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/control"
)

// Author is who the config log names where the ladder itself sets a scope back.
const Author = "usher-ladder"

// Side says who decided by the lot of COMPARE or HOLDOUT.
type Side int8

// The sides. What policies fix, and decisions that the model should have made and
// could not, are on neither.
const (
	SideNone Side = iota
	SideModel
	SidePolicy
)

// Row is one decision of a scope, or one conversation, with what came of it.
type Row struct {
	Side  Side
	Mode  decision.ModeKind
	Value float64 // the reward, or the value of the guardrail's kind of outcome
	// Chosen was done with the probability Propensity; ModelOnly and PolicyOnly are
	// what each alone would have done.
	Chosen, ModelOnly, PolicyOnly string
	Propensity                    float64
}

// Query asks for the rows of one scope.
type Query struct {
	Account, Objective string
	// Kind is a kind of outcome, empty for the objective's reward: their sum within the
	// objective's window, once it is over, and 0 of none. With Rated it is the last one,
	// and decisions without any have no row.
	Kind  string
	Rated bool
	// Conversations asks for one row for each conversation and side, the mean of its
	// decisions; the sum of a kind that is not Rated.
	Conversations bool
	// Policy or Skill narrow to a scope; both are empty for the account's. Others are
	// the policies and skills that have a mode of their own, whose rows go to them.
	Policy, Skill              string
	OtherPolicies, OtherSkills []string
	// Modes are those that count, From and To when the decisions were made; a zero
	// To is now.
	Modes    []decision.ModeKind
	From, To time.Time
	// Limit is how many of the newest are enough.
	Limit int
}

// Evidence reads what came of decisions. The SQL of analytics/clickhouse is behind
// it in service.
type Evidence interface {
	// LadderRows streams rows in the order in which their values became known. Where
	// silence has a value, that is when the objective's window is over. It ends with
	// at most one error.
	LadderRows(ctx context.Context, q Query) iter.Seq2[Row, error]
	// LadderMatch counts the newest decisions that a model scored, and those among
	// them in which its choice was the caller's own, or policy's where the caller
	// named none.
	LadderMatch(ctx context.Context, q Query) (same, rows int64, err error)
}

// Fits says how many rows a version was fitted to; not knowing is no error but 0.
type Fits interface {
	FittedRows(ctx context.Context, account, version string) (int64, error)
}

// Deps is what a ladder works with; Log and Metrics are for Run alone, and Metrics
// may be nil. So may Fits: then a live model is old enough.
type Deps struct {
	Control  *control.Control
	Evidence Evidence
	Fits     Fits
	Now      func() time.Time
	Log      *slog.Logger
	Metrics  *Metrics
}

// Config bounds what the ladder reads and how often it looks.
type Config struct {
	// Check is the time between two looks at the guardrails.
	Check time.Duration
	// Alpha bounds the chance, over all looks together, that a sound scope is set back,
	// while conversations are independent and alike over time and there are no more
	// than MaxRows. The guardrails of a scope share it.
	Alpha float64
	// MaxRows is how many of the newest rows a test reads. With more of them each look
	// is at another sample, and the error over all looks grows with their number.
	MaxRows int
}

// DefaultConfig looks every minute, with an error of one in twenty as Alpha has it.
func DefaultConfig() Config { return Config{Check: time.Minute, Alpha: 0.05, MaxRows: 500_000} }

// Validate reports every value out of range.
func (c Config) Validate() error {
	var errs []error
	if c.Check <= 0 {
		errs = append(errs, fmt.Errorf("check is %v, must be above 0", c.Check))
	}
	if !(c.Alpha > 0 && c.Alpha < 1) {
		errs = append(errs, fmt.Errorf("alpha is %g, must lie between 0 and 1", c.Alpha))
	}
	if c.MaxRows < 1 {
		errs = append(errs, fmt.Errorf("max_rows is %d, must be above 0", c.MaxRows))
	}
	return errors.Join(errs...)
}

// What the entry tests ask for.
const (
	// MinRows is how many rewarded decisions COMPARE needs.
	MinRows = 500
	// MinDays in COMPARE, or MinSideRows on each side, are needed for HOLDOUT.
	MinDays     = 7
	MinSideRows = 1000
	// MatchRows is how many recent decisions the match rate is taken of.
	MatchRows = 2000
	// DefaultShare is that of COMPARE and HOLDOUT where nobody says another.
	DefaultShare = 0.1
	// DefaultDrop, of the objective's range, is how much worse the reward may be where
	// a scope has no guardrails of its own.
	DefaultDrop = 0.05
)

// Ladder tests and moves scopes. It is safe for concurrent use.
type Ladder struct {
	cfg  Config
	deps Deps
}

// New makes a ladder; it starts nothing.
func New(cfg Config, deps Deps) (*Ladder, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("validate ladder config: %w", err)
	}
	if deps.Control == nil || deps.Evidence == nil || deps.Now == nil {
		return nil, errors.New("a ladder needs control, evidence and a clock")
	}
	return &Ladder{cfg: cfg, deps: deps}, nil
}

// Scope is where one scope stands.
type Scope struct {
	Mode control.Mode
	// Next is the step up, empty at the top.
	Next       decision.ModeKind
	Tests      []Test
	Guardrails []State
	// MatchRate is the share of MatchRows decisions in which the model's choice was
	// the baseline's.
	MatchRate float64
	MatchRows int64
}

// Test is one condition of the next step.
type Test struct {
	Name, Detail string
	Passed       bool
}

// Standing is how a guardrail is.
type Standing string

// How a guardrail can be.
const (
	OK       Standing = "OK"
	Watching Standing = "WATCHING" // not enough rows to tell
	Breached Standing = "BREACHED"
)

// State is one guardrail with its evidence. Lower and Upper bound model minus policy,
// as better minus worse, at all times at once as Config.Alpha has it. Rows are of
// conversations.
type State struct {
	control.Guardrail
	Model, Policy         float64
	Lower, Upper          float64
	ModelRows, PolicyRows int64
	Standing              Standing
	Since                 time.Time
	// Rough says that policy's side is of the time before.
	Rough bool
}

// order is the ladder from the ground up.
func order() []decision.ModeKind {
	return []decision.ModeKind{decision.ModeOff, decision.ModeShadow, decision.ModeCompare, decision.ModeHoldout, decision.ModeOn}
}

// above is the next step up, empty at the top.
func above(k decision.ModeKind) decision.ModeKind {
	rungs := order()
	for i := range len(rungs) - 1 {
		if rungs[i] == k {
			return rungs[i+1]
		}
	}
	return ""
}

// scene is what one look at an account needs to know of all its scopes.
type scene struct {
	account          string
	policies, skills []string // with a mode of their own
}

// query is what asks for the rows of a mode's scope.
func (s *scene) query(m *control.Mode) Query {
	q := Query{Account: s.account, Objective: cmp.Or(m.Objective, control.DefaultObjective), OtherPolicies: s.policies, OtherSkills: s.skills}
	if name, ok := after(m.Scope, decision.ScopePolicyPrefix); ok {
		q.Policy, q.OtherPolicies, q.OtherSkills = name, nil, nil
	}
	if name, ok := after(m.Scope, decision.ScopeSkillPrefix); ok {
		q.Skill, q.OtherSkills = name, nil
	}
	return q
}

func after(scope, prefix string) (string, bool) {
	if len(scope) > len(prefix) && scope[:len(prefix)] == prefix {
		return scope[len(prefix):], true
	}
	return "", false
}

func sceneOf(account string, modes []control.Mode) *scene {
	s := &scene{account: account}
	for i := range modes {
		if name, ok := after(modes[i].Scope, decision.ScopePolicyPrefix); ok {
			s.policies = append(s.policies, name)
		}
		if name, ok := after(modes[i].Scope, decision.ScopeSkillPrefix); ok {
			s.skills = append(s.skills, name)
		}
	}
	return s
}

// Modes lists the account's scopes that have a mode, as they are set; the account's own
// is always among them. Standing tells how one of them is.
func (l *Ladder) Modes(account string) ([]control.Mode, error) {
	if _, err := l.deps.Control.GetAccount(account); err != nil {
		return nil, err
	}
	modes, err := l.deps.Control.Modes(account)
	if err != nil {
		return nil, err
	}
	for i := range modes {
		if modes[i].Scope == decision.ScopeAccount {
			return modes, nil
		}
	}
	return append([]control.Mode{fresh(decision.ScopeAccount)}, modes...), nil
}

// fresh is the mode of a scope in which nobody set one.
func fresh(scope string) control.Mode {
	return control.Mode{Scope: scope, Kind: decision.FreshMode().Kind}
}

// Standing looks at one scope.
func (l *Ladder) Standing(ctx context.Context, account string, m control.Mode) (Scope, error) {
	modes, err := l.deps.Control.Modes(account)
	if err != nil {
		return Scope{}, err
	}
	return l.look(ctx, sceneOf(account, modes), m)
}

func (l *Ladder) look(ctx context.Context, s *scene, m control.Mode) (Scope, error) {
	out := Scope{Mode: m, Next: above(m.Kind)}
	q := s.query(&m)
	q.Limit = MatchRows
	same, rows, err := l.deps.Evidence.LadderMatch(ctx, q)
	if err != nil {
		return out, fmt.Errorf("count the matches of %q: %w", m.Scope, err)
	}
	if out.MatchRows = rows; rows > 0 {
		out.MatchRate = float64(same) / float64(rows)
	}
	if out.Guardrails, err = l.guardrails(ctx, s, &m); err != nil {
		return out, err
	}
	out.Tests, err = l.tests(ctx, s, &out)
	return out, err
}
