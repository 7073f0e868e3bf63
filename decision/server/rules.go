package server

import (
	"strconv"

	"github.com/usherhq/usher/internal/rpc"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// byParent and byName tell the guard which account a request is about.
func byParent(req any) (string, error) {
	r, _ := req.(interface{ GetParent() string })
	if r == nil {
		return "", nil
	}
	return accountOf("parent", r.GetParent())
}

func byName(req any) (string, error) {
	r, _ := req.(interface{ GetName() string })
	if r == nil {
		return "", nil
	}
	return accountOf("name", r.GetName())
}

// byResource does the same for requests that carry the resource itself.
func byResource(req any) (string, error) {
	switch r := req.(type) {
	case *usherv1.UpdatePolicyRequest:
		return accountOf("name", r.GetPolicy().GetName())
	case *usherv1.UpdateObjectiveRequest:
		return accountOf("name", r.GetObjective().GetName())
	case *usherv1.UpdateModeRequest:
		return accountOf("name", r.GetMode().GetName())
	case *usherv1.UpdateAccountRequest:
		return accountOf("name", r.GetAccount().GetName())
	case *usherv1.UpdatePolicyDraftRequest:
		return accountOf("name", r.GetDraft().GetName())
	}
	return "", nil
}

// matchEtag takes the etag of the header If-Match for that of the request, or of
// the resource in it.
func matchEtag(req any, etag string) {
	var at *string
	switch r := req.(type) {
	case *usherv1.UpdatePolicyRequest:
		if x := r.GetPolicy(); x != nil {
			at = &x.Etag
		}
	case *usherv1.UpdateObjectiveRequest:
		if x := r.GetObjective(); x != nil {
			at = &x.Etag
		}
	case *usherv1.UpdateModeRequest:
		if x := r.GetMode(); x != nil {
			at = &x.Etag
		}
	case *usherv1.UpdateAccountRequest:
		if x := r.GetAccount(); x != nil {
			at = &x.Etag
		}
	case *usherv1.UpdatePolicyDraftRequest:
		if x := r.GetDraft(); x != nil {
			at = &x.Etag
		}
	case *usherv1.DeletePolicyDraftRequest:
		at = &r.Etag
	case *usherv1.PublishPolicyDraftRequest:
		at = &r.Etag
	case *usherv1.ImportPoliciesRequest:
		at = &r.Etag
	case *usherv1.RollbackPoliciesRequest:
		at = &r.Etag
	case *usherv1.DeletePolicyRequest:
		at = &r.Etag
	case *usherv1.EnablePolicyRequest:
		at = &r.Etag
	case *usherv1.DisablePolicyRequest:
		at = &r.Etag
	case *usherv1.MovePolicyRequest:
		at = &r.Etag
	case *usherv1.DeleteModeRequest:
		at = &r.Etag
	}
	if at != nil && *at == "" {
		*at = etag
	}
}

// ofInstallation is for what only tokens of the installation may do.
func ofInstallation(any) (string, error) { return "", nil }

func decisionRules() map[string]rpc.Rule {
	return map[string]rpc.Rule{
		"NextActions": {Scope: rpc.ScopeDecide, Account: byParent, Key: requestKey},
		"GetDecision": {Scope: rpc.ScopeRead, Account: byName},

		"ListDecisions":  {Scope: rpc.ScopeRead, Account: byParent},
		"VerifyDecision": {Scope: rpc.ScopeRead, Account: byName},
	}
}

// requestKey takes the idempotency key for the request id.
func requestKey(req any, key string) {
	if r, ok := req.(*usherv1.NextActionsRequest); ok && r.GetRequestId() == "" {
		r.RequestId = key
	}
}

func outcomeRules() map[string]rpc.Rule {
	return map[string]rpc.Rule{
		"ReportOutcomes": {Scope: rpc.ScopeIngest, Account: byParent, Key: outcomeKey},
	}
}

// outcomeKey takes the idempotency key for the id of one outcome, and with their
// places for those of a batch.
func outcomeKey(req any, key string) {
	r, ok := req.(*usherv1.ReportOutcomesRequest)
	if !ok {
		return
	}
	if len(r.GetOutcomes()) == 0 && r.GetId() == "" {
		r.Id = key
	}
	for i, o := range r.GetOutcomes() {
		if o != nil && o.GetId() == "" {
			o.Id = key + "/" + strconv.Itoa(i)
		}
	}
}

func policyRules() map[string]rpc.Rule {
	list := rpc.Rule{Scope: rpc.ScopeRead, Account: byParent}
	get := rpc.Rule{Scope: rpc.ScopeRead, Account: byName}
	add := rpc.Rule{Scope: rpc.ScopeAdmin, Account: byParent, Etag: matchEtag}
	update := rpc.Rule{Scope: rpc.ScopeAdmin, Account: byResource, Etag: matchEtag}
	change := rpc.Rule{Scope: rpc.ScopeAdmin, Account: byName, Etag: matchEtag}
	return map[string]rpc.Rule{
		"ListPolicies":        list,
		"GetPolicy":           get,
		"CreatePolicy":        {Scope: rpc.ScopeAdmin, Account: byParent},
		"UpdatePolicy":        update,
		"DeletePolicy":        change,
		"EnablePolicy":        change,
		"DisablePolicy":       change,
		"MovePolicy":          change,
		"CheckPolicies":       list,
		"ImportPolicies":      add,
		"ExportPolicies":      list,
		"ListPolicyRevisions": list,
		"GetPolicyRevision":   get,
		"DiffPolicies":        list,
		"RollbackPolicies":    add,
		"CreatePolicyDraft":   {Scope: rpc.ScopeAdmin, Account: byParent},
		"ListPolicyDrafts":    list,
		"GetPolicyDraft":      get,
		"UpdatePolicyDraft":   update,
		"DeletePolicyDraft":   change,
		"PublishPolicyDraft":  change,
		"SimulatePolicies":    {Scope: rpc.ScopeRead, Account: byParent, Timeout: simulationTimeout},
		"ReportPolicies":      list,
	}
}

func controlRules() map[string]rpc.Rule {
	list := rpc.Rule{Scope: rpc.ScopeRead, Account: byParent}
	get := rpc.Rule{Scope: rpc.ScopeRead, Account: byName}
	update := rpc.Rule{Scope: rpc.ScopeAdmin, Account: byResource, Etag: matchEtag}
	return map[string]rpc.Rule{
		"CreateAccount":   {Scope: rpc.ScopeAdmin, Account: ofInstallation},
		"GetAccount":      get,
		"UpdateAccount":   update,
		"ListAccounts":    {Scope: rpc.ScopeRead},
		"ListObjectives":  list,
		"GetObjective":    get,
		"CreateObjective": {Scope: rpc.ScopeAdmin, Account: byParent},
		"UpdateObjective": update,
		"ListModes":       list,
		"GetMode":         get,
		"UpdateMode":      update,
		"DeleteMode":      {Scope: rpc.ScopeAdmin, Account: byName, Etag: matchEtag},
		"ListModels":      list,
		"GetModel":        get,
		"PromoteModel":    {Scope: rpc.ScopeAdmin, Account: byName},
		"RollbackModel":   {Scope: rpc.ScopeAdmin, Account: byParent},
	}
}
