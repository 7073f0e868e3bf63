package ladder

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/control"
	"github.com/usherhq/usher/internal/fault"
)

// ReasonTests is the reason of the fault with which a step is refused.
const ReasonTests = "LADDER_TESTS"

// Step says how to go up.
type Step struct {
	// Share is that of COMPARE or HOLDOUT, DefaultShare when 0.
	Share float64
	// Force goes up where tests fail; the config log keeps which.
	Force bool
}

// current is the mode of a scope, or that which it would have of its own.
func (l *Ladder) current(account, scope string) (control.Mode, error) {
	if _, err := l.deps.Control.GetAccount(account); err != nil {
		return control.Mode{}, err
	}
	m, err := l.deps.Control.GetMode(account, scope)
	if fault.KindOf(err) != fault.NotFound {
		return m, err
	}
	// A scope without a mode follows the account, so it begins where that stands, but
	// never with the model deciding: nothing was tested for it.
	m = fresh(scope)
	m.Revision = control.NoRevision
	if own, ok := l.deps.Control.Mode(account, decision.ScopeAccount); ok && own.Kind == decision.ModeOff {
		m.Kind = decision.ModeOff
	}
	return m, nil
}

// Advance takes a scope one step up. Errors: Precondition with a violation for every
// entry test that fails, or at the top; those of control.SetMode; a Conflict when the
// mode was changed meanwhile.
func (l *Ladder) Advance(ctx context.Context, account, scope string, step Step, by control.Author) (control.Mode, error) {
	m, err := l.current(account, scope)
	if err != nil {
		return m, err
	}
	next := above(m.Kind)
	if next == "" {
		return m, fault.New(fault.Precondition, "LADDER_TOP", "%s is ON already", scope)
	}
	failed, err := l.failed(ctx, account, m)
	if err != nil && !step.Force {
		return m, err
	}
	switch {
	case err != nil:
		by.Reason = forced(by.Reason, "the tests could not be made: "+err.Error())
	case len(failed) > 0 && !step.Force:
		return m, refused(scope, next, failed)
	case len(failed) > 0:
		by.Reason = forced(by.Reason, list(failed))
	}
	m.Kind, m.Share = next, 0
	if next == decision.ModeCompare || next == decision.ModeHoldout {
		m.Share = cmp.Or(step.Share, DefaultShare)
	}
	set, err := l.deps.Control.SetMode(ctx, account, m, by)
	if fault.KindOf(err) == fault.Exists {
		err = fault.New(fault.Conflict, "ABORTED", "the mode of %q was set meanwhile: read it again and retry", scope)
	}
	return set, err
}

// failed lists the entry tests that do not hold.
func (l *Ladder) failed(ctx context.Context, account string, m control.Mode) ([]Test, error) {
	if above(m.Kind) == decision.ModeShadow {
		return nil, nil
	}
	at, err := l.Standing(ctx, account, m)
	if err != nil {
		return nil, err
	}
	var out []Test
	for _, t := range at.Tests {
		if !t.Passed {
			out = append(out, t)
		}
	}
	return out, nil
}

func refused(scope string, next decision.ModeKind, failed []Test) error {
	e := fault.New(fault.Precondition, ReasonTests, "%s is not ready for %s", scope, next)
	for _, t := range failed {
		e.Violations = append(e.Violations, fault.Violation{Field: t.Name, Description: t.Detail})
	}
	return e
}

func list(failed []Test) string {
	parts := make([]string, len(failed))
	for i, t := range failed {
		parts[i] = t.Name + ": " + t.Detail
	}
	return strings.Join(parts, "; ")
}

// maxReason bounds what goes into the config log.
const maxReason = 2000

func forced(reason, why string) string {
	text := "forced, " + why
	if reason != "" {
		text = reason + " (" + text + ")"
	}
	return cut(text)
}

// cut shortens a reason, between two characters.
func cut(text string) string {
	if len(text) <= maxReason {
		return text
	}
	n := maxReason
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// Retreat takes a scope back to SHADOW, or OFF, at once. It asks nothing and reads no
// evidence, so it works while the warehouse is away.
func (l *Ladder) Retreat(ctx context.Context, account, scope string, to decision.ModeKind, by control.Author) (control.Mode, error) {
	return Retreat(ctx, l.deps.Control, account, scope, to, by)
}

// Retreat is [Ladder.Retreat] without a ladder.
func Retreat(ctx context.Context, c *control.Control, account, scope string, to decision.ModeKind, by control.Author) (control.Mode, error) {
	to = cmp.Or(to, decision.ModeShadow)
	if to != decision.ModeShadow && to != decision.ModeOff {
		var f fault.Check
		f.Add("mode", "%q must be SHADOW or OFF: a retreat hands nothing to the model", to)
		return control.Mode{}, f.Err("the request is not valid")
	}
	m, err := c.GetMode(account, scope)
	switch {
	case fault.KindOf(err) == fault.NotFound:
		m = fresh(scope)
	case err != nil:
		return m, err
	}
	// The last word counts: a change that comes between must not keep the model on.
	m.Kind, m.Share, m.Revision = to, 0, 0
	return c.SetMode(ctx, account, m, by)
}

// reasonOf is what the config log says of a breach.
func reasonOf(from decision.ModeKind, s *State) string {
	return cut(fmt.Sprintf("guardrail breached in %s: %s", from, s.words()))
}
