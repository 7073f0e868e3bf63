package policy_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/usherhq/usher/decision/policy"
)

// TestDocumentedExamples parses every example of the language's description and
// asks that each operator has one.
func TestDocumentedExamples(t *testing.T) {
	data, err := os.ReadFile("../../docs/policies.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(string(data), -1)
	if len(examples) < 20 {
		t.Fatalf("%d examples", len(examples))
	}
	for _, e := range examples {
		doc := e[1]
		if !strings.Contains(doc, `"effect"`) {
			doc = `{"when":` + doc + `,"effect":{"rank":{}}}`
		}
		if _, err := policy.Parse([]byte(doc)); err != nil {
			t.Errorf("%s: %v", e[1], err)
		}
	}
	for _, op := range policy.Operators() {
		if !strings.Contains(string(data), `"operator": "`+string(op)+`"`) {
			t.Errorf("no example of %s", op)
		}
	}
}
