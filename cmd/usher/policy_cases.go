package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/decision/policy/policytest"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/event"
)

func newPolicyTestCommand(w *world) *cobra.Command {
	var minimum float64
	var asJSON, verbose bool
	c := &cobra.Command{
		Use:   "test FILE...",
		Short: "Run tests of policies: what goes in, what must come out",
		Long: `Each file names its policies and lists cases: attributes, context, candidates and
live state in; the policy, the actions and the reasons that must come out. The
engine that answers bots decides them. A case that fails shows what was expected
beside what came, and why: each condition with the value it saw. Coverage counts for
every condition of an enabled policy whether the cases saw it TRUE and FALSE.

Exit code 0: all passed; 1: a case failed or names a policy that is not there, the
policies have errors, or too little is covered; 2: a file of tests cannot be read or
says what tests cannot say.`,
		Example: "  usher policy test policies_test.yaml --min-coverage 90\n  usher policy test *_test.yaml --json",
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
		return r.end(len(args))
	}
	return c
}

// testRun is one run over some files.
type testRun struct {
	*world
	minimum       float64
	json, verbose bool

	cases, failed, bad, unread int // bad: files with errors or too little coverage
}

// testFile is one file of tests with the files that it names.
type testFile struct {
	*source
	others map[string]*source
}

