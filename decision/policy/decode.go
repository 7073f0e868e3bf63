package policy

import (
	"fmt"
	"slices"
	"strings"
)

// decoder turns a JSON tree into the structs of this package and records what
// has the wrong shape. What the shapes mean is the compiler's to check.
type decoder struct{ check *findings }

// object is a JSON object whose fields are taken out one by one; done reports
// those that nobody took.
type object struct {
	d      *decoder
	path   string
	fields map[string]any
	known  []string
}

func (d *decoder) object(v any, path string) *object {
	fields, ok := v.(map[string]any)
	if !ok {
		d.check.unreadable(CodeInvalid, path, "is %s, must be an object", nameOf(v))
	}
	return &object{d: d, path: path, fields: fields}
}

// nameOf names the JSON type of v for messages.
func nameOf(v any) string {
	if v == nil {
		return "null"
	}
	val := valueOf(v)
	return val.kind.String()
}

// take hands out a field, with its path; null counts as not given.
func (o *object) take(key string) (any, string, bool) {
	o.known = append(o.known, key)
	v, ok := o.fields[key]
	return v, join(o.path, key), ok && v != nil
}

// done reports the fields that nobody took: a misspelt field must not be a
// condition that silently is not there.
func (o *object) done() {
	for _, key := range sortedKeys(o.fields) {
		if !slices.Contains(o.known, key) {
			o.d.check.fail(CodeUnknownField, join(o.path, key), "is not a field here; one of %s", strings.Join(o.known, ", "))
		}
	}
}

// text takes a string; such are examples of it for messages.
func (o *object) text(key string, such ...string) string {
	v, path, ok := o.take(key)
	if !ok {
		return ""
	}
	s, isText := v.(string)
	if !isText {
		o.d.check.unreadable(CodeInvalid, path, "is %s, must be %s", nameOf(v), strings.Join(append([]string{"a string"}, such...), " "))
	}
	return s
}

func (o *object) number(key string) float64 {
	v, path, ok := o.take(key)
	if !ok {
		return 0
	}
	f, isNumber := v.(float64)
	if !isNumber {
		o.d.check.unreadable(CodeInvalid, path, "is %s, must be a number", nameOf(v))
	}
	return f
}

func (o *object) flag(key string, missing bool) bool {
	v, path, ok := o.take(key)
	if !ok {
		return missing
	}
	b, isBool := v.(bool)
	if !isBool {
		o.d.check.unreadable(CodeInvalid, path, "is %s, must be true or false", nameOf(v))
	}
	return b
}

func (o *object) list(key string) ([]any, string) {
	v, path, ok := o.take(key)
	if !ok {
		return nil, path
	}
	l, isList := v.([]any)
	if !isList {
		o.d.check.unreadable(CodeInvalid, path, "is %s, must be a list", nameOf(v))
	}
	return l, path
}

func (o *object) texts(key string) []string {
	l, path := o.list(key)
	var out []string
	for i, v := range l {
		s, ok := v.(string)
		if !ok {
			o.d.check.unreadable(CodeInvalid, fmt.Sprintf("%s[%d]", path, i), "is %s, must be a string", nameOf(v))
		}
		out = append(out, s)
	}
	return out
}

const maxText = 4000

func (d *decoder) policy(tree any) *Policy {
	o := d.object(tree, "")
	p := &Policy{
		Name: o.text("name"), DisplayName: o.text("display_name"), Description: o.text("description"),
		Enabled: o.flag("enabled", true), Rank: o.number("rank"),
	}
	checkName(p.Name, d.check)
	if len(p.DisplayName) > maxText || len(p.Description) > maxText {
		d.check.fail(CodeLimit, "description", "or display_name is longer than %d bytes", maxText)
	}
	p.Schedule = d.schedule(o)
	p.When = d.optional(o, "when")
	if v, path, ok := o.take("effect"); ok {
		p.Effect = d.effect(v, path)
	}
	if v, path, ok := o.take("exception"); ok {
		e := d.object(v, path)
		if _, given := e.fields["when"]; !given {
			d.check.fail(CodeMissing, join(path, "when"), "is missing: an exception that always holds would never let the policy itself decide")
		}
		p.Exception = &Exception{When: d.optional(e, "when")}
		if v, at, ok := e.take("effect"); ok {
			p.Exception.Effect = d.effect(v, at)
		}
		e.done()
	}
	o.done()
	return p
}

func (d *decoder) schedule(o *object) *Schedule {
	v, path, ok := o.take("schedule")
	if !ok {
		return nil
	}
	f := d.object(v, path)
	s := &Schedule{From: f.text("from"), To: f.text("to"), Zone: f.text("zone")}
	f.done()
	if s.From == "" && s.To == "" {
		zoneOf(s.Zone, path+".zone", d.check)
		// Always in force is canonically no schedule at all.
		return nil
	}
	return s
}

