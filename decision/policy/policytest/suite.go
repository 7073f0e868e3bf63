package policytest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	// Problems are what the policies' own check found. Errors among them are a
	// failure of the suite.
	Problems []policy.Problem
	cases    []Case
	defaults Case
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
	Candidates []event.Candidate      `json:"candidates"`
	Baseline   *event.Action          `json:"baseline"`
	MaxActions int                    `json:"max_actions"`

	Expect Expectation `json:"expect"`
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
	if err := strict(data, &full); err != nil {
		return err
	}
	full = policy.NormalizeAction(full)
	a.Type, a.Target, a.Payload = full.Type, full.Target, full.Payload
	return nil
}

// strict decodes JSON and refuses fields that nobody reads: a misspelt
// expectation would be one that always holds.
func strict(data []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the document")
	}
	return nil
}

// Parse reads a suite in JSON. read fetches the files that it names, as JSON. The
// error is an Invalid *fault.Error, or read's own.
func Parse(data []byte, read func(name string) ([]byte, error)) (*Suite, error) {
	var d document
	var check fault.Check
	if err := strict(data, &d); err != nil {
		check.Add("", "%s", err)
		return nil, check.Err("the tests cannot be read")
	}
	s := &Suite{Name: d.Name, cases: d.Cases, defaults: d.Defaults}
	if err := s.load(d.Policies, d.Format, read, &check); err != nil {
		return nil, err
	}
	env, err := environmentOf(d.Environment, read)
	if err != nil {
		return nil, err
	}
	s.check(&check)
	if err := check.Err("the tests are not valid"); err != nil {
		return nil, err
	}
	s.Problems = append(s.Problems, policy.Check(s.policies, env)...)
	s.set = policy.Compile(s.policies, 1, policy.WithEnvironment(env))
	return s, nil
}

// load reads the policies, inline or from files.
func (s *Suite) load(raw json.RawMessage, format string, read func(string) ([]byte, error), check *fault.Check) error {
	files, err := namesIn(raw)
	if err != nil {
		s.add("policies", raw, format, check)
	} else if len(files) == 0 {
		check.Add("policies", "is missing: name a file, or write the policies")
	}
	for _, name := range files {
		data, err := read(name)
		if err != nil {
			return err
		}
		s.add(name, data, format, check)
	}
	foreign.Order(s.policies)
	return nil
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

// add reads one document; what is wrong with it is named by the document's name.
func (s *Suite) add(name string, data []byte, format string, check *fault.Check) {
	result, err := foreign.Read(format, data)
	for _, p := range append(policy.ProblemsOf(err), result.Problems...) {
		if p.Severity == policy.Error {
			check.Add(name+": "+p.Path, "%s", p.Description)
			continue
		}
		s.Problems = append(s.Problems, p)
	}
	s.policies = append(s.policies, result.Policies...)
}

// check finds what is wrong with the cases themselves.
func (s *Suite) check(check *fault.Check) {
	if len(s.cases) == 0 {
		check.Add("cases", "is empty: a suite needs a case")
	}
	known := map[string]bool{policy.DefaultName: true, "": true}
	for _, p := range s.policies {
		known[p.Name] = true
	}
	for i := range s.cases {
		c := &s.cases[i]
		at := fmt.Sprintf("cases[%d]", i)
		if c.Waited != "" {
			if _, err := time.ParseDuration(c.Waited); err != nil {
				check.Add(at+".waited", "%q is not a time such as 45s", c.Waited)
			}
		}
		if e := c.Expect.Policy; e != nil && !known[*e] {
			check.Add(at+".expect.policy", "there is no policy %q", *e)
		}
		for name := range c.Expect.States {
			if !known[name] {
				check.Add(at+".expect.states", "there is no policy %q", name)
			}
		}
		for key := range c.Expect.Conditions {
			if name, _, ok := strings.Cut(key, "/"); !ok || !known[name] {
				check.Add(at+".expect.conditions", "%q is not a policy, a slash and the path of a condition", key)
			}
		}
	}
}
