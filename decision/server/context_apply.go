package server

import (
	"context"
	"errors"
	"time"

	"github.com/usherhq/usher/decision/contextstore"
	"github.com/usherhq/usher/pipeline/event"
)

// setContext is the type of the actions that Usher carries out by itself.
const setContext = "SET_CONTEXT"

// applyTimeout bounds how long an answer waits for context to be written.
const applyTimeout = 500 * time.Millisecond

// applyContext carries out the SET_CONTEXT actions of a decision, so that the next
// call of whatever bot reads what they set. What cannot be carried out is counted
// and logged, without its values, and costs the caller nothing else. Dry runs must
// not come here.
func (s *Server) applyContext(ctx context.Context, account string, d *event.Decision) {
	for i := range d.Actions {
		if d.Actions[i].Type != setContext || s.deps.Contexts == nil {
			continue
		}
		if err := s.apply(ctx, account, d, d.Actions[i].Payload); err != nil {
			s.deps.Contexts.ActionFailed()
			s.deps.Log.Warn("action was not carried out", "action", setContext, "account", account,
				"decision", d.ID, "policy", d.Policy, "error", err)
		}
	}
}

func (s *Server) apply(ctx context.Context, account string, d *event.Decision, payload map[string]any) error {
	change, err := contextChange(d, payload)
	if err != nil {
		return err
	}
	// The answer is decided: a caller who goes away now does not take it back.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), applyTimeout)
	defer cancel()
	_, err = s.deps.Contexts.Write(ctx, account, change)
	return err
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
