package policy

import "time"

// Environment is what an account's policies may speak of: declared attributes,
// resources, calendars. It is read, never changed. A nil Environment checks
// nothing; in one that is not nil, a nil map is not checked.
type Environment struct {
	// Attributes are those that the account declares, by the name that policies
	// use. Builtin ones need not be among them.
	Attributes map[string]Attribute
	// Strict makes an unknown attribute an error where it would be a warning.
	Strict bool
	// Skills, Agents and Bots are the resources by id; an empty map is not checked.
	Skills, Agents, Bots map[string]struct{}
	// RoutingSkills are the skills of the bots that ask: no policy may send a
	// conversation back to them.
	RoutingSkills []string
	// RoutingBots are those bots: they are reached through a routing skill.
	RoutingBots []string
	// Objectives are those of the account, by id; nil is not checked.
	Objectives map[string]struct{}
	Calendars  map[string]*Calendar
	// Revision of the catalogue that it was made from; handed on, not read.
	Revision int64
}

// Attribute is a declared attribute.
type Attribute struct {
	Type AttributeType
	// Allowed lists the values it can have; anything when empty.
	Allowed []any
	// Source is builtin, request, context, static or function.
	Source string
	// PII marks personal values, which records do not keep.
	PII bool
}

// AttributeType is the type that an attribute is declared with. Its zero value
// means any.
type AttributeType string

// The types.
const (
	TypeString  AttributeType = "string"
	TypeNumber  AttributeType = "number"
	TypeBoolean AttributeType = "boolean"
	TypeList    AttributeType = "list"
	TypeObject  AttributeType = "object"
	TypeAny     AttributeType = "any"
)

// Valid reports whether t is one of the types.
func (t AttributeType) Valid() bool {
	switch t {
	case TypeString, TypeNumber, TypeBoolean, TypeList, TypeObject, TypeAny:
		return true
	}
	return false
}

// Option changes what [Compile] and [Check] do.
type Option func(*compileOptions)

type compileOptions struct {
	env *Environment
	now time.Time
}

// At tells [Check] the time, to warn of what is over. Compiling needs none.
func At(now time.Time) Option {
	return func(o *compileOptions) { o.now = now }
}

// WithEnvironment lets policies use what the account declares, its calendars above
// all. The environment must not be changed afterwards.
func WithEnvironment(env *Environment) Option {
	return func(o *compileOptions) { o.env = env }
}
