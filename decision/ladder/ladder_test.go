package ladder_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"go.uber.org/goleak"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/control"
	"github.com/usherhq/usher/decision/ladder"
	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is an account with a real engine, a real control on a log in memory, and
// customers whose outcomes depend on the arm that they get.
type site struct {
	t         *testing.T
	control   *control.Control
	engine    *decision.Engine
	ladder    *ladder.Ladder
	luck      *rand.Rand
	worth     map[string]float64 // chance of a reward of 1, by arm
	rows      []outcome
	asked     int
	later     time.Duration // what the ladder's clock is ahead
	fail      error
	meanwhile func() // happens while the tests are made
	model     *model.Model
	fitted    int64 // rows that it learned from
}

type outcome struct {
	*event.Decision
	reward float64
}

const account = control.DefaultAccount

var ann = control.Author{Name: "ann", Reason: "the figures are good"}

func (s *site) Policies(string) *policy.Set                { return policy.Compile(nil, 1) }
func (s *site) Current(string) *model.Model                { return s.model }
func (s *site) Account(id string) (decision.Account, bool) { return s.control.Account(id) }
func (s *site) Mode(id, scope string) (decision.Mode, bool) {
	return s.control.Mode(id, scope)
}

// LadderRows gives what the SQL of the warehouse gives: sides by the reasons.
func (s *site) LadderRows(_ context.Context, q ladder.Query) iter.Seq2[ladder.Row, error] {
	return func(yield func(ladder.Row, error) bool) {
		if s.fail != nil {
			yield(ladder.Row{}, s.fail)
			return
		}
		for _, o := range s.rows {
			if len(q.Modes) > 0 && !slices.Contains(q.Modes, decision.ModeKind(o.Mode)) || o.Time.Before(q.From) ||
				!q.To.IsZero() && !o.Time.Before(q.To) || q.Skill != "" && o.PolicyOnly != q.Skill || slices.Contains(q.OtherSkills, o.PolicyOnly) {
				continue
			}
			row := ladder.Row{
				Mode: decision.ModeKind(o.Mode), Value: o.reward, Chosen: o.Chosen, ModelOnly: o.ModelOnly, PolicyOnly: o.PolicyOnly, Propensity: o.Propensity,
			}
			has := func(reasons ...string) bool {
				return slices.ContainsFunc(reasons, func(r string) bool { return slices.Contains(o.Reasons, r) })
			}
			switch {
			case has(decision.ReasonModelRanked, decision.ReasonExplored):
				row.Side = ladder.SideModel
			case has(decision.ReasonHoldout, decision.ReasonComparePolicy):
				row.Side = ladder.SidePolicy
			}
			if !yield(row, nil) {
				return
			}
		}
	}
}

func (s *site) LadderMatch(_ context.Context, q ladder.Query) (same, rows int64, err error) {
	if s.meanwhile != nil {
		s.meanwhile()
	}
	for _, o := range slices.Backward(s.rows) {
		if rows++; o.ModelOnly == o.Baseline {
			same++
		}
		if rows == int64(q.Limit) {
			break
		}
	}
	return same, rows, s.fail
}

