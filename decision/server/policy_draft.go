package server

import (
	"context"
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/decision/policystore"
	"github.com/usherhq/usher/internal/fault"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// draftTo is a draft as callers see it, with its policies or without.
func draftTo(account string, d *policystore.Draft, whole bool) *usherv1.PolicyDraft {
	out := &usherv1.PolicyDraft{
		Name: "accounts/" + account + "/policyDrafts/" + d.ID, Description: d.Description, BaseRevision: d.Base,
		Stale: d.Stale, Etag: etagOf(d.Revision), Author: d.Author, UpdateTime: timestamppb.New(d.Updated),
	}
	if whole {
		out.Policies = documentsTo(account, d.Documents)
	}
	return out
}

// draftOf is a whole draft with what is wrong or doubtful about each policy: a draft
// may hold faults, but nobody should learn of them only when it is published.
func (s *policyService) draftOf(account string, d *policystore.Draft) *usherv1.PolicyDraft {
	out, list := draftTo(account, d, true), d.Policies()
	problems := map[string][]policy.Problem{}
	for _, p := range s.deps.Policies.CheckList(account, list) {
		problems[p.Policy] = append(problems[p.Policy], p)
	}
	for i, p := range list {
		out.Policies[i].Warnings = problemsTo(errorsFirst(problems[p.Name]))
	}
	return out
}

// documentsOf writes the policies of a draft as documents. They may hold faults,
// but what is in LivePerson's grammar must be translatable: a draft is canonical.
func documentsOf(account string, list []*usherv1.Policy) ([]json.RawMessage, error) {
	ids, err := idsOf(account, list)
	if err != nil {
		return nil, err
	}
	out := make([]json.RawMessage, len(list))
	var c fault.Check
	for i, id := range ids {
		err := oneGrammar(list[i])
		if err == nil {
			out[i], _, err = documentOf(id, list[i], true)
		}
		addUnder(&c, fmt.Sprintf("policies[%d]", i), err)
	}
	return out, c.Err("the draft is not valid")
}

// addUnder takes over the violations of an error with their paths below at.
func addUnder(c *fault.Check, at string, err error) {
	for _, v := range violations(err) {
		c.Add(below(at, v.Field), "%s", v.Description)
	}
}

// CreatePolicyDraft starts a draft.
func (s *policyService) CreatePolicyDraft(ctx context.Context, r *usherv1.CreatePolicyDraftRequest) (*usherv1.CreatePolicyDraftResponse, error) {
	account, err := s.parent(r)
	if err != nil {
		return nil, err
	}
	id, err := newName(account, "policyDrafts", r.GetDraftId(), r.GetDraft().GetName())
	if err != nil {
		return nil, err
	}
	if id == "" {
		id = s.deps.NewID()
	}
	d := &policystore.Draft{ID: id, Description: r.GetDraft().GetDescription()}
	if list := r.GetDraft().GetPolicies(); len(list) > 0 {
		if d.Documents, err = documentsOf(account, list); err != nil {
			return nil, err
		}
	}
	stored, err := s.deps.Policies.CreateDraft(ctx, account, d, change(ctx, 0, ""))
	if err != nil {
		return nil, err
	}
	return &usherv1.CreatePolicyDraftResponse{Draft: s.draftOf(account, stored)}, nil
}

// ListPolicyDrafts lists the drafts without their policies.
func (s *policyService) ListPolicyDrafts(_ context.Context, r *usherv1.ListPolicyDraftsRequest) (*usherv1.ListPolicyDraftsResponse, error) {
	account, err := s.parent(r)
	if err != nil {
		return nil, err
	}
	all, err := s.deps.Policies.Drafts(account)
	if err != nil {
		return nil, err
	}
	part, next, err := page(all, r.GetPageSize(), r.GetPageToken())
	if err != nil {
		return nil, err
	}
	resp := &usherv1.ListPolicyDraftsResponse{NextPageToken: next}
	for _, d := range part {
		resp.Drafts = append(resp.Drafts, draftTo(account, d, false))
	}
	return resp, nil
}

// GetPolicyDraft returns a draft.
func (s *policyService) GetPolicyDraft(_ context.Context, r *usherv1.GetPolicyDraftRequest) (*usherv1.GetPolicyDraftResponse, error) {
	account, id, err := childName(r.GetName(), "policyDrafts")
	if err != nil {
		return nil, err
	}
	d, err := s.deps.Policies.Draft(account, id)
	if err != nil {
		return nil, err
	}
	return &usherv1.GetPolicyDraftResponse{Draft: s.draftOf(account, d)}, nil
}

// UpdatePolicyDraft changes a draft.
func (s *policyService) UpdatePolicyDraft(ctx context.Context, r *usherv1.UpdatePolicyDraftRequest) (*usherv1.UpdatePolicyDraftResponse, error) {
	account, id, err := childName(r.GetDraft().GetName(), "policyDrafts")
	if err != nil {
		return nil, err
	}
	etag, err := parseEtag(r.GetDraft().GetEtag())
	if err != nil {
		return nil, err
	}
	stored, err := edit(etag, func() (*policystore.Draft, int64, error) {
		d, err := s.deps.Policies.Draft(account, id)
		if err != nil {
			return nil, 0, err
		}
		return d, d.Revision, nil
	}, func(current *policystore.Draft, revision int64) (*policystore.Draft, error) {
		before := draftTo(account, current, true)
		next, err := patched(before, r.GetDraft(), r.GetUpdateMask())
		if err != nil {
			return nil, err
		}
		return s.deps.Policies.UpdateDraft(ctx, account, id, change(ctx, revision, ""), func(d *policystore.Draft) (err error) {
			d.Description = next.GetDescription()
			// Documents that nobody touched stay as they are, faults and all.
			if !proto.Equal(&usherv1.PolicyDraft{Policies: before.GetPolicies()}, &usherv1.PolicyDraft{Policies: next.GetPolicies()}) {
				d.Documents, err = documentsOf(account, next.GetPolicies())
			}
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return &usherv1.UpdatePolicyDraftResponse{Draft: s.draftOf(account, stored)}, nil
}

// DeletePolicyDraft throws a draft away.
func (s *policyService) DeletePolicyDraft(ctx context.Context, r *usherv1.DeletePolicyDraftRequest) (*usherv1.DeletePolicyDraftResponse, error) {
	account, id, err := childName(r.GetName(), "policyDrafts")
	if err != nil {
		return nil, err
	}
	etag, err := parseEtag(r.GetEtag())
	if err == nil {
		err = s.deps.Policies.DeleteDraft(ctx, account, id, change(ctx, etag, ""))
	}
	return &usherv1.DeletePolicyDraftResponse{}, err
}

// PublishPolicyDraft makes a draft the live list.
func (s *policyService) PublishPolicyDraft(ctx context.Context, r *usherv1.PublishPolicyDraftRequest) (*usherv1.PublishPolicyDraftResponse, error) {
	account, id, err := childName(r.GetName(), "policyDrafts")
	if err != nil {
		return nil, err
	}
	etag, err := parseEtag(r.GetEtag())
	if err != nil {
		return nil, err
	}
	by := author(ctx, r.GetReason())
	out, err := s.deps.Policies.PublishDraft(ctx, account, id, policystore.Publish{
		Etag: etag, Author: by.Name, Reason: by.Reason, Rebase: r.GetRebase(),
	})
	if err != nil {
		return nil, err
	}
	return &usherv1.PublishPolicyDraftResponse{Revision: out.Revision, Changes: diffTo(out.Changes)}, nil
}