// file runs one file. What is wrong with it is told and counted: the files after it
// run all the same. The error is about the run.
func (r *testRun) file(ctx context.Context, name string) error {
	s, err := r.readSource(name)
	if err != nil {
		r.cannot(err)
		return nil
	}
	if s.fault != nil {
		r.cannot(s.unreadable())
		return nil //nolint:nilerr // told and counted
	}
	f := testFile{source: s, others: map[string]*source{}}
	suite, err := policytest.Parse(s.json, func(inner string) ([]byte, error) { return r.beside(&f, name, inner) })
	if err != nil {
		r.cannot(s.place(err, f.others))
		return nil
	}
	report, err := suite.Run(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	r.cases, r.failed = r.cases+len(report.Cases), r.failed+report.Failed()
	if r.json {
		return r.printJSON(name, suite, report)
	}
	r.print(&f, suite, report)
	return nil
}

// cannot tells why a file of tests does not run.
func (r *testRun) cannot(err error) {
	r.unread++
	_, _ = fmt.Fprintln(r.err, explain(err)) // what cannot be printed cannot be reported either
}

// beside reads a file that another one names, relative to it.
func (r *testRun) beside(f *testFile, name, inner string) ([]byte, error) {
	at := inner
	if !filepath.IsAbs(at) {
		at = filepath.Join(filepath.Dir(name), at)
	}
	s, err := r.readSource(at)
	if err != nil {
		return nil, err
	}
	f.others[inner] = s
	if s.fault != nil {
		var check fault.Check
		check.Add("", "%s", s.fault)
		return nil, check.Err("the file cannot be read")
	}
	return s.json, nil
}

// placed finds the lines of problems.
func (f *testFile) placed(list []policytest.Problem) []placed {
	out := make([]placed, len(list))
	names := []string{f.name}
	for i, p := range list {
		home := f.source
		if other := f.others[p.File]; other != nil {
			home = other
		}
		out[i] = placed{Problem: p.Problem, file: home.name, line: home.faultLine}
		if home.fault == nil {
			out[i].line = home.lineOf(&p.Problem, "")
		}
		if !slices.Contains(names, home.name) {
			names = append(names, home.name)
		}
	}
	sortPlaced(out, names)
	return out
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

func (r *testRun) print(f *testFile, suite *policytest.Suite, report *policytest.Report) {
	list := f.placed(suite.Problems)
	if !r.verbose {
		list = slices.DeleteFunc(list, func(p placed) bool { return p.Severity != policy.Error })
	}
	printProblems(r.world, list)
	for i := range report.Cases {
		one := &report.Cases[i]
		switch {
		case len(one.Failures) > 0:
			r.line("FAIL %s:%d: %s", shown(f.name), f.line(one.At), shown(one.Name))
			_, _ = r.out.Write([]byte(failure(one)))
		case r.verbose:
			r.line("ok   %s:%d: %s", shown(f.name), f.line(one.At), shown(one.Name))
		}
	}
	c := &report.Coverage
	errs, thin := r.verdict(suite, c)
	r.line("%s: %d of %s passed, coverage %.1f %% of %s", shown(f.name), len(report.Cases)-report.Failed(), amount(len(report.Cases), "case", "cases"),
		c.Percent(), amount(len(c.Conditions), "condition", "conditions"))
	if errs > 0 {
		r.line("  the policies have %s", amount(errs, "error", "errors"))
	}
	if thin {
		r.line("  less than the %g %% that --min-coverage asks for", r.minimum)
	}
	if thin || r.verbose {
		for _, u := range c.Uncovered() {
			r.line("  not covered: %s %s (%s): %s", shown(u.Policy), u.Path, shown(u.Text), seen(&u))
		}
		for _, id := range c.Unmatched {
			r.line("  never matched: %s", shown(id))
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

// failure tells what was expected beside what came, and why it came.
func failure(one *policytest.Result) string {
	var p page
	rows := [][]string{{"", "EXPECTED", "GOT"}}
	for _, f := range one.Failures {
		for i := range max(len(f.Want), len(f.Got), 1) {
			row := []string{"", "", ""}
			if i == 0 {
				row[0] = f.Field
			}
			if i < len(f.Want) {
				row[1] = f.Want[i]
			}
			if i < len(f.Got) {
				row[2] = f.Got[i]
			}
			rows = append(rows, row)
		}
	}
	p.table(rows)
	for _, f := range one.Failures {
		if f.Note != "" {
			p.line("  %s", f.Note)
		}
	}
	if d := event.DecisionToProto(&event.Decision{Policies: one.Why}); len(one.Why) > 0 {
		if one.Decision != nil {
			d.Policy = one.Decision.Policy
		}
		p.line("  why:")
		for _, t := range d.GetPolicies() {
			p.trace("    ", d, t)
		}
	}
	return p.text.String()
}

func (r *testRun) end(files int) error {
	switch {
	case r.unread > 0:
		text := fmt.Sprintf("%d of %s cannot be run", r.unread, amount(files, "file", "files"))
		if r.cases > 0 {
			text += fmt.Sprintf("; of the others %d of %s failed", r.failed, amount(r.cases, "case", "cases"))
		}
		return &outcome{code: 2, text: text}
	case r.failed == 0 && r.bad == 0:
		return nil
	}
	text := fmt.Sprintf("%d of %s failed", r.failed, amount(r.cases, "case", "cases"))
	if r.bad > 0 {
		text += fmt.Sprintf("; %s with errors or too little coverage", amount(r.bad, "file", "files"))
	}
	return &outcome{code: 1, text: text}
}

// shownReport is a report as JSON.
type shownReport struct {
	File      string               `json:"file"`
	Cases     int                  `json:"cases"`
	Failed    int                  `json:"failed"`
	Failures  []shownFailure       `json:"failures,omitempty"`
	Coverage  float64              `json:"coverage_percent"`
	Uncovered []shownCondition     `json:"uncovered,omitempty"`
	Unmatched []string             `json:"never_matched,omitempty"`
	Problems  []policytest.Problem `json:"problems,omitempty"`
}

type shownFailure struct {
	Case  string   `json:"case"`
	Field string   `json:"field"`
	Want  []string `json:"want"`
	Got   []string `json:"got"`
	Note  string   `json:"note,omitempty"`
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
			out.Failures = append(out.Failures, shownFailure{one.Name, f.Field, f.Want, f.Got, f.Note})
		}
	}
	for _, u := range c.Uncovered() {
		out.Uncovered = append(out.Uncovered, shownCondition{u.Policy, u.Path, u.Text, u.True, u.False, u.Unknown})
	}
	enc := json.NewEncoder(r.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(out)
}
