package policytest

import (
	"encoding/json"
	"reflect"
	"strings"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/internal/jsontree"
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
	RoutingBots   []string                    `json:"routing_bots"`
	Objectives    []string                    `json:"objectives"`
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
	return json.Unmarshal(data, (*attributeFields)(a))
}

func (AttributeDocument) full() reflect.Type { return reflect.TypeFor[attributeFields]() }

// attributeFields are the fields without the short form.
type attributeFields AttributeDocument

// ParseEnvironment reads an [EnvironmentDocument] in JSON. The error is an Invalid
// *fault.Error with every fault and its place.
func ParseEnvironment(data []byte) (*policy.Environment, error) {
	var check fault.Check
	env := environment(data, &check)
	if err := check.Err("the environment is not valid"); err != nil {
		return nil, err
	}
	return env, nil
}

func environment(data []byte, check *fault.Check) *policy.Environment {
	var d EnvironmentDocument
	strict(data, &d, check)
	env := &policy.Environment{
		Attributes: map[string]policy.Attribute{}, Strict: len(d.Attributes) > 0,
		RoutingSkills: d.RoutingSkills, RoutingBots: d.RoutingBots, Objectives: set(d.Objectives),
		Skills: set(d.Skills), Agents: set(d.Agents), Bots: set(d.Bots), Calendars: d.Calendars,
	}
	if d.Strict != nil {
		env.Strict = *d.Strict
	}
	for _, name := range sortedKeys(d.Attributes) {
		a := d.Attributes[name]
		if a.Type == "" {
			a.Type = policy.TypeAny
		}
		if !a.Type.Valid() {
			check.Add("attributes."+name, "%q is none of string, number, boolean, list, object, any", a.Type)
		}
		env.Attributes[name] = policy.Attribute{Type: a.Type, Allowed: a.Allowed, Source: a.Source, PII: a.PII}
	}
	for _, name := range sortedKeys(d.Calendars) {
		if d.Calendars[name] == nil {
			check.Add("calendars."+name, "is empty: give it zone and hours")
			continue
		}
		for _, p := range policy.ProblemsOf(d.Calendars[name].Validate()) {
			check.Add(jsontree.Join("calendars."+name, p.Path), "%s", p.Description)
		}
	}
	return env
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

// environmentOf reads an environment, inline or from a file, and adds its faults
// with the file's name; an absent one checks nothing.
func environmentOf(raw json.RawMessage, read func(string) ([]byte, error), check *fault.Check) *policy.Environment {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	data, at := []byte(raw), "environment."
	var name string
	if json.Unmarshal(raw, &name) == nil {
		at = name + ": "
		var err error
		if data, err = read(name); fault.KindOf(err) == fault.Invalid {
			for _, p := range policy.ProblemsOf(err) {
				check.Add(at+p.Path, "%s", p.Description)
			}
			return nil
		} else if err != nil {
			check.Add("environment", "cannot be read: %s", err)
			return nil
		}
	}
	var own fault.Check
	env := environment(data, &own)
	for _, p := range policy.ProblemsOf(own.Err("")) {
		check.Add(strings.TrimRight(at+p.Path, ". "), "%s", p.Description)
	}
	return env
}
