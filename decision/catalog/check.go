package catalog

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/configlog"
)

const (
	maxName      = 128
	maxAllowed   = 1000
	maxArguments = 32
	maxValue     = 64 << 10 // bytes of JSON
)

// families are the first parts of names that cannot be declared: Usher fills
// them, or reserves them.
var families = []string{"conversation", "sde", "orchestrator", "skill", "candidate", "custom", "consumer", "operational", "faas"}

func (a *Attribute) check(s *scene, c *fault.Check) {
	checkText(c, "description", a.Description, maxDescription)
	if isBuiltin(a.Name) {
		a.checkBuiltin(c)
		return
	}
	checkSource(c, a.Source)
	a.checkName(c)
	if a.Type == "" {
		a.Type = policy.TypeAny
		if a.Value != nil {
			a.Type = typeOf(a.Value)
		}
	}
	if !a.Type.Valid() {
		c.Add("type", "%q must be string, number, boolean, list, object or any", a.Type)
	}
	a.checkAllowed(c)
	a.checkStatic(c)
	a.checkFunction(s, c)
}

// checkBuiltin lets an account say of a built-in attribute about people only whether
// it is personal, and describe it; what it is, is Usher's.
func (a *Attribute) checkBuiltin(c *fault.Check) {
	if !canBePersonal(a.Name) {
		c.Add("name", "%q is built in", a.Name)
		return
	}
	var own *Attribute
	for _, b := range builtin() {
		if b.Name == a.Name {
			own = b
		}
	}
	if a.Source != "" && a.Source != SourceBuiltin || a.Type != "" && a.Type != own.Type ||
		len(a.Allowed) > 0 && !reflect.DeepEqual(a.Allowed, own.Allowed) ||
		a.Value != nil || a.Function != "" || a.Path != "" || len(a.Arguments) > 0 {
		c.Add("name", "%q is built in: only pii and description can be set", a.Name)
	}
	if a.Description == "" {
		a.Description = own.Description
	}
	a.Type, a.Allowed, a.Source = own.Type, own.Allowed, SourceBuiltin
}

// canBePersonal tells the built-in attributes that records can do without.
func canBePersonal(name string) bool {
	switch name {
	case "user_message", "orchestrator.userMessage", "consumer_id", "conversation.consumerId",
		"visitor_id", "session_id", "conversation.groupId":
		return true
	}
	return strings.HasPrefix(name, "sde.")
}

func checkSource(c *fault.Check, source string) {
	switch source {
	case SourceRequest, SourceContext, SourceStatic, SourceFunction:
	case "":
		c.Add("source", "is missing: request, context, static or function")
	case SourceBuiltin:
		c.Add("source", "builtin attributes are part of Usher and cannot be declared")
	default:
		c.Add("source", "%q must be request, context, static or function", source)
	}
}

// checkName holds names to what conditions, templates and CEL can write: with
// anything else an attribute could be stored and never be read.
func (a *Attribute) checkName(c *fault.Check) {
	if a.Name == "" || len(a.Name) > maxName {
		c.Add("name", "must have 1 to %d bytes", maxName)
		return
	}
	if ok, _ := regexp.MatchString(`^[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z_][A-Za-z0-9_-]*)*$`, a.Name); !ok {
		c.Add("name", "%q %s, so no policy could read it; %q would do", a.Name, nameFault(a.Name), properName(a.Name))
		return
	}
	first, rest, dotted := strings.Cut(a.Name, ".")
	switch {
	case a.Source == SourceStatic || a.Source == SourceFunction:
		if first != "custom" || rest == "" || strings.Contains(rest, ".") {
			c.Add("name", "a %s attribute must be called custom.<name>, such as %q", a.Source, "custom."+a.Name[strings.LastIndex(a.Name, ".")+1:])
		}
	case slices.Contains(families, first) && (dotted || first == "custom"):
		c.Add("name", "%q: names beginning with %s. are kept for Usher", a.Name, first)
	case a.Source == SourceContext && !dotted:
		c.Add("name", "a context attribute must be called <namespace>.<property>, such as %q", "crm."+a.Name)
	}
}

func nameFault(name string) string {
	switch {
	case strings.ContainsAny(name, " \t\n\r\u00a0"):
		return "holds a blank"
	case strings.ContainsAny(name, "{}"):
		return "holds braces"
	default:
		return "is not made of letters, digits, '_' and '-', parted by dots, each part beginning with a letter or '_'"
	}
}

// properName is the nearest name that is allowed.
func properName(name string) string {
	parts := strings.Split(strings.TrimSpace(name), ".")
	for i, p := range parts {
		p = regexp.MustCompile(`[^A-Za-z0-9_-]+`).ReplaceAllString(strings.TrimSpace(p), "_")
		if p == "" || strings.ContainsAny(p[:1], "0123456789-") {
			p = "_" + p
		}
		parts[i] = p
	}
	return strings.Join(parts, ".")
}

