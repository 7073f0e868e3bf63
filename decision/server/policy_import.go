package server

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/decision/policy/foreign"
	"github.com/usherhq/usher/decision/policystore"
	"github.com/usherhq/usher/internal/fault"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// ImportPolicies reads policies into the list or into a draft.
func (s *policyService) ImportPolicies(ctx context.Context, r *usherv1.ImportPoliciesRequest) (*usherv1.ImportPoliciesResponse, error) {
	account, err := s.parent(r)
	if err != nil {
		return nil, err
	}
	c, err := listChange(ctx, r.GetEtag(), r.GetReason())
	if err != nil {
		return nil, err
	}
	c.ValidateOnly = r.GetValidateOnly()
	document, err := documentText(r.GetDocument())
	if err != nil {
		return nil, err
	}
	read, err := foreign.ReadFor(r.GetFormat(), document, s.deps.Policies.Environment(account))
	if err != nil {
		return nil, err
	}
	if err := errorOf(read.Problems, "document"); err != nil && !c.ValidateOnly {
		return nil, s.refused(account, err, read.Policies)
	}
	in := policystore.Import{
		Policies: read.Policies, Silent: read.Silent, Enable: r.GetEnable(), Replace: r.GetReplace(),
		KeepDefault: read.Format != foreign.FormatUsher,
	}
	if r.GetDraft() != "" && !c.ValidateOnly {
		return s.importDraft(ctx, account, r, in, read.Problems)
	}
	return s.importLive(ctx, account, in, c, read.Problems)
}

// refused adds what the account does not know of the sound policies of a document
// to what is wrong with the others.
func (s *policyService) refused(account string, err error, sound []*policy.Policy) error {
	var check fault.Check
	addUnder(&check, "", err)
	for _, p := range s.deps.Policies.CheckList(account, sound) {
		if p.Severity == policy.Error {
			check.Add("document", "%s: %s: %s", p.Policy, p.Path, p.Description)
		}
	}
	return check.Err("the policy is not valid")
}

// documentText is the JSON of a document; one that comes as a string is the text.
func documentText(v *structpb.Value) ([]byte, error) {
	switch kind := v.GetKind().(type) {
	case nil, *structpb.Value_NullValue:
		return nil, invalid("document", "is missing")
	case *structpb.Value_StringValue:
		return []byte(kind.StringValue), nil
	default:
		text, err := v.MarshalJSON()
		if err != nil {
			return nil, invalid("document", "holds a number that is not finite")
		}
		return text, nil
	}
}

func (s *policyService) importLive(
	ctx context.Context, account string, in policystore.Import, c policystore.ListChange, problems []policy.Problem,
) (*usherv1.ImportPoliciesResponse, error) {
	out, err := s.deps.Policies.Import(ctx, account, in, c)
	if err != nil {
		return nil, err
	}
	resp := &usherv1.ImportPoliciesResponse{Revision: out.Revision}
	brought := namesOf(in.Policies)
	for i, p := range out.Policies {
		if brought[p.Name] {
			resp.Policies = append(resp.Policies, s.policyOf(account, p, i))
		}
	}
	for _, p := range s.deps.Policies.CheckList(account, out.Policies) {
		if brought[p.Policy] {
			problems = append(problems, p)
		}
	}
	problems = append(problems, replaced(brought, out.Before, out.Changes)...)
	resp.Problems = problemsTo(errorsFirst(problems))
	return resp, nil
}

// codeReplaced warns of a live policy that an import overwrote: ids are made of
// names, so two policies that have nothing to do with each other can share one.
const codeReplaced = "REPLACED"

// replaced warns of the live policies in whose place an import puts others.
func replaced(brought map[string]bool, live []*policy.Policy, changes []policystore.Difference) []policy.Problem {
	title := map[string]string{}
	for _, p := range live {
		title[p.Name] = cmp.Or(p.DisplayName, p.Name)
	}
	var out []policy.Problem
	for _, c := range changes {
		if c.Kind == policystore.Changed && brought[c.Policy] {
			out = append(out, policy.Problem{
				Severity: policy.Warning, Policy: c.Policy, Code: codeReplaced,
				Description: fmt.Sprintf("replaces the live policy %q, called %q, which says something else", c.Policy, title[c.Policy]),
			})
		}
	}
	return out
}

func namesOf(list []*policy.Policy) map[string]bool {
	out := make(map[string]bool, len(list))
	for _, p := range list {
		out[p.Name] = true
	}
	return out
}

func (s *policyService) importDraft(
	ctx context.Context, account string, r *usherv1.ImportPoliciesRequest, in policystore.Import, problems []policy.Problem,
) (*usherv1.ImportPoliciesResponse, error) {
	id, err := newName(account, "policyDrafts", "", r.GetDraft())
	if err != nil {
		return nil, err
	}
	live, _ := s.deps.Policies.List(account)
	d, err := s.deps.Policies.ImportDraft(ctx, account, &policystore.Draft{ID: id, Description: r.GetReason()}, in, change(ctx, 0, r.GetReason()))
	if err != nil {
		return nil, err
	}
	list := d.Policies()
	changes, err := policystore.Diff(live, list)
	if err != nil {
		return nil, err
	}
	brought := namesOf(in.Policies)
	problems = slices.Concat(problems, s.deps.Policies.CheckList(account, list), replaced(brought, live, changes))
	message := s.draftOf(account, d)
	resp := &usherv1.ImportPoliciesResponse{Problems: problemsTo(errorsFirst(problems)), Revision: d.Base, Draft: message.GetName()}
	for i, p := range list {
		if brought[p.Name] {
			resp.Policies = append(resp.Policies, message.GetPolicies()[i])
		}
	}
	return resp, nil
}
