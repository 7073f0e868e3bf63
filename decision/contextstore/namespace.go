package contextstore

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/usherhq/usher/internal/fault"
)

func parseVersion(etag string) uint64 {
	version, _ := strconv.ParseUint(etag, 10, 64) // our own
	return version
}

// scanLimit is how many records the store asks the engine for at once.
const scanLimit = 1000

// Namespaces lists the namespaces that were created or written to, by id.
func (s *Store) Namespaces(ctx context.Context, account string) (out []Namespace, err error) {
	began := s.deps.Now()
	defer func() { s.observe("list", began, err) }()
	err = s.scan(ctx, account, "", "", func(id string, r *record) bool {
		out = append(out, r.namespace(id))
		return true
	})
	return out, err
}

// Namespace returns one namespace, or a fault of kind NotFound.
func (s *Store) Namespace(ctx context.Context, account, id string) (Namespace, error) {
	r, err := s.namespace(ctx, account, id)
	if err != nil {
		return Namespace{}, err
	}
	if r == nil {
		return Namespace{}, noNamespace(id)
	}
	return r.namespace(id), nil
}

func noNamespace(id string) error {
	return fault.New(fault.NotFound, "NOT_FOUND", "namespace %q does not exist", id)
}

// namespace reads a namespace's record, nil when there is none.
func (s *Store) namespace(ctx context.Context, account, id string) (*record, error) {
	var c fault.Check
	checkNamespace(&c, "namespace", id)
	if err := c.Err("the namespace cannot be read"); err != nil {
		return nil, err
	}
	key := Key{"", id}
	records, err := s.deps.Engine.Read(ctx, account, []Key{key})
	if err != nil {
		return nil, fmt.Errorf("read namespace %q: %w", id, err)
	}
	r, err := decode(records[0], s.now())
	if err != nil {
		return nil, damaged(key, err)
	}
	return r, nil
}

// PutNamespace creates a namespace, or changes what the change names. Repeating
// it changes nothing, not even the version.
func (s *Store) PutNamespace(ctx context.Context, account string, change NamespaceChange) (out Namespace, err error) {
	if err := checkNamespaceChange(&change); err != nil {
		return Namespace{}, err
	}
	began := s.deps.Now()
	defer func() { s.observe("write", began, err) }()
	err = s.attempt(ctx, func() error {
		old, err := s.namespace(ctx, account, change.ID)
		if err != nil {
			return err
		}
		if err := checkVersion(change.Etag, old.stored()); err != nil {
			return err
		}
		next := old.rewritten(&change, s.now())
		if old != nil && old.ttl == next.ttl && slices.Equal(old.pii(), next.pii()) {
			out = old.namespace(change.ID)
			return nil
		}
		next.version = s.deps.Version()
		bytes, err := next.encode()
		if err != nil {
			return fmt.Errorf("encode namespace %q: %w", change.ID, err)
		}
		out = next.namespace(change.ID)
		m := Mutation{Key: Key{"", change.ID}, Op: Put, Expect: old.stored(), Record: bytes}
		if err := s.deps.Engine.Commit(ctx, account, []Mutation{m}); err != nil {
			return fmt.Errorf("write namespace %q: %w", change.ID, err)
		}
		return nil
	})
	if err != nil {
		return Namespace{}, err
	}
	return out, nil
}

func checkNamespaceChange(change *NamespaceChange) error {
	var c fault.Check
	checkWritable(&c, "namespace", change.ID)
	checkTTL(&c, "ttl", change.TTL)
	checkEtag(&c, "etag", change.Etag)
	if change.PII != nil {
		checkProperties(&c, "pii", *change.PII)
	}
	checkProperties(&c, "pii", change.AddPII)
	return c.Err("the namespace cannot be written")
}

// rewritten is a namespace's record after a change; r is nil when it is new.
func (r *record) rewritten(change *NamespaceChange, now int64) *record {
	next := &record{expires: never, created: now, updated: now}
	if r != nil {
		next.created, next.ttl, next.properties = r.created, r.ttl, r.properties
	}
	if change.TTL != nil {
		next.ttl = milliseconds(*change.TTL)
	}
	if change.PII != nil || len(change.AddPII) > 0 {
		names := next.pii()
		if change.PII != nil {
			names = *change.PII
		}
		names = slices.Compact(slices.Sorted(slices.Values(slices.Concat(names, change.AddPII))))
		list := make([]any, len(names))
		for i, name := range names {
			list[i] = name
		}
		next.properties = map[string]any{piiProperty: list}
	}
	return next
}

// DeleteNamespace removes a namespace with all its documents and its time to
// live, as one change. One that is not there is a fault of kind NotFound.
func (s *Store) DeleteNamespace(ctx context.Context, account, id string) (err error) {
	began := s.deps.Now()
	defer func() { s.observe("write", began, err) }()
	r, err := s.namespace(ctx, account, id)
	if err != nil {
		return err
	}
	if r == nil {
		return noNamespace(id)
	}
	if err := s.deps.Engine.Drop(ctx, account, id); err != nil {
		return fmt.Errorf("delete namespace %q: %w", id, err)
	}
	return nil
}

// List returns up to limit documents of a namespace, ordered by session, that
// come after the given session, "" for the first ones. next is where to go on, ""
// at the end. A namespace that does not exist is a fault of kind NotFound.
func (s *Store) List(ctx context.Context, account, namespace, after string, limit int) (docs []Document, next string, err error) {
	err = s.list(ctx, account, namespace, after, func(d Document) bool {
		if len(docs) == limit {
			next = docs[limit-1].Session
			return false
		}
		docs = append(docs, d)
		return true
	})
	return docs, next, err
}

// Page returns a page of a namespace's documents, counted from 0, ordered by
// session. It walks over the pages before; [Store.List] does not.
func (s *Store) Page(ctx context.Context, account, namespace string, page, perPage int) (docs []Document, err error) {
	skip := page * perPage
	err = s.list(ctx, account, namespace, "", func(d Document) bool {
		if skip > 0 {
			skip--
			return true
		}
		docs = append(docs, d)
		return len(docs) < perPage
	})
	return docs, err
}

func (s *Store) list(ctx context.Context, account, namespace, after string, visit func(Document) bool) (err error) {
	began := s.deps.Now()
	defer func() { s.observe("list", began, err) }()
	n, err := s.namespace(ctx, account, namespace)
	if err != nil {
		return err
	}
	if n == nil {
		return noNamespace(namespace)
	}
	pii := n.pii()
	return s.scan(ctx, account, namespace, after, func(session string, r *record) bool {
		return visit(r.document(Key{namespace, session}, pii))
	})
}

// scan visits the live records of a namespace until visit says no.
func (s *Store) scan(ctx context.Context, account, namespace, after string, visit func(string, *record) bool) error {
	for {
		entries, err := s.deps.Engine.Scan(ctx, account, namespace, after, scanLimit)
		if err != nil {
			return fmt.Errorf("list namespace %q: %w", namespace, err)
		}
		now := s.now()
		for _, e := range entries {
			r, err := decode(e.Record, now)
			if err != nil {
				return damaged(Key{namespace, e.Session}, err)
			}
			if r != nil && !visit(e.Session, r) {
				return nil
			}
		}
		if len(entries) == 0 {
			return nil
		}
		after = entries[len(entries)-1].Session
	}
}
