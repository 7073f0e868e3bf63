package event

import (
	"encoding/json"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// TestHandWrittenWriterAgreesWithReflection: field for field, byte for byte of each.
func TestHandWrittenWriterAgreesWithReflection(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := genDecision().Draw(t, "decision")
		want, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decisionJSON(d)
		if err != nil {
			t.Fatal(err)
		}
		a, b := map[string]json.RawMessage{}, map[string]json.RawMessage{}
		if err := json.Unmarshal(want, &a); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(got, &b); err != nil {
			t.Fatalf("%v: %s", err, got)
		}
		if !reflect.DeepEqual(a, b) || len(got) != len(want) {
			t.Fatalf("got\n%s\nwant\n%s", got, want)
		}
	})
}
