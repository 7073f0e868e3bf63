package liveperson

import (
	"net/http"
	"strconv"

	"github.com/usherhq/usher/decision/contextstore"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/internal/rpc"
)

// The bounds of a page.
const (
	defaultPage = 100
	maxPage     = 1000
	maxPages    = 1 << 31
)

// pageOf reads page and perPage and names every fault.
func pageOf(r *http.Request) (page, perPage int, err error) {
	var c fault.Check
	number := func(name string, otherwise, least, most int) int {
		value := r.URL.Query().Get(name)
		if value == "" {
			return otherwise
		}
		n, err := strconv.Atoi(value)
		if err != nil || n < least || n > most {
			c.Add(name, "%q must be a whole number from %d to %d", value, least, most)
		}
		return n
	}
	page = number("page", 0, 0, maxPages)
	perPage = number("perPage", defaultPage, 1, maxPage)
	return page, perPage, c.Err("the page is not valid")
}

// onPage reads a page of the documents of a namespace.
func (f *facade) onPage(r *http.Request) ([]contextstore.Document, error) {
	key, err := pathKey(r)
	if err != nil {
		return nil, err
	}
	page, perPage, err := pageOf(r)
	if err != nil {
		return nil, err
	}
	return f.deps.Context.Page(r.Context(), r.PathValue("account"), key.Namespace, page, perPage)
}

// sessionIDs serves GET .../session-ids.
func (f *facade) sessionIDs(r *http.Request, _ []byte) (*rpc.Answer, error) {
	docs, err := f.onPage(r)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(docs))
	for i := range docs {
		ids[i] = docs[i].Session
	}
	return answer(http.StatusOK, ids)
}

// sessionProperties serves GET .../session-properties. The original's pages call
// the object both property and properties, so both are there.
func (f *facade) sessionProperties(r *http.Request, _ []byte) (*rpc.Answer, error) {
	type session struct {
		ID         string         `json:"sessionId"`
		Properties map[string]any `json:"properties"`
		Property   map[string]any `json:"property"`
	}
	docs, err := f.onPage(r)
	if err != nil {
		return nil, err
	}
	out := make([]session, len(docs))
	for i := range docs {
		all := included(docs[i].Properties, "")
		out[i] = session{docs[i].Session, all, all}
	}
	return answer(http.StatusOK, out)
}

// registerSession serves POST .../namespace/{namespace}/session: it gives a
// session a time to live of its own, for later writes.
func (f *facade) registerSession(r *http.Request, body []byte) (*rpc.Answer, error) {
	var b struct {
		Session text `json:"sessionId"`
	}
	if err := read(body, &b); err != nil {
		return nil, err
	}
	if b.Session == "" {
		return nil, invalid("sessionId", "is missing")
	}
	ttl, err := ttlOf(r)
	if err != nil {
		return nil, err
	}
	key, err := keyOf(r.PathValue("namespace"), string(b.Session))
	if err != nil {
		return nil, err
	}
	return f.write(r, contextstore.Change{Key: key, TTL: ttl, KeepExpiry: true})
}

// listSessions serves GET .../namespace/{namespace}/session: the sessions with a
// time to live of their own.
func (f *facade) listSessions(r *http.Request, _ []byte) (*rpc.Answer, error) {
	type session struct {
		ID      string `json:"sessionId"`
		Created string `json:"createdAt"`
		TTL     int64  `json:"ttlSecond"`
	}
	key, err := pathKey(r)
	if err != nil {
		return nil, err
	}
	out, after := []session{}, ""
	for {
		docs, next, err := f.deps.Context.List(r.Context(), r.PathValue("account"), key.Namespace, after, maxPage)
		if err != nil {
			return nil, err
		}
		for i := range docs {
			if d := &docs[i]; d.TTL > 0 {
				out = append(out, session{d.Session, created(d.Created), seconds(d.TTL)})
			}
		}
		if next == "" {
			return answer(http.StatusOK, out)
		}
		after = next
	}
}

// deleteTries bounds how often the deletion of a session begins again because
// others write to it.
const deleteTries = 10

// deleteSession serves DELETE .../{session}/properties, which may be repeated. A
// time to live of the session's own stays, so then does the empty session.
func (f *facade) deleteSession(r *http.Request, _ []byte) (*rpc.Answer, error) {
	key, err := pathKey(r)
	if err != nil {
		return nil, err
	}
	account := r.PathValue("account")
	for range deleteTries {
		var doc contextstore.Document
		if doc, err = f.deps.Context.Get(r.Context(), account, key); err != nil {
			return gone(err)
		}
		if doc.TTL > 0 {
			_, err = f.deps.Context.Write(r.Context(), account, contextstore.Change{Key: key, Replace: true, Etag: doc.Etag})
		} else {
			err = f.deps.Context.Delete(r.Context(), account, key, doc.Etag)
		}
		if fault.KindOf(err) != fault.Conflict {
			return gone(err)
		}
	}
	return nil, err
}
