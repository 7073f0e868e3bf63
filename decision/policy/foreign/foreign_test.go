package foreign_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/decision/policy/foreign"
)

func TestMain(m *testing.M) {
	flag.Bool("update", false, "rewrite what the cases want")
	flag.Parse()
	os.Exit(m.Run())
}

func updating() bool { return flag.Lookup("update").Value.String() == "true" }

// TestCases reads every document of testdata/cases and compares the policies, in
// canonical form, and the problems with what the case wants. The comment of a case
// names the rules that it shows.
func TestCases(t *testing.T) {
	files, err := filepath.Glob("testdata/cases/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { runCase(t, file) })
	}
}

func runCase(t *testing.T, file string) {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	parts := map[string][]byte{}
	for _, f := range archive.Files {
		parts[f.Name] = f.Data
	}
	result, err := foreign.Read(strings.TrimSpace(string(parts["format"])), parts["document.json"])
	var policies, problems string
	if err != nil {
		problems = err.Error() + "\n"
	} else {
		policies, problems = spell(t, &result)
	}
	if updating() {
		rewrite(t, file, archive, policies, problems)
		return
	}
	compare(t, "policies.json", policies, string(parts["policies.json"]))
	compare(t, "problems", problems, string(parts["problems"]))
	if err == nil && string(parts["document.json"]) != "" {
		stable(t, result.Policies)
	}
}

func compare(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s is\n%s\nwant\n%s", what, got, want)
	}
}

// spell writes the policies, one indented document each, and the problems, one
// line each.
func spell(t *testing.T, r *foreign.Result) (policies, problems string) {
	t.Helper()
	var p, q bytes.Buffer
	for _, one := range r.Policies {
		data, err := policy.Marshal(one)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Indent(&p, data, "", " "); err != nil {
			t.Fatal(err)
		}
		p.WriteByte('\n')
	}
	fmt.Fprintf(&q, "format %s\n", r.Format)
	for _, one := range r.Problems {
		fmt.Fprintf(&q, "%s %s %s [%s] %s\n", one.Severity, one.Policy, one.Path, one.Code, one.Description)
	}
	return p.String(), q.String()
}

// stable checks that what was read is canonical: reading it again changes nothing.
func stable(t *testing.T, policies []*policy.Policy) {
	t.Helper()
	for _, p := range policies {
		first, err := policy.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		again, err := policy.Parse(first)
		if err != nil {
			t.Errorf("policy %s cannot be read again: %v", p.Name, err)
			continue
		}
		second, err := policy.Marshal(again)
		if err != nil || !bytes.Equal(first, second) {
			t.Errorf("policy %s is not canonical:\n%s\n%s", p.Name, first, second)
		}
	}
}

func rewrite(t *testing.T, file string, a *txtar.Archive, policies, problems string) {
	t.Helper()
	kept := a.Files[:0]
	for _, f := range a.Files {
		if f.Name != "policies.json" && f.Name != "problems" {
			kept = append(kept, f)
		}
	}
	kept = append(kept, txtar.File{Name: "policies.json", Data: []byte(policies)}, txtar.File{Name: "problems", Data: []byte(problems)})
	a.Files = kept
	if err := os.WriteFile(file, txtar.Format(a), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestReadForNamesFaultsOfBothKinds: a policy that is refused for its form is asked
// about what the account knows all the same, and those without a fault are not:
// they are for the check of the whole list.
func TestReadForNamesFaultsOfBothKinds(t *testing.T) {
	env := &policy.Environment{Skills: map[string]struct{}{"known": {}}}
	for format, document := range map[string]string{
		foreign.FormatLivePerson: `[{"name": "a", "conditions": [{"property": "b", "type": "NEAR", "value": 1}],
			"actions": [{"type": "TRANSFER_TO_SKILL", "payload": {"skillId": "missing"}}]},
			{"name": "sound", "expression": "b == 1", "actions": [{"type": "TRANSFER_TO_SKILL", "payload": {"skillId": "missing"}}]}]`,
		foreign.FormatTaskRouter: `{"task_routing": {"filters": [{"expression": "b ==", "targets": [{"queue": "missing"}]}]}}`,
		foreign.FormatUsher:      `{"name": "a", "when": {"attribute": "b", "operator": "near"}, "effect": {"fixed": {"actions": [{"type": "TRANSFER_TO_SKILL", "target": "missing"}]}}}`,
	} {
		result, err := foreign.ReadFor(format, []byte(document), env)
		if err != nil {
			t.Fatal(err)
		}
		var codes []string
		for _, p := range result.Problems {
			codes = append(codes, p.Code)
		}
		if n := strings.Count(strings.Join(codes, " "), policy.CodeUnknownSkill); n != 1 || result.Errors() < 2 {
			t.Errorf("%s: the problems are %v; want the fault of form and one unknown skill", format, result.Problems)
		}
	}
}
