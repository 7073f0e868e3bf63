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
	// history only grows. Snapshots share its memory: each sees as much as its own
	// length says, and only the newest one is appended to.
	history []Version
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

// History lists all versions that the account's resources of a kind ever had,
// oldest first. The slice is shared: it must not be changed. Of drafts there is
// none: each holds a whole list, and only what they became matters.
func (st *State) History(account, kind string) []Version {
	return slices.Clip(st.kinds[kindKey{account, kind}].history)
}

func keepsHistory(kind string) bool { return kind != KindDraft }

// partsOf returns the resources that a change touches.
func partsOf(c *event.ConfigChange) []event.ConfigPart {
	if len(c.Parts) > 0 {
		return c.Parts
	}
	return []event.ConfigPart{{Kind: c.Kind, Name: c.Name, Base: c.Base, Value: c.Value, Deleted: c.Deleted}}
}

// with returns the state after the change, or the reason why the change does not
// count; of a change of several resources either all parts count or none. Without
// inPlace st is left as it was; the copy is of the kinds that change in one
// account, so a change costs what those lists cost, not what the state costs. The
// resource is the first that changed.
func (st *State) with(offset int64, c *event.ConfigChange, inPlace bool) (*State, Resource, error) {
	if err := st.judge(c); err != nil {
		return st, Resource{}, err
	}
	next := st
	if !inPlace {
		next = &State{revision: st.revision, kinds: maps.Clone(st.kinds)}
	}
	var first Resource
	copied := map[string]bool{}
	for _, p := range partsOf(c) {
		if p.IsGuard() {
			continue
		}
		key := kindKey{c.Account, p.Kind}
		k := next.kinds[key]
		if k.resources == nil || !inPlace && !copied[p.Kind] {
			if k.resources = maps.Clone(k.resources); k.resources == nil {
				k.resources = map[string]Resource{}
			}
			copied[p.Kind] = true
		}
		r := Resource{
			Account: c.Account, Kind: p.Kind, Name: p.Name, Revision: offset + 1,
			Value: p.Value, Author: c.Author, Reason: c.Reason, Time: c.Time,
		}
		k.put(r, p.Deleted)
		next.kinds[key] = k
		if first.Revision == 0 {
			first = r
		}
	}
	return next, first, nil
}

func (k *kindState) put(r Resource, deleted bool) {
	k.revision = r.Revision
	if deleted {
		delete(k.resources, r.Name)
	} else {
		k.resources[r.Name] = r
	}
	if keepsHistory(r.Kind) {
		k.history = append(k.history, Version{Resource: r, Deleted: deleted})
	}
}

// judge is the one rule of the log: it must depend on nothing but the records
// before, so that every replica comes to the same verdict.
func (st *State) judge(c *event.ConfigChange) error {
	for _, p := range partsOf(c) {
		if err := st.judgePart(c.Account, &p); err != nil {
			return err
		}
	}
	return nil
}

func (st *State) judgePart(account string, p *event.ConfigPart) error {
	if p.IsGuard() {
		if now := st.KindRevision(account, p.Kind); now != p.Base {
			return withEtag(fault.New(fault.Conflict, "ABORTED", "the list of kind %s was changed meanwhile: read it again and retry", p.Kind), now)
		}
		return nil
	}
	current, exists := st.Get(account, p.Kind, p.Name)
	switch {
	case exists && p.Base == 0 && !p.Deleted:
		return withEtag(fault.New(fault.Exists, "ALREADY_EXISTS", "%s %q exists already", p.Kind, p.Name), current.Revision)
	case !exists && (p.Base != 0 || p.Deleted):
		return fault.New(fault.NotFound, "NOT_FOUND", "%s %q does not exist", p.Kind, p.Name)
	case exists && p.Base != current.Revision:
		return withEtag(fault.New(fault.Conflict, "ABORTED", "%s %q was changed meanwhile: read it again and retry", p.Kind, p.Name), current.Revision)
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
