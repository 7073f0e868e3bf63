package contextstore

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/usherhq/usher/internal/fault"
)

// maxAttempts bounds how often a write begins again because others were faster.
// Somebody wins each time, so only hundreds of writers to one document get there.
const maxAttempts = 200

// Write applies changes to documents, all or none, and returns the documents as
// stored, in the same order. A document over the limit is a fault of kind
// TooLarge, an etag that does not hold one of kind Conflict; then nothing has
// changed.
func (s *Store) Write(ctx context.Context, account string, changes ...Change) ([]Document, error) {
	if err := checkChanges(changes, false); err != nil {
		return nil, err
	}
	return s.write(ctx, account, changes)
}

func (s *Store) write(ctx context.Context, account string, changes []Change) (docs []Document, err error) {
	if len(changes) == 0 {
		return nil, nil
	}
	began := s.deps.Now()
	defer func() { s.observe("write", began, err) }()
	var stored []*record // of the attempt before
	err = s.attempt(ctx, func() error {
		p, err := s.plan(ctx, account, changes)
		if err != nil {
			return err
		}
		if stored != nil && p.before != nil && p.before.version == stored[0].version {
			// What looked like a conflict was our own commit, whose answer got lost.
			docs = p.show(changes, stored)
			return nil
		}
		if err := p.apply(s, changes); err != nil {
			return err
		}
		stored = p.after
		if err := s.deps.Engine.Commit(ctx, account, p.mutations); err != nil {
			return fmt.Errorf("write context: %w", err)
		}
		docs = p.show(changes, stored)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return docs, nil
}

// attempt calls try until it ends in something other than a conflict of engines.
func (s *Store) attempt(ctx context.Context, try func() error) error {
	for range maxAttempts {
		if err := try(); !errors.Is(err, ErrConflict) {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return contention()
}

// contention is the fault of a write that others were faster than, again and again.
func contention() error {
	return fault.New(fault.Unavailable, "CONTENTION", "too many write to the same document at once: retry")
}

// plan is one attempt: what was read, and what it is to become.
type plan struct {
	now        int64
	namespaces map[string]*record // as they will be
	documents  []string           // as read, in the order of the changes
	before     *record            // the first document as read
	after      []*record
	mutations  []Mutation
}

// plan reads all that the changes are about and prepares the namespaces.
func (s *Store) plan(ctx context.Context, account string, changes []Change) (*plan, error) {
	keys := make([]Key, 0, 2*len(changes))
	for i := range changes {
		keys = append(keys, changes[i].Key)
	}
	p := &plan{now: s.now(), namespaces: map[string]*record{}}
	for i := range changes {
		id := changes[i].Namespace
		if _, seen := p.namespaces[id]; !seen {
			p.namespaces[id] = nil
			keys = append(keys, Key{"", id})
		}
	}
	records, err := s.deps.Engine.Read(ctx, account, keys)
	if err != nil {
		return nil, fmt.Errorf("read context: %w", err)
	}
	p.documents = records[:len(changes)]
	if p.before, err = decode(p.documents[0], p.now); err != nil {
		return nil, damaged(keys[0], err)
	}
	for i, key := range keys[len(changes):] {
		text := records[len(changes)+i]
		r, err := decode(text, p.now)
		if err != nil {
			return nil, damaged(key, err)
		}
		// Holding the namespace's version keeps a document from being written
		// into a namespace that is deleted at the same time.
		m := Mutation{Key: key, Op: Verify, Expect: RecordVersion(text)}
		if r == nil {
			r = &record{version: s.deps.Version(), expires: never, created: p.now, updated: p.now}
			m.Op = Put
			if m.Record, err = r.encode(); err != nil {
				return nil, damaged(key, err)
			}
		}
		p.namespaces[key.Session] = r
		p.mutations = append(p.mutations, m)
	}
	return p, nil
}

// apply computes the documents as they will be.
func (p *plan) apply(s *Store, changes []Change) error {
	p.after = make([]*record, len(changes))
	for i := range changes {
		c := &changes[i]
		old, err := decode(p.documents[i], p.now)
		if err != nil {
			return damaged(c.Key, err)
		}
		if err := checkVersion(c.Etag, old.stored()); err != nil {
			return err
		}
		next := old.changed(c, p.now, p.namespaces[c.Namespace].ttl)
		next.version = s.deps.Version()
		bytes, err := next.encode()
		if err != nil {
			return fmt.Errorf("encode a document of namespace %q: %w", c.Namespace, err)
		}
		if err := s.checkSize(c, next.properties, len(bytes)); err != nil {
			return err
		}
		// Read back, the answer has the types that readers get and shares nothing
		// with what the caller gave.
		if p.after[i], err = decode(string(bytes), p.now); err != nil {
			return damaged(c.Key, err)
		}
		p.mutations = append(p.mutations, Mutation{
			Key: c.Key, Op: Put, Expect: RecordVersion(p.documents[i]), Record: bytes,
		})
	}
	return nil
}

// stored is the version that callers see; an expired document has none.
func (r *record) stored() uint64 {
	if r == nil {
		return 0
	}
	return r.version
}

// changed is the record after a change, which r itself, nil for none, outlives.
func (r *record) changed(c *Change, now, namespaceTTL int64) *record {
	next := &record{created: now, updated: now}
	if r != nil {
		next.created, next.ttl = r.created, r.ttl
		if !c.Replace {
			next.properties = r.properties // decoded for this attempt alone
		}
	}
	if next.properties == nil {
		next.properties = make(map[string]any, len(c.Set))
	}
	maps.Copy(next.properties, c.Set)
	for _, name := range c.Remove {
		delete(next.properties, name)
	}
	if c.TTL != nil {
		next.ttl = milliseconds(*c.TTL)
	}
	next.expires = expiry(now, next.ttl, namespaceTTL)
	if c.KeepExpiry && r != nil {
		next.expires = r.expires
	}
	return next
}

func (s *Store) checkSize(c *Change, properties map[string]any, size int) error {
	n, err := characters(properties, size, s.cfg.MaxCharacters)
	if err != nil {
		return err
	}
	if n <= s.cfg.MaxCharacters {
		return nil
	}
	return fault.New(fault.TooLarge, "TOO_LARGE", "document too large: %s would have %d characters, the limit is %d; nothing was changed",
		field(c.Path, "properties"), n, s.cfg.MaxCharacters)
}

// show returns the stored documents.
func (p *plan) show(changes []Change, stored []*record) []Document {
	docs := make([]Document, len(changes))
	for i := range changes {
		docs[i] = stored[i].document(changes[i].Key, p.namespaces[changes[i].Namespace].pii())
	}
	return docs
}

// Delete removes a document with its time to live. One that is not there is a
// fault of kind NotFound.
func (s *Store) Delete(ctx context.Context, account string, key Key, etag string) (err error) {
	if err := checkKeys([]Key{key}); err != nil {
		return err
	}
	began := s.deps.Now()
	defer func() { s.observe("write", began, err) }()
	return s.attempt(ctx, func() error {
		records, err := s.deps.Engine.Read(ctx, account, []Key{key})
		if err != nil {
			return fmt.Errorf("read context: %w", err)
		}
		r, err := decode(records[0], s.now())
		if err != nil {
			return damaged(key, err)
		}
		if err := checkVersion(etag, r.stored()); err != nil {
			return err
		}
		if r == nil {
			return missing(key)
		}
		err = s.deps.Engine.Commit(ctx, account, []Mutation{{Key: key, Op: Remove, Expect: r.version}})
		if err != nil {
			return fmt.Errorf("delete context: %w", err)
		}
		return nil
	})
}

// RemoveProperties removes properties from a document that is there, whose time
// to live stays; missing ones are no fault. It works in [CaptureNamespace] too.
func (s *Store) RemoveProperties(ctx context.Context, account string, key Key, names []string, etag string) (Document, error) {
	if err := checkChanges([]Change{{Key: key, Remove: names, Etag: etag}}, true); err != nil {
		return Document{}, err
	}
	for range maxAttempts {
		current, err := s.Get(ctx, account, key)
		if err != nil {
			return Document{}, err
		}
		if err := checkVersion(etag, parseVersion(current.Etag)); err != nil {
			return Document{}, err
		}
		docs, err := s.write(ctx, account, []Change{{Key: key, Remove: names, Etag: current.Etag}})
		if fault.KindOf(err) == fault.Conflict && etag == "" && ctx.Err() == nil {
			continue // somebody else wrote between the two
		}
		if err != nil {
			return Document{}, err
		}
		return docs[0], nil
	}
	return Document{}, contention()
}
