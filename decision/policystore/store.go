// Package policystore keeps each account's ordered policies on the config log:
// reading, writing with etags, drafts and what becomes of them, every revision
// that ever was, and the compiled set that decisions use.
//
// A document that does not compile is refused when it is written, with all its
// faults. One that is found on the log all the same, written by a newer version
// perhaps, is kept as INVALID: it never matches, shows in every trace, and hurts
// nobody else.
package policystore

import (
	"context"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/event"
)

// Log is what the store needs of *configlog.Store.
type Log interface {
	State() *configlog.State
	Write(ctx context.Context, c event.ConfigChange) (configlog.Resource, error)
	Changed() <-chan struct{}
}

// EnvironmentSource says what an account's policies may speak of; the catalogue
// is one. Environment returns the same pointer until something changed, nil when
// nothing is known, and never blocks. Changed returns a channel that is closed at
// the next change: take it first, then the environment.
type EnvironmentSource interface {
	Environment(account string) *policy.Environment
	Changed() <-chan struct{}
}

// Store keeps policies. It is safe for concurrent use; [Store.Policies] takes no
// lock.
type Store struct {
	log   Log
	env   EnvironmentSource // nil: policies are checked by themselves only
	now   func() time.Time  // nil: nobody knows what is over
	ready chan struct{}
	empty *policy.Set

	mu    sync.Mutex // of those who compile
	lists sync.Map   // account -> *atomic.Pointer[list]

	past past
}

// list is an account's policies as they are live.
type list struct {
	set *policy.Set
	env *policy.Environment // that problems are found with
	// problems are found when somebody asks, once.
	problems func() []policy.Problem
}

// Option changes a store before it runs.
type Option func(*Store)

// WithEnvironment has policies checked and compiled with what the account's
// catalogue says, and compiled again when that changes.
func WithEnvironment(env EnvironmentSource) Option {
	return func(s *Store) { s.env = env }
}

// WithClock has schedules that are over told. Without it nobody knows the time.
func WithClock(now func() time.Time) Option {
	return func(s *Store) { s.now = now }
}

// at is the time of a check.
func (s *Store) at() []policy.Option {
	if s.now == nil {
		return nil
	}
	return []policy.Option{policy.At(s.now())}
}

// New makes a store over the log. Sets are compiled once Run follows the log.
func New(log Log, opts ...Option) *Store {
	s := &Store{log: log, ready: make(chan struct{}), empty: policy.Compile(nil, 0), past: newPast()}
	for _, opt := range opts {
		opt(s)
	}
	return s
}

// Run compiles the policies of every account, closes Ready, and goes on
// compiling what changes until ctx ends; then it returns nil. Start it once the
// log and the environment are ready.
func (s *Store) Run(ctx context.Context) error {
	for first := true; ; first = false {
		changed := s.log.Changed()
		var known <-chan struct{}
		if s.env != nil {
			known = s.env.Changed()
		}
		s.refreshAll()
		if first {
			close(s.ready)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-known:
		}
	}
}

// Ready is closed when every policy that was on the log has been compiled.
func (s *Store) Ready() <-chan struct{} { return s.ready }

// Policies returns the account's compiled policies, an empty set when it has
// none. It never blocks and never compiles.
func (s *Store) Policies(account string) *policy.Set {
	if l := s.load(account); l != nil {
		return l.set
	}
	return s.empty
}

func (s *Store) load(account string) *list {
	v, ok := s.lists.Load(account)
	if !ok {
		return nil
	}
	slot, _ := v.(*atomic.Pointer[list])
	return slot.Load()
}

func (s *Store) refreshAll() {
	st := s.log.State()
	accounts := map[string]struct{}{}
	for _, a := range st.Accounts() {
		accounts[a] = struct{}{}
	}
	// An account that was deleted still has to lose its policies.
	s.lists.Range(func(key, _ any) bool {
		account, _ := key.(string)
		accounts[account] = struct{}{}
		return true
	})
	for account := range accounts {
		s.refresh(account)
	}
}

// Environment is what the account's policies may speak of, nil when unknown.
func (s *Store) Environment(account string) *policy.Environment {
	if s.env == nil {
		return nil
	}
	return s.env.Environment(account)
}

