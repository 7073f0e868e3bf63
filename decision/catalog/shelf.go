package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/usherhq/usher/decision/control"
	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/event"
)

// Bounds of what an account keeps.
const (
	maxPerKind     = 10_000
	maxDisplayName = 256
	maxDescription = 2048
	maxSkills      = 1000
)

// item is a resource as its shelf sees it.
type item interface {
	key() string
	document() any
}

// scene is what a resource is checked against.
type scene struct {
	account string
	state   *configlog.State
}

// environment is what policies may speak of now.
func (s *scene) environment() *policy.Environment { return compile(s.account, s.state).env }

// Shelf keeps the resources of one kind. T is a plain struct. It is safe for
// concurrent use.
type Shelf[T any] struct {
	catalog *Catalog
	kind    string
	of      func(configlog.Resource) (T, error)
	check   func(*T, *scene, *fault.Check)
	also    func(account string, v *T) error // a further check; may be nil
}

// List returns the account's resources in order of their ids. One that cannot be
// read, written by a newer version perhaps, is left out.
func (s *Shelf[T]) List(account string) []T {
	resources := s.catalog.log.State().List(account, s.kind)
	out := make([]T, 0, len(resources))
	for _, r := range resources {
		if v, err := s.of(r); err == nil {
			out = append(out, v)
		}
	}
	return out
}

// Get returns one resource, or a NotFound fault.
func (s *Shelf[T]) Get(account, id string) (T, error) {
	r, ok := s.catalog.log.State().Get(account, s.kind, id)
	if !ok {
		var none T
		return none, fault.New(fault.NotFound, strings.ToUpper(s.kind)+"_NOT_FOUND", "there is no %s %q", s.kind, id)
	}
	return s.of(r)
}

// Put stores a resource over the revision base; 0 creates it. Errors: Invalid
// with every fault, Precondition when a policy that works would break, Exists,
// NotFound, Conflict (reason ABORTED, the etag as metadata), and those of the
// log. The result is the resource as stored.
func (s *Shelf[T]) Put(ctx context.Context, account string, v T, base int64, by control.Author) (T, error) {
	it, _ := any(&v).(item)
	sc := &scene{account: account, state: s.catalog.log.State()}
	var c fault.Check
	s.check(&v, sc, &c)
	if s.also != nil {
		take(&c, "", s.also(account, &v))
	}
	if base == 0 && len(sc.state.List(account, s.kind)) >= maxPerKind {
		return v, fault.New(fault.Precondition, "TOO_MANY", "the account has %d of kind %s, which is the limit", maxPerKind, s.kind)
	}
	if err := c.Err("the " + s.kind + " is not valid"); err != nil {
		return v, err
	}
	if err := s.catalog.harmless(sc, s.kind, it.key(), &v); err != nil {
		return v, err
	}
	value, err := json.Marshal(it.document())
	if err != nil {
		return v, fmt.Errorf("write %s %q: %w", s.kind, it.key(), err)
	}
	r, err := s.write(ctx, event.ConfigChange{Account: account, Name: it.key(), Base: base, Value: value}, by)
	if err != nil {
		return v, err
	}
	return s.of(r)
}

// Delete removes a resource; its history stays on the log. An etag other than 0
// guards it. Errors: NotFound, Conflict, Precondition when something needs it,
// with who does, and those of the log.
func (s *Shelf[T]) Delete(ctx context.Context, account, id string, etag int64, by control.Author) error {
	sc := &scene{account: account, state: s.catalog.log.State()}
	r, ok := sc.state.Get(account, s.kind, id)
	if !ok && s.kind == configlog.KindAttribute && isBuiltin(id) {
		return fault.New(fault.Precondition, "ATTRIBUTE_BUILTIN", "attribute %q is built in", id)
	}
	if !ok {
		_, err := s.Get(account, id)
		return err
	}
	if etag == 0 {
		etag = r.Revision
	}
	if err := s.catalog.harmless(sc, s.kind, id, nil); err != nil {
		return err
	}
	_, err := s.write(ctx, event.ConfigChange{Account: account, Name: id, Base: etag, Deleted: true}, by)
	return err
}

func (s *Shelf[T]) write(ctx context.Context, change event.ConfigChange, by control.Author) (configlog.Resource, error) {
	change.Kind, change.Author, change.Reason = s.kind, by.Name, by.Reason
	r, err := s.catalog.log.Write(ctx, change)
	if err != nil {
		return r, fmt.Errorf("write %s %q: %w", s.kind, change.Name, err)
	}
	s.catalog.view.Refresh()
	return r, nil
}

// read takes a stored document apart.
func read(r configlog.Resource, into any) error {
	if err := json.Unmarshal(r.Value, into); err != nil {
		return fmt.Errorf("read %s %q of account %q: %w", r.Kind, r.Name, r.Account, err)
	}
	return nil
}

func metaOf(r configlog.Resource) Meta { return Meta{Revision: r.Revision, Updated: r.Time} }

// checkID is the rule for ids that are chosen here: functions and calendars.
func checkID(c *fault.Check, id string) {
	if ok, _ := regexp.MatchString(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$`, id); !ok {
		c.Add("name", "%q must be 1 to 63 of A-Z, a-z, 0-9, '-', '_', '.', beginning with a letter or digit", id)
	}
}

func checkText(c *fault.Check, field, text string, limit int) {
	if len(text) > limit {
		c.Add(field, "is longer than %d bytes", limit)
	}
}

// take takes over the violations of a part, below a prefix.
func take(c *fault.Check, prefix string, err error) {
	for _, v := range violations(err) {
		c.Add(strings.TrimSuffix(prefix+v.Field, "."), "%s", v.Description)
	}
}
