package server

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/usherhq/usher/decision/catalog"
	"github.com/usherhq/usher/decision/function"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/internal/rpc"
	"github.com/usherhq/usher/pipeline/event"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// FunctionCaller calls a function once, past its cache; *function.Caller is one.
type FunctionCaller interface {
	Try(ctx context.Context, account string, fn *function.Function, args map[string]any) (any, event.Call)
}

// catalogService governs what policies can speak of.
type catalogService struct {
	usherv1.UnimplementedCatalogServiceServer
	*Server
}

func catalogRules() map[string]rpc.Rule {
	rules := map[string]rpc.Rule{"CallFunction": {Scope: rpc.ScopeAdmin, Account: byName}}
	for _, one := range []struct{ single, plural string }{
		{"Attribute", "Attributes"},
		{"Function", "Functions"},
		{"Calendar", "Calendars"},
		{"Skill", "Skills"},
		{"Agent", "Agents"},
		{"Bot", "Bots"},
	} {
		rules["List"+one.plural] = rpc.Rule{Scope: rpc.ScopeRead, Account: byParent}
		rules["Get"+one.single] = rpc.Rule{Scope: rpc.ScopeRead, Account: byName}
		rules["Create"+one.single] = rpc.Rule{Scope: rpc.ScopeAdmin, Account: byParent}
		rules["Update"+one.single] = rpc.Rule{Scope: rpc.ScopeAdmin, Account: byItem, Etag: matchItem}
		rules["Delete"+one.single] = rpc.Rule{Scope: rpc.ScopeAdmin, Account: byName, Etag: matchItem}
	}
	return rules
}

// ListAttributes lists the account's attributes and those built in, by name.
func (s *catalogService) ListAttributes(_ context.Context, r *usherv1.ListAttributesRequest) (*usherv1.ListAttributesResponse, error) {
	list, next, err := s.attributes().list(r)
	return &usherv1.ListAttributesResponse{Attributes: list, NextPageToken: next}, err
}

// GetAttribute returns an attribute.
func (s *catalogService) GetAttribute(_ context.Context, r *usherv1.GetAttributeRequest) (*usherv1.GetAttributeResponse, error) {
	a, err := s.attributes().get(r.GetName())
	return &usherv1.GetAttributeResponse{Attribute: a}, err
}

// CreateAttribute adds an attribute.
func (s *catalogService) CreateAttribute(ctx context.Context, r *usherv1.CreateAttributeRequest) (*usherv1.CreateAttributeResponse, error) {
	a, err := s.attributes().create(ctx, r.GetParent(), r.GetAttributeId(), r.GetAttribute())
	return &usherv1.CreateAttributeResponse{Attribute: a}, err
}

// UpdateAttribute changes an attribute.
func (s *catalogService) UpdateAttribute(ctx context.Context, r *usherv1.UpdateAttributeRequest) (*usherv1.UpdateAttributeResponse, error) {
	a, err := s.attributes().update(ctx, r.GetAttribute(), r.GetUpdateMask())
	return &usherv1.UpdateAttributeResponse{Attribute: a}, err
}

// DeleteAttribute removes an attribute.
func (s *catalogService) DeleteAttribute(ctx context.Context, r *usherv1.DeleteAttributeRequest) (*usherv1.DeleteAttributeResponse, error) {
	return &usherv1.DeleteAttributeResponse{}, s.attributes().remove(ctx, r, r.GetReason())
}

// ListFunctions lists the account's functions.
func (s *catalogService) ListFunctions(_ context.Context, r *usherv1.ListFunctionsRequest) (*usherv1.ListFunctionsResponse, error) {
	list, next, err := s.functions().list(r)
	return &usherv1.ListFunctionsResponse{Functions: list, NextPageToken: next}, err
}

// GetFunction returns a function.
func (s *catalogService) GetFunction(_ context.Context, r *usherv1.GetFunctionRequest) (*usherv1.GetFunctionResponse, error) {
	f, err := s.functions().get(r.GetName())
	return &usherv1.GetFunctionResponse{Function: f}, err
}

// CreateFunction adds a function.
func (s *catalogService) CreateFunction(ctx context.Context, r *usherv1.CreateFunctionRequest) (*usherv1.CreateFunctionResponse, error) {
	f, err := s.functions().create(ctx, r.GetParent(), r.GetFunctionId(), r.GetFunction())
	return &usherv1.CreateFunctionResponse{Function: f}, err
}

// UpdateFunction changes a function.
func (s *catalogService) UpdateFunction(ctx context.Context, r *usherv1.UpdateFunctionRequest) (*usherv1.UpdateFunctionResponse, error) {
	f, err := s.functions().update(ctx, r.GetFunction(), r.GetUpdateMask())
	return &usherv1.UpdateFunctionResponse{Function: f}, err
}

// DeleteFunction removes a function.
func (s *catalogService) DeleteFunction(ctx context.Context, r *usherv1.DeleteFunctionRequest) (*usherv1.DeleteFunctionResponse, error) {
	return &usherv1.DeleteFunctionResponse{}, s.functions().remove(ctx, r, r.GetReason())
}

// CallFunction calls a function once and shows what came of it.
func (s *catalogService) CallFunction(ctx context.Context, r *usherv1.CallFunctionRequest) (*usherv1.CallFunctionResponse, error) {
	account, id, err := childName(r.GetName(), "functions")
	if err != nil {
		return nil, err
	}
	if s.deps.Catalog == nil || s.deps.Functions == nil {
		return nil, noCatalogue()
	}
	fn, err := s.deps.Catalog.Functions.Get(account, id)
	if err != nil {
		return nil, err
	}
	result, call := s.deps.Functions.Try(ctx, account, &fn.Function, r.GetArguments().AsMap())
	out := &usherv1.CallFunctionResponse{Call: &usherv1.FunctionCall{
		Function: call.Function, Result: string(call.Result), Latency: durationpb.New(call.Latency), Detail: call.Detail,
	}}
	if result != nil {
		if out.Result, err = structpb.NewValue(result); err != nil {
			return nil, fmt.Errorf("wrap the result of function %q: %w", id, err)
		}
	}
	return out, nil
}

func noCatalogue() error {
	return fault.New(fault.Precondition, "NO_CATALOGUE", "this process has no catalogue")
}

func (s *catalogService) attributes() *collection[catalog.Attribute, *usherv1.Attribute] {
	c := &collection[catalog.Attribute, *usherv1.Attribute]{
		server: s.Server, plural: "attributes", empty: &usherv1.Attribute{}, to: attributeTo, from: attributeFrom,
		revision: func(a *catalog.Attribute) int64 { return a.Revision },
	}
	if s.deps.Catalog != nil {
		c.shelf, c.all = s.deps.Catalog.Attributes, s.deps.Catalog.AllAttributes
		c.read = s.deps.Catalog.AnyAttribute
	}
	return c
}

func (s *catalogService) functions() *collection[catalog.Function, *usherv1.Function] {
	c := &collection[catalog.Function, *usherv1.Function]{
		server: s.Server, plural: "functions", empty: &usherv1.Function{}, to: functionTo, from: functionFrom,
		revision: func(f *catalog.Function) int64 { return f.Meta.Revision },
	}
	if s.deps.Catalog != nil {
		c.shelf = s.deps.Catalog.Functions
	}
	return c
}
