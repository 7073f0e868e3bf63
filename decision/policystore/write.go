package policystore

import (
	"context"
	"fmt"
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
}

// Create adds a policy at the end of the list. p.Rank is set by the store.
// Errors: Invalid with every fault, Exists, Precondition when the account is
// full, and those of the log. The result is the policy as stored.
func (s *Store) Create(ctx context.Context, account string, p *policy.Policy, c Change) (*policy.Policy, error) {
	list, _ := s.List(account)
	if len(list) >= MaxPolicies {
		return nil, fault.New(fault.Precondition, "TOO_MANY_POLICIES", "the account has %d policies; the limit is %d", len(list), MaxPolicies)
	}
	own := *p
	own.Rank = 1
	if len(list) > 0 {
		own.Rank = list[len(list)-1].Rank + 1
	}
	return s.write(ctx, account, &own, 0, c)
}

// Update reads the policy, lets edit change a copy of it, and writes that.
// Name and place cannot be edited. Errors: NotFound, Conflict, Invalid with
// every fault, what edit returns, and those of the log.
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
	return s.write(ctx, account, &own, c.base(current), c)
}

// SetEnabled puts a policy to work or takes it out of work. Errors as Update.
func (s *Store) SetEnabled(ctx context.Context, account, name string, enabled bool, c Change) (*policy.Policy, error) {
	return s.Update(ctx, account, name, c, func(p *policy.Policy) error {
		p.Enabled = enabled
		return nil
	})
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
// the end. Errors as Update. Only the moved policy is written, except when its
// neighbours have no rank left between them: then the list is spread out first,
// one policy at a time and without changing the order.
func (s *Store) Move(ctx context.Context, account, name string, position int, c Change) (*policy.Policy, error) {
	if position < 0 {
		var check fault.Check
		check.Add("position", "is %d, must not be negative", position)
		return nil, check.Err("move is not valid")
	}
	for attempt := 0; ; attempt++ {
		current, at, err := s.Get(account, name)
		if err != nil {
			return nil, err
		}
		if at == position {
			return current, c.guard(current)
		}
		list, _ := s.List(account)
		rank, ok := rankAt(list, at, position)
		if !ok && attempt == 0 {
			if err := s.spread(ctx, account, list, c); err != nil {
				return nil, err
			}
			// The move's own etag was spent on spreading.
			c.Etag = 0
			continue
		}
		if current.Fault != nil {
			return nil, fault.New(fault.Precondition, "POLICY_INVALID", "policy %q is not valid; repair or delete it", name)
		}
		own := *current
		own.Rank = rank
		return s.write(ctx, account, &own, c.base(current), c)
	}
}

// rankAt finds a rank that puts the policy at place from to place position; ok
// is false when the neighbours there are too close.
func rankAt(list []*policy.Policy, from, position int) (float64, bool) {
	others := make([]*policy.Policy, 0, len(list))
	for i, p := range list {
		if i != from {
			others = append(others, p)
		}
	}
	switch position = min(position, len(others)); {
	case len(others) == 0:
		return list[from].Rank, true
	case position == 0:
		return others[0].Rank - 1, true
	case position == len(others):
		return others[position-1].Rank + 1, true
	}
	before, after := others[position-1].Rank, others[position].Rank
	middle := before + (after-before)/2
	return middle, middle > before && middle < after
}

// spread gives the policies whole ranks beyond the present ones, last first, so
// that the order holds at every step.
func (s *Store) spread(ctx context.Context, account string, list []*policy.Policy, c Change) error {
	top := list[len(list)-1].Rank
	for i, p := range slices.Backward(list) {
		if p.Fault != nil {
			return fault.New(fault.Precondition, "POLICY_INVALID", "policy %q is not valid; repair or delete it", p.Name)
		}
		own := *p
		own.Rank = top + float64(i+1)
		change := Change{Author: c.Author, Reason: c.Reason}
		if _, err := s.write(ctx, account, &own, p.Revision, change); err != nil {
			return fmt.Errorf("spread policies of account %q: %w", account, err)
		}
	}
	return nil
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
	e := fault.New(fault.Conflict, "ABORTED", "policy %q was changed meanwhile: read it again and retry", current.Name)
	e.Metadata = map[string]string{"etag": strconv.FormatInt(current.Revision, 10)}
	return e
}

func (s *Store) write(ctx context.Context, account string, p *policy.Policy, base int64, c Change) (*policy.Policy, error) {
	value, err := canonical(p)
	if err != nil {
		return nil, err
	}
	_, err = s.log.Write(ctx, event.ConfigChange{
		Account: account, Kind: configlog.KindPolicy, Name: p.Name, Base: base,
		Value: value, Author: c.Author, Reason: c.Reason,
	})
	s.refresh(account)
	if err != nil {
		return nil, err
	}
	stored, _, err := s.Get(account, p.Name)
	return stored, err
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
