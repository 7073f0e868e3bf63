// Package policystore keeps each account's ordered policies on the config log:
// reading, writing with etags, and the compiled set that decisions use.
//
// A document that does not compile is refused when it is written, with all its
// faults. One that is found on the log all the same, written by a newer version
// perhaps, is kept as INVALID: it never matches, shows in every trace, and hurts
// nobody else.
package policystore

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"

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

// Store keeps policies. It is safe for concurrent use; [Store.Policies] takes no
// lock.
type Store struct {
	log   Log
	ready chan struct{}
	empty *policy.Set

	mu   sync.Mutex // of those who compile
	sets sync.Map   // account -> *atomic.Pointer[policy.Set]
}

// New makes a store over the log. Sets are compiled once Run follows the log.
func New(log Log) *Store {
	return &Store{log: log, ready: make(chan struct{}), empty: policy.Compile(nil, 0)}
}

// Run compiles the policies of every account, closes Ready, and goes on
// compiling what changes until ctx ends; then it returns nil. Start it once the
// log is ready.
func (s *Store) Run(ctx context.Context) error {
	for first := true; ; first = false {
		changed := s.log.Changed()
		s.refreshAll()
		if first {
			close(s.ready)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// Ready is closed when every policy that was on the log has been compiled.
func (s *Store) Ready() <-chan struct{} { return s.ready }

// Policies returns the account's compiled policies, an empty set when it has
// none. It never blocks and never compiles.
func (s *Store) Policies(account string) *policy.Set {
	if set := s.load(account); set != nil {
		return set
	}
	return s.empty
}

func (s *Store) load(account string) *policy.Set {
	v, ok := s.sets.Load(account)
	if !ok {
		return nil
	}
	slot, _ := v.(*atomic.Pointer[policy.Set])
	return slot.Load()
}

func (s *Store) refreshAll() {
	st := s.log.State()
	accounts := map[string]struct{}{}
	for _, a := range st.Accounts() {
		accounts[a] = struct{}{}
	}
	// An account that was deleted still has to lose its policies.
	s.sets.Range(func(key, _ any) bool {
		account, _ := key.(string)
		accounts[account] = struct{}{}
		return true
	})
	for account := range accounts {
		s.refresh(account)
	}
}

// refresh compiles the account's policies unless the live set is current.
func (s *Store) refresh(account string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.log.State()
	revision := st.KindRevision(account, configlog.KindPolicy)
	old := s.load(account)
	if old != nil && old.Revision() >= revision || old == nil && revision == 0 {
		return
	}
	resources := st.List(account, configlog.KindPolicy)
	policies := make([]*policy.Policy, len(resources))
	for i, r := range resources {
		policies[i] = read(r)
	}
	v, _ := s.sets.LoadOrStore(account, &atomic.Pointer[policy.Set]{})
	slot, _ := v.(*atomic.Pointer[policy.Set])
	slot.Store(policy.Compile(policies, revision))
}

// read parses a stored policy. One that cannot be read keeps what can be told of
// it, so that people see it in its place and can repair it.
func read(r configlog.Resource) *policy.Policy {
	p, err := policy.Parse(r.Value)
	if err != nil {
		p = &policy.Policy{Fault: err}
		var known struct {
			DisplayName string  `json:"display_name"`
			Rank        float64 `json:"rank"`
			Enabled     bool    `json:"enabled"`
		}
		if json.Unmarshal(r.Value, &known) == nil {
			p.DisplayName, p.Rank, p.Enabled = known.DisplayName, known.Rank, known.Enabled
		}
	}
	p.Name, p.Revision = r.Name, r.Revision
	return p
}

// List returns the account's policies in evaluation order and the revision of
// the list. The policies must not be changed.
func (s *Store) List(account string) ([]*policy.Policy, int64) {
	s.refresh(account)
	set := s.Policies(account)
	out := make([]*policy.Policy, set.Len())
	for i := range out {
		out[i] = set.Rule(i).Policy()
	}
	return out, set.Revision()
}

// Get returns one policy and its place in the list. The error is NotFound when
// there is none. The policy must not be changed.
func (s *Store) Get(account, name string) (*policy.Policy, int, error) {
	list, _ := s.List(account)
	for i, p := range list {
		if p.Name == name {
			return p, i, nil
		}
	}
	return nil, 0, fault.New(fault.NotFound, "NOT_FOUND", "policy %q does not exist", name)
}

// Resource returns the stored record of a policy: author, reason and time of its
// last change.
func (s *Store) Resource(account, name string) (configlog.Resource, bool) {
	return s.log.State().Get(account, configlog.KindPolicy, name)
}
