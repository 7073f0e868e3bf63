package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/decision/policy/foreign"
	"github.com/usherhq/usher/decision/policystore"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/internal/rpc"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// speaksLivePerson reports whether a policy uses LivePerson's grammar.
func speaksLivePerson(p *usherv1.Policy) bool {
	return len(p.GetConditions()) > 0 || len(p.GetActions()) > 0 || foreignException(p) != nil
}

// foreignException is the exception of a policy that is in LivePerson's grammar.
func foreignException(p *usherv1.Policy) *structpb.Struct {
	fields := p.GetException().GetFields()
	if fields["conditions"] != nil || fields["actions"] != nil {
		return p.GetException()
	}
	return nil
}

// oneGrammar refuses a policy that says the same thing twice.
func oneGrammar(p *usherv1.Policy) error {
	var c fault.Check
	if len(p.GetConditions()) > 0 && len(p.GetWhen().GetFields()) > 0 {
		c.Add("conditions", "stand beside when; give one of them")
	}
	if len(p.GetActions()) > 0 && len(p.GetEffect().GetFields()) > 0 {
		c.Add("actions", "stand beside effect; give one of them")
	}
	return c.Err("the policy is not valid")
}

// documentOf writes a policy as its document, so that the API and imported files
// obey the same rules and name faults by the same paths. What is in LivePerson's
// grammar becomes canonical; the problems are what that came to, without errors.
func documentOf(id string, p *usherv1.Policy, enabled bool) (json.RawMessage, []policy.Problem, error) {
	if p == nil {
		return nil, nil, invalid("policy", "is missing")
	}
	if p.Enabled != nil {
		enabled = p.GetEnabled()
	}
	document := map[string]any{"enabled": enabled}
	for key, text := range map[string]string{"name": id, "display_name": p.GetDisplayName(), "description": p.GetDescription()} {
		if text != "" {
			document[key] = text
		}
	}
	for key, s := range map[string]*structpb.Struct{"when": p.GetWhen(), "schedule": p.GetSchedule(), "exception": p.GetException()} {
		if s != nil { // an empty one is refused rather than taken for none
			document[key] = s.AsMap()
		}
	}
	if p.GetEffect() != nil {
		document["effect"] = p.GetEffect().AsMap()
	}
	problems, err := canonicalGrammar(document, p)
	if err != nil {
		return nil, nil, err
	}
	data, err := inWrittenOrder(document)
	if err != nil {
		return nil, nil, invalid("policy", "holds a number that is not finite")
	}
	return data, problems, nil
}

// Documents lets a body that is misshapen be told of with everything that is wrong
// with its policies.
func (*policyService) Documents() rpc.Documents {
	return rpc.Documents{"usher.v1.Policy": faultsOfDocument}
}

// faultsOfDocument finds what is wrong with a policy as somebody wrote it. What is
// missing may be meant so, in an update; LivePerson's grammar is read once its shape is
// right.
func faultsOfDocument(raw json.RawMessage) []fault.Violation {
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil || fields["conditions"] != nil || fields["actions"] != nil {
		return nil
	}
	_, err := policy.Parse(raw)
	var out []fault.Violation
	for _, p := range policy.ProblemsOf(err) {
		switch p.Path {
		case "name", "position", "revision", "etag", "update_time", "author", "change_reason", "warnings",
			"displayName", "updateTime", "changeReason": // of the resource, not of the document
			continue
		}
		if p.Path != "" && (p.Path != "effect" || p.Code != policy.CodeMissing) {
			out = append(out, fault.Violation{Field: p.Path, Description: p.Description})
		}
	}
	return out
}

// inWrittenOrder writes a document with its fields in the order in which people
// write them: faults are told in the order of the document.
func inWrittenOrder(document map[string]any) (json.RawMessage, error) {
	out := []byte{'{'}
	for _, key := range []string{"name", "display_name", "description", "enabled", "when", "effect", "schedule", "exception"} {
		value, ok := document[key]
		if !ok {
			continue
		}
		text, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(append(out, '"'), key...), '"', ':'), text...)
	}
	return append(out, '}'), nil
}