// refresh compiles the account's policies unless the live set is current, which it
// nearly always is: then nobody waits for those who compile.
func (s *Store) refresh(account string) {
	if s.current(account, s.load(account), s.log.State(), s.Environment(account)) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st, env, old := s.log.State(), s.Environment(account), s.load(account)
	if s.current(account, old, st, env) {
		return
	}
	revision := st.KindRevision(account, configlog.KindPolicy)
	if old != nil && old.set.Revision() >= revision && compileAlike(old.env, env) {
		s.keep(account, old.set, policiesOf(old.set), env)
		return
	}
	// What did not change is not parsed again: a list has thousands.
	parsed := map[string]*policy.Policy{}
	for i := 0; old != nil && i < old.set.Len(); i++ {
		p := old.set.Rule(i).Policy()
		parsed[p.Name] = p
	}
	resources := st.List(account, configlog.KindPolicy)
	policies := make([]*policy.Policy, len(resources))
	for i, r := range resources {
		if p := parsed[r.Name]; p != nil && p.Revision == r.Revision {
			policies[i] = p
		} else {
			policies[i] = read(r)
		}
	}
	s.keep(account, policy.Compile(policies, revision, policy.WithEnvironment(env)), policies, env)
}

func (s *Store) current(account string, l *list, st *configlog.State, env *policy.Environment) bool {
	revision := st.KindRevision(account, configlog.KindPolicy)
	if l == nil {
		return revision == 0
	}
	return l.set.Revision() >= revision && l.env == env
}

// compileAlike reports whether two environments give the same set: of all that
// they hold only calendars, and what would be a loop, are compiled into one. Agents, skills and bots come by
// the thousand, one at a time.
func compileAlike(a, b *policy.Environment) bool {
	return reflect.DeepEqual(calendarsOf(a), calendarsOf(b)) && slices.Equal(routesOf(a), routesOf(b))
}

func routesOf(env *policy.Environment) []string {
	if env == nil || len(env.RoutingSkills) == 0 {
		return nil
	}
	return slices.Concat(env.RoutingSkills, []string{""}, env.RoutingBots)
}

func calendarsOf(env *policy.Environment) map[string]*policy.Calendar {
	if env == nil || len(env.Calendars) == 0 {
		return nil
	}
	return env.Calendars
}

// keep makes a set the live one. What is wrong with it is found when asked.
func (s *Store) keep(account string, set *policy.Set, policies []*policy.Policy, env *policy.Environment) {
	v, _ := s.lists.LoadOrStore(account, &atomic.Pointer[list]{})
	slot, _ := v.(*atomic.Pointer[list])
	slot.Store(&list{
		set: set, env: env,
		problems: sync.OnceValue(func() []policy.Problem { return policy.Check(policies, env, s.at()...) }),
	})
}

// read parses a stored policy. One that cannot be read keeps what can be told of
// it, so that people see it in its place and can repair it.
func read(r configlog.Resource) *policy.Policy {
	p := parse(r.Value)
	p.Name, p.Revision = r.Name, r.Revision
	return p
}

// List returns the account's policies in evaluation order and the revision of
// the list. The policies must not be changed.
func (s *Store) List(account string) ([]*policy.Policy, int64) {
	s.refresh(account)
	set := s.Policies(account)
	return policiesOf(set), set.Revision()
}

func policiesOf(set *policy.Set) []*policy.Policy {
	out := make([]*policy.Policy, set.Len())
	for i := range out {
		out[i] = set.Rule(i).Policy()
	}
	return out
}

// Problems lists what is wrong or doubtful about the live policies. The slice is
// shared: it must not be changed.
func (s *Store) Problems(account string) []policy.Problem {
	s.refresh(account)
	l := s.load(account)
	if l == nil {
		return nil
	}
	return l.problems()
}

// Get returns one policy and its place in the list. The error is NotFound when
// there is none. The policy must not be changed.
func (s *Store) Get(account, name string) (*policy.Policy, int, error) {
	list, _ := s.List(account)
	at := find(list, name)
	if at < 0 {
		return nil, 0, fault.New(fault.NotFound, "NOT_FOUND", "policy %q does not exist", name)
	}
	return list[at], at, nil
}

// Resource returns the stored record of a policy: author, reason and time of its
// last change.
func (s *Store) Resource(account, name string) (configlog.Resource, bool) {
	return s.log.State().Get(account, configlog.KindPolicy, name)
}
