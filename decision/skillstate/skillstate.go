package skillstate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/event"
)

// Log is followed for reports. Follow calls fn for every message of the topic of
// skill reports since a time and then for each new one, and caughtUp once when it
// has given all that was there at the beginning. It ends with ctx, or with an error.
type Log interface {
	Follow(ctx context.Context, since time.Time, caughtUp func(), fn func(event.Message) error) error
}

// Spool takes messages for the log; *decisionlog.Log is one.
type Spool interface {
	Append(msgs ...event.Message) error
}

// Deps are what a store of states works with.
type Deps struct {
	Spool   Spool
	Log     Log // nil: only what this process is told
	Logger  *slog.Logger
	Now     func() time.Time
	Metrics prometheus.Registerer // nil: counted, not shown
}

// States holds the newest report of every skill. It is safe for concurrent use.
type States struct {
	cfg      Config
	deps     Deps
	ready    chan struct{}
	reports  *prometheus.CounterVec
	accounts atomic.Pointer[map[string]*account]

	mu sync.Mutex // of those who add names; never taken by readers
}

// account holds one account's skills. The map is replaced when a name is added; a
// new report of a known name swaps its pointer.
type account struct {
	names atomic.Pointer[map[string]*atomic.Pointer[event.Skill]]
}

// New makes an empty store. It starts nothing; [States.Run] follows the log.
func New(cfg Config, deps Deps) (*States, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("validate skill state config: %w", err)
	}
	if deps.Spool == nil || deps.Logger == nil || deps.Now == nil {
		return nil, errors.New("skill state needs a spool, a logger and a clock")
	}
	s := &States{cfg: cfg, deps: deps, ready: make(chan struct{})}
	s.accounts.Store(&map[string]*account{})
	s.reports = newReports(deps.Metrics)
	return s, nil
}

// Skill returns the live state of a skill, agent or bot, false when nobody reported
// it or the last report is too old. It implements decision.SkillSource.
func (s *States) Skill(accountID, skill string) (event.Skill, bool) {
	a := (*s.accounts.Load())[accountID]
	if a == nil {
		return event.Skill{}, false
	}
	at := (*a.names.Load())[skill]
	if at == nil {
		return event.Skill{}, false
	}
	state := *at.Load()
	return state, s.deps.Now().Sub(state.At) <= s.cfg.MaxAge
}

// LastReport is the time of the newest report of a skill, fresh or not; false when
// there never was one.
func (s *States) LastReport(accountID, skill string) (time.Time, bool) {
	if a := (*s.accounts.Load())[accountID]; a != nil {
		if at := (*a.names.Load())[skill]; at != nil {
			return at.Load().At, true
		}
	}
	return time.Time{}, false
}

// Named is the live state of a skill with its id.
type Named struct {
	Skill string
	State event.Skill
}

// List returns the fresh states of an account in order of their ids.
func (s *States) List(accountID string) []Named {
	a := (*s.accounts.Load())[accountID]
	if a == nil {
		return nil
	}
	now := s.deps.Now()
	var out []Named
	for name, at := range *a.names.Load() {
		if state := at.Load(); now.Sub(state.At) <= s.cfg.MaxAge {
			out = append(out, Named{name, *state})
		}
	}
	slices.SortFunc(out, func(x, y Named) int { return strings.Compare(x.Skill, y.Skill) })
	return out
}

