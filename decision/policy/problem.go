package policy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/usherhq/usher/internal/fault"
)

// Severity tells what keeps a policy from being stored from what is doubtful.
type Severity string

// The severities.
const (
	Error   Severity = "ERROR"
	Warning Severity = "WARNING"
)

// Problem is one thing wrong or doubtful about a policy. Path is the place in its
// document, such as when.all[0].operator; Code is one of the Code constants.
type Problem struct {
	Severity    Severity `json:"severity"`
	Policy      string   `json:"policy,omitempty"`
	Path        string   `json:"path,omitempty"`
	Code        string   `json:"code"`
	Description string   `json:"description"`
}

// Codes of problems. They are stable: programs may act on them.
const (
	CodeInvalid          = "INVALID"           // wrong shape, or a value that cannot be
	CodeMissing          = "MISSING"           // something required is not there
	CodeUnknownField     = "UNKNOWN_FIELD"     // a field that the language does not have
	CodeDuplicateKey     = "DUPLICATE_KEY"     // a key stands twice in one object
	CodeDuplicatePolicy  = "DUPLICATE_POLICY"  // two policies have one id
	CodeLimit            = "LIMIT"             // too long, too many, too deep
	CodeUnknownOperator  = "UNKNOWN_OPERATOR"  // no such operator
	CodeTypeMismatch     = "TYPE_MISMATCH"     // operator, value and attribute do not fit
	CodeUnknownAttribute = "UNKNOWN_ATTRIBUTE" // nobody provides the attribute
	CodeUnknownCalendar  = "UNKNOWN_CALENDAR"  // no such calendar
	CodeBadZone          = "BAD_ZONE"          // no IANA time zone
	CodeBadTime          = "BAD_TIME"          // no time, date or duration
	CodeBadPattern       = "BAD_PATTERN"       // no RE2 expression
	CodeBadExpression    = "BAD_EXPRESSION"    // CEL does not take it
	CodeTooCostly        = "TOO_COSTLY"        // CEL could cost more than one evaluation may
	CodeBadAction        = "BAD_ACTION"        // an action without what its type needs
	CodeUnknownAction    = "UNKNOWN_ACTION"    // an action type that Usher does not know
	CodeUnknownSkill     = "UNKNOWN_SKILL"     // no such skill
	CodeUnknownAgent     = "UNKNOWN_AGENT"     // no such agent
	CodeUnknownBot       = "UNKNOWN_BOT"       // no such bot
	CodeLoop             = "LOOP"              // goes back to the routing bot's own skill
	CodeShadowed         = "SHADOWED"          // an earlier policy matches whenever it does
	CodeUnreachable      = "UNREACHABLE"       // never asked
	CodeNeverTrue        = "NEVER_TRUE"        // a condition whose parts exclude each other
	CodeAlwaysTrue       = "ALWAYS_TRUE"       // a choice of which one part says nothing
	CodeEnded            = "ENDED"             // the schedule is over
	CodeUnknownTarget    = "UNKNOWN_TARGET"    // no skill, agent or bot of the account
	CodeUnknownLever     = "UNKNOWN_LEVER"     // a lever that nothing is ranked with
	CodeUnknownObjective = "UNKNOWN_OBJECTIVE" // no such objective
	CodeExpiryTooShort   = "EXPIRY_TOO_SHORT"  // a step hardly lives
	CodeDefaultPolicy    = "DEFAULT_POLICY"    // the default policy has what it must not have
)

// DocumentError is what [Parse] refuses a document with: the problems with their
// codes, and the Invalid *fault.Error that names the same faults.
type DocumentError struct {
	Problems []Problem
	fault    error
	document []byte // what was refused, for Check to read with an environment
}

// Error lists every fault with its path.
func (e *DocumentError) Error() string { return e.fault.Error() }

// Unwrap returns the *fault.Error.
func (e *DocumentError) Unwrap() error { return e.fault }

// ProblemsOf returns the problems that an error of [Parse] holds; any other error
// is one problem of its own. nil gives none.
func ProblemsOf(err error) []Problem {
	if err == nil {
		return nil
	}
	if d, ok := errors.AsType[*DocumentError](err); ok {
		return d.Problems
	}
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || len(f.Violations) == 0 {
		return []Problem{{Severity: Error, Code: CodeInvalid, Description: err.Error()}}
	}
	out := make([]Problem, len(f.Violations))
	for i, v := range f.Violations {
		out[i] = Problem{Severity: Error, Path: v.Field, Code: CodeInvalid, Description: v.Description}
	}
	return out
}

// findings gathers the problems of one policy.
type findings struct {
	list   []Problem
	errors int
	// unread are the paths of values that could not be read. What stands there is
	// made up, so that the rest can be checked, and nothing is found about it.
	unread map[string]bool
}

// unreadable records an error about a value that nothing can be made of.
func (f *findings) unreadable(code, path, format string, args ...any) {
	f.fail(code, path, format, args...)
	if f.unread == nil {
		f.unread = map[string]bool{}
	}
	f.unread[path] = true
}

// madeUp reports whether what stands at the path, or around it, could not be read.
func (f *findings) madeUp(path string) bool {
	for len(f.unread) > 0 {
		if f.unread[path] {
			return true
		}
		if path == "" {
			break
		}
		path = parent(path)
	}
	return false
}

// parent cuts the last part off a path.
func parent(path string) string { return path[:max(0, strings.LastIndexAny(path, ".["))] }

// inOrderOf sorts the problems by where they stand in a document; what is missing
// stands where it is missing from.
func (f *findings) inOrderOf(places map[string]int) {
	place := func(path string) int {
		for ; path != ""; path = parent(path) {
			if at, ok := places[path]; ok {
				return at
			}
		}
		return 0
	}
	slices.SortStableFunc(f.list, func(a, b Problem) int { return cmp.Compare(place(a.Path), place(b.Path)) })
}

// Add records an error of no particular kind.
func (f *findings) Add(path, format string, args ...any) { f.fail(CodeInvalid, path, format, args...) }

// fail records an error.
func (f *findings) fail(code, path, format string, args ...any) {
	if f.madeUp(path) {
		return
	}
	f.errors++
	f.list = append(f.list, Problem{Severity: Error, Path: path, Code: code, Description: fmt.Sprintf(format, args...)})
}

// warn records a doubt.
func (f *findings) warn(code, path, format string, args ...any) {
	if f.madeUp(path) {
		return
	}
	f.list = append(f.list, Problem{Severity: Warning, Path: path, Code: code, Description: fmt.Sprintf(format, args...)})
}

// Err returns nil without errors, else one that names them all.
func (f *findings) Err(message string) error {
	if f.errors == 0 {
		return nil
	}
	var check fault.Check
	out := &DocumentError{}
	for _, p := range f.list {
		if p.Severity == Error {
			check.Add(p.Path, "%s", p.Description)
			out.Problems = append(out.Problems, p)
		}
	}
	out.fault = check.Err(message)
	return out
}
