// Package configlog keeps the control state of an installation as a log of
// changes: policies, modes, objectives, tokens, accounts and which model is
// live. Every replica folds the same records in the same order into immutable
// snapshots, so all of them agree without talking to each other.
//
// A change names the revision it is based on. Of two changes with the same base
// the first in log order wins, and the writer of the second is told. A change of
// several resources counts whole or not at all. Nothing is ever overwritten: the
// log is the history, the audit trail and the way back.
package configlog

import (
	"context"
	"time"

	"github.com/usherhq/usher/pipeline/event"
)

// Kinds of resources.
const (
	KindAccount   = "account"     // name: the account's id
	KindPolicy    = "policy"      // name: the policy's id
	KindObjective = "objective"   // name: "default" and others; value: event.Objective
	KindMode      = "mode"        // name: the scope
	KindToken     = "token"       // name: the token's id; account: "" (the installation)
	KindModel     = "model"       // name: "champion"
	KindAttribute = "attribute"   // name: as policies write it
	KindFunction  = "function"    // name: the function's id
	KindCalendar  = "calendar"    // name: the calendar's id
	KindSkill     = "skill"       // name: the skill's id
	KindAgent     = "agent"       // name: the agent's id
	KindBot       = "bot"         // name: the bot's id
	KindDraft     = "policydraft" // name: the draft's id; a list of policies in the making
	KindErasure   = "erasure"     // name: the request; the person in it is a keyed hash
)

// Log is an ordered, durable sequence of config changes with offsets from 0 on.
// Implementations are safe for concurrent use and pass configlogtest.
type Log interface {
	// Append puts the change at the end. nil means that it is durable; after an
	// error it may or may not be on the log, once or more than once.
	Append(ctx context.Context, c *event.ConfigChange) error
	// Follow calls fn for every record from the offset on, in order, old ones
	// first and new ones as they come, until ctx ends or fn fails, and returns
	// that error. c is nil for a record that is no readable config change: all
	// replicas see the same nil at the same offset. fn may keep c and must not
	// change it.
	Follow(ctx context.Context, from int64, fn func(offset int64, c *event.ConfigChange) error) error
	// End is the offset the next record will get.
	End(ctx context.Context) (int64, error)
}

// Resource is the current version of one thing. Value is its JSON document;
// treat it as read-only.
type Resource struct {
	Account, Kind, Name string
	Revision            int64 // offset + 1 of the record that made it; never 0
	Value               []byte
	Author, Reason      string
	Time                time.Time
}

// Version is one entry of a kind's history: a resource as a change left it, or,
// when Deleted, the end of one; then Value is nil. Several with one Revision are
// parts of one change.
type Version struct {
	Resource
	Deleted bool
}
