package server

import (
	"context"
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/decision/policystore"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

type policyService struct {
	usherv1.UnimplementedPolicyServiceServer
	*Server
}

func change(ctx context.Context, etag int64, reason string) policystore.Change {
	by := author(ctx, reason)
	return policystore.Change{Etag: etag, Author: by.Name, Reason: by.Reason}
}

// ListPolicies lists the policies in evaluation order.
func (s *policyService) ListPolicies(_ context.Context, r *usherv1.ListPoliciesRequest) (*usherv1.ListPoliciesResponse, error) {
	account, err := parentAccount("parent", r.GetParent())
	if err == nil {
		err = s.account(account)
	}
	if err != nil {
		return nil, err
	}
	all, revision := s.deps.Policies.List(account)
	part, next, err := page(all, r.GetPageSize(), r.GetPageToken())
	if err != nil {
		return nil, err
	}
	resp := &usherv1.ListPoliciesResponse{NextPageToken: next, Revision: revision}
	place := map[string]int{}
	for i, p := range all {
		place[p.Name] = i
	}
	for _, p := range part {
		resp.Policies = append(resp.Policies, s.policyOf(account, p, place[p.Name]))
	}
	return resp, nil
}

// GetPolicy returns one policy.
func (s *policyService) GetPolicy(_ context.Context, r *usherv1.GetPolicyRequest) (*usherv1.GetPolicyResponse, error) {
	account, id, err := childName(r.GetName(), "policies")
	if err != nil {
		return nil, err
	}
	p, err := s.stored(account, id)
	return &usherv1.GetPolicyResponse{Policy: p}, err
}

// stored returns a policy as it lies in the store.
func (s *policyService) stored(account, id string) (*usherv1.Policy, error) {
	p, place, err := s.deps.Policies.Get(account, id)
	if err != nil {
		return nil, err
	}
	return s.policyOf(account, p, place), nil
}

// CreatePolicy appends a policy to the list.
func (s *policyService) CreatePolicy(ctx context.Context, r *usherv1.CreatePolicyRequest) (*usherv1.CreatePolicyResponse, error) {
	account, err := parentAccount("parent", r.GetParent())
	if err == nil {
		err = s.account(account)
	}
	if err != nil {
		return nil, err
	}
	id, err := newName(account, "policies", r.GetPolicyId(), r.GetPolicy().GetName())
	if err != nil {
		return nil, err
	}
	if id == "" {
		id = s.deps.NewID()
	}
	p, err := parsePolicy(id, r.GetPolicy(), true)
	if err != nil {
		return nil, err
	}
	if _, err := s.deps.Policies.Create(ctx, account, p, change(ctx, 0, "")); err != nil {
		return nil, err
	}
	out, err := s.stored(account, id)
	return &usherv1.CreatePolicyResponse{Policy: out}, err
}

// UpdatePolicy changes a policy; its place stays.
func (s *policyService) UpdatePolicy(ctx context.Context, r *usherv1.UpdatePolicyRequest) (*usherv1.UpdatePolicyResponse, error) {
	account, id, err := childName(r.GetPolicy().GetName(), "policies")
	if err != nil {
		return nil, err
	}
	etag, err := parseEtag(r.GetPolicy().GetEtag())
	if err != nil {
		return nil, err
	}
	_, err = edit(etag, func() (*policy.Policy, int64, error) {
		p, _, err := s.deps.Policies.Get(account, id)
		if err != nil {
			return nil, 0, err
		}
		return p, p.Revision, nil
	}, func(current *policy.Policy, revision int64) (*policy.Policy, error) {
		document, err := patched(s.policyOf(account, current, 0), r.GetPolicy(), r.GetUpdateMask())
		if err != nil {
			return nil, err
		}
		next, err := parsePolicy(id, document, true)
		if err != nil {
			return nil, err
		}
		return s.deps.Policies.Update(ctx, account, id, change(ctx, revision, ""), func(p *policy.Policy) error {
			*p = *next
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	out, err := s.stored(account, id)
	return &usherv1.UpdatePolicyResponse{Policy: out}, err
}

// DeletePolicy removes a policy.
func (s *policyService) DeletePolicy(ctx context.Context, r *usherv1.DeletePolicyRequest) (*usherv1.DeletePolicyResponse, error) {
	account, id, etag, err := target(r)
	if err == nil {
		err = s.deps.Policies.Delete(ctx, account, id, change(ctx, etag, r.GetReason()))
	}
	return &usherv1.DeletePolicyResponse{}, err
}

// EnablePolicy puts a policy to work.
func (s *policyService) EnablePolicy(ctx context.Context, r *usherv1.EnablePolicyRequest) (*usherv1.EnablePolicyResponse, error) {
	p, err := s.setEnabled(ctx, r, true, r.GetReason())
	return &usherv1.EnablePolicyResponse{Policy: p}, err
}

// DisablePolicy takes a policy out of work.
func (s *policyService) DisablePolicy(ctx context.Context, r *usherv1.DisablePolicyRequest) (*usherv1.DisablePolicyResponse, error) {
	p, err := s.setEnabled(ctx, r, false, r.GetReason())
	return &usherv1.DisablePolicyResponse{Policy: p}, err
}

func (s *policyService) setEnabled(ctx context.Context, r guarded, enabled bool, reason string) (*usherv1.Policy, error) {
	account, id, etag, err := target(r)
	if err != nil {
		return nil, err
	}
	if _, err := s.deps.Policies.SetEnabled(ctx, account, id, enabled, change(ctx, etag, reason)); err != nil {
		return nil, err
	}
	return s.stored(account, id)
}

// MovePolicy puts a policy at another place.
func (s *policyService) MovePolicy(ctx context.Context, r *usherv1.MovePolicyRequest) (*usherv1.MovePolicyResponse, error) {
	account, id, etag, err := target(r)
	if err != nil {
		return nil, err
	}
	if _, err := s.deps.Policies.Move(ctx, account, id, int(r.GetPosition()), change(ctx, etag, r.GetReason())); err != nil {
		return nil, err
	}
	out, err := s.stored(account, id)
	return &usherv1.MovePolicyResponse{Policy: out}, err
}

// guarded is a request about one policy with an etag.
type guarded interface {
	GetName() string
	GetEtag() string
}

func target(r guarded) (account, id string, etag int64, err error) {
	if account, id, err = childName(r.GetName(), "policies"); err != nil {
		return "", "", 0, err
	}
	etag, err = parseEtag(r.GetEtag())
	return account, id, etag, err
}

// parsePolicy reads a policy through its document, so that the API and imported
// files obey the same rules and name faults by the same paths.
func parsePolicy(id string, p *usherv1.Policy, enabled bool) (*policy.Policy, error) {
	if p == nil {
		return nil, invalid("policy", "is missing")
	}
	if p.Enabled != nil {
		enabled = p.GetEnabled()
	}
	document := map[string]any{"name": id, "enabled": enabled}
	if p.GetDisplayName() != "" {
		document["display_name"] = p.GetDisplayName()
	}
	if p.GetDescription() != "" {
		document["description"] = p.GetDescription()
	}
	if len(p.GetWhen().GetFields()) > 0 {
		document["when"] = p.GetWhen().AsMap()
	}
	if p.GetEffect() != nil {
		document["effect"] = p.GetEffect().AsMap()
	}
	data, err := json.Marshal(document)
	if err != nil {
		return nil, invalid("policy", "holds a number that is not finite")
	}
	out, err := policy.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("read policy %q: %w", id, err)
	}
	return out, nil
}

// policyOf is a stored policy as callers see it. One that cannot be read any more
// is shown as it was written.
func (s *policyService) policyOf(account string, p *policy.Policy, place int) *usherv1.Policy {
	enabled := p.Enabled
	out := &usherv1.Policy{
		Name: "accounts/" + account + "/policies/" + p.Name, DisplayName: p.DisplayName, Description: p.Description,
		Enabled: &enabled, Position: int32(place), Revision: p.Revision, Etag: etagOf(p.Revision), //nolint:gosec // a list has few thousand
	}
	value, err := policy.Marshal(p)
	if r, ok := s.deps.Policies.Resource(account, p.Name); ok {
		out.UpdateTime = timestamppb.New(r.Time)
		if p.Fault != nil || err != nil {
			value = r.Value
		}
	}
	var document struct {
		When   map[string]any `json:"when"`
		Effect map[string]any `json:"effect"`
	}
	if json.Unmarshal(value, &document) == nil {
		out.When, out.Effect = structOf(document.When), effectOf(document.Effect)
	}
	return out
}

// effectOf keeps an effect that is there but empty.
func effectOf(m map[string]any) *structpb.Struct {
	if m == nil {
		return nil
	}
	s, err := structpb.NewStruct(m)
	if err != nil {
		return nil
	}
	return s
}
