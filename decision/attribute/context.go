package attribute

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/contextstore"
	"github.com/usherhq/usher/internal/fault"
)

// load reads everything that the context may hold, in one call.
func (s *search) load(ctx context.Context) {
	r := s.q.Request
	if len(s.saved) == 0 || s.r.deps.Context == nil && r.Supplied == nil {
		return
	}
	plain, captured := contextstore.Sessions(r.SessionID, r.ConversationID, r.ConsumerID), capturedFor(r)
	var namespaces, sessions []string
	for i := range s.saved {
		own := plain
		if s.saved[i].namespace == contextstore.CaptureNamespace {
			own = captured
		}
		if len(own) == 0 || slices.Contains(namespaces, s.saved[i].namespace) {
			continue
		}
		namespaces = append(namespaces, s.saved[i].namespace)
		if !slices.Contains(sessions, own[0]) {
			sessions = append(sessions, own...)
		}
	}
	if len(namespaces) == 0 {
		return
	}
	var docs []contextstore.Document
	var err error
	if s.r.deps.Context != nil {
		docs, err = s.r.deps.Context.Load(ctx, s.q.Account, sessions, namespaces)
	}
	if err != nil {
		cause := causeOf(ctx, err)
		for i := range s.saved {
			if slices.Contains(namespaces, s.saved[i].namespace) {
				s.fail(s.saved[i].name, cause)
			}
		}
		return
	}
	docs = supplied(docs, r.Supplied)
	for i := range s.saved {
		one := &s.saved[i]
		if one.namespace == contextstore.CaptureNamespace {
			s.take(one, docs, captured)
		} else {
			s.take(one, docs, plain)
		}
	}
}

// supplied merges what a dry run takes for given into what was loaded.
func supplied(docs []contextstore.Document, given *decision.Supplied) []contextstore.Document {
	if given == nil {
		return docs
	}
	for _, c := range given.Contexts {
		key := contextstore.Key{Namespace: c.Namespace, Session: c.Session}
		at := slices.IndexFunc(docs, func(d contextstore.Document) bool { return d.Key == key })
		if at < 0 {
			at, docs = len(docs), append(docs, contextstore.Document{Key: key})
		}
		merged := make(map[string]any, len(docs[at].Properties)+len(c.Properties))
		maps.Copy(merged, docs[at].Properties)
		maps.Copy(merged, c.Properties)
		maps.DeleteFunc(merged, func(_ string, v any) bool { return v == nil })
		docs[at].Properties = merged
	}
	return docs
}

// capturedFor lists the sessions of what was captured: an authenticated customer's
// goes before a visitor's.
func capturedFor(r *decision.Request) (sessions []string) {
	if r.ConsumerID != "" {
		sessions = append(sessions, contextstore.Customer(r.ConsumerID))
	}
	if r.VisitorID != "" {
		sessions = append(sessions, contextstore.Visitor(r.VisitorID))
	}
	return sessions
}

// take finds one attribute in the documents: in that of the first session that has
// the property, so that a conversation's own value hides the consumer's.
func (s *search) take(one *saved, docs []contextstore.Document, sessions []string) {
	if s.answer != nil && s.answer.Values[one.name] != nil {
		return
	}
	for _, session := range sessions {
		for i := range docs {
			d := &docs[i]
			if d.Namespace != one.namespace || d.Session != session {
				continue
			}
			v, ok := d.Lookup(one.path)
			if !ok {
				continue
			}
			s.checked(one.name, v, s.sourceOf(d))
			if isPersonal(d.PII, one.path) {
				s.out().Redact = append(s.out().Redact, one.name)
			}
			return
		}
	}
}

// checked takes a value unless the account declared the attribute otherwise.
func (s *search) checked(name string, value any, source string) {
	if value == nil {
		return
	}
	if a, rest, ok := s.declared(name); ok && rest == "" {
		if err := a.Fits(value); err != nil {
			s.fail(name, err.Error())
			return
		}
	}
	s.put(name, value, source)
}

func (s *search) sourceOf(d *contextstore.Document) string {
	switch {
	case d.Namespace == contextstore.CaptureNamespace:
		return sourceCaptured
	case d.Session == contextstore.Global:
		return sourceGlobal
	case s.q.Request.ConsumerID != "" && d.Session == contextstore.Consumer(s.q.Request.ConsumerID):
		return sourceConsumer
	default:
		return sourceConversation
	}
}

// isPersonal reports whether the path leads to, into or around a personal property.
func isPersonal(properties []string, path string) bool {
	return slices.ContainsFunc(properties, func(p string) bool {
		return p == path || strings.HasPrefix(path, p+".") || strings.HasPrefix(p, path+".")
	})
}

// causeOf says in a record why the context is missing, by the class of the error: its
// text may name sessions, which are ids of people, and is for the store's own log.
func causeOf(ctx context.Context, err error) string {
	if ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) {
		return "the context store did not answer within the decision's budget"
	}
	class := "it failed"
	if refused, ok := errors.AsType[*fault.Error](err); ok {
		class = "it refused with " + refused.Reason
	} else if _, ok := errors.AsType[net.Error](err); ok {
		class = "it cannot be reached"
	}
	return "the context store could not be read: " + class
}
