package server

import (
	"cmp"
	"context"
	"encoding/json"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/usherhq/usher/decision/control"
	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/internal/rpc"
	"github.com/usherhq/usher/pipeline/event"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

type controlService struct {
	usherv1.UnimplementedControlServiceServer
	*Server
}

// CreateAccount opens an account.
func (s *controlService) CreateAccount(ctx context.Context, r *usherv1.CreateAccountRequest) (*usherv1.CreateAccountResponse, error) {
	id, err := newAccount(r)
	if err != nil {
		return nil, err
	}
	a, err := accountFrom(id, r.GetAccount())
	if err != nil {
		return nil, err
	}
	parts, err := s.defaultPolicy(&a, r.GetAccount().GetDefaultEffect())
	if err != nil {
		return nil, err
	}
	stored, err := s.deps.Control.CreateAccount(ctx, a, author(ctx, ""), parts...)
	if err != nil {
		return nil, err
	}
	return &usherv1.CreateAccountResponse{Account: s.accountTo(stored)}, nil
}

// newAccount finds the id of an account to be opened. All who give one agree.
func newAccount(r *usherv1.CreateAccountRequest) (string, error) {
	name := r.GetAccount().GetName()
	if strings.Contains(name, "/") {
		var err error
		if name, err = parentAccount("name", name); err != nil {
			return "", err
		}
	}
	id := cmp.Or(r.GetAccountId(), r.GetAccount().GetAccountId(), name)
	for _, other := range []string{r.GetAccount().GetAccountId(), name} {
		if other != "" && other != id {
			return "", invalid("account_id", "%q and %q name different accounts", id, other)
		}
	}
	if id == "" {
		return "", invalid("account_id", "is missing; account.name would do as well")
	}
	return id, nil
}

// GetAccount returns an account.
func (s *controlService) GetAccount(_ context.Context, r *usherv1.GetAccountRequest) (*usherv1.GetAccountResponse, error) {
	id, err := parentAccount("name", r.GetName())
	if err != nil {
		return nil, err
	}
	a, err := s.deps.Control.GetAccount(id)
	if err != nil {
		return nil, err
	}
	return &usherv1.GetAccountResponse{Account: s.accountTo(a)}, nil
}

// UpdateAccount changes an account.
func (s *controlService) UpdateAccount(ctx context.Context, r *usherv1.UpdateAccountRequest) (*usherv1.UpdateAccountResponse, error) {
	id, err := parentAccount("name", r.GetAccount().GetName())
	if err != nil {
		return nil, err
	}
	etag, err := parseEtag(r.GetAccount().GetEtag())
	if err != nil {
		return nil, err
	}
	stored, err := edit(etag, func() (control.Account, int64, error) {
		a, err := s.deps.Control.GetAccount(id)
		return a, a.Revision, err
	}, func(current control.Account, revision int64) (control.Account, error) {
		before := s.accountTo(current)
		next, err := patched(before, r.GetAccount(), r.GetUpdateMask())
		if err != nil {
			return current, err
		}
		a, err := accountFrom(id, next)
		if err != nil {
			return current, err
		}
		if s.deps.Catalog != nil {
			if err := s.deps.Catalog.HarmlessAccount(id, a.Attributes); err != nil {
				return current, err
			}
		}
		a.Revision, a.DefaultEffect = revision, current.DefaultEffect
		var parts []event.ConfigPart
		if !proto.Equal(before.GetDefaultEffect(), next.GetDefaultEffect()) {
			if parts, err = s.defaultPolicy(&a, next.GetDefaultEffect()); err != nil {
				return current, err
			}
		}
		return s.deps.Control.UpdateAccount(ctx, a, author(ctx, ""), parts...)
	})
	if err != nil {
		return nil, err
	}
	return &usherv1.UpdateAccountResponse{Account: s.accountTo(stored)}, nil
}

// ListAccounts lists the accounts that the caller may see.
func (s *controlService) ListAccounts(ctx context.Context, r *usherv1.ListAccountsRequest) (*usherv1.ListAccountsResponse, error) {
	who := rpc.Caller(ctx)
	var seen []control.Account
	for _, a := range s.deps.Control.Accounts() {
		if who != nil && who.Covers(a.ID) {
			seen = append(seen, a)
		}
	}
	part, next, err := page(seen, r.GetPageSize(), r.GetPageToken())
	if err != nil {
		return nil, err
	}
	resp := &usherv1.ListAccountsResponse{NextPageToken: next}
	for _, a := range part {
		resp.Accounts = append(resp.Accounts, s.accountTo(a))
	}
	return resp, nil
}

func accountFrom(id string, a *usherv1.Account) (control.Account, error) {
	out := control.Account{ID: id, DisplayName: a.GetDisplayName()}
	if a != nil {
		out.Attributes = control.Attributes{
			SDE: a.SdeAttributes, Conversation: a.ConversationAttributes, Strict: a.StrictAttributes, RoutingSkills: a.GetRoutingSkills(),
		}
		out.Exploration.PerHour = a.ExplorationPerHour
	}
	if condition := a.GetNoExploration(); len(condition.GetFields()) > 0 {
		document, err := json.Marshal(condition.AsMap())
		if err != nil {
			return out, invalid("no_exploration", "holds a number that is not finite")
		}
		out.Exploration.Never = document
	}
	return out, nil
}

// defaultPolicy lists what writes an account's default effect, which is that of
// its policy "default", and takes it from the account's own document, where it was
// before there were default policies.
func (s *controlService) defaultPolicy(a *control.Account, effect *structpb.Struct) ([]event.ConfigPart, error) {
	var document json.RawMessage
	if effect != nil {
		var err error
		if document, err = json.Marshal(effect.AsMap()); err != nil {
			return nil, invalid("default_effect", "holds a number that is not finite")
		}
	}
	a.DefaultEffect = nil
	parts, err := s.deps.Policies.DefaultEffect(a.ID, document)
	if err == nil {
		return parts, nil
	}
	var c fault.Check
	for _, v := range violations(err) {
		c.Add("default_"+v.Field, "%s", v.Description)
	}
	return nil, c.Err("the account is not valid")
}

// accountTo is an account as callers see it.
func (s *controlService) accountTo(a control.Account) *usherv1.Account {
	out := accountTo(a)
	if p, _, err := s.deps.Policies.Get(a.ID, policy.DefaultName); err == nil {
		if m := (&policyService{Server: s.Server}).policyOf(a.ID, p, 0); m.GetEffect() != nil {
			out.DefaultEffect = m.GetEffect()
		}
	}
	return out
}

func accountTo(a control.Account) *usherv1.Account {
	out := &usherv1.Account{
		Name: "accounts/" + a.ID, DisplayName: a.DisplayName,
		SdeAttributes: a.Attributes.SDE, ConversationAttributes: a.Attributes.Conversation,
		StrictAttributes: a.Attributes.Strict, RoutingSkills: a.Attributes.RoutingSkills,
		ExplorationPerHour: a.Exploration.PerHour,
		Etag:               etagOf(a.Revision), UpdateTime: timestamppb.New(a.Updated),
	}
	var condition map[string]any
	if json.Unmarshal(a.Exploration.Never, &condition) == nil {
		out.NoExploration = effectOf(condition)
	}
	var effect map[string]any
	if json.Unmarshal(a.DefaultEffect, &effect) == nil {
		out.DefaultEffect = effectOf(effect)
	}
	return out
}

// ListObjectives lists an account's objectives.
func (s *controlService) ListObjectives(_ context.Context, r *usherv1.ListObjectivesRequest) (*usherv1.ListObjectivesResponse, error) {
	account, err := parentAccount("parent", r.GetParent())
	if err == nil {
		err = s.account(account)
	}
	if err != nil {
		return nil, err
	}
	all, err := s.deps.Control.Objectives(account)
	if err != nil {
		return nil, err
	}
	part, next, err := page(all, r.GetPageSize(), r.GetPageToken())
	if err != nil {
		return nil, err
	}
	resp := &usherv1.ListObjectivesResponse{NextPageToken: next}
	for _, o := range part {
		resp.Objectives = append(resp.Objectives, objectiveTo(account, o))
	}
	return resp, nil
}

// GetObjective returns one objective.
func (s *controlService) GetObjective(_ context.Context, r *usherv1.GetObjectiveRequest) (*usherv1.GetObjectiveResponse, error) {
	account, id, err := childName(r.GetName(), "objectives")
	if err != nil {
		return nil, err
	}
	o, err := s.deps.Control.GetObjective(account, id)
	if err != nil {
		return nil, err
	}
	return &usherv1.GetObjectiveResponse{Objective: objectiveTo(account, o)}, nil
}

// CreateObjective adds an objective.
func (s *controlService) CreateObjective(ctx context.Context, r *usherv1.CreateObjectiveRequest) (*usherv1.CreateObjectiveResponse, error) {
	account, err := parentAccount("parent", r.GetParent())
	if err != nil {
		return nil, err
	}
	id, err := newName(account, "objectives", r.GetObjectiveId(), r.GetObjective().GetName())
	if err != nil {
		return nil, err
	}
	if id == "" {
		return nil, invalid("objective_id", "is missing; objective.name would do as well")
	}
	stored, err := s.deps.Control.CreateObjective(ctx, account, objectiveFrom(id, r.GetObjective()), author(ctx, ""))
	if err != nil {
		return nil, err
	}
	return &usherv1.CreateObjectiveResponse{Objective: objectiveTo(account, stored)}, nil
}

// UpdateObjective writes a new version of an objective, changed in part.
func (s *controlService) UpdateObjective(ctx context.Context, r *usherv1.UpdateObjectiveRequest) (*usherv1.UpdateObjectiveResponse, error) {
	account, id, err := childName(r.GetObjective().GetName(), "objectives")
	if err != nil {
		return nil, err
	}
	etag, err := parseEtag(r.GetObjective().GetEtag())
	if err != nil {
		return nil, err
	}
	stored, err := edit(etag, func() (control.Objective, int64, error) {
		o, err := s.deps.Control.GetObjective(account, id)
		return o, o.Revision, err
	}, func(current control.Objective, revision int64) (control.Objective, error) {
		next, err := patched(objectiveTo(account, current), r.GetObjective(), r.GetUpdateMask())
		if err != nil {
			return current, err
		}
		o := objectiveFrom(id, next)
		o.Revision = revision
		return s.deps.Control.UpdateObjective(ctx, account, o, author(ctx, ""))
	})
	if err != nil {
		return nil, err
	}
	return &usherv1.UpdateObjectiveResponse{Objective: objectiveTo(account, stored)}, nil
}

func objectiveFrom(id string, o *usherv1.Objective) control.Objective {
	out := control.Objective{ID: id, Description: o.GetDescription()}
	out.Bias, out.Min, out.Max, out.Margin = o.GetBias(), o.GetMin(), o.GetMax(), o.GetMargin()
	out.Window, out.DefaultReward = o.GetWindow().AsDuration(), nil
	out.WaitPrice, out.OpenRows = o.GetWaitPrice(), o.GetOpenRows()
	if o != nil {
		out.DefaultReward = o.DefaultReward
	}
	for _, t := range o.GetTerms() {
		out.Terms = append(out.Terms, event.Term{Kind: t.GetKind(), Weight: t.GetWeight(), Aggregate: t.GetAggregate()})
	}
	return out
}

func objectiveTo(account string, o control.Objective) *usherv1.Objective {
	out := &usherv1.Objective{
		Name: "accounts/" + account + "/objectives/" + o.ID, Description: o.Description,
		Bias: o.Bias, Min: o.Min, Max: o.Max, Window: durationpb.New(o.Window), DefaultReward: o.DefaultReward,
		WaitPrice: o.WaitPrice, OpenRows: cmp.Or(o.OpenRows, control.OpenRowsWait),
		Margin: o.Margin, Version: o.Version, Etag: etagOf(o.Revision), UpdateTime: timestamppb.New(o.Updated),
	}
	for _, t := range o.Terms {
		out.Terms = append(out.Terms, &usherv1.ObjectiveTerm{Kind: t.Kind, Weight: t.Weight, Aggregate: t.Aggregate})
	}
	return out
}
