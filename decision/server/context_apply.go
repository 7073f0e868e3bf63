package server

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/usherhq/usher/decision/contextstore"
	"github.com/usherhq/usher/pipeline/event"
)

// setContext is the type of the actions that Usher carries out by itself.
const setContext = "SET_CONTEXT"

// applyTimeout bounds how long an answer waits for context to be written, however
// many actions write: well below what callers wait for an answer.
const applyTimeout = 250 * time.Millisecond

// applyContext carries out the SET_CONTEXT actions of a decision in one write, all
// or none, so that the next call of whatever bot reads what they set. What cannot
// be carried out is counted and logged, without its values, and costs the caller
// nothing else. An action that is not valid by itself is left out of the write. Dry
// runs must not come here.
//
// What is personal stays so: a property that gets a value which the record hides is
// marked as personal in its namespace before it is written, and not written when it
// cannot be marked.
func (s *Server) applyContext(ctx context.Context, account string, d, record *event.Decision) {
	if s.deps.Contexts == nil {
		return
	}
	var changes []contextstore.Change
	personal := map[string][]string{} // properties by namespace
	actions := 0
	for i := range d.Actions {
		if d.Actions[i].Type != setContext {
			continue
		}
		change, err := contextChange(d, d.Actions[i].Payload)
		if err == nil {
			err = contextstore.Check(change)
		}
		if err != nil {
			s.notApplied(account, d, 1, err)
			continue
		}
		personal[change.Namespace] = append(personal[change.Namespace], hiddenProperties(change.Set, record.Actions[i].Payload)...)
		changes = merge(changes, change)
		actions++
	}
	if len(changes) == 0 {
		return
	}
	// The answer is decided: a caller who goes away now does not take it back.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), applyTimeout)
	defer cancel()
	for _, id := range slices.Sorted(maps.Keys(personal)) {
		if _, err := s.deps.Contexts.PutNamespace(ctx, account, contextstore.NamespaceChange{ID: id, AddPII: personal[id]}); err != nil {
			s.notApplied(account, d, actions, err)
			return
		}
	}
	if _, err := s.deps.Contexts.Write(ctx, account, changes...); err != nil {
		s.notApplied(account, d, actions, err)
	}
}

// hiddenProperties lists the properties whose values the record shows otherwise.
func hiddenProperties(set, recorded map[string]any) (names []string) {
	shown, _ := recorded["properties"].(map[string]any)
	for name, value := range set {
		if !reflect.DeepEqual(value, shown[name]) {
			names = append(names, name)
		}
	}
	return names
}

// notApplied counts actions that were not carried out.
func (s *Server) notApplied(account string, d *event.Decision, actions int, err error) {
	for range actions {
		s.deps.Contexts.ActionFailed()
	}
	s.deps.Log.Warn("action was not carried out", "action", setContext, "actions", actions, "account", account,
		"decision", d.ID, "policy", d.Policy, "error", err)
}

// merge adds a change. One write names a document once, so what a later action
// says of the same document is put over what the earlier ones say.
func merge(changes []contextstore.Change, next contextstore.Change) []contextstore.Change {
	at := slices.IndexFunc(changes, func(c contextstore.Change) bool { return c.Key == next.Key })
	if at < 0 {
		return append(changes, next)
	}
	c := &changes[at]
	for name, value := range next.Set {
		c.Set[name] = value
		c.Remove = slices.DeleteFunc(c.Remove, func(other string) bool { return other == name })
	}
	for _, name := range next.Remove {
		delete(c.Set, name)
		c.Remove = append(c.Remove, name)
	}
	return changes
}

// contextChange reads the payload {namespace, scope, properties} of an action.
func contextChange(d *event.Decision, payload map[string]any) (contextstore.Change, error) {
	change := contextstore.Change{Path: "payload", Set: map[string]any{}}
	change.Namespace, _ = payload["namespace"].(string)
	scope, _ := payload["scope"].(string)
	switch scope {
	case "", "conversation":
		switch {
		case d.SessionID != "":
			change.Session = d.SessionID
		case d.ConversationID != "":
			change.Session = contextstore.Conversation(d.ConversationID)
		default:
			return change, errors.New("the request names no conversation to keep context of")
		}
	case "consumer":
		if d.ConsumerID == "" {
			return change, errors.New("the request names no consumer to keep context of")
		}
		change.Session = contextstore.Consumer(d.ConsumerID)
	case "global":
		change.Session = contextstore.Global
	default:
		return change, errors.New("the scope is none of conversation, consumer, global")
	}
	properties, ok := payload["properties"].(map[string]any)
	if !ok {
		return change, errors.New("the payload has no properties")
	}
	for name, value := range properties {
		if value == nil {
			change.Remove = append(change.Remove, name)
		} else {
			change.Set[name] = value
		}
	}
	return change, nil
}
