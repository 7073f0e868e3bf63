package enginetest

import (
	"strconv"
	"testing"

	"github.com/usherhq/usher/decision/contextstore"
)

// BenchmarkLoad measures the whole context of a decision: two namespaces in three
// sessions, four documents of six there, among 10,000 others.
func BenchmarkLoad(b *testing.B, e contextstore.Engine) {
	s := newStore(b, e, start())
	acc := account()
	set := map[string]any{"tier": "gold", "orders": 12.0, "open": true, "city": "Berlin", "tags": []any{"a", "b"}}
	for from := 0; from < 10_000; from += 500 {
		var changes []contextstore.Change
		for i := range 500 {
			changes = append(changes, contextstore.Change{Key: key("profile", strconv.Itoa(from+i)), Set: set})
		}
		_, err := s.Write(b.Context(), acc, changes...)
		must(b, err)
	}
	_, err := s.Write(b.Context(), acc,
		contextstore.Change{Key: key("profile", contextstore.Consumer("7")), Set: set},
		contextstore.Change{Key: key("orders", "77"), Set: set},
		contextstore.Change{Key: key("orders", contextstore.Global), Set: set})
	must(b, err)
	sessions := contextstore.Sessions("", "77", "7")
	namespaces := []string{"profile", "orders"}
	b.ReportAllocs()
	for b.Loop() {
		docs, err := s.Load(b.Context(), acc, sessions, namespaces)
		if err != nil || len(docs) != 4 {
			b.Fatal(len(docs), err)
		}
	}
}
