package enginetest_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/usherhq/usher/decision/contextstore/enginetest"
)

// The suite itself runs where the engines are; here is only what it draws from.
func TestValuesAreJSON(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		switch v := enginetest.Values(2).Draw(rt, "value").(type) {
		case nil, bool, string, float64, []any, map[string]any:
		default:
			rt.Fatalf("%T is no type that a reader gets", v)
		}
	})
}
