package server

import (
	"cmp"
	"context"
	"encoding/base64"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/usherhq/usher/decision/contextstore"
	"github.com/usherhq/usher/internal/fault"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// contextService keeps what is known of conversations and consumers.
type contextService struct {
	usherv1.UnimplementedContextServiceServer
	*Server
}

// of returns the store of an account that exists.
func (s *contextService) of(account string) (*contextstore.Store, error) {
	if s.deps.Contexts == nil {
		return nil, fault.New(fault.Precondition, "NO_CONTEXT_STORE", "this process has no context store")
	}
	return s.deps.Contexts, s.account(account)
}

// child is the name accounts/{account}/namespaces/{namespace}.
func (s *contextService) child(field, name string) (*contextstore.Store, string, string, error) {
	account, id, err := childName(name, "namespaces")
	if err != nil {
		return nil, "", "", invalid(field, "%q must be accounts/{account}/namespaces/{namespace}", name)
	}
	store, err := s.of(account)
	return store, account, id, err
}

// named is the name of a document.
func (s *contextService) named(field, name string) (*contextstore.Store, string, contextstore.Key, error) {
	account, key, err := contextName(field, name)
	if err != nil {
		return nil, "", key, err
	}
	store, err := s.of(account)
	return store, account, key, err
}

// contextName takes the name of a document apart. In names the session is
// percent-encoded as in a path, so that it may hold slashes; / is taken too.
func contextName(field, name string) (account string, key contextstore.Key, err error) {
	parts := strings.SplitN(name, "/", 6)
	if len(parts) < 6 || parts[0] != "accounts" || parts[2] != "namespaces" || parts[4] != "contexts" || parts[1] == "" || parts[5] == "" {
		return "", key, invalid(field, "%q must be accounts/{account}/namespaces/{namespace}/contexts/{session}", name)
	}
	session, err := url.PathUnescape(parts[5])
	if err != nil {
		return "", key, invalid(field, "%q must have its session percent-encoded: %% is %%25", name)
	}
	return parts[1], contextstore.Key{Namespace: parts[3], Session: session}, nil
}

func namespaceName(account, id string) string { return "accounts/" + account + "/namespaces/" + id }

func nameOfContext(account string, key contextstore.Key) string {
	return namespaceName(account, key.Namespace) + "/contexts/" + url.PathEscape(key.Session)
}

// afterMark begins what a page token of contexts holds, so that those of other
// lists are told from them.
const afterMark = "after "

// ListContexts pages through the documents of a namespace.
func (s *contextService) ListContexts(ctx context.Context, r *usherv1.ListContextsRequest) (*usherv1.ListContextsResponse, error) {
	store, account, id, err := s.child("parent", r.GetParent())
	if err != nil {
		return nil, err
	}
	if r.GetPageSize() < 0 {
		return nil, invalid("page_size", "must not be negative")
	}
	raw, err := base64.RawURLEncoding.DecodeString(r.GetPageToken())
	after, ours := strings.CutPrefix(string(raw), afterMark)
	if err != nil || ours == (r.GetPageToken() == "") {
		return nil, invalid("page_token", "is not one that this server gave")
	}
	size := int(min(r.GetPageSize(), maxPage))
	if size == 0 {
		size = defaultPage
	}
	docs, next, err := store.List(ctx, account, id, after, size)
	if err != nil {
		return nil, err
	}
	resp := &usherv1.ListContextsResponse{}
	if next != "" {
		resp.NextPageToken = base64.RawURLEncoding.EncodeToString([]byte(afterMark + next))
	}
	for i := range docs {
		if r.GetNamesOnly() {
			resp.Contexts = append(resp.Contexts, &usherv1.Context{Name: nameOfContext(account, docs[i].Key)})
			continue
		}
		resp.Contexts = append(resp.Contexts, contextTo(account, &docs[i]))
	}
	return resp, nil
}

// GetContext returns one document.
func (s *contextService) GetContext(ctx context.Context, r *usherv1.GetContextRequest) (*usherv1.GetContextResponse, error) {
	store, account, key, err := s.named("name", r.GetName())
	if err != nil {
		return nil, err
	}
	d, err := store.Get(ctx, account, key)
	if err != nil {
		return nil, err
	}
	if len(r.GetProperties()) > 0 {
		for name := range d.Properties {
			if !slices.Contains(r.GetProperties(), name) {
				delete(d.Properties, name)
			}
		}
	}
	return &usherv1.GetContextResponse{Context: contextTo(account, &d)}, nil
}

// UpdateContext merges properties into a document.
func (s *contextService) UpdateContext(ctx context.Context, r *usherv1.UpdateContextRequest) (*usherv1.UpdateContextResponse, error) {
	d, err := s.write(ctx, r.GetContext(), false)
	return &usherv1.UpdateContextResponse{Context: d}, err
}

// ReplaceContext puts a document in the place of another.
func (s *contextService) ReplaceContext(ctx context.Context, r *usherv1.ReplaceContextRequest) (*usherv1.ReplaceContextResponse, error) {
	d, err := s.write(ctx, r.GetContext(), true)
	return &usherv1.ReplaceContextResponse{Context: d}, err
}

func (s *contextService) write(ctx context.Context, c *usherv1.Context, replace bool) (*usherv1.Context, error) {
	store, account, key, err := s.named("context.name", c.GetName())
	if err != nil {
		return nil, err
	}
	change, err := changeOf("context", key, c)
	if err != nil {
		return nil, err
	}
	if replace {
		change.Replace = true
		if change.TTL == nil {
			change.TTL = new(time.Duration)
		}
	}
	docs, err := store.Write(ctx, account, change)
	if err != nil {
		return nil, err
	}
	return contextTo(account, &docs[0]), nil
}

// changeOf reads the properties to merge; null takes one away.
func changeOf(path string, key contextstore.Key, c *usherv1.Context) (contextstore.Change, error) {
	change := contextstore.Change{Key: key, Path: path, Etag: strings.Trim(c.GetEtag(), `"`), Set: map[string]any{}}
	for name, v := range c.GetProperties().GetFields() {
		if _, null := v.GetKind().(*structpb.Value_NullValue); null {
			change.Remove = append(change.Remove, name)
			continue
		}
		change.Set[name] = v.AsInterface()
	}
	var err error
	change.TTL, err = ttlOf(path+".ttl", c.GetTtl())
	return change, err
}

// ttlOf reads a time to live, nil when there is none. One beyond the ceiling is the
// ceiling: the longest durations of the contract do not fit the clock's own type.
func ttlOf(field string, d *durationpb.Duration) (*time.Duration, error) {
	if d == nil {
		return nil, nil //nolint:nilnil // absent is a value here
	}
	if err := d.CheckValid(); err != nil {
		return nil, invalid(field, "is no duration")
	}
	ttl := min(d.AsDuration(), contextstore.Ceiling)
	return &ttl, nil
}

// DeleteContext removes a document, or some of its properties.
func (s *contextService) DeleteContext(ctx context.Context, r *usherv1.DeleteContextRequest) (*usherv1.DeleteContextResponse, error) {
	store, account, key, err := s.named("name", r.GetName())
	if err != nil {
		return nil, err
	}
	etag := strings.Trim(r.GetEtag(), `"`)
	if len(r.GetProperties()) > 0 {
		_, err = store.RemoveProperties(ctx, account, key, r.GetProperties(), etag)
	} else {
		err = store.Delete(ctx, account, key, etag)
	}
	return &usherv1.DeleteContextResponse{}, err
}

// CaptureAttributes keeps what a page or a channel knows of somebody, unless the
// account has switched that off.
func (s *contextService) CaptureAttributes(ctx context.Context, r *usherv1.CaptureAttributesRequest) (*usherv1.CaptureAttributesResponse, error) {
	account, err := parentAccount("parent", r.GetParent())
	if err != nil {
		return nil, err
	}
	store, err := s.of(account)
	if err != nil {
		return nil, err
	}
	if a, err := s.deps.Control.GetAccount(account); err != nil || a.Attributes.SDE != nil && !*a.Attributes.SDE {
		return nil, cmp.Or(err, error(fault.New(fault.Precondition, "SDE_ATTRIBUTES_OFF",
			"engagement attributes are switched off for the account: nothing was kept; set sde_attributes to true first")))
	}
	c := contextstore.Capture{CustomerID: r.GetCustomerId(), VisitorID: r.GetVisitorId(), SDE: r.GetSde().AsMap()}
	for _, e := range r.GetEntities() {
		c.Entities = append(c.Entities, e.AsMap())
	}
	if c.TTL, err = ttlOf("ttl", r.GetTtl()); err != nil {
		return nil, err
	}
	names, err := store.Capture(ctx, account, c)
	return &usherv1.CaptureAttributesResponse{Attributes: names}, err
}

// contextTo shows a document.
func contextTo(account string, d *contextstore.Document) *usherv1.Context {
	properties := structOf(d.Properties)
	if properties == nil {
		properties = &structpb.Struct{}
	}
	out := &usherv1.Context{
		Name: nameOfContext(account, d.Key), Properties: properties, Etag: d.Etag,
		ExpireTime: timestamppb.New(d.Expires), CreateTime: timestamppb.New(d.Created), UpdateTime: timestamppb.New(d.Updated),
	}
	if d.TTL > 0 {
		out.Ttl = durationpb.New(d.TTL)
	}
	return out
}

// indexed names an element of a list in a fault.
func indexed(name string, i int) string { return name + "[" + strconv.Itoa(i) + "]" }