// canonicalGrammar puts what a policy has in LivePerson's grammar into the document.
func canonicalGrammar(document map[string]any, p *usherv1.Policy) ([]policy.Problem, error) {
	if !speaksLivePerson(p) {
		return nil, nil
	}
	var parts [3]json.RawMessage
	var err error
	for i, list := range [][]*structpb.Struct{p.GetConditions(), p.GetActions()} {
		if len(list) == 0 {
			continue
		}
		maps := make([]map[string]any, len(list))
		for j, s := range list {
			maps[j] = s.AsMap()
		}
		if parts[i], err = json.Marshal(maps); err != nil {
			return nil, invalid("policy", "holds a number that is not finite")
		}
	}
	if e := foreignException(p); e != nil {
		if parts[2], err = json.Marshal(e.AsMap()); err != nil {
			return nil, invalid("exception", "holds a number that is not finite")
		}
	}
	when, effect, exception, problems := foreign.Policy(parts[0], parts[1], parts[2])
	if err := errorOf(problems, ""); err != nil {
		return nil, err
	}
	if parts[0] != nil {
		if document["when"] = when; when == nil {
			delete(document, "when")
		}
	}
	if parts[1] != nil {
		document["effect"] = effect
	}
	if parts[2] != nil {
		document["exception"] = exception
	}
	return problems, nil
}

// below joins two paths.
func below(path, inner string) string {
	if path == "" || inner == "" || inner[0] == '[' {
		return path + inner
	}
	return path + "." + inner
}

// errorOf makes one fault of the problems that are errors, with their paths below
// a prefix.
func errorOf(problems []policy.Problem, prefix string) error {
	var c fault.Check
	for _, p := range problems {
		if p.Severity == policy.Error {
			c.Add(below(prefix, p.Path), "%s", p.Description)
		}
	}
	return c.Err("the policy is not valid")
}

// violations are the faults that an error names; one that names none is one.
func violations(err error) []fault.Violation {
	if err == nil {
		return nil
	}
	if f, ok := errors.AsType[*fault.Error](err); ok && len(f.Violations) > 0 {
		return f.Violations
	}
	return []fault.Violation{{Description: err.Error()}}
}

// readPolicy reads a policy and checks it by itself. The problems are warnings.
func (s *Server) readPolicy(account, id string, p *usherv1.Policy, enabled bool) (*policy.Policy, []policy.Problem, error) {
	document, problems, err := documentOf(id, p, enabled)
	if err != nil {
		return nil, nil, err
	}
	out, err := s.deps.Policies.Parse(account, document)
	if err != nil {
		return nil, nil, fmt.Errorf("read policy %q: %w", id, err)
	}
	for i := range problems {
		problems[i].Policy = id
	}
	return out, problems, nil
}

// policiesFrom reads a list of policies in its order, faults and all: one that
// cannot be read has a Fault. Those without a name get one that no other has. The
// error is about names of another account.
func (s *Server) policiesFrom(account string, list []*usherv1.Policy) ([]*policy.Policy, []policy.Problem, error) {
	ids, err := idsOf(account, list)
	if err != nil {
		return nil, nil, err
	}
	out := make([]*policy.Policy, len(list))
	var problems []policy.Problem
	for i, id := range ids {
		p, found, err := s.readPolicy(account, id, list[i], true)
		if err != nil {
			p = &policy.Policy{Name: id, DisplayName: list[i].GetDisplayName(), Enabled: true, Fault: err}
		}
		problems, out[i] = append(problems, found...), p
	}
	return out, problems, nil
}

// idsOf finds the ids of a list of policies: that of its name, else one made of
// its display name or its place.
func idsOf(account string, list []*usherv1.Policy) ([]string, error) {
	out, taken := make([]string, len(list)), map[string]bool{}
	var c fault.Check
	for i, p := range list {
		var err error
		if out[i], err = newName(account, "policies", "", p.GetName()); err != nil {
			addUnder(&c, fmt.Sprintf("policies[%d]", i), err)
		}
		taken[out[i]] = true
	}
	for i, p := range list {
		if out[i] == "" {
			out[i] = freeID(p.GetDisplayName(), fmt.Sprintf("policy-%d", i+1), func(id string) bool { return taken[id] })
			taken[out[i]] = true
		}
	}
	return out, c.Err("the list of policies is not valid")
}

