package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/decision/policy/foreign"
	"github.com/usherhq/usher/decision/policy/policytest"
)

func newPolicyCommand(w *world) *cobra.Command {
	c := &cobra.Command{
		Use:   "policy",
		Short: "Check, test, compare, import, simulate and publish policies",
		Long: `Policies are JSON or YAML files: one policy, a list, or {"policies": [...]}. Files of
LivePerson, Twilio TaskRouter and Amazon Connect are read too. check and test need
no server; the others talk to one, see --server and --token.`,
		Example: `  usher policy check policies.yaml --env catalogue.yaml
  usher policy test policies_test.yaml --min-coverage 90
  usher policy import liveperson.json --draft move --dry-run
  usher policy simulate --since 7d --draft policies.yaml --max-changed 5
  usher policy diff live policies.yaml
  usher policy publish move --reason "moved"
  usher policy report --since 30d`,
	}
	c.AddCommand(newPolicyCheckCommand(w), newPolicyTestCommand(w), newPolicyDiffCommand(w),
		newPolicyImportCommand(w), newPolicyExportCommand(w), newPolicySimulateCommand(w), newPolicyReportCommand(w),
		newPolicyPublishCommand(w), newPolicyRollbackCommand(w), newPolicyRevisionsCommand(w), newPolicyDraftCommand(w), newPolicyMoveCommand(w),
		newPolicySwitchCommand(w, "enable", "Put a policy to work"), newPolicySwitchCommand(w, "disable", "Take a policy out of work and keep it"))
	return c
}

// outcome is the end of a command that did its work and has bad news. It was told
// already; text is the last line, code the exit code.
type outcome struct {
	code int
	text string
}

func (o *outcome) Error() string { return o.text }

func newPolicyCheckCommand(w *world) *cobra.Command {
	var format, environment string
	var strict bool
	c := &cobra.Command{
		Use:   "check FILE...",
		Short: "Find every error and warning of policy files",
		Long: `Reads the files as one list, in the order given, and prints every error and warning
with file, line and what to do. Exit code 0: no errors; 1: errors, or warnings with
--strict; 2: a file cannot be opened.`,
		Example: "  usher policy check policies.yaml\n  usher policy check export.json --format liveperson --env catalogue.yaml --strict",
		Args:    cobra.MinimumNArgs(1),
	}
	c.Flags().StringVar(&format, "format", "", formatUsage())
	c.Flags().StringVar(&environment, "env", "", "file with attributes, skills, calendars and so on that the policies may use")
	c.Flags().BoolVar(&strict, "strict", false, "warnings count as errors")
	c.RunE = func(_ *cobra.Command, args []string) error {
		env, err := w.environmentFile(environment)
		if err != nil {
			return err
		}
		list, err := w.readPolicies(args, format, env)
		if err != nil {
			return err
		}
		list.check(env)
		return list.report(w, strict)
	}
	return c
}

func formatUsage() string {
	return "format of the policies: " + strings.Join(foreign.Formats(), ", ") + "; found out when empty"
}

// environmentFile reads what policies may speak of; without a name it checks
// nothing.
func (w *world) environmentFile(name string) (*policy.Environment, error) {
	if name == "" {
		return nil, nil
	}
	s, err := w.readSource(name)
	if err != nil {
		return nil, err
	}
	if s.fault != nil {
		return nil, s.unreadable()
	}
	env, err := policytest.ParseEnvironment(s.json)
	if err != nil {
		return nil, s.place(err, nil)
	}
	return env, nil
}

// placed is a problem with where it stands.
type placed struct {
	policy.Problem
	file string
	line int
}

// policyFiles are the policies of some files, as one list.
type policyFiles struct {
	policies []*policy.Policy
	problems []placed
	homes    map[string]home // by policy
	silent   map[string]bool
	// files are in the order they were read; faulty counts the policies with errors
	// that are not among policies.
	files  []string
	faulty int
}

// home is where a policy was read.
type home struct {
	source *source
	path   string
}

// readPolicies reads files that hold policies. Only files that cannot be opened
// are errors; everything else is among the problems. Policies with errors are
// checked against env here, the others by check.
func (w *world) readPolicies(names []string, format string, env *policy.Environment) (*policyFiles, error) {
	list := &policyFiles{homes: map[string]home{}, silent: map[string]bool{}}
	for _, name := range names {
		s, err := w.readSource(name)
		if err != nil {
			return nil, err
		}
		list.read(s, format, env)
	}
	foreign.Order(list.policies)
	return list, nil
}

