package fault_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/usherhq/usher/internal/fault"
)

// TestCheckNamesEveryFault: one error lists all violations in the order found.
func TestCheckNamesEveryFault(t *testing.T) {
	var c fault.Check
	if err := c.Err("nothing is wrong"); err != nil {
		t.Fatalf("no fault gives %v", err)
	}
	c.Add("effect.fixed", "needs %d action", 1)
	c.Add("name", "is required")
	err := c.Err("policy is invalid")
	if want := "policy is invalid: effect.fixed: needs 1 action; name: is required"; err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
	if k := fault.KindOf(fmt.Errorf("create policy: %w", err)); k != fault.Invalid {
		t.Errorf("kind %v, want Invalid", k)
	}
}

// TestKindOf: the first fault of a chain decides; anything else is Internal, so
// that its text does not reach callers.
func TestKindOf(t *testing.T) {
	conflict := fault.New(fault.Conflict, "ABORTED", "revision %d is gone", 3)
	conflict.Cause = io.ErrUnexpectedEOF
	for name, c := range map[string]struct {
		err  error
		want fault.Kind
	}{
		"direct":  {conflict, fault.Conflict},
		"wrapped": {fmt.Errorf("write: %w", conflict), fault.Conflict},
		"joined":  {errors.Join(io.EOF, conflict), fault.Conflict},
		"foreign": {io.EOF, fault.Internal},
		"nil":     {nil, fault.Internal},
	} {
		if got := fault.KindOf(c.err); got != c.want {
			t.Errorf("%s: kind %v, want %v", name, got, c.want)
		}
	}
	if !errors.Is(conflict, io.ErrUnexpectedEOF) {
		t.Error("the cause is not in the chain")
	}
}

func TestHasControl(t *testing.T) {
	for text, want := range map[string]bool{
		"": false, "conv-1 é ☎ 😀": false, "\u00a0": false, "a\x00b": true, "line\n": true, "\t": true, "\x7f": true, "\u0085": true,
	} {
		if fault.HasControl(text) != want {
			t.Errorf("%q: want %v", text, want)
		}
	}
}
