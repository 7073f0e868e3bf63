package server

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/decision/policystore"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// listChange says who changes a whole list. The list that there is before any
// policy has the etag 0.
func listChange(ctx context.Context, etag, reason string) (policystore.ListChange, error) {
	by := author(ctx, reason)
	c := policystore.ListChange{Author: by.Name, Reason: by.Reason}
	if strings.Trim(etag, `"`) == "0" {
		c.Guarded = true
		return c, nil
	}
	var err error
	c.Seen, err = parseEtag(etag)
	c.Guarded = c.Seen != 0
	return c, err
}

// CheckPolicies finds every error and warning and stores nothing.
func (s *policyService) CheckPolicies(_ context.Context, r *usherv1.CheckPoliciesRequest) (*usherv1.CheckPoliciesResponse, error) {
	account, err := s.parent(r)
	if err != nil {
		return nil, err
	}
	var problems []policy.Problem
	switch {
	case r.GetDraft() != "" && len(r.GetPolicies()) > 0:
		return nil, invalid("draft", "stands beside policies; give one of them")
	case r.GetDraft() != "":
		d, err := s.draft(account, r.GetDraft())
		if err != nil {
			return nil, err
		}
		problems = s.deps.Policies.CheckList(account, d.Policies())
	default:
		brought, found, err := s.policiesFrom(account, r.GetPolicies())
		if err != nil {
			return nil, err
		}
		problems = slices.Concat(found, s.deps.Policies.Check(account, brought...))
	}
	resp := &usherv1.CheckPoliciesResponse{Problems: problemsTo(errorsFirst(problems))}
	for _, p := range problems {
		if p.Severity == policy.Error {
			resp.Errors++
		} else {
			resp.Warnings++
		}
	}
	return resp, nil
}

// draft finds a draft by its id or its resource name.
func (s *policyService) draft(account, name string) (*policystore.Draft, error) {
	if strings.Contains(name, "/") {
		owner, id, err := childName(name, "policyDrafts")
		if err == nil && owner != account {
			err = invalid("draft", "%q does not lie under accounts/%s", name, account)
		}
		if err != nil {
			return nil, err
		}
		name = id
	}
	return s.deps.Policies.Draft(account, name)
}

// ExportPolicies answers the canonical document of a list.
func (s *policyService) ExportPolicies(_ context.Context, r *usherv1.ExportPoliciesRequest) (*usherv1.ExportPoliciesResponse, error) {
	account, err := s.parent(r)
	if err != nil {
		return nil, err
	}
	name := r.GetDraft()
	switch {
	case name != "" && r.GetRevision() != 0:
		return nil, invalid("draft", "stands beside revision; give one of them")
	case name == "" && r.GetRevision() != 0:
		name = strconv.FormatInt(r.GetRevision(), 10)
	}
	document, err := s.deps.Policies.Export(account, name)
	if err != nil {
		return nil, err
	}
	out := &structpb.Struct{}
	if err := out.UnmarshalJSON(document); err != nil {
		return nil, err
	}
	return &usherv1.ExportPoliciesResponse{Document: out}, nil
}

// ListPolicyRevisions lists the changes of the list, newest first.
func (s *policyService) ListPolicyRevisions(_ context.Context, r *usherv1.ListPolicyRevisionsRequest) (*usherv1.ListPolicyRevisionsResponse, error) {
	account, err := s.parent(r)
	if err != nil {
		return nil, err
	}
	before, size, err := revisionPage(r.GetPageSize(), r.GetPageToken())
	if err != nil {
		return nil, err
	}
	name := r.GetPolicy()
	if strings.Contains(name, "/") {
		if _, name, err = childName(name, "policies"); err != nil {
			return nil, err
		}
	}
	list, more, err := s.deps.Policies.Revisions(account, name, before, size)
	if err != nil {
		return nil, err
	}
	resp := &usherv1.ListPolicyRevisionsResponse{}
	for _, one := range list {
		resp.Revisions = append(resp.Revisions, revisionTo(account, one))
	}
	if more {
		oldest := list[len(list)-1].Number
		resp.NextPageToken = base64.RawURLEncoding.EncodeToString(strconv.AppendInt(nil, oldest, 10))
	}
	return resp, nil
}

