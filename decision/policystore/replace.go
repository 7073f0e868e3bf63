package policystore

import (
	"context"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/event"
)

// ListChange says who changes a whole list and why.
type ListChange struct {
	// Seen is the revision of the list that the writer saw. Guarded makes any other
	// one a Conflict with the current revision as metadata; otherwise the change is
	// made to whatever list is there.
	Seen           int64
	Guarded        bool
	Author, Reason string
	// ValidateOnly checks everything and writes nothing.
	ValidateOnly bool
}

// Outcome is what a change of the whole list came to.
type Outcome struct {
	// Revision of the list after it; that before it when nothing was written.
	Revision int64
	// Changes are what it did, empty when the list was so already.
	Changes []Difference
	// Policies are the list after it, in order, and Before that before it.
	Policies, Before []*policy.Policy
}

// maxTries bounds how often a change without a guard is made anew because another
// one came between.
const maxTries = 6

// replace makes one atomic change of an account's list. target says what the list
// is to be, given what it is.
func (s *Store) replace(ctx context.Context, account string, c ListChange, target func(live []entry, revision int64) ([]entry, error)) (Outcome, error) {
	for try := 1; ; try++ {
		live, revision := s.live(account)
		if c.Guarded && c.Seen != revision {
			return Outcome{}, listChanged(revision)
		}
		next, err := target(live, revision)
		if err != nil {
			return Outcome{}, err
		}
		c.Seen = revision
		out, err := s.put(ctx, account, live, next, c)
		if c.Guarded || try == maxTries || fault.KindOf(err) != fault.Conflict {
			return out, err
		}
	}
}

func listChanged(revision int64) error {
	return conflict(revision, "the policies were changed meanwhile: read them again and retry")
}

// put writes what makes the list live into the target, if it is still at c.Seen.
func (s *Store) put(ctx context.Context, account string, live, target []entry, c ListChange, also ...event.ConfigPart) (Outcome, error) {
	target = defaultLast(target)
	if err := checkNames(target); err != nil {
		return Outcome{}, err
	}
	changes, err := diff(live, target)
	if err != nil {
		return Outcome{}, err
	}
	parts, err := partsOf(live, target, ranked(target, live, ""))
	if err != nil {
		return Outcome{}, err
	}
	is, was := byName(target), byName(live)
	if is[policy.DefaultName] != nil && was[policy.DefaultName] == nil {
		without, err := s.withoutOldDefault(account)
		if err != nil {
			return Outcome{}, err
		}
		parts = append(parts, without...)
	}
	out := Outcome{Revision: c.Seen, Changes: changes, Policies: policiesIn(target), Before: policiesIn(live)}
	listed := len(parts) > 0
	if parts = append(parts, also...); len(parts) == 0 || c.ValidateOnly {
		return out, nil
	}
	r, err := s.commit(ctx, account, parts, c)
	if err != nil {
		return Outcome{}, err
	}
	if listed {
		out.Revision = r.Revision
	}
	out.Policies, err = s.after(account, out.Revision)
	return out, err
}

// after is the list as a change left it, whatever others did to it since.
func (s *Store) after(account string, revision int64) ([]*policy.Policy, error) {
	if list, now := s.List(account); now == revision {
		return list, nil
	}
	then, err := s.entriesAt(account, revision)
	return policiesIn(then), err
}

// commit writes the parts if the list is still at c.Seen.
func (s *Store) commit(ctx context.Context, account string, parts []event.ConfigPart, c ListChange) (configlog.Resource, error) {
	guard := event.ConfigPart{Kind: configlog.KindPolicy, Base: c.Seen}
	r, err := s.log.Write(ctx, event.ConfigChange{
		Account: account, Author: c.Author, Reason: c.Reason, Parts: append([]event.ConfigPart{guard}, parts...),
	})
	s.refresh(account)
	return r, err
}

// partsOf lists the writes that turn one list into another whose policies get
// these ranks.
func partsOf(live, target []entry, ranks []float64) ([]event.ConfigPart, error) {
	var parts []event.ConfigPart
	was := byName(live)
	for i := range target {
		e := &target[i]
		before := was[e.Name]
		rank := ranks[i]
		if e.isDefault() {
			rank = 0
			if before != nil {
				rank = before.Rank
			}
		}
		if before != nil && before.Rank == rank && alike(before, e) {
			continue
		}
		value, err := e.value(rank)
		if err != nil {
			return nil, err
		}
		p := event.ConfigPart{Kind: configlog.KindPolicy, Name: e.Name, Value: value}
		if before != nil {
			p.Base = before.Revision
		}
		parts = append(parts, p)
	}
	is := byName(target)
	for i := range live {
		if is[live[i].Name] == nil {
			parts = append(parts, event.ConfigPart{Kind: configlog.KindPolicy, Name: live[i].Name, Base: live[i].Revision, Deleted: true})
		}
	}
	return parts, nil
}

// Import says how policies from elsewhere come into the list.
type Import struct {
	// Policies in their order, with names. Their ranks do not count.
	Policies []*policy.Policy
	// Silent names those of which the document does not say whether they are
	// enabled: one that is live stays as it is, a new one is as Enable says.
	Silent map[string]bool
	Enable bool
	// Replace takes away the live policies that are not among them. Otherwise new
	// ones go last and those that are live are replaced in their place.
	Replace bool
	// KeepDefault keeps the default policy from being taken away.
	KeepDefault bool
}

// Import brings policies into the live list, all of them or none. Errors: Invalid
// with every fault under policies[i], but with ValidateOnly not for what
// [Store.CheckList] tells of the outcome, Conflict, Precondition when they are too
// many, and those of the log.
func (s *Store) Import(ctx context.Context, account string, in Import, c ListChange) (Outcome, error) {
	return s.replace(ctx, account, c, func(live []entry, _ int64) ([]entry, error) {
		target := in.into(live)
		if c.ValidateOnly {
			return target, checkNames(target)
		}
		return target, s.checkTarget(account, live, target)
	})
}

// into is the list with the policies in it.
func (in *Import) into(live []entry) []entry {
	was := byName(live)
	brought := make([]entry, len(in.Policies))
	for i, p := range in.Policies {
		own := *p
		own.Rank, own.Revision = 0, 0
		before := was[p.Name]
		if before != nil {
			own.Rank = before.Rank
		}
		if in.Silent[p.Name] && p.Name != policy.DefaultName {
			own.Enabled = in.Enable || before != nil && before.Enabled
		}
		brought[i].Policy = &own
	}
	if in.Replace {
		if is := byName(brought); in.KeepDefault && is[policy.DefaultName] == nil && was[policy.DefaultName] != nil {
			brought = append(brought, *was[policy.DefaultName])
		}
		return defaultLast(brought)
	}
	out := append([]entry(nil), live...)
	at := places(out)
	for _, e := range brought {
		if i, ok := at[e.Name]; ok {
			out[i] = e
			continue
		}
		at[e.Name] = len(out)
		out = append(out, e)
	}
	return defaultLast(out)
}

// Rollback makes a former revision live again, as one change. What was live may be
// live again: it is not held to today's catalogue. Errors: NotFound, Conflict, and
// those of the log.
func (s *Store) Rollback(ctx context.Context, account string, revision int64, c ListChange) (Outcome, error) {
	return s.replace(ctx, account, c, func([]entry, int64) ([]entry, error) {
		return s.entriesAt(account, revision)
	})
}
