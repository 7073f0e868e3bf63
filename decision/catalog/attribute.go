package catalog

import (
	"errors"
	"slices"

	"github.com/usherhq/usher/decision/function"
	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/configlog"
)

// Where the values of an attribute come from.
const (
	SourceBuiltin  = "builtin"  // every account has it
	SourceRequest  = "request"  // callers send it
	SourceContext  = "context"  // namespace.property of the context store
	SourceStatic   = "static"   // custom.*, the same for every decision
	SourceFunction = "function" // custom.*, asked of a function
)

// Attribute is a name that policies can use.
type Attribute struct {
	Name, Description string
	Type              policy.AttributeType
	// Allowed lists the values it can have, the elements of a list; anything when
	// empty.
	Allowed []any
	Source  string
	// Value is that of a static attribute: string, float64, bool, []any or
	// map[string]any.
	Value any
	// Function fills the attribute with the part of its result that Path names.
	Function, Path string
	// Arguments are constants, or texts with {{attribute}}.
	Arguments map[string]any
	// PII keeps its values out of logs and records.
	PII bool
	Meta

	templates map[string]function.Template // of the arguments that are not constant
}

type attributeDocument struct {
	Description string         `json:"description,omitempty"`
	Type        string         `json:"type,omitempty"`
	Allowed     []any          `json:"allowed_values,omitempty"`
	Source      string         `json:"source"`
	Value       any            `json:"value,omitempty"`
	Function    string         `json:"function,omitempty"`
	Path        string         `json:"result_path,omitempty"`
	Arguments   map[string]any `json:"arguments,omitempty"`
	PII         bool           `json:"pii,omitempty"`
}

func attributeOf(r configlog.Resource) (Attribute, error) {
	var d attributeDocument
	if err := read(r, &d); err != nil {
		return Attribute{}, err
	}
	a := Attribute{
		Name: r.Name, Description: d.Description, Type: policy.AttributeType(d.Type), Allowed: d.Allowed, Source: d.Source,
		Value: d.Value, Function: d.Function, Path: d.Path, Arguments: d.Arguments, PII: d.PII, Meta: metaOf(r),
	}
	a.prepare()
	return a, nil
}

func (a *Attribute) key() string { return a.Name }

func (a *Attribute) document() any {
	return attributeDocument{
		Description: a.Description, Type: string(a.Type), Allowed: a.Allowed, Source: a.Source, Value: a.Value,
		Function: a.Function, Path: a.Path, Arguments: a.Arguments, PII: a.PII,
	}
}

// declaration is the attribute as policies are checked against it.
func (a *Attribute) declaration() policy.Attribute {
	return policy.Attribute{Type: a.Type, Allowed: a.Allowed, Source: a.Source, PII: a.PII}
}

func (a *Attribute) prepare() {
	for name, value := range a.Arguments {
		text, ok := value.(string)
		if !ok {
			continue
		}
		if t := function.ParseTemplate(text); len(t.Names()) > 0 {
			if a.templates == nil {
				a.templates = map[string]function.Template{}
			}
			a.templates[name] = t
		}
	}
}

// Needs lists the attributes that the arguments are made of, in order of their
// names: functions are asked, and recorded, in the order in which they are needed.
func (a *Attribute) Needs() []string {
	var out []string
	for _, t := range a.templates {
		out = append(out, t.Names()...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Bind fills the arguments. lookup returns the value of an attribute, false when
// it has none: an argument that is nothing but that attribute is nil then, and
// inside a text it is empty.
func (a *Attribute) Bind(lookup func(name string) (any, bool)) map[string]any {
	out := make(map[string]any, len(a.Arguments))
	for name, value := range a.Arguments {
		if t, ok := a.templates[name]; ok {
			value = t.Value(lookup)
		}
		out[name] = value
	}
	return out
}

// Fits returns nil when a value has the attribute's type and is one of those
// allowed, else what is wrong with it. It never repeats the value.
func (a *Attribute) Fits(value any) error {
	if !typeHolds(a.Type, value) {
		return errors.New("is of type " + string(typeOf(value)) + ", the attribute of type " + string(a.Type))
	}
	if len(a.Allowed) == 0 {
		return nil
	}
	list, isList := value.([]any)
	if !isList {
		list = []any{value}
	}
	for _, v := range list {
		if !contains(a.Allowed, v) {
			return errors.New("is not one of the attribute's allowed values")
		}
	}
	return nil
}

// builtin are the attributes that every account has.
func builtin() []*Attribute {
	all := policy.BuiltinAttributes()
	out := make([]*Attribute, 0, len(all))
	for i := range all {
		b := &all[i]
		out = append(out, &Attribute{Name: b.Name, Description: b.Description, Type: b.Type, Allowed: b.Allowed, Source: SourceBuiltin})
	}
	return out
}

func isBuiltin(name string) bool {
	return slices.ContainsFunc(builtin(), func(b *Attribute) bool { return b.Name == name })
}

// violations returns the faults of an error of a part, nil when it is nil.
func violations(err error) []fault.Violation {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*fault.Error](err); ok && len(e.Violations) > 0 {
		return e.Violations
	}
	return []fault.Violation{{Description: err.Error()}}
}
