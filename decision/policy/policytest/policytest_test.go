package policytest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/usherhq/usher/decision/policy/policytest"
	"github.com/usherhq/usher/internal/fault"
)

// files are the parts of an archive, as a reader for Parse.
func files(t *testing.T, name string) func(string) ([]byte, error) {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return func(name string) ([]byte, error) {
		for _, f := range archive.Files {
			if f.Name == name {
				return f.Data, nil
			}
		}
		return nil, fmt.Errorf("%s: %w", name, os.ErrNotExist)
	}
}

func run(t *testing.T, name string) *policytest.Report {
	t.Helper()
	read := files(t, name)
	data, err := read("suite.json")
	if err != nil {
		t.Fatal(err)
	}
	suite, err := policytest.Parse(data, read)
	if err != nil {
		t.Fatal(err)
	}
	report, err := suite.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// A suite that is right in every field of the expectation passes.
func TestPassing(t *testing.T) {
	report := run(t, "passing.txtar")
	for _, c := range report.Cases {
		for _, f := range c.Failures {
			t.Errorf("%s: %s is %v, want %v", c.Name, f.Field, f.Got, f.Want)
		}
	}
	if got := report.Coverage.Percent(); got != 100 {
		t.Errorf("coverage is %.1f %%, want 100: %+v", got, report.Coverage.Uncovered())
	}
	if len(report.Coverage.Unmatched) != 0 {
		t.Errorf("never matched: %v", report.Coverage.Unmatched)
	}
}

// Every field of an expectation can fail, and names what came instead.
func TestFailing(t *testing.T) {
	report := run(t, "failing.txtar")
	var got []string
	for _, c := range report.Cases {
		for _, f := range c.Failures {
			got = append(got, fmt.Sprintf("%s: %s: want %v got %v", c.Name, f.Field, f.Want, f.Got))
		}
	}
	want, err := files(t, "failing.txtar")("want")
	if err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(got, "\n") + "\n"; text != string(want) {
		t.Errorf("failures are\n%swant\n%s", text, want)
	}
	if report.Failed() != len(report.Cases) {
		t.Errorf("%d of %d cases fail", report.Failed(), len(report.Cases))
	}
}

// Coverage counts truth values, not conditions: one that was only ever TRUE is
// half covered, and one that was never asked not at all.
func TestCoverage(t *testing.T) {
	c := run(t, "coverage.txtar").Coverage
	if got := c.Percent(); math.Abs(got-100*3.0/8) > 1e-9 {
		t.Errorf("coverage is %v %%, want 3 of 8", got)
	}
	var uncovered []string
	for _, one := range c.Uncovered() {
		uncovered = append(uncovered, fmt.Sprintf("%s/%s %d/%d", one.Policy, one.Path, one.True, one.False))
	}
	want := []string{"first/when.all[1] 2/0", "second/when.not 0/0", "second/exception.when 0/0"}
	if !slices.Equal(uncovered, want) {
		t.Errorf("uncovered are %v, want %v", uncovered, want)
	}
	if !slices.Equal(c.Unmatched, []string{"second"}) {
		t.Errorf("unmatched are %v", c.Unmatched)
	}
}

// What is wrong with a suite is said before anything runs.
func TestParseFaults(t *testing.T) {
	policies := `[{"name": "p", "effect": {"fixed": {"actions": [{"target": "a"}]}}}]`
	for name, c := range map[string]struct{ document, want string }{
		"misspelt expectation": {`{"policies": ` + policies + `, "cases": [{"expect": {"polcy": "p"}}]}`, "polcy"},
		"no cases":             {`{"policies": ` + policies + `}`, "cases"},
		"no policies":          {`{"cases": [{}]}`, "policies"},
		"bad waited":           {`{"policies": ` + policies + `, "cases": [{"waited": "soon"}]}`, "cases[0].waited"},
		"bad environment":      {`{"policies": ` + policies + `, "environment": {"attributes": {"a": "strin"}}, "cases": [{}]}`, "attributes.a"},
		"bad condition key":    {`{"policies": ` + policies + `, "cases": [{"expect": {"conditions": {"when": "TRUE"}}}]}`, "expect.conditions"},
		"no such file":         {`{"policies": "gone.json", "environment": "gone.json", "cases": [{}]}`, "environment: cannot be read: "},
		"a key twice":          {`{"policies": ` + policies + `, "cases": [{"name": "a", "name": "b"}]}`, "cases[0].name: stands twice"},
		"not JSON":             {`{`, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := policytest.Parse([]byte(c.document), func(string) ([]byte, error) { return nil, os.ErrNotExist })
			if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want an invalid one about %q", err, c.want)
			}
		})
	}
}