// freeID makes an id of a name for people, one that is not taken.
func freeID(title, otherwise string, taken func(string) bool) string {
	id := foreign.Slug(title)
	if id == "" {
		id = otherwise
	}
	free := id
	for n := 2; taken(free); n++ {
		suffix := fmt.Sprintf("-%d", n)
		free = id[:min(len(id), 63-len(suffix))] + suffix
	}
	return free
}

// messageOf is a policy's document as callers see it, readable or not.
func messageOf(account, id string, document []byte, place int) *usherv1.Policy {
	var d struct {
		DisplayName string         `json:"display_name"`
		Description string         `json:"description"`
		Enabled     *bool          `json:"enabled"`
		When        map[string]any `json:"when"`
		Effect      map[string]any `json:"effect"`
		Schedule    map[string]any `json:"schedule"`
		Exception   map[string]any `json:"exception"`
	}
	// Of a document that is not even of these types as much is shown as there is.
	_ = json.Unmarshal(document, &d)
	enabled := d.Enabled == nil || *d.Enabled
	return &usherv1.Policy{
		Name: "accounts/" + account + "/policies/" + id, DisplayName: d.DisplayName, Description: d.Description,
		Enabled: &enabled, Position: int32(place), //nolint:gosec // a list has few thousand
		When: structOf(d.When), Effect: effectOf(d.Effect), Schedule: structOf(d.Schedule), Exception: structOf(d.Exception),
	}
}

// effectOf keeps an effect that is there but empty.
func effectOf(m map[string]any) *structpb.Struct {
	if m == nil {
		return nil
	}
	s, err := structpb.NewStruct(m)
	if err != nil {
		return nil
	}
	return s
}

// policyOf is a live policy as callers see it. One that cannot be read any more
// is shown as it was written.
func (s *policyService) policyOf(account string, p *policy.Policy, place int) *usherv1.Policy {
	value, err := policy.Marshal(p)
	r, known := s.deps.Policies.Resource(account, p.Name)
	if known && (p.Fault != nil || err != nil) {
		value = r.Value
	}
	out := messageOf(account, p.Name, value, place)
	out.Revision = p.Revision
	if p.Revision > 0 {
		out.Etag = etagOf(p.Revision)
	}
	if known && r.Revision == p.Revision {
		out.UpdateTime, out.Author, out.ChangeReason = timestamppb.New(r.Time), r.Author, r.Reason
	}
	return out
}

func problemsTo(problems []policy.Problem) []*usherv1.PolicyProblem {
	out := make([]*usherv1.PolicyProblem, len(problems))
	for i, p := range problems {
		out[i] = &usherv1.PolicyProblem{
			Severity: string(p.Severity), Policy: p.Policy, Path: p.Path, Code: p.Code, Description: p.Description,
		}
	}
	return out
}

// problemsOf picks those of one policy.
func problemsOf(problems []policy.Problem, id string) []policy.Problem {
	var out []policy.Problem
	for _, p := range problems {
		if p.Policy == id {
			out = append(out, p)
		}
	}
	return out
}

// errorsFirst sorts problems by severity and keeps their order otherwise.
func errorsFirst(problems []policy.Problem) []policy.Problem {
	out := slices.Clone(problems)
	slices.SortStableFunc(out, func(a, b policy.Problem) int { return strings.Compare(string(a.Severity), string(b.Severity)) })
	return out
}

func diffTo(list []policystore.Difference) []*usherv1.PolicyDiff {
	out := make([]*usherv1.PolicyDiff, len(list))
	for i, d := range list {
		out[i] = &usherv1.PolicyDiff{Policy: d.Policy, Kind: string(d.Kind)}
		for _, f := range d.Fields {
			out[i].Fields = append(out[i].Fields, &usherv1.FieldDiff{Path: f.Path, Before: valueOf(f.Before), After: valueOf(f.After)})
		}
	}
	return out
}

// valueOf wraps JSON; nil is no value at all.
func valueOf(text json.RawMessage) *structpb.Value {
	if text == nil {
		return nil
	}
	v := &structpb.Value{}
	if v.UnmarshalJSON(text) != nil {
		return nil
	}
	return v
}
