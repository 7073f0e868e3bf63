// Package liveperson speaks the HTTP contract of LivePerson's Conversation
// Orchestrator, so that a toolbelt written for it changes the host and its key
// and nothing else: the Conversation Context Service (v1 and v2) and the Next
// Actions API (v1 and v2).
//
// It is a translation and decides nothing: context lies in decision/contextstore,
// decisions are made, recorded and carried out by the code behind NextActions.
// The key is a token of Usher with the scope decide, sent as maven-api-key or as
// a bearer token, never in the query. Where the original leaves a caller in the
// dark, headers tell more: Usher-Decision-Id joins an outcome to its decision.
//
// docs/liveperson.md says what differs and why.
package liveperson
