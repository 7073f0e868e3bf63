package server

import (
	"cmp"
	"context"
	"strings"

	"google.golang.org/protobuf/proto"

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
	account, err := s.parent(r)
	if err != nil {
		return nil, err
	}
	all, revision := s.deps.Policies.List(account)
	place := map[string]int{}
	var found []*policy.Policy
	words := strings.Fields(strings.ToLower(r.GetQuery()))
	for i, p := range all {
		place[p.Name] = i
		if holdsAll(p, words) {
			found = append(found, p)
		}
	}
	part, next, err := page(found, r.GetPageSize(), r.GetPageToken())
	if err != nil {
		return nil, err
	}
	resp := &usherv1.ListPoliciesResponse{NextPageToken: next, Revision: revision}
	problems := s.deps.Policies.Problems(account)
	for _, p := range part {
		m := s.policyOf(account, p, place[p.Name])
		m.Warnings = problemsTo(problemsOf(problems, p.Name))
		resp.Policies = append(resp.Policies, m)
	}
	return resp, nil
}

// holdsAll reports whether a policy's id and texts hold every word.
func holdsAll(p *policy.Policy, words []string) bool {
	text := strings.ToLower(p.Name + "\n" + p.DisplayName + "\n" + p.Description)
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// parent is the account that a list belongs to, one that exists.
func (s *Server) parent(r interface{ GetParent() string }) (string, error) {
	account, err := parentAccount("parent", r.GetParent())
	if err == nil {
		err = s.account(account)
	}
	return account, err
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

// stored returns a policy as it lies in the store, with what is doubtful about it.
func (s *policyService) stored(account, id string, also ...policy.Problem) (*usherv1.Policy, error) {
	p, place, err := s.deps.Policies.Get(account, id)
	if err != nil {
		return nil, err
	}
	out := s.policyOf(account, p, place)
	out.Warnings = problemsTo(append(also, problemsOf(s.deps.Policies.Problems(account), id)...))
	return out, nil
}

// wouldBe returns a policy that was only checked.
func (s *policyService) wouldBe(account string, p *policy.Policy, place int, also []policy.Problem) *usherv1.Policy {
	out := s.policyOf(account, p, place)
	out.Warnings = problemsTo(append(also, problemsOf(s.deps.Policies.Check(account, p), p.Name)...))
	return out
}

// CreatePolicy appends a policy to the list.
func (s *policyService) CreatePolicy(ctx context.Context, r *usherv1.CreatePolicyRequest) (*usherv1.CreatePolicyResponse, error) {
	account, err := s.parent(r)
	if err != nil {
		return nil, err
	}
	given := proto.CloneOf(r.GetPolicy())
	if given == nil {
		return nil, invalid("policy", "is missing")
	}
	if err := oneGrammar(given); err != nil {
		return nil, err
	}
	id, err := s.newPolicy(account, r.GetPolicyId(), given)
	if err != nil {
		return nil, err
	}
	// The default policy cannot be anything but enabled.
	p, doubts, err := s.readPolicy(account, id, given, id == policy.DefaultName)
	if err != nil {
		return nil, err
	}
	c := change(ctx, 0, r.GetReason())
	c.ValidateOnly = r.GetValidateOnly()
	stored, err := s.deps.Policies.Create(ctx, account, p, c)
	if err != nil {
		return nil, err
	}
	if c.ValidateOnly {
		return &usherv1.CreatePolicyResponse{Policy: s.wouldBe(account, stored, s.nextPlace(account, id), doubts)}, nil
	}
	out, err := s.stored(account, id, doubts...)
	return &usherv1.CreatePolicyResponse{Policy: out}, err
}

// nextPlace is where a new policy goes: to the end, before the default policy.
func (s *policyService) nextPlace(account, id string) int {
	list, _ := s.deps.Policies.List(account)
	n := len(list)
	if n > 0 && list[n-1].Name == policy.DefaultName && id != policy.DefaultName {
		n--
	}
	return n
}

// newPolicy finds the id of a policy to be created. A name in LivePerson's
// documents is for people: one that is no id becomes the display name.
func (s *policyService) newPolicy(account, id string, p *usherv1.Policy) (string, error) {
	name := p.GetName()
	if id == "" && speaksLivePerson(p) && !strings.HasPrefix(name, "accounts/") && !policy.ValidName(name) {
		p.Name, p.DisplayName = "", cmp.Or(p.GetDisplayName(), name)
	}
	id, err := newName(account, "policies", id, p.GetName())
	if id != "" || err != nil {
		return id, err
	}
	return freeID(p.GetDisplayName(), s.deps.NewID(), func(id string) bool {
		_, taken := s.deps.Policies.Resource(account, id)
		return taken
	}), nil
}

// reader reads a policy for edit.
func (s *policyService) reader(account, id string) func() (*policy.Policy, int64, error) {
	return func() (*policy.Policy, int64, error) {
		p, _, err := s.deps.Policies.Get(account, id)
		if err != nil {
			return nil, 0, err
		}
		return p, p.Revision, nil
	}
}

// UpdatePolicy changes a policy; its place stays.
func (s *policyService) UpdatePolicy(ctx context.Context, r *usherv1.UpdatePolicyRequest) (*usherv1.UpdatePolicyResponse, error) {
	account, id, err := childName(r.GetPolicy().GetName(), "policies")
	if err != nil {
		return nil, err
	}
	etag, err := parseEtag(r.GetPolicy().GetEtag())
	if err == nil {
		err = oneGrammar(r.GetPolicy())
	}
	if err != nil {
		return nil, err
	}
	var doubts []policy.Problem
	stored, err := edit(etag, s.reader(account, id), func(current *policy.Policy, revision int64) (*policy.Policy, error) {
		document, err := patched(s.policyOf(account, current, 0), r.GetPolicy(), r.GetUpdateMask())
		if err != nil {
			return nil, err
		}
		next, found, err := s.readPolicy(account, id, document, true)
		if err != nil {
			return nil, err
		}
		doubts = found
		c := change(ctx, revision, r.GetReason())
		c.ValidateOnly = r.GetValidateOnly()
		return s.deps.Policies.Update(ctx, account, id, c, func(p *policy.Policy) error {
			*p = *next
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	if r.GetValidateOnly() {
		_, place, err := s.deps.Policies.Get(account, id)
		return &usherv1.UpdatePolicyResponse{Policy: s.wouldBe(account, stored, place, doubts)}, err
	}
	out, err := s.stored(account, id, doubts...)
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
