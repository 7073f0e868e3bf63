package server

import (
	"context"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/usherhq/usher/decision/contextstore"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/internal/rpc"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// contextRules lets bots do all of it: what they save is theirs to list, change
// and delete. Tokens that only read may not see what is known of people.
func contextRules() map[string]rpc.Rule {
	parent := rpc.Rule{Scope: rpc.ScopeDecide, Account: byParent}
	name := rpc.Rule{Scope: rpc.ScopeDecide, Account: byName}
	resource := rpc.Rule{Scope: rpc.ScopeDecide, Account: byContext, Etag: matchContextEtag}
	return map[string]rpc.Rule{
		"ListNamespaces":      parent,
		"GetNamespace":        name,
		"UpdateNamespace":     resource,
		"DeleteNamespace":     name,
		"ListContexts":        parent,
		"GetContext":          name,
		"UpdateContext":       resource,
		"ReplaceContext":      resource,
		"DeleteContext":       {Scope: rpc.ScopeDecide, Account: byName, Etag: matchContextEtag},
		"BatchGetContexts":    parent,
		"BatchUpdateContexts": parent,
		"CaptureAttributes":   parent,
	}
}

// byContext tells the guard which account a request with a resource is about.
func byContext(req any) (string, error) {
	switch r := req.(type) {
	case *usherv1.UpdateNamespaceRequest:
		return accountOf("namespace.name", r.GetNamespace().GetName())
	case *usherv1.UpdateContextRequest:
		return accountOf("context.name", r.GetContext().GetName())
	case *usherv1.ReplaceContextRequest:
		return accountOf("context.name", r.GetContext().GetName())
	}
	return "", nil
}

// matchContextEtag takes the etag of the header If-Match for the resource's.
func matchContextEtag(req any, etag string) {
	var at *string
	switch r := req.(type) {
	case *usherv1.UpdateNamespaceRequest:
		if x := r.GetNamespace(); x != nil {
			at = &x.Etag
		}
	case *usherv1.UpdateContextRequest:
		if x := r.GetContext(); x != nil {
			at = &x.Etag
		}
	case *usherv1.ReplaceContextRequest:
		if x := r.GetContext(); x != nil {
			at = &x.Etag
		}
	case *usherv1.DeleteContextRequest:
		at = &r.Etag
	}
	if at != nil && *at == "" {
		*at = etag
	}
}

// ListNamespaces lists the namespaces.
func (s *contextService) ListNamespaces(ctx context.Context, r *usherv1.ListNamespacesRequest) (*usherv1.ListNamespacesResponse, error) {
	account, err := parentAccount("parent", r.GetParent())
	if err != nil {
		return nil, err
	}
	store, err := s.of(account)
	if err != nil {
		return nil, err
	}
	all, err := store.Namespaces(ctx, account)
	if err != nil {
		return nil, err
	}
	part, next, err := page(all, r.GetPageSize(), r.GetPageToken())
	if err != nil {
		return nil, err
	}
	resp := &usherv1.ListNamespacesResponse{NextPageToken: next}
	for _, n := range part {
		resp.Namespaces = append(resp.Namespaces, namespaceTo(account, n))
	}
	return resp, nil
}

// GetNamespace returns a namespace.
func (s *contextService) GetNamespace(ctx context.Context, r *usherv1.GetNamespaceRequest) (*usherv1.GetNamespaceResponse, error) {
	store, account, id, err := s.child("name", r.GetName())
	if err != nil {
		return nil, err
	}
	n, err := store.Namespace(ctx, account, id)
	if err != nil {
		return nil, err
	}
	return &usherv1.GetNamespaceResponse{Namespace: namespaceTo(account, n)}, nil
}

// UpdateNamespace creates a namespace or changes it.
func (s *contextService) UpdateNamespace(ctx context.Context, r *usherv1.UpdateNamespaceRequest) (*usherv1.UpdateNamespaceResponse, error) {
	given := r.GetNamespace()
	store, account, id, err := s.child("namespace.name", given.GetName())
	if err != nil {
		return nil, err
	}
	change := contextstore.NamespaceChange{ID: id, Etag: strings.Trim(given.GetEtag(), `"`)}
	var c fault.Check
	for _, f := range masked(&c, given.ProtoReflect(), r.GetUpdateMask().GetPaths()) {
		switch f.Name() {
		case "ttl":
			if change.TTL, err = ttlOf("namespace.ttl", given.GetTtl()); err != nil {
				return nil, err
			}
			if change.TTL == nil {
				change.TTL = new(time.Duration)
			}
		case "pii":
			pii := given.GetPii()
			change.PII = &pii
		}
	}
	if err := c.Err("the update mask is not valid"); err != nil {
		return nil, err
	}
	n, err := store.PutNamespace(ctx, account, change)
	if err != nil {
		return nil, err
	}
	return &usherv1.UpdateNamespaceResponse{Namespace: namespaceTo(account, n)}, nil
}

// DeleteNamespace removes a namespace with all that is in it.
func (s *contextService) DeleteNamespace(ctx context.Context, r *usherv1.DeleteNamespaceRequest) (*usherv1.DeleteNamespaceResponse, error) {
	store, account, id, err := s.child("name", r.GetName())
	if err == nil {
		err = store.DeleteNamespace(ctx, account, id)
	}
	return &usherv1.DeleteNamespaceResponse{}, err
}

func namespaceTo(account string, n contextstore.Namespace) *usherv1.Namespace {
	out := &usherv1.Namespace{
		Name: namespaceName(account, n.ID), Pii: n.PII, CreateTime: timestamppb.New(n.Created), Etag: n.Etag,
	}
	if n.TTL > 0 {
		out.Ttl = durationpb.New(n.TTL)
	}
	return out
}
