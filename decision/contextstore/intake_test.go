package contextstore

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/usherhq/usher/internal/fault"
)

// What is not of an attribute's type is a fault at its path and is not kept; what
// is kept has the type that policies are told of.
func TestEngagementAttributesAreTyped(t *testing.T) {
	file, err := os.Open("testdata/sde.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	cases := 0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if line := lines.Text(); !strings.HasPrefix(line, "#") {
			cases++
			checkEngagement(t, line)
		}
	}
	if cases < 40 {
		t.Errorf("only %d cases were read", cases)
	}
}

func checkEngagement(t *testing.T, line string) {
	t.Helper()
	given, kept, fine := strings.Cut(line, "=>")
	given, faults, _ := strings.Cut(given, "!")
	name, text, _ := strings.Cut(given, " ")
	group := "customerinfo"
	if slices.Contains([]string{"age", "gender", "language", "company"}, name) {
		group = "personalinfo"
	}
	var value, want any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	in := intake{check: &fault.Check{}, change: &Change{Set: map[string]any{}}}
	in.tree(map[string]any{"visitorinfo": map[string]any{group: map[string]any{name: value}}})
	var told []string
	if e, ok := errors.AsType[*fault.Error](in.check.Err("x")); ok {
		for _, v := range e.Violations {
			told = append(told, strings.TrimPrefix(v.Field, "sde.visitorinfo."+group+".")+": "+v.Description)
		}
	}
	if got := strings.Join(told, "; "); got != strings.TrimSpace(faults) {
		t.Errorf("%s\nis told %q", line, got)
	}
	if !fine {
		if len(in.change.Set) > 0 {
			t.Errorf("%s\nis kept as %v", line, in.change.Set)
		}
		return
	}
	if err := json.Unmarshal([]byte(kept), &want); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	if got := in.change.Set["visitorinfo."+group+"."+name]; !reflect.DeepEqual(got, want) {
		t.Errorf("%s\nis kept as %#v", line, got)
	}
}
