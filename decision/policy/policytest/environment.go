package policytest

import (
	"encoding/json"
	"fmt"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/internal/fault"
)

// EnvironmentDocument says what policies may speak of, as a file for tests and
// checks without a server.
type EnvironmentDocument struct {
	// Attributes by name.
	Attributes map[string]AttributeDocument `json:"attributes"`
	// Strict makes unknown attributes errors; when absent they are as soon as one
	// attribute is declared.
	Strict        *bool                       `json:"strict"`
	Skills        []string                    `json:"skills"`
	Agents        []string                    `json:"agents"`
	Bots          []string                    `json:"bots"`
	RoutingSkills []string                    `json:"routing_skills"`
	Calendars     map[string]*policy.Calendar `json:"calendars"`
}

// AttributeDocument declares an attribute; a text is its type.
type AttributeDocument struct {
	Type    policy.AttributeType `json:"type"`
	Allowed []any                `json:"allowed_values"`
	Source  string               `json:"source"`
	PII     bool                 `json:"pii"`
	// Description is for people.
	Description string `json:"description"`
}

// UnmarshalJSON reads a text as the type.
func (a *AttributeDocument) UnmarshalJSON(data []byte) error {
	if json.Unmarshal(data, &a.Type) == nil {
		return nil
	}
	type plain AttributeDocument
	return strict(data, (*plain)(a))
}

// ParseEnvironment reads an [EnvironmentDocument] in JSON. The error is an Invalid
// *fault.Error.
func ParseEnvironment(data []byte) (*policy.Environment, error) {
	var d EnvironmentDocument
	var check fault.Check
	if err := strict(data, &d); err != nil {
		check.Add("", "%s", err)
		return nil, check.Err("the environment cannot be read")
	}
	env := &policy.Environment{
		Attributes: map[string]policy.Attribute{}, Strict: len(d.Attributes) > 0, RoutingSkills: d.RoutingSkills,
		Skills: set(d.Skills), Agents: set(d.Agents), Bots: set(d.Bots), Calendars: d.Calendars,
	}
	if d.Strict != nil {
		env.Strict = *d.Strict
	}
	for name, a := range d.Attributes {
		if a.Type == "" {
			a.Type = policy.TypeAny
		}
		if !a.Type.Valid() {
			check.Add("attributes."+name, "%q is none of string, number, boolean, list, object, any", a.Type)
		}
		env.Attributes[name] = policy.Attribute{Type: a.Type, Allowed: a.Allowed, Source: a.Source, PII: a.PII}
	}
	for name, c := range d.Calendars {
		if c == nil {
			check.Add("calendars."+name, "is empty")
			continue
		}
		for _, p := range policy.ProblemsOf(c.Validate()) {
			check.Add("calendars."+name+"."+p.Path, "%s", p.Description)
		}
	}
	if err := check.Err("the environment is not valid"); err != nil {
		return nil, err
	}
	return env, nil
}

func set(ids []string) map[string]struct{} {
	if len(ids) == 0 {
		return nil
	}
	out := make(map[string]struct{}, len(ids))
	for _, id := range ids {
		out[id] = struct{}{}
	}
	return out
}

// environmentOf reads an environment, inline or from a file; an absent one checks
// nothing.
func environmentOf(raw json.RawMessage, read func(string) ([]byte, error)) (*policy.Environment, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	data := []byte(raw)
	var name string
	if json.Unmarshal(raw, &name) == nil {
		var err error
		if data, err = read(name); err != nil {
			return nil, err
		}
	}
	env, err := ParseEnvironment(data)
	if err != nil {
		return nil, fmt.Errorf("environment: %w", err)
	}
	return env, nil
}