func (l *policyFiles) read(s *source, format string, env *policy.Environment) {
	l.files = append(l.files, s.name)
	if s.fault != nil {
		l.add(s, policy.Problem{Severity: policy.Error, Code: policy.CodeInvalid, Description: s.fault.Error()})
		l.problems[len(l.problems)-1].line = s.faultLine
		return
	}
	result, err := foreign.ReadFor(format, s.json, env)
	for _, p := range policy.ProblemsOf(err) {
		// The document's own faults are about the format or the document.
		if p.Path != "" {
			p.Description = "the " + p.Path + " " + p.Description
		}
		p.Path = ""
		l.add(s, p)
	}
	faulty := map[string]bool{}
	for _, p := range result.Problems {
		l.add(s, p)
		if p.Severity == policy.Error {
			faulty[policyOf(p.Path)] = true
		}
	}
	delete(faulty, "")
	l.faulty += len(faulty)
	for _, p := range result.Policies {
		if first, twice := l.homes[p.Name]; twice {
			l.add(s, policy.Problem{
				Severity: policy.Error, Policy: p.Name, Code: policy.CodeDuplicatePolicy,
				Description: fmt.Sprintf("the id stands in %s too; give one of them another name", first.source.name),
			})
			continue
		}
		l.homes[p.Name] = home{source: s, path: s.policyPath(p)}
		l.policies = append(l.policies, p)
		if result.Silent[p.Name] {
			l.silent[p.Name] = true
		}
	}
}

// policyOf is where the policy of a list stands that a path goes into; empty when
// the path is of no policy of a list.
func policyOf(path string) string {
	end := strings.IndexByte(path, ']')
	return path[:end+1]
}

func (l *policyFiles) add(s *source, p policy.Problem) {
	l.problems = append(l.problems, placed{Problem: p, file: s.name, line: s.line(p.Path)})
}

// check adds what the policies' own check finds in the whole list. What reading
// found already is not told twice.
func (l *policyFiles) check(env *policy.Environment) {
	told := map[string]bool{}
	for i := range l.problems {
		told[l.problems[i].Policy+"\x00"+l.problems[i].Code+"\x00"+l.problems[i].Description] = true
	}
	for _, p := range policy.Check(l.policies, env, policy.At(time.Now())) {
		if told[p.Policy+"\x00"+p.Code+"\x00"+p.Description] {
			continue
		}
		at := l.homes[p.Policy]
		one := placed{Problem: p}
		if at.source != nil {
			one.file, one.line = at.source.name, at.source.within(at.path, p.Path)
		}
		l.problems = append(l.problems, one)
	}
}

func (l *policyFiles) count(severity policy.Severity) (n int) {
	for i := range l.problems {
		if l.problems[i].Severity == severity {
			n++
		}
	}
	return n
}

// report prints the problems to standard output, one or two lines each, and says
// on standard error how it stands.
func (l *policyFiles) report(w *world, strict bool) error {
	sortPlaced(l.problems, l.files)
	printProblems(w, l.problems)
	errs, warnings := l.count(policy.Error), l.count(policy.Warning)
	summary := fmt.Sprintf("%s, %s, %s", amount(len(l.policies)+l.faulty, "policy", "policies"), amount(errs, "error", "errors"), amount(warnings, "warning", "warnings"))
	if errs > 0 || strict && warnings > 0 {
		return &outcome{code: 1, text: summary}
	}
	_, err := fmt.Fprintln(w.err, summary)
	return err
}

func printProblems(w *world, list []placed) {
	for i := range list {
		p := &list[i]
		place := p.file
		if p.line > 0 {
			place = fmt.Sprintf("%s:%d", p.file, p.line)
		}
		about := strings.Trim(p.Policy+" "+p.Path, " ")
		if about != "" {
			about += ": "
		}
		// What cannot be printed cannot be reported either.
		_, _ = fmt.Fprintf(w.out, "%s: %s %s: %s%s\n", shown(place), strings.ToLower(string(p.Severity)), p.Code, shown(about), shown(p.Description))
	}
}

func amount(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func joinPath(path, rest string) string {
	if path == "" || rest == "" {
		return path + rest
	}
	return path + "." + rest
}

// isFile tells a file's name from a draft's id or a revision. A folder of that name
// is neither: the data folder is called "data" by default, and so may a draft be.
func isFile(name string) bool {
	if name == "-" || strings.ContainsAny(name, "/\\") || filepath.Ext(name) != "" {
		return true
	}
	info, err := os.Stat(name)
	return err == nil && !info.IsDir()
}
