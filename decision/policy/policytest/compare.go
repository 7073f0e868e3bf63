package policytest

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/pipeline/event"
)

// compare lists what is not as expected.
func (e *Expectation) compare(d *event.Decision, s *Suite) []Failure {
	c := comparison{}
	if e.Policy != nil {
		c.about("policy", s.doubt(*e.Policy), *e.Policy, decider(d, s.set))
	}
	if e.Actions != nil {
		c.actions(e.Actions, d.Actions)
	}
	for _, reason := range e.Reasons {
		if !slices.Contains(d.Reasons, reason) {
			c.add("reasons", []string{reason}, d.Reasons)
		}
	}
	if e.Denied != nil {
		c.denied(e.Denied, d.Candidates)
	}
	if e.DecidedBy != "" {
		c.text("decided_by", e.DecidedBy, string(d.DecidedBy))
	}
	if e.NoMatch != "" {
		c.text("no_match_reason", e.NoMatch, d.NoMatchReason)
	}
	if e.Step != nil {
		c.text("step", strconv.Itoa(*e.Step), strconv.Itoa(d.Step))
	}
	c.traces(e, d.Policies, s)
	return c.failures
}

// decider names the policy that decided. The default one is recorded by who
// decided, not by name; so is the account's own default, which is no policy.
func decider(d *event.Decision, set *policy.Set) string {
	if d.Policy == "" && d.DecidedBy == event.DecidedByDefault && set.Default() != nil {
		return policy.DefaultName
	}
	return d.Policy
}

type comparison struct{ failures []Failure }

func (c *comparison) add(field string, want, got []string) {
	c.failures = append(c.failures, Failure{Field: field, Want: want, Got: got})
}

func (c *comparison) text(field, want, got string) {
	if want != got {
		c.add(field, []string{orNone(want)}, []string{orNone(got)})
	}
}

// about compares what is said of a policy that may not be what the case takes it for.
func (c *comparison) about(field, doubt, want, got string) {
	if doubt == "" {
		c.text(field, want, got)
		return
	}
	c.failures = append(c.failures, Failure{Field: field, Want: []string{orNone(want)}, Got: []string{orNone(got)}, Note: doubt})
}

func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}

func (c *comparison) actions(want []ExpectedAction, got []event.Action) {
	same := len(want) == len(got)
	for i := 0; same && i < len(want); i++ {
		same = want[i].fits(&got[i])
	}
	if same {
		return
	}
	wantLines, gotLines := make([]string, len(want)), make([]string, len(got))
	for i := range want {
		wantLines[i] = want[i].spell()
	}
	for i := range got {
		gotLines[i] = spell(got[i])
	}
	c.add("actions", wantLines, gotLines)
}

func (a *ExpectedAction) fits(got *event.Action) bool {
	if a.Key != "" {
		return got.Key() == a.Key
	}
	if a.Type != "" && a.Type != got.Type || a.Target != got.Target {
		return false
	}
	return a.Payload == nil || reflect.DeepEqual(plain(a.Payload), plain(got.Payload))
}

// plain turns a payload into what JSON makes of it, so that numbers compare.
func plain(v any) any {
	data, err := json.Marshal(v)
	if err != nil {
		return v
	}
	var out any
	if json.Unmarshal(data, &out) != nil {
		return v
	}
	return out
}

func (a *ExpectedAction) spell() string {
	if a.Key != "" {
		return a.Key
	}
	return spell(event.Action{Type: a.Type, Target: a.Target, Payload: a.Payload})
}

func spell(a event.Action) string {
	data, err := json.Marshal(a)
	if err != nil {
		return a.Key()
	}
	return string(data)
}

func (c *comparison) denied(want []string, candidates []event.Candidate) {
	got := []string{}
	for i := range candidates {
		if !candidates[i].Eligible {
			got = append(got, candidates[i].Key())
		}
	}
	want = slices.Sorted(slices.Values(want))
	slices.Sort(got)
	if !slices.Equal(want, got) {
		c.add("denied", want, got)
	}
}

func (c *comparison) traces(e *Expectation, traces []event.PolicyTrace, s *Suite) {
	states, truths := map[string]string{}, map[string]string{}
	for i := range traces {
		t := &traces[i]
		states[t.Policy] = string(t.State)
		for j := range t.Conditions {
			truths[t.Policy+"/"+t.Conditions[j].Path] = string(t.Conditions[j].Truth)
		}
	}
	for _, name := range sortedKeys(e.States) {
		c.about("states."+name, s.doubt(name), e.States[name], states[name])
	}
	for _, path := range sortedKeys(e.Conditions) {
		name, _, _ := strings.Cut(path, "/")
		c.about("conditions."+path, s.doubt(name), e.Conditions[path], truths[path])
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// why are the traces of the policies that a failure is about: the one that decided
// and those that the case names; all that were asked when there is none of them.
func (e *Expectation) why(d *event.Decision, s *Suite) []event.PolicyTrace {
	named := map[string]bool{decider(d, s.set): true}
	if e.Policy != nil {
		named[*e.Policy] = true
	}
	for name := range e.States {
		named[name] = true
	}
	for path := range e.Conditions {
		name, _, _ := strings.Cut(path, "/")
		named[name] = true
	}
	var about, asked []event.PolicyTrace
	for i := range d.Policies {
		t := d.Policies[i]
		if named[t.Policy] {
			about = append(about, t)
		}
		if t.State != event.NotReached {
			asked = append(asked, t)
		}
	}
	if about == nil || e.Denied != nil {
		return asked
	}
	return about
}
