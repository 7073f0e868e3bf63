package liveperson

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/usherhq/usher/decision/contextstore"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/internal/rpc"
)

// keyOf names the document of a path; without a session it is that of everybody.
// The reserved namespaces are refused on every path, as the original does.
func keyOf(namespace, session string) (contextstore.Key, error) {
	if contextstore.Reserved(namespace) {
		return contextstore.Key{}, invalid("namespace", "%q is reserved", namespace)
	}
	if session == "" {
		session = contextstore.Global
	}
	return contextstore.Key{Namespace: namespace, Session: session}, nil
}

func pathKey(r *http.Request) (contextstore.Key, error) {
	return keyOf(r.PathValue("namespace"), r.PathValue("session"))
}

// ttlOf reads ttlSecond; nil when the caller does not say.
func ttlOf(r *http.Request) (*time.Duration, error) {
	value := r.URL.Query().Get("ttlSecond")
	if value == "" {
		return nil, nil //nolint:nilnil // nothing said is no fault
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 {
		return nil, invalid("ttlSecond", "%q must be a whole number of seconds, 0 for no end", value)
	}
	// More than the ceiling is the ceiling, and must not overflow.
	ttl := time.Duration(min(n, int64(contextstore.Ceiling/time.Second))) * time.Second
	return &ttl, nil
}

// createNamespace serves POST /v1/account/{account}.
func (f *facade) createNamespace(r *http.Request, body []byte) (*rpc.Answer, error) {
	var b struct {
		Name text `json:"name"`
	}
	if err := read(body, &b); err != nil {
		return nil, err
	}
	ttl, err := ttlOf(r)
	if err != nil {
		return nil, err
	}
	change := contextstore.NamespaceChange{ID: string(b.Name), TTL: ttl}
	if _, err := f.deps.Context.PutNamespace(r.Context(), r.PathValue("account"), change); err != nil {
		return nil, err
	}
	return done()
}

// created spells a time as JavaScript's Date reads and writes it.
func created(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// seconds rounds a time to live up, so that one never reads as none.
func seconds(ttl time.Duration) int64 { return int64((ttl + time.Second - 1) / time.Second) }

// listNamespaces serves GET /v1/account/{account}: all of them, for the toolbelt
// looks there for the one it has just made.
func (f *facade) listNamespaces(r *http.Request, _ []byte) (*rpc.Answer, error) {
	type namespace struct {
		Name    string `json:"name"`
		Created string `json:"createdAt"`
		TTL     int64  `json:"ttlSecond,omitempty"`
	}
	all, err := f.deps.Context.Namespaces(r.Context(), r.PathValue("account"))
	if err != nil {
		return nil, err
	}
	out := []namespace{}
	for _, n := range all {
		if !contextstore.Reserved(n.ID) {
			out = append(out, namespace{n.ID, created(n.Created), seconds(n.TTL)})
		}
	}
	return answer(http.StatusOK, out)
}

// deleteNamespace serves DELETE /v1/account/{account}/{namespace}, which may be
// repeated.
func (f *facade) deleteNamespace(r *http.Request, _ []byte) (*rpc.Answer, error) {
	key, err := pathKey(r)
	if err != nil {
		return nil, err
	}
	return gone(f.deps.Context.DeleteNamespace(r.Context(), r.PathValue("account"), key.Namespace))
}

// gone answers a deletion: what was not there is not there now.
func gone(err error) (*rpc.Answer, error) {
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return nil, err
	}
	return done()
}

// mergeProperties serves PATCH .../properties.
func (f *facade) mergeProperties(r *http.Request, body []byte) (*rpc.Answer, error) {
	key, err := pathKey(r)
	if err != nil {
		return nil, err
	}
	var properties map[string]any
	if err := read(body, &properties); err != nil {
		return nil, err
	}
	if properties == nil {
		return nil, invalid("body", "must be a JSON object of properties")
	}
	return f.write(r, contextstore.Change{Key: key, Set: properties})
}

// putProperty serves PUT .../properties/{property}.
func (f *facade) putProperty(r *http.Request, body []byte) (*rpc.Answer, error) {
	key, err := pathKey(r)
	if err != nil {
		return nil, err
	}
	var value any
	if err := read(body, &value); err != nil {
		return nil, err
	}
	return f.write(r, contextstore.Change{Key: key, Set: map[string]any{r.PathValue("property"): value}})
}

func (f *facade) write(r *http.Request, change contextstore.Change) (*rpc.Answer, error) {
	if _, err := f.deps.Context.Write(r.Context(), r.PathValue("account"), change); err != nil {
		return nil, err
	}
	return done()
}

// getProperties serves GET .../properties, all or those that include names.
func (f *facade) getProperties(r *http.Request, _ []byte) (*rpc.Answer, error) {
	key, err := pathKey(r)
	if err != nil {
		return nil, err
	}
	doc, err := f.deps.Context.Get(r.Context(), r.PathValue("account"), key)
	if fault.KindOf(err) == fault.NotFound && key.Session == contextstore.Global {
		// A namespace that is there has this session, be it empty.
		_, err = f.deps.Context.Namespace(r.Context(), r.PathValue("account"), key.Namespace)
	}
	if err != nil {
		return nil, err
	}
	return answer(http.StatusOK, included(doc.Properties, r.URL.Query().Get("include")))
}

// included are the properties that a list such as "a,b" names, all when it is
// empty. Missing ones are absent.
func included(properties map[string]any, include string) map[string]any {
	out := map[string]any{}
	for name, value := range properties {
		if include == "" {
			out[name] = value
		}
	}
	for name := range strings.SplitSeq(include, ",") {
		if value, ok := properties[strings.TrimSpace(name)]; ok && include != "" {
			out[strings.TrimSpace(name)] = value
		}
	}
	return out
}

// getProperty serves GET .../properties/{property} with the bare value.
func (f *facade) getProperty(r *http.Request, _ []byte) (*rpc.Answer, error) {
	key, err := pathKey(r)
	if err != nil {
		return nil, err
	}
	doc, err := f.deps.Context.Get(r.Context(), r.PathValue("account"), key)
	if err != nil {
		return nil, err
	}
	value, ok := doc.Properties[r.PathValue("property")]
	if !ok {
		return nil, fault.New(fault.NotFound, "NOT_FOUND", "there is no such property")
	}
	return answer(http.StatusOK, value)
}

// deleteProperty serves DELETE .../properties/{property}, which may be repeated.
func (f *facade) deleteProperty(r *http.Request, _ []byte) (*rpc.Answer, error) {
	key, err := pathKey(r)
	if err != nil {
		return nil, err
	}
	_, err = f.deps.Context.RemoveProperties(r.Context(), r.PathValue("account"), key, []string{r.PathValue("property")}, "")
	return gone(err)
}
