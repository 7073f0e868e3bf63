package contextstore

import "strings"

// Global is the session of what holds in every conversation.
const Global = "__default__"

// Prefixes of sessions. Sessions without one belong to conversations, or to
// whatever the caller groups by.
const (
	consumerPrefix     = "consumer:"
	conversationPrefix = "conversation:"
	customerPrefix     = "customer:"
	visitorPrefix      = "visitor:"
)

// Consumer is the session of what holds in all conversations of a consumer.
func Consumer(id string) string { return consumerPrefix + id }

// Conversation is the session of what holds in one conversation: its id, but for
// ids that would read as another scope, which get a prefix. So scopes never
// collide, whatever ids look like.
func Conversation(id string) string {
	for _, prefix := range []string{consumerPrefix, conversationPrefix, customerPrefix, visitorPrefix} {
		if strings.HasPrefix(id, prefix) {
			return conversationPrefix + id
		}
	}
	if id == Global {
		return conversationPrefix + id
	}
	return id
}

// Customer and Visitor are the sessions that captured attributes lie under, in
// the namespace [CaptureNamespace].
func Customer(id string) string { return customerPrefix + id }

// Visitor is the session of a visitor who has not logged in.
func Visitor(id string) string { return visitorPrefix + id }

// Sessions lists where a decision finds context, what comes first winning: the
// session that the request names, else its conversation; its consumer; everybody.
func Sessions(session, conversation, consumer string) []string {
	out := make([]string, 0, 3)
	switch {
	case session != "":
		out = append(out, session)
	case conversation != "":
		out = append(out, Conversation(conversation))
	}
	if consumer != "" {
		out = append(out, Consumer(consumer))
	}
	return append(out, Global)
}
