package policystore

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/configlog"
)

// Live names the live list where a revision or a draft could be named.
const Live = "live"

// At returns the account's list as it was at a revision, compiled with what the
// catalogue says today, and the policies in order; they must not be changed. A
// revision between two changes is the list after the first. NotFound: the log is
// not there yet. It is safe for concurrent use, and cheap for revisions that were
// asked for lately.
func (s *Store) At(account string, revision int64) (*policy.Set, []*policy.Policy, error) {
	if live := s.Policies(account); live.Revision() == revision && revision != 0 {
		return live, policiesOf(live), nil
	}
	env := s.Environment(account)
	key := moment{account, revision, env}
	if set := s.past.get(key); set != nil {
		return set, policiesOf(set), nil
	}
	list, err := s.entriesAt(account, revision)
	if err != nil {
		return nil, nil, err
	}
	set := policy.Compile(policiesIn(list), revision, policy.WithEnvironment(env))
	s.past.put(key, set)
	return set, policiesOf(set), nil
}

// entriesAt is the list as it was, in order.
func (s *Store) entriesAt(account string, revision int64) ([]entry, error) {
	st := s.log.State()
	if revision < 0 || revision > st.Revision() {
		return nil, fault.New(fault.NotFound, "REVISION_NOT_FOUND", "there is no revision %d yet", revision)
	}
	versions := map[string]*configlog.Version{}
	history := st.History(account, configlog.KindPolicy)
	for i := range history {
		v := &history[i]
		if v.Revision > revision {
			break
		}
		versions[v.Name] = v
	}
	var out []entry
	for _, v := range versions {
		if !v.Deleted {
			out = append(out, versionEntry(v))
		}
	}
	inOrder(out)
	return out, nil
}

// Compiled returns a list to try things with: "" or [Live] is the live one, a
// number a revision, anything else a draft, by its id or its resource name. What
// is wrong in a draft takes part as INVALID. NotFound when there is no such thing.
func (s *Store) Compiled(_ context.Context, account, name string) (*policy.Set, error) {
	if name == "" || name == Live {
		s.refresh(account)
		return s.Policies(account), nil
	}
	if revision, err := strconv.ParseInt(name, 10, 64); err == nil {
		set, _, err := s.At(account, revision)
		return set, err
	}
	list, err := s.Named(account, name)
	if err != nil {
		return nil, err
	}
	return s.CompileList(account, list), nil
}

// CompileList compiles a list in the order given, with what the catalogue says
// today. What is wrong takes part as INVALID.
func (s *Store) CompileList(account string, list []*policy.Policy) *policy.Set {
	return policy.Compile(inThisOrder(list), 0, policy.WithEnvironment(s.Environment(account)))
}

// Named returns a list in order by the names that [Store.Compiled] knows. The
// policies must not be changed.
func (s *Store) Named(account, name string) ([]*policy.Policy, error) {
	list, err := s.named(account, name)
	return policiesIn(list), err
}

func (s *Store) named(account, name string) ([]entry, error) {
	if name == "" || name == Live {
		list, _ := s.live(account)
		return list, nil
	}
	if revision, err := strconv.ParseInt(name, 10, 64); err == nil {
		return s.entriesAt(account, revision)
	}
	if rest, ok := strings.CutPrefix(name, "accounts/"+account+"/policyDrafts/"); ok {
		name = rest
	}
	d, err := s.Draft(account, name)
	if err != nil {
		return nil, err
	}
	return d.entries(), nil
}

// Export returns the canonical document {"policies": [...]} of a list, by the names
// that [Store.Compiled] knows: in order, so without ranks. Importing it over any
// list, with replace, gives this list.
func (s *Store) Export(account, name string) ([]byte, error) {
	list, err := s.named(account, name)
	if err != nil {
		return nil, err
	}
	documents := make([]json.RawMessage, len(list))
	for i := range list {
		if documents[i], err = list[i].document(); err != nil {
			return nil, err
		}
	}
	return json.Marshal(map[string][]json.RawMessage{"policies": documents})
}

