package policystore

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/event"
)

// MaxPolicies bounds the policies of one account.
const MaxPolicies = 5000

// Change says who changes a policy and why.
type Change struct {
	// Etag is the revision of the policy the writer saw; 0 takes whatever is
	// there now. A stale one is a Conflict with the current one as metadata.
	Etag           int64
	Author, Reason string
	// ValidateOnly checks everything and writes nothing; what is returned is what
	// would have been stored.
	ValidateOnly bool
}

// Create adds a policy at the end of the list, before the default policy; one
// called [policy.DefaultName] becomes that. p.Rank is set by the store. Errors:
// Invalid with every fault, the environment's included, Exists, Precondition when
// the account is full, and those of the log. The result is the policy as stored.
func (s *Store) Create(ctx context.Context, account string, p *policy.Policy, c Change) (*policy.Policy, error) {
	list, _ := s.List(account)
	if len(list) >= MaxPolicies {
		return nil, tooMany(len(list) + 1)
	}
	if find(list, p.Name) >= 0 {
		// A resource that exists is for the log to refuse, with its etag.
		return s.write(ctx, account, p, 0, c)
	}
	own := *p
	own.Rank = nextRank(list)
	if own.Name == policy.DefaultName {
		own.Rank = 0
	}
	if err := s.check(account, nil, &own); err != nil {
		return nil, err
	}
	if own.Name != policy.DefaultName {
		return s.write(ctx, account, &own, 0, c)
	}
	also, err := s.withoutOldDefault(account)
	if err != nil {
		return nil, err
	}
	return s.write(ctx, account, &own, 0, c, also...)
}

// nextRank is above that of every policy but the default.
func nextRank(list []*policy.Policy) float64 {
	for _, p := range slices.Backward(list) {
		if p.Name != policy.DefaultName {
			return p.Rank + 1
		}
	}
	return 1
}

// withoutOldDefault is the part of a change that takes from the account's own
// document the default effect that accounts had before the default policy, so that
// it does not come back when the policy is deleted.
func (s *Store) withoutOldDefault(account string) ([]event.ConfigPart, error) {
	r, ok := s.log.State().Get(account, configlog.KindAccount, account)
	if !ok {
		return nil, nil
	}
	fields, err := fieldsOf(r.Value)
	if err != nil || fields["default_effect"] == nil {
		return nil, nil //nolint:nilerr // what cannot be read has no default effect either
	}
	delete(fields, "default_effect")
	value, err := json.Marshal(fields)
	return []event.ConfigPart{{Kind: configlog.KindAccount, Name: account, Base: r.Revision, Value: value}}, err
}

// DefaultEffect lists the parts of a change that give the account's default policy
// this effect; nil deletes the policy. The error is Invalid with every fault. Read
// the list once the change is written, so that decisions see it at once.
func (s *Store) DefaultEffect(account string, effect json.RawMessage) ([]event.ConfigPart, error) {
	list, _ := s.List(account)
	part := event.ConfigPart{Kind: configlog.KindPolicy, Name: policy.DefaultName}
	next := &policy.Policy{Name: policy.DefaultName}
	var before *policy.Policy
	at := find(list, policy.DefaultName)
	if at >= 0 {
		before = list[at]
		own := *before
		next, part.Base = &own, own.Revision
	}
	if effect == nil {
		if at < 0 {
			return nil, nil
		}
		part.Deleted = true
		return []event.ConfigPart{part}, nil
	}
	read, err := policy.CompileEffect(effect)
	if err != nil {
		return nil, err
	}
	next.Enabled, next.Fault, next.Effect = true, nil, read.Rule(0).Policy().Effect
	if err := s.check(account, before, next); err != nil {
		return nil, err
	}
	part.Value, err = canonical(next)
	return []event.ConfigPart{part}, err
}

// Update reads the policy, lets edit change a copy of it, and writes that.
// Name and place cannot be edited. Errors: NotFound, Conflict, Invalid with every
// fault that the policy did not have before, what edit returns, and those of the
// log.
func (s *Store) Update(ctx context.Context, account, name string, c Change, edit func(*policy.Policy) error) (*policy.Policy, error) {
	current, _, err := s.Get(account, name)
	if err != nil {
		return nil, err
	}
	own := *current
	own.Fault = nil
	if err := edit(&own); err != nil {
		return nil, err
	}
	own.Name, own.Rank = current.Name, current.Rank
	if err := s.check(account, current, &own); err != nil {
		return nil, err
	}
	return s.write(ctx, account, &own, c.base(current), c)
}

// SetEnabled puts a policy to work or takes it out of work; that is possible
// whatever else is wrong with it, unless it cannot be read. Errors as Update.
func (s *Store) SetEnabled(ctx context.Context, account, name string, enabled bool, c Change) (*policy.Policy, error) {
	if enabled {
		return s.Update(ctx, account, name, c, func(p *policy.Policy) error {
			p.Enabled = true
			return nil
		})
	}
	current, _, err := s.Get(account, name)
	if err != nil {
		return nil, err
	}
	if current.Fault != nil {
		return nil, broken(name)
	}
	own := *current
	own.Enabled = false
	return s.write(ctx, account, &own, c.base(current), c)
}