// open makes a site whose model believes in "new", whatever the truth is.
func open(t *testing.T, worth map[string]float64) *site {
	t.Helper()
	store := configlog.New(&configlog.Memory{})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { _ = store.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	<-store.Ready()
	s := &site{t: t, control: control.New(store), fitted: ladder.MinRows, worth: worth, luck: rand.New(rand.NewPCG(1, 2))}
	if err := s.control.Bootstrap(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.model = believer(t)
	var err error
	s.engine, err = decision.New(decision.DefaultConfig(), decision.Deps{
		Policies: s, Models: s, Control: s, Now: time.Now, NewID: func() string { s.asked++; return fmt.Sprint("d-", s.asked) },
	})
	if err != nil {
		t.Fatal(err)
	}
	s.ladder, err = ladder.New(ladder.DefaultConfig(), ladder.Deps{
		Control: s.control, Evidence: s, Fits: s, Now: func() time.Time { return time.Now().Add(s.later) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// FittedRows implements ladder.Fits.
func (s *site) FittedRows(context.Context, string, string) (int64, error) { return s.fitted, nil }

func believer(t *testing.T) *model.Model {
	t.Helper()
	l, err := model.New(model.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	var enc model.Encoder
	for i := range 400 {
		key, reward := "old", float64(i%4/3)
		if i%2 == 1 {
			key, reward = "new", 1-float64(i%4/3)/2
		}
		err := l.Learn(model.Example{
			Context: enc.Context(&model.Facts{Intent: "refund"}), Arms: enc.Arms([]model.Option{{Key: key}}, ""), Reward: reward, Propensity: 0.5,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return l.Snapshot("m1")
}

// serve lets conversations come and their outcomes be known.
func (s *site) serve(n int) {
	s.t.Helper()
	for range n {
		s.asked++
		d, err := s.engine.Decide(s.t.Context(), &decision.Request{
			Account: account, ConversationID: fmt.Sprint("c-", s.asked), RequestID: fmt.Sprint("r-", s.asked), Intent: "refund",
			Candidates: []event.Candidate{{Action: event.Action{Target: "old"}}, {Action: event.Action{Target: "new"}}},
			Baseline:   &event.Action{Target: "old"},
		})
		if err != nil {
			s.t.Fatal(err)
		}
		o := outcome{Decision: d}
		if s.luck.Float64() < s.worth[d.Chosen] {
			o.reward = 1
		}
		s.rows = append(s.rows, o)
	}
}

func (s *site) mode() control.Mode {
	s.t.Helper()
	m, err := s.control.GetMode(account, decision.ScopeAccount)
	if err != nil {
		s.t.Fatal(err)
	}
	return m
}

func (s *site) advance(step ladder.Step) control.Mode {
	s.t.Helper()
	m, err := s.ladder.Advance(s.t.Context(), account, decision.ScopeAccount, step, ann)
	if err != nil {
		s.t.Fatal(err)
	}
	return m
}

func (s *site) standing() ladder.Scope {
	s.t.Helper()
	at, err := s.ladder.Standing(s.t.Context(), account, s.mode())
	if err != nil {
		s.t.Fatal(err)
	}
	return at
}

func (s *site) promote() {
	s.t.Helper()
	if _, err := s.control.Promote(s.t.Context(), account, "m1", control.Trained{}, ann); err != nil {
		s.t.Fatal(err)
	}
}

// A model that is worse is set back without anybody looking, with the numbers as
// reason, and comes no more.
func TestABreachSetsTheScopeBack(t *testing.T) {
	for _, kind := range []decision.ModeKind{decision.ModeCompare, decision.ModeHoldout, decision.ModeOn} {
		t.Run(string(kind), func(t *testing.T) {
			s := open(t, map[string]float64{"old": 0.7, "new": 0.3})
			s.promote()
			s.serve(600)
			for s.mode().Kind != kind {
				s.advance(ladder.Step{Share: 0.5, Force: true})
				s.serve(300)
			}
			if kind == decision.ModeOn {
				s.serve(600)
			}
			for range 20 {
				if err := s.ladder.Watch(t.Context()); err != nil {
					t.Fatal(err)
				}
				if s.mode().Kind == decision.ModeShadow {
					break
				}
				s.serve(200)
			}
			m := s.mode()
			if m.Kind != decision.ModeShadow || m.Share != 0 || m.Author != ladder.Author {
				t.Fatalf("the mode is %+v", m)
			}
			for _, word := range []string{"guardrail breached in " + string(kind), "reward", "allowed -0.05"} {
				if !strings.Contains(m.Reason, word) {
					t.Errorf("the reason %q lacks %q", m.Reason, word)
				}
			}
			if at := s.standing(); at.Mode.Reason != m.Reason || at.Mode.Author != ladder.Author {
				t.Errorf("the ladder shows %+v", at.Mode)
			}
			if before, ok := s.control.ModeBefore(account, decision.ScopeAccount); !ok || before.Kind != kind {
				t.Errorf("the log has %+v before", before)
			}
			t.Logf("%s after %d conversations", m.Reason, len(s.rows))
		})
	}
}

// A sound model goes up step by step; every step shows its tests first.
func TestASoundScopeGoesUp(t *testing.T) {
	s := open(t, map[string]float64{"old": 0.5, "new": 0.75})
	_, err := s.ladder.Advance(t.Context(), account, decision.ScopeAccount, ladder.Step{}, ann)
	wantTests(t, err, "model", "rows")
	s.serve(ladder.MinRows)
	_, err = s.ladder.Advance(t.Context(), account, decision.ScopeAccount, ladder.Step{}, ann)
	wantTests(t, err, "model")
	s.promote()
	s.fitted = ladder.MinRows - 1
	_, err = s.ladder.Advance(t.Context(), account, decision.ScopeAccount, ladder.Step{}, ann)
	wantTests(t, err, "model")
	s.fitted = ladder.MinRows
	at := s.standing()
	if at.MatchRows != ladder.MinRows || at.MatchRate > 0.5 || at.Next != decision.ModeCompare || len(at.Tests) != 4 {
		t.Errorf("%+v", at)
	}
	if m := s.advance(ladder.Step{}); m.Kind != decision.ModeCompare || m.Share != ladder.DefaultShare {
		t.Fatalf("the mode is %+v", m)
	}
	s.serve(100)
	_, err = s.ladder.Advance(t.Context(), account, decision.ScopeAccount, ladder.Step{}, ann)
	wantTests(t, err, "rows")
	s.later = (ladder.MinDays*24 + 1) * time.Hour
	if m := s.advance(ladder.Step{Share: 0.4}); m.Kind != decision.ModeHoldout || m.Share != 0.4 {
		t.Fatalf("the mode is %+v", m)
	}
	s.serve(60)
	_, err = s.ladder.Advance(t.Context(), account, decision.ScopeAccount, ladder.Step{}, ann)
	wantTests(t, err, "guardrails")
	for range 20 {
		s.serve(500)
		if err := s.ladder.Watch(t.Context()); err != nil {
			t.Fatal(err)
		}
		if g := s.standing().Guardrails[0]; g.Standing == ladder.OK {
			t.Logf("%+v after %d rows", g, g.ModelRows+g.PolicyRows)
			break
		}
	}
	if m := s.advance(ladder.Step{}); m.Kind != decision.ModeOn || m.Share != 0 || m.Author != "ann" {
		t.Fatalf("the mode is %+v", m)
	}
	s.serve(2000)
	if err := s.ladder.Watch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if at := s.standing(); at.Mode.Kind != decision.ModeOn || at.Next != "" || at.Guardrails[0].PolicyRows == 0 || !at.Guardrails[0].Rough {
		t.Errorf("%+v", at)
	}
	_, err = s.ladder.Advance(t.Context(), account, decision.ScopeAccount, ladder.Step{Force: true}, ann)
	if e, ok := errors.AsType[*fault.Error](err); !ok || e.Reason != "LADDER_TOP" {
		t.Errorf("above ON: %v", err)
	}
	m, err := s.ladder.Retreat(t.Context(), account, decision.ScopeAccount, "", control.Author{Name: "ann", Reason: "enough"})
	if err != nil || m.Kind != decision.ModeShadow || m.Reason != "enough" {
		t.Errorf("back: %+v, %v", m, err)
	}
}

// A refusal names every test that fails, and no other.
func wantTests(t *testing.T, err error, names ...string) {
	t.Helper()
	e, ok := errors.AsType[*fault.Error](err)
	if !ok || e.Kind != fault.Precondition || e.Reason != ladder.ReasonTests {
		t.Fatalf("error %v", err)
	}
	var got []string
	for _, v := range e.Violations {
		got = append(got, v.Field)
	}
	if !slices.Equal(got, names) {
		t.Errorf("refused for %v, want %v: %v", got, names, err)
	}
}

func TestForceIsLogged(t *testing.T) {
	s := open(t, nil)
	m := s.advance(ladder.Step{Force: true})
	if m.Kind != decision.ModeCompare || !strings.HasPrefix(m.Reason, "the figures are good (forced, model: no model is live; rows: 0 decisions") {
		t.Errorf("%+v", m)
	}
	s.fail = errors.New("the warehouse is away")
	if _, err := s.ladder.Advance(t.Context(), account, decision.ScopeAccount, ladder.Step{}, ann); !errors.Is(err, s.fail) {
		t.Errorf("without evidence: %v", err)
	}
	if m := s.advance(ladder.Step{Force: true}); m.Kind != decision.ModeHoldout || !strings.Contains(m.Reason, "the warehouse is away") {
		t.Errorf("%+v", m)
	}
	if err := s.ladder.Watch(t.Context()); !errors.Is(err, s.fail) {
		t.Errorf("a watch without evidence: %v", err)
	}
	if m, err := s.ladder.Retreat(t.Context(), account, decision.ScopeAccount, decision.ModeOff, ann); err != nil || m.Kind != decision.ModeOff {
		t.Errorf("back without evidence: %+v, %v", m, err)
	}
	if _, err := s.ladder.Retreat(t.Context(), account, decision.ScopeAccount, decision.ModeOn, ann); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a retreat to ON: %v", err)
	}
}

// What somebody else sets while the tests are made is not overwritten, be it the first
// mode that the scope ever had.
func TestAdvanceFromAFreshScopeConflicts(t *testing.T) {
	for _, scope := range []string{"skill:old", decision.ScopeAccount} {
		s := open(t, nil)
		s.meanwhile = func() {
			m := control.Mode{Scope: scope, Kind: decision.ModeOff}
			if _, err := s.control.SetMode(t.Context(), account, m, ann); err != nil {
				t.Error(err)
			}
		}
		_, err := s.ladder.Advance(t.Context(), account, scope, ladder.Step{Force: true}, ann)
		if fault.KindOf(err) != fault.Conflict {
			t.Errorf("%s: %v", scope, err)
		}
		if m, err := s.control.GetMode(account, scope); err != nil || m.Kind != decision.ModeOff {
			t.Errorf("%s: %+v, %v", scope, m, err)
		}
		s.meanwhile = nil
		if m, err := s.ladder.Advance(t.Context(), account, "skill:new", ladder.Step{Force: true}, ann); err != nil {
			t.Errorf("%+v, %v", m, err)
		}
	}
}

// A long reason is cut between characters.
func TestReasonsStayText(t *testing.T) {
	for pad := range 4 {
		s := open(t, nil)
		by := control.Author{Name: "ann", Reason: strings.Repeat("x", pad) + strings.Repeat("€", 700)}
		m, err := s.ladder.Advance(t.Context(), account, decision.ScopeAccount, ladder.Step{Force: true}, by)
		if err != nil || !utf8.ValidString(m.Reason) || strings.ContainsRune(m.Reason, utf8.RuneError) || len(m.Reason) < 1990 {
			t.Errorf("%d: %v, %q", pad, err, m.Reason)
		}
	}
}

// A scope of its own begins where the model only watches, and its decisions are not
// the account's any more.
func TestScopesAreKeptApart(t *testing.T) {
	s := open(t, map[string]float64{"old": 0.5, "new": 0.5})
	m, err := s.ladder.Advance(t.Context(), account, "skill:old", ladder.Step{Force: true}, ann)
	if err != nil || m.Kind != decision.ModeCompare {
		t.Fatalf("%+v, %v", m, err)
	}
	s.serve(300)
	modes, err := s.ladder.Modes(account)
	if err != nil || len(modes) != 2 {
		t.Fatalf("%+v, %v", modes, err)
	}
	at, err := s.ladder.Standing(t.Context(), account, m)
	if err != nil || at.Guardrails[0].ModelRows == 0 || at.Guardrails[0].PolicyRows == 0 {
		t.Errorf("%+v, %v", at, err)
	}
	if at := s.standing(); !strings.HasPrefix(at.Tests[1].Detail, "0 decisions") {
		t.Errorf("the account has %+v", at.Tests)
	}
}

// Over all looks together a sound scope is set back less often than Alpha: here the
// model does exactly as well as policy less half of what is allowed.
func TestAGuardrailSeldomCriesWolf(t *testing.T) {
	wrong := 0
	const sites = 40
	for seed := range uint64(sites) {
		s := open(t, map[string]float64{"old": 0.6, "new": 0.575})
		s.luck = rand.New(rand.NewPCG(seed, 7))
		s.asked = int(seed) * 100_000
		s.promote()
		s.advance(ladder.Step{Share: 0.5, Force: true})
		for range 6 {
			s.serve(100)
			if err := s.ladder.Watch(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if s.mode().Kind == decision.ModeShadow {
			wrong++
		}
	}
	if wrong > 4 { // of 40 at 5 %: more than 4 has a chance below 5 %
		t.Errorf("%d of %d sound scopes were set back", wrong, sites)
	}
}

func TestRunWatchesUntilItsEnd(t *testing.T) {
	s := open(t, map[string]float64{"old": 0.9, "new": 0.1})
	s.promote()
	s.advance(ladder.Step{Share: 0.5, Force: true})
	s.serve(600)
	l, err := ladder.New(ladder.Config{Check: time.Millisecond, Alpha: 0.05, MaxRows: 1000}, ladder.Deps{Control: s.control, Evidence: s, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	for s.mode().Kind != decision.ModeShadow && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil || s.mode().Author != ladder.Author {
		t.Errorf("ended with %v, mode %+v", err, s.mode())
	}
}

func TestConfigNamesEveryFault(t *testing.T) {
	if err := ladder.DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	err := ladder.Config{Alpha: 1}.Validate()
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("error %v", err)
	}
	if _, err := ladder.New(ladder.DefaultConfig(), ladder.Deps{}); err == nil {
		t.Error("a ladder of nothing")
	}
}
