package foreign_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/decision/policy/foreign"
)

// seeds are the documents of the cases.
func seeds(f *testing.F, add func(document []byte)) {
	f.Helper()
	files, err := filepath.Glob("testdata/cases/*.txtar")
	if err != nil || len(files) == 0 {
		f.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, one := range txtar.Parse(data).Files {
			if one.Name == "document.json" {
				add(one.Data)
			}
		}
	}
}

// FuzzRead holds every reader to its promise: it ends, what it returns is
// canonical, ids are valid and unique, and no policy vanishes without a problem.
func FuzzRead(f *testing.F) {
	seeds(f, func(document []byte) {
		f.Add("", document)
		for _, format := range foreign.Formats() {
			f.Add(format, document)
		}
	})
	f.Fuzz(func(t *testing.T, format string, document []byte) {
		result, err := foreign.Read(format, document)
		if err != nil {
			return
		}
		ids := map[string]bool{}
		for _, p := range result.Policies {
			if !policy.ValidName(p.Name) || ids[p.Name] {
				t.Fatalf("the id %q is not valid or stands twice", p.Name)
			}
			ids[p.Name] = true
		}
		for id := range result.Silent {
			if !ids[id] {
				t.Fatalf("silent %q is no policy", id)
			}
		}
		stable(t, result.Policies)
		for _, p := range result.Problems {
			if p.Code == "" || p.Description == "" || p.Severity != policy.Error && p.Severity != policy.Warning {
				t.Fatalf("a problem says nothing: %+v", p)
			}
		}
	})
}

// FuzzExpression: a text is either refused with its place, or becomes a condition
// that a policy can hold.
func FuzzExpression(f *testing.F) {
	for _, text := range []string{
		"", "a == 1", "not (a.b > 2 and 'x' in c) or sqrt(d)^2 >= 3 % 2", "a == (b || 'c')", "isTimeRange('09:00','17:00','UTC',['MON'])",
		"isDateRange('1/2/26','1/3/2026','UTC')", "{{a b}} == -1e9", "a HAS 'x' AND b NOT IN ['y', c]", "((((a))))", "1 == 1", "a != null",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		condition, _, err := foreign.Expression(text)
		if err != nil {
			return
		}
		p := &policy.Policy{Name: "p", Enabled: true, When: condition, Effect: policy.Effect{Deny: &policy.Deny{Targets: []string{"x"}}}}
		if err := p.Check(); err != nil {
			t.Fatalf("%q became a condition that is refused: %v", text, err)
		}
	})
}

// FuzzPolicy: the grammar as the API takes it, part by part.
func FuzzPolicy(f *testing.F) {
	f.Add([]byte(`[{"property":"a","type":"EQUAL","value":1}]`), []byte(`[{"type":"CLOSE"}]`), []byte(`{"conditions":[],"actions":[{"type":"CLOSE"}]}`))
	f.Add([]byte(`"a == 1"`), []byte(``), []byte(`{"effect":{"deny":{"targets":["a"]}}}`))
	f.Fuzz(func(t *testing.T, conditions, actions, exception []byte) {
		when, effect, exc, problems := foreign.Policy(conditions, actions, exception)
		for _, p := range problems {
			if p.Severity == policy.Error && (when != nil || exc != nil || effect.Fixed != nil) {
				t.Fatalf("an error beside an answer: %+v", p)
			}
		}
		if _, err := json.Marshal([]any{when, effect, exc}); err != nil {
			t.Fatal(err)
		}
	})
}