// Every fault of a suite and of its environment is named at once, with its place.
func TestEveryFault(t *testing.T) {
	read := files(t, "faults.txtar")
	data, err := read("suite.json")
	if err != nil {
		t.Fatal(err)
	}
	want, err := read("want")
	if err != nil {
		t.Fatal(err)
	}
	_, err = policytest.Parse(data, read)
	f, ok := errors.AsType[*fault.Error](err)
	if !ok {
		t.Fatalf("the error is %v", err)
	}
	var got strings.Builder
	for _, v := range f.Violations {
		fmt.Fprintf(&got, "%s: %s\n", v.Field, v.Description)
	}
	if got.String() != string(want) {
		t.Errorf("the faults are\n%swant\n%s", got.String(), want)
	}
}

// Policies with errors and names of policies that are not there fail a suite; what
// can be decided is decided.
func TestFaultyPolicies(t *testing.T) {
	read := files(t, "faulty.txtar")
	data, err := read("suite.json")
	if err != nil {
		t.Fatal(err)
	}
	suite, err := policytest.Parse(data, read)
	if err != nil {
		t.Fatal(err)
	}
	var problems []string
	for _, p := range suite.Problems {
		problems = append(problems, p.File+" "+p.Policy+" "+p.Path+" "+p.Code)
	}
	wanted := []string{"policies.json bad [1].effect.fixed.actions MISSING", "broken.json   INVALID"}
	if !slices.Equal(problems, wanted) {
		t.Errorf("the problems are %q, want %q", problems, wanted)
	}
	report, err := suite.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	notes := map[string]string{}
	for _, c := range report.Cases {
		for _, f := range c.Failures {
			notes[c.Name] = f.Note
		}
	}
	want := map[string]string{
		"unknown": `there is no policy "godl", only gold`, "faulty": `the policy "bad" has errors`, "state": `there is no policy "godl", only gold`, "only": "",
	}
	if !maps.Equal(notes, want) {
		t.Errorf("the failures are %q, want %q", notes, want)
	}
	why := report.Cases[1].Why
	if len(why) != 1 || why[0].Policy != "gold" || len(why[0].Conditions) != 1 || why[0].Conditions[0].Actual != "gold" {
		t.Errorf("the reason of a failure is %+v, want the condition of gold with its value", why)
	}
}

// A run ends with its context.
func TestCancelled(t *testing.T) {
	read := files(t, "passing.txtar")
	data, err := read("suite.json")
	if err != nil {
		t.Fatal(err)
	}
	suite, err := policytest.Parse(data, read)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := suite.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
}

// FuzzParse: a suite is refused or runs; nothing else happens.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"passing", "failing", "coverage"} {
		archive, err := txtar.ParseFile("testdata/" + name + ".txtar")
		if err != nil {
			f.Fatal(err)
		}
		for _, part := range archive.Files {
			if json.Valid(part.Data) {
				f.Add(part.Data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		suite, err := policytest.Parse(data, func(string) ([]byte, error) { return data, nil })
		if err != nil {
			return
		}
		report, err := suite.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if p := report.Coverage.Percent(); p < 0 || p > 100 {
			t.Fatalf("coverage is %v", p)
		}
	})
}
