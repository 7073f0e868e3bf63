package liveperson

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/usherhq/usher/decision/contextstore"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/internal/rpc"
)

// documentRequest is the body of the v2 calls on documents.
type documentRequest struct {
	Account   text           `json:"accountId"`
	Namespace text           `json:"nameSpace"`
	Session   text           `json:"sessionId"`
	TTL       float64        `json:"ttlSeconds"`
	Payload   map[string]any `json:"payload"`
	Filter    []string       `json:"filter"`
	Delete    []string       `json:"propertyToDelete"`
}

func readDocument(body []byte) (*documentRequest, contextstore.Key, error) {
	d := &documentRequest{}
	if err := read(body, d); err != nil {
		return nil, contextstore.Key{}, err
	}
	key, err := keyOf(string(d.Namespace), string(d.Session))
	return d, key, err
}

// receipt answers a change of a document.
type receipt struct {
	Key     string `json:"documentKey"`
	Tenant  string `json:"tenantId"`
	Success bool   `json:"success"`
}

func receiptOf(account string, key contextstore.Key) receipt {
	return receipt{Key: documentKey(account, key), Tenant: account, Success: true}
}

func documentKey(account string, key contextstore.Key) string {
	return account + ":" + key.Namespace + ":" + key.Session
}

// createDocument serves POST and PATCH /v2/context/document/create, which merge
// into what is there.
func (f *facade) createDocument(r *http.Request, body []byte) (*rpc.Answer, error) {
	d := &documentRequest{}
	if err := read(body, d); err != nil {
		return nil, err
	}
	key := contextstore.Key{Namespace: string(d.Namespace), Session: cmp.Or(string(d.Session), contextstore.Global)}
	change := contextstore.Change{Key: key, Set: d.Payload}
	var c fault.Check
	switch ceiling := contextstore.Ceiling; {
	case d.TTL < 0:
		c.Add("ttlSeconds", "must not be negative")
	case d.TTL >= ceiling.Seconds():
		change.TTL = &ceiling
	case d.TTL > 0:
		ttl := time.Duration(d.TTL * float64(time.Second))
		change.TTL = &ttl
	}
	if d.Payload == nil {
		c.Add("payload", "is missing: it must be an object of properties")
	}
	if e, bad := errors.AsType[*fault.Error](contextstore.Check(change)); bad {
		for _, v := range e.Violations {
			c.Add(v.Field, "%s", v.Description)
		}
	}
	if err := c.Err("the request is not valid"); err != nil {
		return nil, err
	}
	if _, err := f.deps.Context.Write(r.Context(), string(d.Account), change); err != nil {
		return nil, err
	}
	return answer(http.StatusCreated, receiptOf(string(d.Account), key))
}

// getDocument serves GET /v2/context/document/{account}/{namespace}[/{session}].
func (f *facade) getDocument(r *http.Request, _ []byte) (*rpc.Answer, error) {
	type document struct {
		Account   string         `json:"accountId"`
		Key       string         `json:"documentKey"`
		Type      string         `json:"documentType"`
		Namespace string         `json:"nameSpace"`
		Session   string         `json:"sessionId,omitempty"`
		Payload   map[string]any `json:"payload"`
		Tenant    string         `json:"tenantId"`
		TTL       time.Time      `json:"ttl"` // when it expires
	}
	key, err := pathKey(r)
	if err != nil {
		return nil, err
	}
	account := r.PathValue("account")
	doc, err := f.deps.Context.Get(r.Context(), account, key)
	if err != nil {
		return nil, err
	}
	return answer(http.StatusOK, document{
		Account: account, Key: documentKey(account, key), Type: "CONTEXT", Namespace: key.Namespace,
		Session: r.PathValue("session"), Payload: included(doc.Properties, ""), Tenant: account, TTL: doc.Expires.UTC(),
	})
}

// documentProperties serves POST /v2/context/document/properties: the properties
// that the filter names as namespace.property, or all of one document.
func (f *facade) documentProperties(r *http.Request, body []byte) (*rpc.Answer, error) {
	d, key, err := readDocument(body)
	if err != nil {
		return nil, err
	}
	account, out := string(d.Account), map[string]any{}
	if len(d.Filter) == 0 {
		doc, err := f.deps.Context.Get(r.Context(), account, key)
		if err != nil {
			return nil, err
		}
		for name, value := range doc.Properties {
			out[key.Namespace+"."+name] = value
		}
		return answer(http.StatusOK, out)
	}
	docs, err := f.filtered(r.Context(), account, key, d.Filter)
	if err != nil {
		return nil, err
	}
	for _, name := range d.Filter {
		namespace, path := split(key, name)
		if doc, ok := docs[namespace]; ok {
			if value, ok := doc.Lookup(path); ok {
				out[name] = value
			}
		}
	}
	return answer(http.StatusOK, out)
}

// split takes namespace.property apart; a bare property is one of the namespace
// that the request names.
func split(key contextstore.Key, name string) (namespace, path string) {
	namespace, path, ok := strings.Cut(name, ".")
	if !ok {
		return key.Namespace, name
	}
	return namespace, path
}

// filtered reads the documents that a filter needs, by namespace, at once.
func (f *facade) filtered(ctx context.Context, account string, key contextstore.Key, filter []string) (map[string]contextstore.Document, error) {
	seen := map[string]bool{}
	var keys []contextstore.Key
	for _, name := range filter {
		namespace, _ := split(key, name)
		if seen[namespace] {
			continue
		}
		seen[namespace] = true
		k, err := keyOf(namespace, key.Session)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	docs, err := f.deps.Context.Find(ctx, account, keys)
	if err != nil {
		return nil, err
	}
	out := make(map[string]contextstore.Document, len(docs))
	for i := range docs {
		out[docs[i].Namespace] = docs[i]
	}
	return out, nil
}

// deleteFromDocument serves DELETE /v2/context/document/property/delete.
func (f *facade) deleteFromDocument(r *http.Request, body []byte) (*rpc.Answer, error) {
	d, key, err := readDocument(body)
	if err != nil {
		return nil, err
	}
	if len(d.Delete) == 0 {
		return nil, invalid("propertyToDelete", "names nothing")
	}
	names := make([]string, len(d.Delete))
	for i, name := range d.Delete {
		names[i] = strings.TrimPrefix(name, key.Namespace+".")
	}
	if _, err := f.deps.Context.RemoveProperties(r.Context(), string(d.Account), key, names, ""); err != nil {
		return nil, err
	}
	return answer(http.StatusOK, receiptOf(string(d.Account), key))
}

// deleteDocument serves DELETE /v2/context/document/delete.
func (f *facade) deleteDocument(r *http.Request, body []byte) (*rpc.Answer, error) {
	d, key, err := readDocument(body)
	if err != nil {
		return nil, err
	}
	if err := f.deps.Context.Delete(r.Context(), string(d.Account), key, ""); err != nil {
		return nil, err
	}
	return answer(http.StatusOK, receiptOf(string(d.Account), key))
}
