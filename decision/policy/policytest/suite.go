package policytest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/decision/policy/foreign"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/event"
)

// Suite is one file of tests with the policies that they are about. It is
// immutable; Run may be called many times.
type Suite struct {
	Name     string
	policies []*policy.Policy
	set      *policy.Set
	// Problems are what is wrong with the policies. Errors among them are a failure
	// of the suite; its cases are decided by the policies that have none.
	Problems []Problem
	cases    []Case
	defaults Case
	// known are the policies by id, faulty those that have errors; files says where
	// they were read.
	known, faulty map[string]bool
	files         map[string]string
}

// Problem is a problem of a policy with the file that the suite names; empty when
// the policies stand in the suite itself. Path is a place of that file, or of the
// policy when it was found among the policies as a whole.
type Problem struct {
	policy.Problem
	File string `json:"file,omitempty"`
}

// document is a suite as it is written.
type document struct {
	Name string `json:"name"`
	// Policies names a file, lists files, or holds the policies.
	Policies json.RawMessage `json:"policies"`
	// Format of the policies, see package foreign; found out when empty.
	Format string `json:"format"`
	// Environment names a file or is an [EnvironmentDocument].
	Environment json.RawMessage `json:"environment"`
	// Defaults hold for every case that does not say otherwise.
	Defaults Case   `json:"defaults"`
	Cases    []Case `json:"cases"`
}

// Case is one conversation and what must become of it.
type Case struct {
	Name string `json:"name"`
	// Now is the decision's clock, RFC 3339.
	Now            time.Time `json:"now"`
	RequestID      string    `json:"request_id"`
	ConversationID string    `json:"conversation_id"`
	ConsumerID     string    `json:"consumer_id"`
	VisitorID      string    `json:"visitor_id"`
	SessionID      string    `json:"session_id"`
	Channel        string    `json:"channel"`
	Intent         string    `json:"intent"`
	UserMessage    string    `json:"user_message"`
	// Waited is how long the conversation has waited in the steps of a policy, such
	// as "45s".
	Waited string `json:"waited"`
	// Only asks this one policy, and the default after it.
	Only string `json:"only"`
	// Attributes by name; names may be dotted or nested.
	Attributes map[string]any `json:"attributes"`
	// Context is what the context store holds: namespace, property, value.
	Context map[string]map[string]any `json:"context"`
	// Skills is the live state by skill.
	Skills     map[string]event.Skill `json:"skills"`
	Candidates []Candidate            `json:"candidates"`
	Baseline   *event.Action          `json:"baseline"`
	MaxActions int                    `json:"max_actions"`

	Expect Expectation `json:"expect"`
}

// Candidate is what a caller offers: an action and what is known of it.
type Candidate struct {
	event.Action
	Attributes map[string]any `json:"attributes"`
}

// Expectation is what must come out; what is absent is not compared.
type Expectation struct {
	// Policy is the id of the policy that decides; "" that none does, "default" that
	// the default policy does.
	Policy *string `json:"policy"`
	// Actions are all of the answer, in order. A text is an action with that target,
	// or of that type; a payload is compared when it is given.
	Actions []ExpectedAction `json:"actions"`
	// Reasons must all be among the decision's.
	Reasons []string `json:"reasons"`
	// Denied candidates by key, no more and no fewer.
	Denied    []string `json:"denied"`
	DecidedBy string   `json:"decided_by"`
	NoMatch   string   `json:"no_match_reason"`
	Step      *int     `json:"step"`
	// Conditions by policy and path, such as gold/when.all[0]: TRUE, FALSE, UNKNOWN.
	Conditions map[string]string `json:"conditions"`
	// States by policy: TRUE, FALSE, UNKNOWN, DISABLED and so on.
	States map[string]string `json:"states"`
}

// ExpectedAction is an action, or the target of one.
type ExpectedAction struct {
	Key     string
	Type    string
	Target  string
	Payload map[string]any
}

// UnmarshalJSON reads a text as the action's key.
func (a *ExpectedAction) UnmarshalJSON(data []byte) error {
	if json.Unmarshal(data, &a.Key) == nil {
		return nil
	}
	var full event.Action
	if err := json.Unmarshal(data, &full); err != nil {
		return err
	}
	full = policy.NormalizeAction(full)
	a.Type, a.Target, a.Payload = full.Type, full.Target, full.Payload
	return nil
}

func (ExpectedAction) full() reflect.Type { return reflect.TypeFor[event.Action]() }

