// Package fault gives errors the kind that a caller can act on. Everything
// without a kind is a bug of ours: the edges report it as internal and log it.
package fault

import (
	"errors"
	"fmt"
	"strings"
)

// Kind says what a caller can do about an error.
type Kind int

// The kinds. Internal is the zero value: an error that nobody classified.
const (
	Internal     Kind = iota // a bug or an outage of ours
	Invalid                  // the input breaks a rule; see the violations
	NotFound                 // the named resource does not exist
	Exists                   // the resource to be created exists
	Conflict                 // based on an old revision; read again and retry
	Denied                   // known caller, not allowed
	NoIdentity               // no or unknown credentials
	Exhausted                // over a limit; retry later
	Unavailable              // a part that is needed is away; retry
	Precondition             // the state does not allow it
	TooLarge                 // what is to be kept would be over its limit of size; not for retry
)

// Violation is one fault of the input. Field is a path such as
// effect.fixed.actions[0].type.
type Violation struct {
	Field       string
	Description string
}

// Error is an error with a kind, and for Invalid the faults of the input, all of
// them. It is immutable once returned.
type Error struct {
	Kind       Kind
	Reason     string // UPPER_SNAKE, stable, for programs
	Message    string // one sentence for people
	Violations []Violation
	Metadata   map[string]string // for example the current etag of a conflict
	Cause      error
}

// Error lists the message, every violation and the cause.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Message)
	for i, v := range e.Violations {
		if i == 0 {
			b.WriteString(": ")
		} else {
			b.WriteString("; ")
		}
		b.WriteString(v.Field + ": " + v.Description)
	}
	if e.Cause != nil {
		b.WriteString(": " + e.Cause.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// New makes an error of the given kind, reason and message.
func New(k Kind, reason, format string, args ...any) *Error {
	return &Error{Kind: k, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// KindOf returns the kind of the first *Error in err's chain, else Internal.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// Check gathers the faults of one input. The zero value is ready to use; it is
// not safe for concurrent use.
type Check struct{ violations []Violation }

// Add records one fault at the field path.
func (c *Check) Add(field, format string, args ...any) {
	c.violations = append(c.violations, Violation{Field: field, Description: fmt.Sprintf(format, args...)})
}

// AddOnce records one fault unless there is one of the same field.
func (c *Check) AddOnce(field, format string, args ...any) {
	for _, v := range c.violations {
		if v.Field == field {
			return
		}
	}
	c.Add(field, format, args...)
}

// Err returns nil without faults, else one Invalid error that names them all.
func (c *Check) Err(message string) error {
	if len(c.violations) == 0 {
		return nil
	}
	return &Error{Kind: Invalid, Reason: "INVALID_ARGUMENT", Message: message, Violations: c.violations}
}

// HasControl looks for control characters, line ends and NUL among them. No id has
// any: they break logs, paths and terminals.
func HasControl(text string) bool {
	for i := range len(text) {
		b := text[i]
		if b < ' ' || b == 0x7f || b == 0xc2 && i+1 < len(text) && text[i+1] < 0xa0 {
			return true
		}
	}
	return false
}