func (a *Attribute) checkAllowed(c *fault.Check) {
	if len(a.Allowed) > maxAllowed {
		c.Add("allowed_values", "are %d; the limit is %d", len(a.Allowed), maxAllowed)
		return
	}
	if _, err := json.Marshal(a.Allowed); err != nil {
		c.Add("allowed_values", "must be JSON")
	}
	kind := a.Type
	if kind == policy.TypeList {
		kind = policy.TypeAny // its elements
	}
	for i, v := range a.Allowed {
		field := fmt.Sprintf("allowed_values[%d]", i)
		if v == nil || a.Type.Valid() && !typeHolds(kind, v) {
			c.Add(field, "is of type %s, the attribute of type %s", typeOf(v), a.Type)
		}
		if contains(a.Allowed[:i], v) {
			c.Add(field, "is listed twice")
		}
	}
}

func (a *Attribute) checkStatic(c *fault.Check) {
	if a.Source != SourceStatic {
		if a.Value != nil {
			c.Add("value", "is for static attributes")
		}
		return
	}
	if a.Value == nil {
		c.Add("value", "is missing: a static attribute is its value")
		return
	}
	if data, err := json.Marshal(a.Value); err != nil || len(data) > maxValue {
		c.Add("value", "must be JSON of at most %d bytes", maxValue)
	}
	if err := a.Fits(a.Value); err != nil && a.Type.Valid() {
		c.Add("value", "%s", err)
	}
}

func (a *Attribute) checkFunction(s *scene, c *fault.Check) {
	if a.Source != SourceFunction {
		for field, set := range map[string]bool{"function": a.Function != "", "result_path": a.Path != "", "arguments": len(a.Arguments) > 0} {
			if set {
				c.Add(field, "is for attributes that a function fills")
			}
		}
		return
	}
	if a.Function == "" {
		c.Add("function", "is missing: the id of the function that fills the attribute")
	} else if r, ok := s.state.Get(s.account, configlog.KindFunction, a.Function); !ok {
		c.Add("function", "there is no function %q; create it first", a.Function)
	} else if f, err := functionOf(r); err == nil {
		a.checkOnError(c, "function", &f)
	}
	if ok, _ := regexp.MatchString(`^([A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*)?$`, a.Path); !ok || len(a.Path) > maxName {
		c.Add("result_path", "%q must be names or list indexes parted by dots, such as customer.tiers.0", a.Path)
	}
	a.checkArguments(s, c)
}

// checkOnError wants the value that stands in for a call that fails to be one that
// the attribute can have.
func (a *Attribute) checkOnError(c *fault.Check, field string, f *Function) {
	if f.OnError == nil || !a.Type.Valid() {
		return
	}
	if err := a.Fits(f.OnError); err != nil {
		c.Add(field, "the value on error of function %q %s, and attribute %q would not be filled", f.ID, err, a.Name)
	}
}

// argumentName is what the arguments of a function can be called: names that
// JavaScript has too.
var argumentName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)

func (a *Attribute) checkArguments(s *scene, c *fault.Check) {
	if len(a.Arguments) > maxArguments {
		c.Add("arguments", "are %d; the limit is %d", len(a.Arguments), maxArguments)
	}
	if data, err := json.Marshal(a.Arguments); err != nil || len(data) > maxValue {
		c.Add("arguments", "must be JSON of at most %d bytes", maxValue)
	}
	a.templates = nil
	a.prepare()
	for name := range a.Arguments {
		if !argumentName.MatchString(name) {
			c.Add("arguments", "%q must be 1 to 64 letters, digits and '_', beginning with a letter or '_'", name)
		}
		for _, need := range a.templates[name].Names() {
			a.checkNeed(s, c, "arguments."+name, need)
		}
	}
}

// checkNeed refuses arguments that would need a second round of calls, or a
// candidate where there is none.
func (a *Attribute) checkNeed(s *scene, c *fault.Check, field, need string) {
	first, _, _ := strings.Cut(need, ".")
	switch {
	case need == a.Name:
		c.Add(field, "the attribute cannot be an argument of itself")
	case first == "candidate":
		c.Add(field, "%q: functions are called once a decision, not for each candidate", need)
	case first == "custom":
		r, ok := s.state.Get(s.account, configlog.KindAttribute, need)
		if !ok {
			c.Add(field, "there is no attribute %q", need)
			return
		}
		if other, err := attributeOf(r); err == nil && other.Source == SourceFunction {
			c.Add(field, "%q is filled by a function itself; an argument must be known without a call", need)
		}
	default:
		for _, p := range policy.CheckName(need, s.environment()) {
			if p.Severity == policy.Error {
				c.Add(field, "%s", p.Description)
			}
		}
	}
}

func typeOf(v any) policy.AttributeType {
	switch v.(type) {
	case string:
		return policy.TypeString
	case float64:
		return policy.TypeNumber
	case bool:
		return policy.TypeBoolean
	case []any:
		return policy.TypeList
	case map[string]any:
		return policy.TypeObject
	default:
		return "null"
	}
}

func typeHolds(t policy.AttributeType, v any) bool {
	return v != nil && (t == policy.TypeAny || t == "" || t == typeOf(v))
}

func contains(list []any, v any) bool {
	return slices.ContainsFunc(list, func(other any) bool { return reflect.DeepEqual(other, v) })
}
