package configlog

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/event"
)

// State is a snapshot of all resources. It is immutable and safe for concurrent
// use. The zero revision means that nothing was folded yet.
type State struct {
	revision int64
	kinds    map[kindKey]kindState
}

type kindKey struct{ account, kind string }

type kindState struct {
	revision  int64
	resources map[string]Resource
}

func newState() *State { return &State{kinds: map[kindKey]kindState{}} }

// Revision is the offset after the last record folded into the snapshot.
func (st *State) Revision() int64 { return st.revision }

// Get returns the resource, and whether it exists.
func (st *State) Get(account, kind, name string) (Resource, bool) {
	r, ok := st.kinds[kindKey{account, kind}].resources[name]
	return r, ok
}

// List returns the account's resources of a kind, ordered by name.
func (st *State) List(account, kind string) []Resource {
	resources := st.kinds[kindKey{account, kind}].resources
	out := make([]Resource, 0, len(resources))
	for _, r := range resources {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b Resource) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Accounts returns the ids of all accounts, sorted.
func (st *State) Accounts() []string {
	var out []string
	for key, k := range st.kinds {
		if key.kind == KindAccount {
			out = slices.AppendSeq(out, maps.Keys(k.resources))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// KindRevision is the revision of the last change, deletions included, among an
// account's resources of a kind; 0 when there never was one.
func (st *State) KindRevision(account, kind string) int64 {
	return st.kinds[kindKey{account, kind}].revision
}

// with returns the state after the change, or the reason why the change does not
// count. Without inPlace st is left as it was; the copy is of one kind of one
// account, so a change costs what that list costs, not what the state costs.
func (st *State) with(offset int64, c *event.ConfigChange, inPlace bool) (*State, Resource, error) {
	if err := st.judge(c); err != nil {
		return st, Resource{}, err
	}
	key, next := kindKey{c.Account, c.Kind}, st
	if !inPlace {
		next = &State{revision: st.revision, kinds: maps.Clone(st.kinds)}
	}
	k := next.kinds[key]
	if !inPlace || k.resources == nil {
		k.resources = maps.Clone(k.resources)
		if k.resources == nil {
			k.resources = map[string]Resource{}
		}
	}
	k.revision = offset + 1
	r := Resource{
		Account: c.Account, Kind: c.Kind, Name: c.Name, Revision: offset + 1,
		Value: c.Value, Author: c.Author, Reason: c.Reason, Time: c.Time,
	}
	if c.Deleted {
		delete(k.resources, c.Name)
	} else {
		k.resources[c.Name] = r
	}
	next.kinds[key] = k
	return next, r, nil
}

// judge is the one rule of the log: it must depend on nothing but the records
// before, so that every replica comes to the same verdict.
func (st *State) judge(c *event.ConfigChange) error {
	current, exists := st.Get(c.Account, c.Kind, c.Name)
	switch {
	case exists && c.Base == 0 && !c.Deleted:
		return withEtag(fault.New(fault.Exists, "ALREADY_EXISTS", "%s %q exists already", c.Kind, c.Name), current.Revision)
	case !exists && (c.Base != 0 || c.Deleted):
		return fault.New(fault.NotFound, "NOT_FOUND", "%s %q does not exist", c.Kind, c.Name)
	case exists && c.Base != current.Revision:
		return withEtag(fault.New(fault.Conflict, "ABORTED", "%s %q was changed meanwhile: read it again and retry", c.Kind, c.Name), current.Revision)
	default:
		return nil
	}
}

func withEtag(e *fault.Error, revision int64) *fault.Error {
	e.Metadata = map[string]string{"etag": strconv.FormatInt(revision, 10)}
	return e
}

// String names the snapshot in logs.
func (st *State) String() string { return fmt.Sprintf("config state at revision %d", st.revision) }