// Diff says what differs between two lists, by the names that [Store.Compiled]
// knows.
func (s *Store) Diff(account, from, to string) ([]Difference, error) {
	a, err := s.named(account, from)
	if err != nil {
		return nil, err
	}
	b, err := s.named(account, to)
	if err != nil {
		return nil, err
	}
	return diff(a, b)
}

// Revision is the list after one change.
type Revision struct {
	Number         int64
	Author, Reason string
	Time           time.Time
	Changes        []Difference
}

// Revisions lists the changes of the list before a revision, newest first, at most
// limit of them; before 0 begins with the newest. With a policy only those that
// changed it are listed. more says whether there are older ones.
func (s *Store) Revisions(account, policyName string, before int64, limit int) (list []Revision, more bool, err error) {
	history := s.log.State().History(account, configlog.KindPolicy)
	var wanted []int64 // ascending
	for _, v := range history {
		if (policyName == "" || v.Name == policyName) && (before <= 0 || v.Revision < before) &&
			(len(wanted) == 0 || wanted[len(wanted)-1] != v.Revision) {
			wanted = append(wanted, v.Revision)
		}
	}
	if more = len(wanted) > limit; more {
		wanted = wanted[len(wanted)-limit:]
	}
	list, err = revisions(history, wanted)
	slices.Reverse(list)
	return list, more, err
}

// Revision returns one change. NotFound when the list was not changed there.
func (s *Store) Revision(account string, number int64) (Revision, error) {
	list, err := revisions(s.log.State().History(account, configlog.KindPolicy), []int64{number})
	if err == nil && len(list) == 0 {
		err = fault.New(fault.NotFound, "REVISION_NOT_FOUND", "the policies have no revision %d", number)
	}
	if err != nil {
		return Revision{}, err
	}
	return list[0], nil
}

// revisions goes through the history and tells what the wanted changes, ascending,
// did.
func revisions(history []configlog.Version, wanted []int64) ([]Revision, error) {
	now := moving{list: map[string]entry{}, unread: map[string]*configlog.Version{}}
	var out []Revision
	for i := 0; i < len(history) && len(wanted) > 0; {
		number, first := history[i].Revision, &history[i]
		told := number == wanted[0]
		var before []entry
		if told {
			before = now.entries()
		}
		for ; i < len(history) && history[i].Revision == number; i++ {
			now.take(&history[i])
		}
		if !told {
			continue
		}
		wanted = wanted[1:]
		changes, err := diff(before, now.entries())
		if err != nil {
			return nil, err
		}
		out = append(out, Revision{Number: number, Author: first.Author, Reason: first.Reason, Time: first.Time, Changes: changes})
	}
	return out, nil
}

// moving is the list while its history goes by. Documents are read when somebody
// looks: most are overwritten before.
type moving struct {
	list   map[string]entry
	unread map[string]*configlog.Version
}

func (m *moving) take(v *configlog.Version) {
	if v.Deleted {
		delete(m.list, v.Name)
		delete(m.unread, v.Name)
		return
	}
	m.unread[v.Name] = v
}

func (m *moving) entries() []entry {
	for name, v := range m.unread {
		m.list[name] = versionEntry(v)
	}
	clear(m.unread)
	out := make([]entry, 0, len(m.list))
	for _, e := range m.list {
		out = append(out, e)
	}
	inOrder(out)
	return out
}

// past keeps the lists of revisions that were asked for lately: who verifies
// records asks for the same few again and again.
type past struct {
	mu   sync.Mutex
	sets map[moment]*policy.Set
	ring []moment
	at   int
}

type moment struct {
	account  string
	revision int64
	env      *policy.Environment
}

const pastSets = 32

func newPast() past { return past{sets: map[moment]*policy.Set{}} }

func (p *past) get(m moment) *policy.Set {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sets[m]
}

func (p *past) put(m moment, set *policy.Set) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.sets[m]; known {
		return
	}
	p.sets[m] = set
	if len(p.ring) < pastSets {
		p.ring = append(p.ring, m)
		return
	}
	delete(p.sets, p.ring[p.at])
	p.ring[p.at] = m
	p.at = (p.at + 1) % pastSets
}