// optional reads a condition that may be left out.
func (d *decoder) optional(o *object, key string) *Condition {
	v, path, ok := o.take(key)
	if !ok {
		return nil
	}
	if fields, isObject := v.(map[string]any); isObject && len(fields) == 0 {
		d.check.fail(CodeMissing, path, "is empty; leave it out, or say what must hold")
	}
	return d.condition(v, path)
}

func conditionForms() []string {
	return []string{"all", "any", "not", "time", "date", "cel", "attribute"}
}

// condition returns nil for one without any restriction.
func (d *decoder) condition(v any, path string) *Condition {
	o := d.object(v, path)
	c, forms := &Condition{}, []string{}
	for _, form := range conditionForms() {
		if v, _, ok := o.take(form); ok && v != nil {
			forms = append(forms, form)
		}
	}
	if len(forms) > 1 {
		// Each is read, so that what is wrong inside is told too.
		d.check.Add(path, "is %s at once; a condition is one of them", strings.Join(forms, " and "))
		c = &Condition{}
	}
	if len(forms) == 0 {
		o.known = append(o.known, "operator", "value", "value_from", "fold")
		if len(o.fields) > 0 {
			d.check.Add(path, "has none of %s", strings.Join(conditionForms(), ", "))
		}
		o.done()
		return nil
	}
	for _, form := range forms {
		d.form(c, o, form)
	}
	o.done()
	// An empty list always holds, which canonically is no condition at all.
	if len(forms) == 1 && forms[0] == "all" && len(c.All) == 0 {
		return nil
	}
	return c
}

// form reads the one form that a condition has.
func (d *decoder) form(c *Condition, o *object, form string) {
	switch form {
	case "all":
		c.All = d.conditions(o, form)
	case "any":
		c.Any = d.conditions(o, form)
		if len(c.Any) == 0 {
			d.check.Add(join(o.path, form), "is empty and could never match")
		}
	case "not":
		v, path, _ := o.take(form)
		if c.Not = d.condition(v, path); c.Not == nil {
			c.Not = &Condition{}
		}
	case "time":
		v, path, _ := o.take(form)
		c.Time = d.window(v, path)
	case "date":
		v, path, _ := o.take(form)
		c.Date = d.dates(v, path)
	case "cel":
		c.CEL = o.text(form)
		if strings.TrimSpace(c.CEL) == "" {
			d.check.Add(join(o.path, form), "is empty")
			c.CEL = ""
		}
	case "attribute":
		d.comparison(c, o)
	}
}

func (d *decoder) conditions(o *object, key string) []*Condition {
	list, path := o.list(key)
	out := make([]*Condition, 0, len(list))
	for i, v := range list {
		c := d.condition(v, fmt.Sprintf("%s[%d]", path, i))
		if c == nil {
			c = &Condition{}
		}
		out = append(out, c)
	}
	return out
}

func (d *decoder) window(v any, path string) *Window {
	o := d.object(v, path)
	w := &Window{From: o.text("from"), To: o.text("to"), Zone: o.text("zone"), Calendar: o.text("calendar"), Attribute: o.text("attribute")}
	if days := o.texts("days"); len(days) > 0 {
		w.Days = canonicalDays(days)
	}
	o.done()
	return w
}

func (d *decoder) dates(v any, path string) *DateWindow {
	o := d.object(v, path)
	w := &DateWindow{From: o.text("from"), To: o.text("to"), Zone: o.text("zone"), Attribute: o.text("attribute")}
	if days := o.texts("days"); len(days) > 0 {
		w.Days = canonicalDays(days)
	}
	o.done()
	return w
}

// comparison reads a leaf and turns the operator's spelling and the right side
// into their canonical form.
func (d *decoder) comparison(c *Condition, o *object) {
	c.Attribute = strings.TrimSpace(o.text("attribute"))
	if c.Attribute == "" {
		d.check.unreadable(CodeMissing, join(o.path, "attribute"), "is empty")
	}
	operator, at := o.text("operator"), join(o.path, "operator")
	op, ok := ParseOperator(operator)
	if !ok && operator != "" {
		d.check.unreadable(CodeUnknownOperator, at, "%q is not an operator; one of %s", operator, operatorNames())
	}
	fold := o.flag("fold", false)
	c.ValueFrom = o.text("value_from")
	v, path, given := o.take("value")
	if text, isText := v.(string); isText && c.ValueFrom == "" {
		// {"value": "{{name}}"} is how other systems write value_from.
		if t := parseTemplate(text); len(t) == 1 && t[0].attribute != "" {
			c.ValueFrom, v, given = t[0].attribute, nil, true
		}
	}
	if !ok {
		// Without an operator nothing can be said of the right side, but which
		// attribute it is.
		return
	}
	c.Operator, c.Fold, c.Value = op, fold, v
	if !given && c.ValueFrom == "" && op != Exists && !d.check.madeUp(join(o.path, "value_from")) {
		d.check.unreadable(CodeMissing, path, "is missing; give value or value_from")
	}
	if op == Exists && c.Value == nil && c.ValueFrom == "" {
		c.Value = true
	}
}