// revisionPage reads a page of the history. Its token is a revision, not a place:
// new revisions come at the front while somebody pages.
func revisionPage(size int32, token string) (before int64, limit int, err error) {
	if size < 0 {
		return 0, 0, invalid("page_size", "must not be negative")
	}
	if limit = int(min(size, maxPage)); limit == 0 {
		limit = defaultPage
	}
	if token == "" {
		return 0, limit, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err == nil {
		before, err = strconv.ParseInt(string(raw), 10, 64)
	}
	if err != nil || before <= 0 {
		return 0, 0, invalid("page_token", "is not one that this server gave")
	}
	return before, limit, nil
}

func revisionTo(account string, r policystore.Revision) *usherv1.PolicyRevision {
	return &usherv1.PolicyRevision{
		Name: "accounts/" + account + "/policyRevisions/" + etagOf(r.Number), Revision: r.Number,
		Author: r.Author, Reason: r.Reason, CreateTime: timestamppb.New(r.Time), Changes: diffTo(r.Changes),
	}
}

// GetPolicyRevision returns the whole list as it was.
func (s *policyService) GetPolicyRevision(_ context.Context, r *usherv1.GetPolicyRevisionRequest) (*usherv1.GetPolicyRevisionResponse, error) {
	account, id, err := childName(r.GetName(), "policyRevisions")
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return nil, invalid("name", "%q is no number of a revision", id)
	}
	revision, err := s.deps.Policies.Revision(account, number)
	if err != nil {
		return nil, err
	}
	out := revisionTo(account, revision)
	if out.Policies, err = s.messages(account, id); err != nil {
		return nil, err
	}
	return &usherv1.GetPolicyRevisionResponse{Revision: out}, nil
}

// messages are the policies of a named list as callers see them.
func (s *policyService) messages(account, list string) ([]*usherv1.Policy, error) {
	exported, err := s.deps.Policies.Export(account, list)
	if err != nil {
		return nil, err
	}
	var document struct {
		Policies []json.RawMessage `json:"policies"`
	}
	if err := json.NewDecoder(bytes.NewReader(exported)).Decode(&document); err != nil {
		return nil, err
	}
	return documentsTo(account, document.Policies), nil
}

func documentsTo(account string, documents []json.RawMessage) []*usherv1.Policy {
	out := make([]*usherv1.Policy, len(documents))
	for i, d := range documents {
		var known struct {
			Name string `json:"name"`
		}
		_ = json.Unmarshal(d, &known) // one without a name has none
		out[i] = messageOf(account, known.Name, d, i)
	}
	return out
}

// DiffPolicies says what differs between two lists.
func (s *policyService) DiffPolicies(_ context.Context, r *usherv1.DiffPoliciesRequest) (*usherv1.DiffPoliciesResponse, error) {
	account, err := s.parent(r)
	if err != nil {
		return nil, err
	}
	if r.GetFrom() == "" {
		return nil, invalid("from", "is missing; give a revision, a draft or %s", policystore.Live)
	}
	list, err := s.deps.Policies.Diff(account, r.GetFrom(), r.GetTo())
	if err != nil {
		return nil, err
	}
	return &usherv1.DiffPoliciesResponse{Policies: diffTo(list)}, nil
}

// RollbackPolicies makes a former revision live again.
func (s *policyService) RollbackPolicies(ctx context.Context, r *usherv1.RollbackPoliciesRequest) (*usherv1.RollbackPoliciesResponse, error) {
	account, err := s.parent(r)
	if err != nil {
		return nil, err
	}
	c, err := listChange(ctx, r.GetEtag(), r.GetReason())
	if err != nil {
		return nil, err
	}
	if r.GetRevision() <= 0 {
		return nil, invalid("revision", "is missing")
	}
	if _, err := s.deps.Policies.Revision(account, r.GetRevision()); err != nil {
		return nil, err
	}
	out, err := s.deps.Policies.Rollback(ctx, account, r.GetRevision(), c)
	if err != nil {
		return nil, err
	}
	return &usherv1.RollbackPoliciesResponse{Revision: out.Revision, Changes: diffTo(out.Changes)}, nil
}