// Delete removes a policy; its history stays on the log. Errors: NotFound,
// Conflict, and those of the log.
func (s *Store) Delete(ctx context.Context, account, name string, c Change) error {
	current, _, err := s.Get(account, name)
	if err != nil {
		return err
	}
	_, err = s.log.Write(ctx, event.ConfigChange{
		Account: account, Kind: configlog.KindPolicy, Name: name, Base: c.base(current),
		Deleted: true, Author: c.Author, Reason: c.Reason,
	})
	s.refresh(account)
	return err
}

// Move puts a policy at a place of the list, from 0; a place beyond the end is
// the end, before the default policy, which cannot be moved. Errors as Update.
// Only the moved policy is written, except when its neighbours have no rank left
// between them: then the whole list is numbered anew in the same change.
func (s *Store) Move(ctx context.Context, account, name string, position int, c Change) (*policy.Policy, error) {
	if position < 0 {
		var check fault.Check
		check.Add("position", "is %d, must not be negative", position)
		return nil, check.Err("move is not valid")
	}
	for try := 1; ; try++ {
		stored, err := s.move(ctx, account, name, position, c)
		// A conflict may be about others of the list, in which the place was chosen.
		if try == maxTries || fault.KindOf(err) != fault.Conflict {
			return stored, err
		}
	}
}

func (s *Store) move(ctx context.Context, account, name string, position int, c Change) (*policy.Policy, error) {
	list, seen := s.live(account)
	at, ok := places(list)[name]
	switch {
	case !ok:
		return nil, fault.New(fault.NotFound, "NOT_FOUND", "policy %q does not exist", name)
	case list[at].isDefault():
		return nil, fault.New(fault.Precondition, "DEFAULT_POLICY", "the default policy is always the last and cannot be moved")
	}
	moved := list[at]
	if err := c.guard(moved.Policy); err != nil {
		return nil, err
	}
	others := slices.Delete(slices.Clone(list), at, at+1)
	target := defaultLast(slices.Insert(others, min(position, len(others)), moved))
	switch {
	case target[at].Name == name:
		return moved.Policy, nil
	case moved.Fault != nil:
		return nil, broken(name)
	}
	parts, err := partsOf(list, target, ranked(target, list, name))
	if err != nil {
		return nil, err
	}
	// The list must be the one that the rank was chosen in.
	if _, err := s.commit(ctx, account, parts, ListChange{Seen: seen, Author: c.Author, Reason: c.Reason}); err != nil {
		return nil, err
	}
	stored, _, err := s.Get(account, name)
	return stored, err
}

func broken(name string) error {
	return fault.New(fault.Precondition, "POLICY_INVALID", "policy %q is not valid; repair or delete it", name)
}

func (c Change) base(current *policy.Policy) int64 {
	if c.Etag != 0 {
		return c.Etag
	}
	return current.Revision
}

// guard checks the etag where nothing needs to be written.
func (c Change) guard(current *policy.Policy) error {
	if c.Etag == 0 || c.Etag == current.Revision {
		return nil
	}
	return conflict(current.Revision, "policy %q was changed meanwhile: read it again and retry", current.Name)
}

func conflict(etag int64, format string, args ...any) error {
	e := fault.New(fault.Conflict, "ABORTED", format, args...)
	e.Metadata = map[string]string{"etag": strconv.FormatInt(etag, 10)}
	return e
}

// write stores one policy, and what goes with it.
func (s *Store) write(ctx context.Context, account string, p *policy.Policy, base int64, c Change, also ...event.ConfigPart) (*policy.Policy, error) {
	value, err := canonical(p)
	if err != nil {
		return nil, err
	}
	if c.ValidateOnly {
		if err := s.wouldStore(account, p.Name, base); err != nil {
			return nil, err
		}
		own := *p
		own.Revision = base
		return &own, nil
	}
	change := event.ConfigChange{
		Account: account, Kind: configlog.KindPolicy, Name: p.Name, Base: base, Value: value, Author: c.Author, Reason: c.Reason,
	}
	if len(also) > 0 {
		part := event.ConfigPart{Kind: change.Kind, Name: p.Name, Base: base, Value: value}
		change.Kind, change.Name, change.Base, change.Value = "", "", 0, nil
		change.Parts = append([]event.ConfigPart{part}, also...)
	}
	_, err = s.log.Write(ctx, change)
	s.refresh(account)
	if err != nil {
		return nil, err
	}
	stored, _, err := s.Get(account, p.Name)
	return stored, err
}

// wouldStore says what the log would say to a write.
func (s *Store) wouldStore(account, name string, base int64) error {
	r, exists := s.Resource(account, name)
	switch {
	case exists && base == 0:
		return fault.New(fault.Exists, "ALREADY_EXISTS", "policy %q exists already", name)
	case exists && base != r.Revision:
		return conflict(r.Revision, "policy %q was changed meanwhile: read it again and retry", name)
	}
	return nil
}

// canonical checks a policy the way it will be read back and returns its
// document.
func canonical(p *policy.Policy) ([]byte, error) {
	if p.Name == "" {
		var check fault.Check
		check.Add("name", "is missing")
		return nil, check.Err("policy is not valid")
	}
	value, err := policy.Marshal(p)
	if err != nil {
		return nil, err
	}
	if _, err := policy.Parse(value); err != nil {
		return nil, err
	}
	return value, nil
}
