package policy_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/pipeline/event"
)

func languageDescription(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("../../docs/policies.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// documentedExamples are the documents of the language's description, conditions made
// into policies.
func documentedExamples(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, e := range regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(languageDescription(t), -1) {
		doc := e[1]
		switch {
		case strings.Contains(doc, `"effect"`):
		case strings.Contains(doc, `"type"`):
			doc = `{"effect":{"fixed":{"actions":[` + doc + `]}}}`
		default:
			doc = `{"when":` + doc + `,"effect":{"rank":{}}}`
		}
		out = append(out, doc)
	}
	return out
}

// TestDocumentedExamples executes every example of the language's description, and
// asks that each operator, form, effect and action has one.
func TestDocumentedExamples(t *testing.T) {
	text, examples := languageDescription(t), documentedExamples(t)
	if len(examples) < 45 {
		t.Fatalf("%d examples", len(examples))
	}
	for _, doc := range examples {
		p := parse(t, doc)
		set := policy.Compile([]*policy.Policy{p}, 1)
		in := set.NewInput()
		in.Load(someFacts())
		if trace := set.Trace(in, -1)[0]; trace.State == event.Invalid {
			t.Errorf("%s: %+v", doc, trace)
		}
		set.Eval(in)
	}
	for _, op := range policy.Operators() {
		if !strings.Contains(text, `"operator": "`+string(op)+`"`) {
			t.Errorf("no example of %s", op)
		}
	}
	for _, a := range policy.ActionTypes() {
		if !strings.Contains(text, `"type": "`+a+`"`) {
			t.Errorf("no example of %s", a)
		}
	}
	for _, key := range []string{
		"all", "any", "not", "time", "date", "cel", "calendar", "value_from", "fold", "schedule", "exception",
		"fixed", "deny", "rank", "split", "steps", "skip_when", "expires_after", "levers", "objective", "where", "arms",
	} {
		if !strings.Contains(text, `"`+key+`":`) {
			t.Errorf("no example of %s", key)
		}
	}
	for _, b := range policy.BuiltinAttributes() {
		short := b.Name[strings.LastIndexByte(b.Name, '.')+1:]
		if !strings.Contains(text, "`"+b.Name+"`") && !strings.Contains(text, "`"+short+"`") {
			t.Errorf("%s is not described", b.Name)
		}
	}
}

// TestDocumentedOutcomes executes the examples that say what they make of some facts:
// a comment <!-- facts --> with JSON stands before the condition, and the line after it
// says the value.
func TestDocumentedOutcomes(t *testing.T) {
	worked := regexp.MustCompile("(?s)```json\n([^`]*)```\n((?:with `[^`]*` (?:at `[^`]*` )?it is (?:TRUE|FALSE|UNKNOWN)\n?)+)").
		FindAllStringSubmatch(languageDescription(t), -1)
	one := regexp.MustCompile("with `([^`]*)` (?:at `([^`]*)` )?it is (TRUE|FALSE|UNKNOWN)")
	if len(worked) < len(policy.Operators()) {
		t.Fatalf("%d worked examples", len(worked))
	}
	for _, w := range worked {
		for _, line := range one.FindAllStringSubmatch(w[2], -1) {
			f := &policy.Facts{Now: time.Date(2026, 11, 22, 17, 30, 0, 0, time.UTC)}
			if err := json.Unmarshal([]byte(line[1]), &f.Attributes); err != nil {
				t.Fatalf("%s: %v", line[1], err)
			}
			if line[2] != "" {
				now, err := time.Parse(time.RFC3339, line[2])
				if err != nil {
					t.Fatal(err)
				}
				f.Now = now
			}
			if got := stateOf(t, w[1], f).State; string(got) != line[3] {
				t.Errorf("%s\nwith %s at %s is %s, the description says %s", w[1], line[1], f.Now, got, line[3])
			}
		}
	}
}
