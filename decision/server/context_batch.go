package server

import (
	"context"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/usherhq/usher/decision/contextstore"
	"github.com/usherhq/usher/internal/fault"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// The bounds of a batch.
const (
	maxNamespaces = 100
	maxSessions   = 1000
	maxDocuments  = 10_000 // namespaces times sessions
)

// BatchGetContexts reads over namespaces and sessions at once.
func (s *contextService) BatchGetContexts(ctx context.Context, r *usherv1.BatchGetContextsRequest) (*usherv1.BatchGetContextsResponse, error) {
	account, err := parentAccount("parent", r.GetParent())
	if err != nil {
		return nil, err
	}
	store, err := s.of(account)
	if err != nil {
		return nil, err
	}
	keys, wanted, err := batchKeys(r)
	if err != nil {
		return nil, err
	}
	docs, err := store.Find(ctx, account, keys)
	if err != nil {
		return nil, err
	}
	resp := &usherv1.BatchGetContextsResponse{Values: map[string]*structpb.Value{}}
	for i := range docs {
		d := &docs[i]
		if names, some := wanted[d.Namespace]; some {
			for name := range d.Properties {
				if !slices.Contains(names, name) {
					delete(d.Properties, name)
				}
			}
		}
		shown := contextTo(account, d)
		resp.Contexts = append(resp.Contexts, shown)
		for name, value := range shown.GetProperties().GetFields() {
			full := d.Namespace + "." + name
			if _, have := resp.Values[full]; !have { // an earlier session's counts
				resp.Values[full] = value
			}
		}
	}
	return resp, nil
}

// batchKeys lists what a batch is about, and of which namespaces only some
// properties are wanted.
func batchKeys(r *usherv1.BatchGetContextsRequest) ([]contextstore.Key, map[string][]string, error) {
	var c fault.Check
	var wanted map[string][]string
	namespaces := slices.Clone(r.GetNamespaces())
	for i, full := range r.GetProperties() {
		namespace, name, ok := strings.Cut(full, ".")
		if !ok || namespace == "" || name == "" {
			c.Add(indexed("properties", i), "%q must be namespace.property", full)
			continue
		}
		if wanted == nil {
			wanted = map[string][]string{}
			for _, n := range namespaces {
				wanted[n] = nil
			}
		}
		if !slices.Contains(namespaces, namespace) {
			namespaces = append(namespaces, namespace)
		}
		wanted[namespace] = append(wanted[namespace], name)
	}
	sessions := r.GetSessions()
	if len(sessions) == 0 {
		sessions = []string{contextstore.Global}
	}
	switch {
	case len(namespaces) == 0 && len(r.GetProperties()) == 0:
		c.Add("namespaces", "is missing, as is properties")
	case len(namespaces) > maxNamespaces:
		c.Add("namespaces", "%d are more than %d", len(namespaces), maxNamespaces)
	case len(sessions) > maxSessions:
		c.Add("sessions", "%d are more than %d", len(sessions), maxSessions)
	case len(namespaces)*len(sessions) > maxDocuments:
		c.Add("sessions", "%d in %d namespaces are more than %d documents", len(sessions), len(namespaces), maxDocuments)
	}
	if err := c.Err("the batch is not valid"); err != nil {
		return nil, nil, err
	}
	keys := make([]contextstore.Key, 0, len(namespaces)*len(sessions))
	for _, namespace := range namespaces {
		for _, session := range sessions {
			keys = append(keys, contextstore.Key{Namespace: namespace, Session: session})
		}
	}
	return keys, wanted, nil
}

// BatchUpdateContexts merges into many documents, all of them or none.
func (s *contextService) BatchUpdateContexts(ctx context.Context, r *usherv1.BatchUpdateContextsRequest) (*usherv1.BatchUpdateContextsResponse, error) {
	account, err := parentAccount("parent", r.GetParent())
	if err != nil {
		return nil, err
	}
	store, err := s.of(account)
	if err != nil {
		return nil, err
	}
	if n := len(r.GetContexts()); n == 0 || n > maxSessions {
		return nil, invalid("contexts", "%d are not between 1 and %d", n, maxSessions)
	}
	changes := make([]contextstore.Change, 0, len(r.GetContexts()))
	for i, given := range r.GetContexts() {
		path := indexed("contexts", i)
		owner, key, err := contextName(path+".name", given.GetName())
		if err == nil && owner != account {
			// The guard has only seen the parent.
			err = invalid(path+".name", "%q does not lie under accounts/%s", given.GetName(), account)
		}
		if err != nil {
			return nil, err
		}
		change, err := changeOf(path, key, given)
		if err != nil {
			return nil, err
		}
		changes = append(changes, change)
	}
	docs, err := store.Write(ctx, account, changes...)
	if err != nil {
		return nil, err
	}
	resp := &usherv1.BatchUpdateContextsResponse{}
	for i := range docs {
		resp.Contexts = append(resp.Contexts, contextTo(account, &docs[i]))
	}
	return resp, nil
}