// Parse reads a suite in JSON. read fetches the files that it names, as JSON; an
// Invalid error of it is what is wrong with that file. The error is an Invalid
// *fault.Error with every fault of the suite. Faults of the policies are none: they
// are among the Problems.
func Parse(data []byte, read func(name string) ([]byte, error)) (*Suite, error) {
	var d document
	var check fault.Check
	broken := strict(data, &d, &check)
	s := &Suite{
		Name: d.Name, cases: d.Cases, defaults: d.Defaults,
		known: map[string]bool{policy.DefaultName: true, "": true}, faulty: map[string]bool{}, files: map[string]string{},
	}
	if !broken {
		s.load(d.Policies, d.Format, read, &check)
		s.check(&check)
	}
	env := environmentOf(d.Environment, read, &check)
	if err := check.Err("the tests are not valid"); err != nil {
		return nil, err
	}
	for _, p := range policy.Check(s.policies, env) {
		s.problem(Problem{Problem: p, File: s.files[p.Policy]})
	}
	s.set = policy.Compile(s.policies, 1, policy.WithEnvironment(env))
	return s, nil
}

// load reads the policies, inline or from files.
func (s *Suite) load(raw json.RawMessage, format string, read func(string) ([]byte, error), check *fault.Check) {
	files, err := namesIn(raw)
	if err != nil {
		s.add("", raw, format)
	} else if len(files) == 0 {
		check.Add("policies", "is missing: name a file, or write the policies")
	}
	for _, name := range files {
		data, err := read(name)
		switch {
		case fault.KindOf(err) == fault.Invalid:
			for _, p := range policy.ProblemsOf(err) {
				s.problem(Problem{Problem: p, File: name})
			}
		case err != nil:
			check.Add("policies", "cannot be read: %s", err)
		default:
			s.add(name, data, format)
		}
	}
	foreign.Order(s.policies)
}

// namesIn reads a text or a list of texts; an error says that it is something else.
func namesIn(raw json.RawMessage) ([]string, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return []string{one}, nil
	}
	var list []string
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("read file names: %w", err)
	}
	return list, nil
}

// add reads one document of policies; without a name it is the suite's own.
func (s *Suite) add(name string, data []byte, format string) {
	result, err := foreign.Read(format, data)
	whole := policy.ProblemsOf(err)
	for i, p := range whole {
		// The document's own faults are about the format or the document.
		whole[i].Path, whole[i].Description = "", strings.TrimSpace("the "+p.Path+" "+p.Description)
	}
	for _, p := range append(whole, result.Problems...) {
		if name == "" {
			p.Path = strings.TrimSuffix(strings.ReplaceAll("policies."+p.Path, "policies.[", "policies["), ".")
		}
		s.problem(Problem{Problem: p, File: name})
	}
	for _, p := range result.Policies {
		if s.known[p.Name] && p.Name != policy.DefaultName {
			continue // the check of the list tells it
		}
		s.known[p.Name], s.files[p.Name] = true, name
	}
	s.policies = append(s.policies, result.Policies...)
}

// problem notes what is wrong with a policy.
func (s *Suite) problem(p Problem) {
	if slices.ContainsFunc(s.Problems, func(o Problem) bool {
		return o.Policy == p.Policy && o.Code == p.Code && o.Description == p.Description && o.File == p.File
	}) {
		return // reading found it, too
	}
	s.Problems = append(s.Problems, p)
	if p.Severity == policy.Error && p.Policy != "" {
		s.known[p.Policy], s.faulty[p.Policy] = true, true
	}
}

// check finds what is wrong with the cases themselves.
func (s *Suite) check(check *fault.Check) {
	if len(s.cases) == 0 {
		check.Add("cases", "is empty: a suite needs a case")
	}
	waited("defaults", &s.defaults, check)
	for i := range s.cases {
		at := fmt.Sprintf("cases[%d]", i)
		waited(at, &s.cases[i], check)
		for _, key := range sortedKeys(s.cases[i].Expect.Conditions) {
			if name, path, _ := strings.Cut(key, "/"); name == "" || path == "" {
				check.Add(at+".expect.conditions."+key, "must be a policy, a slash and the path of a condition, such as gold/when.all[0]")
			}
		}
	}
}

func waited(at string, c *Case, check *fault.Check) {
	if c.Waited == "" {
		return
	}
	if d, err := time.ParseDuration(c.Waited); err != nil || d < 0 {
		check.Add(at+".waited", "%q is not a time such as 45s", c.Waited)
	}
}

// doubt says why a policy cannot be as a case expects; empty when it can.
func (s *Suite) doubt(name string) string {
	switch {
	case s.faulty[name]:
		return "the policy " + strconv.Quote(name) + " has errors"
	case s.known[name]:
		return ""
	}
	const most = 12
	others := sortedKeys(s.files)
	if len(others) > most {
		others = append(others[:most:most], "others")
	}
	return fmt.Sprintf("there is no policy %q, only %s", name, strings.Join(others, ", "))
}
