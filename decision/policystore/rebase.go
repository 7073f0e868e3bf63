package policystore

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/usherhq/usher/internal/fault"
)

// clashReason marks conflicts that trying again cannot solve.
const clashReason = "REBASE_CONFLICT"

func isClash(err error) bool {
	f, ok := errors.AsType[*fault.Error](err)
	return ok && f.Reason == clashReason
}

// rebased puts what mine changed since base on top of theirs. What both changed
// alike is no conflict; a policy that both changed in different ways is, and one
// that both moved. from is the revision of the base, revision that of theirs.
func rebased(base, mine, theirs []entry, from, revision int64) ([]entry, error) {
	before, own, other := byName(base), byName(mine), byName(theirs)
	movedByMe, movedByThem := movedIn(base, mine), movedIn(base, theirs)
	var clashes []string
	changed := map[string]bool{} // by mine, where theirs has not the same
	for name := range union(before, own, other) {
		switch {
		case same(before[name], own[name]), same(own[name], other[name]):
		case !same(before[name], other[name]):
			clashes = append(clashes, name)
		default:
			changed[name] = true
		}
		if movedByMe[name] && movedByThem[name] && before[name] != nil {
			clashes = append(clashes, name)
		}
	}
	if len(clashes) > 0 {
		slices.Sort(clashes)
		names := strings.Join(slices.Compact(clashes), ", ")
		e := fault.New(fault.Conflict, clashReason, "the draft and the live list changed the same policies: %s; "+
			"compare what each did (policies:diff from revision %d to the draft, and from there to live), drop or redo one of the two changes in the draft, and publish it again", names, from)
		e.Metadata = map[string]string{"etag": strconv.FormatInt(revision, 10), "policies": names}
		return nil, e
	}
	return reorder(mine, theirs, changed, movedByMe), nil
}

func union(maps ...map[string]*entry) map[string]struct{} {
	out := map[string]struct{}{}
	for _, m := range maps {
		for name := range m {
			out[name] = struct{}{}
		}
	}
	return out
}

// same reports whether two policies, nil for none, say the same.
func same(a, b *entry) bool {
	if a == nil || b == nil {
		return a == b
	}
	return alike(a, b)
}

// reorder takes their list, with my changes in it: what I took away is gone, and
// what I added or moved stands behind the one that it stands behind in mine.
func reorder(mine, theirs []entry, changed, moved map[string]bool) []entry {
	own, other := byName(mine), byName(theirs)
	var out []entry
	for _, e := range theirs {
		switch mineToo := own[e.Name]; {
		case mineToo == nil && changed[e.Name], mineToo != nil && moved[e.Name]:
		case changed[e.Name]:
			out = append(out, *mineToo)
		default:
			out = append(out, e)
		}
	}
	at := 0 // behind the last of mine that is in the list
	for i := range mine {
		e := &mine[i]
		if place := slices.IndexFunc(out, func(o entry) bool { return o.Name == e.Name }); place >= 0 {
			at = place + 1
			continue
		}
		theirsToo := other[e.Name]
		switch {
		case theirsToo != nil && moved[e.Name]:
			if !changed[e.Name] {
				e = theirsToo
			}
		case theirsToo == nil && changed[e.Name]: // new in mine
		default:
			continue // they took it away
		}
		out = slices.Insert(out, at, *e)
		at++
	}
	return out
}
