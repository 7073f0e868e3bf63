package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/decision/policy/policytest"
)

func newPolicyTestCommand(w *world) *cobra.Command {
	var minimum float64
	var asJSON, verbose bool
	c := &cobra.Command{
		Use:   "test FILE...",
		Short: "Run tests of policies: what goes in, what must come out",
		Long: `Each file names its policies and lists cases: attributes, context, candidates and
live state in; the policy, the actions and the reasons that must come out. The
engine that answers bots decides them. Coverage counts for every condition of an
enabled policy whether the cases saw it TRUE and FALSE.

Exit code 0: all passed; 1: a case failed, the policies have errors, or too little
is covered; 2: a file cannot be read.`,
		Example: "  usher policy test policies_test.yaml --min-coverage 90",
		Args:    cobra.MinimumNArgs(1),
	}
	c.Flags().Float64Var(&minimum, "min-coverage", 0, "percent of the conditions' truth values that the cases must see, in each file")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object for each file")
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "print the cases that pass, and every condition that is not covered")
	c.RunE = func(c *cobra.Command, args []string) error {
		if minimum < 0 || minimum > 100 {
			return &usageError{fmt.Errorf("--min-coverage %g is not a percentage", minimum)}
		}
		r := testRun{world: w, minimum: minimum, json: asJSON, verbose: verbose}
		for _, name := range args {
			if err := r.file(c.Context(), name); err != nil {
				return err
			}
		}
		return r.end()
	}
	return c
}

// testRun is one run over some files.
type testRun struct {
	*world
	minimum       float64
	json, verbose bool

	cases, failed, bad int // bad: files with errors or too little coverage
}

func (r *testRun) file(ctx context.Context, name string) error {
	s, err := r.readSource(name)
	if err != nil {
		return err
	}
	if s.fault != nil {
		return &usageError{fmt.Errorf("%s:%d: %w", s.name, s.faultLine, s.fault)}
	}
	suite, err := policytest.Parse(s.json, func(inner string) ([]byte, error) { return r.beside(name, inner) })
	if err != nil {
		return inFile(name, err)
	}
	report, err := suite.Run(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	r.cases, r.failed = r.cases+len(report.Cases), r.failed+report.Failed()
	if r.json {
		return r.printJSON(name, suite, report)
	}
	r.print(name, suite, report)
	return nil
}

// beside reads a file that another one names, relative to it.
func (r *testRun) beside(name, inner string) ([]byte, error) {
	if !filepath.IsAbs(inner) {
		inner = filepath.Join(filepath.Dir(name), inner)
	}
	s, err := r.readSource(inner)
	if err != nil {
		return nil, err
	}
	if s.fault != nil {
		return nil, &usageError{fmt.Errorf("%s:%d: %w", s.name, s.faultLine, s.fault)}
	}
	return s.json, nil
}

// verdict notes what is wrong with a whole file.
func (r *testRun) verdict(suite *policytest.Suite, c *policytest.Coverage) (errs int, thin bool) {
	for _, p := range suite.Problems {
		if p.Severity == policy.Error {
			errs++
		}
	}
	// Percentages are printed with one digit; what prints as enough is enough.
	thin = c.Percent() < r.minimum-0.05
	if errs > 0 || thin {
		r.bad++
	}
	return errs, thin
}

func (r *testRun) line(format string, args ...any) { _, _ = fmt.Fprintf(r.out, format+"\n", args...) }

func (r *testRun) print(name string, suite *policytest.Suite, report *policytest.Report) {
	for _, p := range suite.Problems {
		if p.Severity == policy.Error || r.verbose {
			r.line("%s: %s %s: %s %s: %s", name, p.Severity, p.Code, p.Policy, p.Path, p.Description)
		}
	}
	for i := range report.Cases {
		one := &report.Cases[i]
		switch {
		case len(one.Failures) > 0:
			r.line("FAIL %s: %s", name, one.Name)
			for _, f := range one.Failures {
				r.difference(&f)
			}
		case r.verbose:
			r.line("ok   %s: %s", name, one.Name)
		}
	}
	c := &report.Coverage
	errs, thin := r.verdict(suite, c)
	r.line("%s: %d of %d cases passed, coverage %.1f %% of %s", name, len(report.Cases)-report.Failed(), len(report.Cases), c.Percent(),
		amount(len(c.Conditions), "condition", "conditions"))
	if errs > 0 {
		r.line("  the policies have %s", amount(errs, "error", "errors"))
	}
	if thin {
		r.line("  less than the %g %% that --min-coverage asks for", r.minimum)
	}
	if thin || r.verbose {
		for _, u := range c.Uncovered() {
			r.line("  not covered: %s %s (%s): %s", u.Policy, u.Path, u.Text, seen(&u))
		}
		for _, id := range c.Unmatched {
			r.line("  never matched: %s", id)
		}
	}
}

func seen(c *policytest.Condition) string {
	switch {
	case c.True > 0:
		return "never FALSE"
	case c.False > 0:
		return "never TRUE"
	case c.Unknown > 0:
		return "only UNKNOWN"
	}
	return "never asked"
}

// difference prints what was wanted and what came, as a diff does. Lines that are
// on both sides stand once.
func (r *testRun) difference(f *policytest.Failure) {
	r.line("  %s", f.Field)
	common := 0
	for common < len(f.Want) && common < len(f.Got) && f.Want[common] == f.Got[common] {
		r.line("      %s", f.Want[common])
		common++
	}
	for _, text := range f.Want[common:] {
		r.line("    - %s", text)
	}
	for _, text := range f.Got[common:] {
		r.line("    + %s", text)
	}
}

func (r *testRun) end() error {
	if r.failed == 0 && r.bad == 0 {
		return nil
	}
	return &outcome{code: 1, text: fmt.Sprintf("%d of %s failed, %s below the bar", r.failed, amount(r.cases, "case", "cases"), amount(r.bad, "file", "files"))}
}

// shownReport is a report as JSON.
type shownReport struct {
	File      string           `json:"file"`
	Cases     int              `json:"cases"`
	Failed    int              `json:"failed"`
	Failures  []shownFailure   `json:"failures,omitempty"`
	Coverage  float64          `json:"coverage_percent"`
	Uncovered []shownCondition `json:"uncovered,omitempty"`
	Unmatched []string         `json:"never_matched,omitempty"`
	Problems  []policy.Problem `json:"problems,omitempty"`
}

type shownFailure struct {
	Case  string   `json:"case"`
	Field string   `json:"field"`
	Want  []string `json:"want"`
	Got   []string `json:"got"`
}

type shownCondition struct {
	Policy    string `json:"policy"`
	Path      string `json:"path"`
	Condition string `json:"condition"`
	True      int    `json:"true"`
	False     int    `json:"false"`
	Unknown   int    `json:"unknown"`
}

func (r *testRun) printJSON(name string, suite *policytest.Suite, report *policytest.Report) error {
	c := &report.Coverage
	r.verdict(suite, c)
	out := shownReport{
		File: name, Cases: len(report.Cases), Failed: report.Failed(), Coverage: c.Percent(), Unmatched: c.Unmatched, Problems: suite.Problems,
	}
	for _, one := range report.Cases {
		for _, f := range one.Failures {
			out.Failures = append(out.Failures, shownFailure{one.Name, f.Field, f.Want, f.Got})
		}
	}
	for _, u := range c.Uncovered() {
		out.Uncovered = append(out.Uncovered, shownCondition{u.Policy, u.Path, u.Text, u.True, u.False, u.Unknown})
	}
	enc := json.NewEncoder(r.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(out)
}