// Report takes in reports of one account, all or none: they are on disk, on their
// way to the log, and count when it returns. Errors: Invalid with every fault,
// Exhausted when the account would have too many names, Unavailable when the disk
// takes no more. The reports must not be changed afterwards.
func (s *States) Report(accountID string, reports []*event.SkillState) error {
	if s.room(accountID, reports) < 0 {
		s.reports.WithLabelValues("refused").Add(float64(len(reports)))
		return fault.New(fault.Exhausted, "TOO_MANY_SKILLS", "the account would have live state of more than %d skills, agents and bots", s.cfg.MaxNames)
	}
	msgs := make([]event.Message, len(reports))
	for i, r := range reports {
		m, err := event.EncodeSkill(r, event.JSON)
		if err != nil {
			return fmt.Errorf("encode report of %q: %w", r.Skill, err)
		}
		msgs[i] = m
	}
	if err := s.deps.Spool.Append(msgs...); err != nil {
		if fault.KindOf(err) == fault.Invalid {
			return err
		}
		return &fault.Error{
			Kind: fault.Unavailable, Reason: "REPORT_NOT_KEPT", Message: "the reports cannot be kept at the moment", Cause: err,
		}
	}
	s.take(accountID, reports)
	return nil
}

// room is how many names the account could take besides those of the reports,
// negative when they are too many.
func (s *States) room(accountID string, reports []*event.SkillState) int {
	var known map[string]*atomic.Pointer[event.Skill]
	if a := (*s.accounts.Load())[accountID]; a != nil {
		known = *a.names.Load()
	}
	fresh := 0
	for _, r := range reports {
		if known[r.Skill] == nil {
			fresh++
		}
	}
	return s.cfg.MaxNames - len(known) - fresh
}

// take makes reports of one account count. Names that are new are added in one go:
// the map is copied once, however many they are.
func (s *States) take(accountID string, reports []*event.SkillState) {
	now := s.deps.Now()
	var added []*event.SkillState
	for _, r := range reports {
		state := r.State
		if state.At.After(now.Add(s.cfg.MaxSkew)) {
			state.At = now
		}
		if !s.renew(accountID, r.Skill, &state) {
			added = append(added, &event.SkillState{Skill: r.Skill, State: state})
		}
	}
	if len(added) > 0 {
		s.add(accountID, added)
	}
}

// renew swaps the state of a known name, unless a newer one is known; false when
// the name is new. Of two reports of one moment the later word counts.
func (s *States) renew(accountID, skill string, state *event.Skill) bool {
	a := (*s.accounts.Load())[accountID]
	if a == nil {
		return false
	}
	at := (*a.names.Load())[skill]
	if at == nil {
		return false
	}
	for {
		known := at.Load()
		if known.At.After(state.At) {
			s.reports.WithLabelValues("late").Inc()
			return true
		}
		if at.CompareAndSwap(known, state) {
			s.reports.WithLabelValues("taken").Inc()
			return true
		}
	}
}

func (s *States) add(accountID string, reports []*event.SkillState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.open(accountID)
	known := *a.names.Load()
	next := make(map[string]*atomic.Pointer[event.Skill], len(known)+len(reports))
	now := s.deps.Now()
	for name, at := range known {
		// What nobody has reported for as long as a start looks back would be gone
		// after a restart too.
		if now.Sub(at.Load().At) <= s.cfg.History {
			next[name] = at
		}
	}
	var again []*event.SkillState
	for _, r := range reports {
		if next[r.Skill] != nil { // twice in one batch, or added meanwhile
			again = append(again, r)
			continue
		}
		if len(next) >= s.cfg.MaxNames {
			s.reports.WithLabelValues("refused").Inc()
			continue
		}
		at := new(atomic.Pointer[event.Skill])
		at.Store(&r.State)
		next[r.Skill] = at
		s.reports.WithLabelValues("taken").Inc()
	}
	a.names.Store(&next)
	for _, r := range again {
		s.renew(accountID, r.Skill, &r.State)
	}
}

// open returns the account, which it makes when it is new. The caller holds mu.
func (s *States) open(accountID string) *account {
	known := *s.accounts.Load()
	if a := known[accountID]; a != nil {
		return a
	}
	a := &account{}
	a.names.Store(&map[string]*atomic.Pointer[event.Skill]{})
	next := make(map[string]*account, len(known)+1)
	maps.Copy(next, known)
	next[accountID] = a
	s.accounts.Store(&next)
	return a
}
