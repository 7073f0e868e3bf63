package policytest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"
	"unicode"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/pipeline/event"
)

// account is the name that the one account of a run has.
const account = "test"

// Report is what a run found.
type Report struct {
	Suite    string
	Cases    []Result
	Coverage Coverage
}

// Failed counts the cases that failed.
func (r *Report) Failed() (n int) {
	for i := range r.Cases {
		if len(r.Cases[i].Failures) > 0 {
			n++
		}
	}
	return n
}

// Result is what became of one case.
type Result struct {
	Name string
	// At is the case's place in the file, such as cases[0].
	At string
	// Failures are empty when all is as expected.
	Failures []Failure
	// Why are the traces that the failures are about: what each condition said, with
	// the value it saw.
	Why []event.PolicyTrace
	// Decision is the engine's record; nil when it refused the request.
	Decision *event.Decision
}

// Failure is one difference.
type Failure struct {
	// Field is the part of the expectation, such as actions.
	Field     string
	Want, Got []string // lines
	// Note says why it could not be as wanted, such as that there is no such policy.
	Note string
}

// Run decides every case. The error is the engine's or the context's; a case that
// is not as expected is no error.
func (s *Suite) Run(ctx context.Context) (*Report, error) {
	report := &Report{Suite: s.Name, Coverage: newCoverage(s.policies)}
	for i := range s.cases {
		c := s.cases[i].over(&s.defaults)
		if c.Name == "" {
			c.Name = fmt.Sprintf("case %d", i+1)
		}
		result, err := s.decide(ctx, &c, i)
		result.At = fmt.Sprintf("cases[%d]", i)
		if err != nil {
			return nil, fmt.Errorf("decide %q: %w", c.Name, err)
		}
		if result.Decision != nil {
			report.Coverage.count(result.Decision, decider(result.Decision, s.set))
		}
		report.Cases = append(report.Cases, result)
	}
	return report, nil
}

func (s *Suite) decide(ctx context.Context, c *Case, i int) (Result, error) {
	w := &world{set: s.set, now: c.Now, skills: c.Skills, id: fmt.Sprintf("case-%d", i+1)}
	engine, err := decision.New(decision.DefaultConfig(), decision.Deps{
		Policies: w, Models: w, Control: w, Skills: w, Now: w.clock, NewID: w.newID,
	})
	if err != nil {
		return Result{}, err
	}
	d, err := engine.Decide(ctx, c.request())
	if f, refused := errors.AsType[*fault.Error](err); refused && (f.Kind == fault.Invalid || f.Kind == fault.NotFound) {
		return Result{Name: c.Name, Failures: []Failure{{Field: "request", Want: []string{"a valid request"}, Got: []string{err.Error()}}}}, nil
	}
	if err != nil {
		return Result{}, err
	}
	result := Result{Name: c.Name, Decision: d, Failures: c.Expect.compare(d, s)}
	if len(result.Failures) > 0 {
		result.Why = c.Expect.why(d, s)
	}
	return result, nil
}

// world is an installation in memory: one account, no model, the case's clock.
type world struct {
	set    *policy.Set
	now    time.Time
	skills map[string]event.Skill
	id     string
}

func (w *world) Policies(string) *policy.Set               { return w.set }
func (w *world) Current(string) *model.Model               { return nil }
func (w *world) Account(string) (decision.Account, bool)   { return decision.Account{}, true }
func (w *world) Mode(string, string) (decision.Mode, bool) { return decision.Mode{}, false }
func (w *world) clock() time.Time                          { return w.now }
func (w *world) newID() string                             { return w.id }
func (w *world) Skill(_, skill string) (s event.Skill, ok bool) {
	s, ok = w.skills[skill]
	if ok && s.At.IsZero() {
		s.At = w.now
	}
	return s, ok
}

// startOfTime is the clock of a case that does not say what time it is: a Monday
// morning, the same for everybody.
func startOfTime() time.Time { return time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC) }

// over fills what the case does not say from the defaults.
func (c *Case) over(d *Case) Case {
	out := *c
	for _, f := range []struct{ at, from *string }{
		{&out.RequestID, &d.RequestID},
		{&out.ConversationID, &d.ConversationID},
		{&out.ConsumerID, &d.ConsumerID},
		{&out.VisitorID, &d.VisitorID},
		{&out.SessionID, &d.SessionID},
		{&out.Channel, &d.Channel},
		{&out.Intent, &d.Intent},
		{&out.UserMessage, &d.UserMessage},
		{&out.Waited, &d.Waited},
		{&out.Only, &d.Only},
	} {
		if *f.at == "" {
			*f.at = *f.from
		}
	}
	if out.Now.IsZero() {
		out.Now = d.Now
	}
	if out.Now.IsZero() {
		out.Now = startOfTime()
	}
	if out.Candidates == nil {
		out.Candidates = d.Candidates
	}
	if out.Baseline == nil {
		out.Baseline = d.Baseline
	}
	if out.MaxActions == 0 {
		out.MaxActions = d.MaxActions
	}
	out.Attributes = merge(d.Attributes, c.Attributes)
	out.Context = merge(d.Context, c.Context)
	out.Skills = merge(d.Skills, c.Skills)
	return out
}

func merge[V any](under, over map[string]V) map[string]V {
	out := maps.Clone(under)
	if out == nil {
		out = map[string]V{}
	}
	maps.Copy(out, over)
	return out
}

func (c *Case) request() *decision.Request {
	waited, _ := time.ParseDuration(c.Waited) // checked when the suite was read
	r := &decision.Request{
		Account: account, RequestID: c.RequestID, ConversationID: c.ConversationID, ConsumerID: c.ConsumerID, VisitorID: c.VisitorID,
		SessionID: c.SessionID, Channel: c.Channel, Intent: c.Intent, UserMessage: c.UserMessage, Waited: waited, Policy: c.Only,
		Attributes: c.attributes(), Candidates: offered(c.Candidates), Baseline: c.Baseline, MaxActions: c.MaxActions,
		DryRun: true, Explain: true,
	}
	if r.RequestID == "" {
		// An id has no control characters; a name may.
		r.RequestID = strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return -1
			}
			return r
		}, c.Name)
	}
	return r
}

// attributes puts the context under its names; what the case says as an attribute
// wins.
func (c *Case) attributes() map[string]any {
	out := map[string]any{}
	for namespace, properties := range c.Context {
		for property, v := range properties {
			out[namespace+"."+property] = v
		}
	}
	maps.Copy(out, c.Attributes)
	return out
}

func offered(candidates []Candidate) []event.Candidate {
	out := make([]event.Candidate, len(candidates))
	for i, c := range candidates {
		out[i] = event.Candidate{Action: c.Action, Attributes: c.Attributes}
	}
	return out
}
