package foreign

import (
	"encoding/json"
	"strings"

	"github.com/usherhq/usher/decision/policy"
)

// condition reads one condition: {property, type, value}, the form editor's
// {attribute, operator, dataType, value}, {expression}, or a group of conditions,
// which LivePerson's own documents do not have.
func (r *reader) condition(v any, path string) any {
	fields, ok := v.(map[string]any)
	if !ok {
		if text, isText := v.(string); isText {
			return r.expression(text, path)
		}
		r.unreadable(path, v, "an object")
		return unread()
	}
	o := asObject(fields, path, &r.sink)
	forms, out := "", doc{}
	for _, form := range []string{"all", "any", "not", "time", "date", "cel", "expression"} {
		inner, at, given := o.take(form)
		if !given {
			continue
		}
		if out = r.form(form, inner, at); forms != "" {
			r.err(at, policy.CodeInvalid, "stands beside %s; a condition is one of them", forms)
		}
		forms = form
	}
	if forms == "" || o.fields["property"] != nil || o.fields["attribute"] != nil {
		if forms != "" {
			r.err(join(path, forms), policy.CodeInvalid, "stands beside a comparison; a condition is one of them")
		}
		return r.comparison(o)
	}
	o.done()
	return out
}

// form reads a condition that is no comparison.
func (r *reader) form(form string, v any, path string) doc {
	switch form {
	case "all", "any":
		list := r.conditions(v, path)
		if form == "all" && len(list) == 0 {
			r.warn(path, CodeConstant, "is empty and always holds")
		}
		return doc{form: list}
	case "not":
		return doc{form: r.condition(v, path)}
	case "expression":
		return r.expression(v, path)
	}
	return doc{form: v}
}

// leaf is a comparison of LivePerson on its way to a canonical one.
type leaf struct {
	attribute string
	operator  string // as written
	value     any
	from      string // attribute on the right side
	dataType  string
	path      string
}

func (r *reader) comparison(o *object) doc {
	l := leaf{path: o.path}
	l.attribute, _ = o.text("property", "attribute", "attributeName")
	if name, ok := wholeTemplate(l.attribute); ok {
		l.attribute = name
	}
	// The form editor calls the operator operator, and may call a data type type.
	if _, editor := o.fields["operator"]; editor {
		l.operator, _ = o.text("operator", "logicalOperator")
		l.dataType, _ = o.text("dataType", "valueType", "data_type", "type")
	} else {
		l.operator, _ = o.text("type", "logicalOperator")
		l.dataType, _ = o.text("dataType", "valueType", "data_type")
	}
	switch strings.ToLower(l.dataType) {
	case "", "string", "number", "boolean", "attribute", "list", "skill", "agent", "channel", "intent":
	default:
		r.warn(join(o.path, "dataType"), CodeNotTaken, "%q is no data type known here; the value is taken as it stands", l.dataType)
	}
	var given bool
	l.value, _, given = o.take("value", "values")
	if from, ok := o.text("value_from"); ok {
		if given {
			r.err(join(o.path, "value_from"), policy.CodeInvalid, "stands beside value; give one of them")
		}
		l.from, given = from, true
	}
	if raw, there := o.fields["value"]; there && raw == "" {
		l.value, given = "", true // equal to the empty string is a condition
	}
	o.done()
	if l.attribute == "" {
		r.err(join(o.path, "property"), policy.CodeMissing, "is missing: name the attribute")
	}
	if l.operator == "" {
		r.err(join(o.path, "type"), policy.CodeMissing, "is missing: name the operator, such as EQUAL")
	}
	operator, known := policy.ParseOperator(l.operator)
	if !known && l.operator != "" {
		r.err(join(o.path, "type"), policy.CodeUnknownOperator, "%q is not an operator; one of EQUAL, NOT_EQUAL, LESS_THAN, "+
			"LESS_THAN_OR_EQUAL, GREATER_THAN, GREATER_THAN_OR_EQUAL, CONTAINS, IS_IN", l.operator)
	}
	if l.attribute == "" || !known {
		return unread()
	}
	if !given && operator != policy.Exists {
		r.err(join(o.path, "value"), policy.CodeMissing, "is missing: give a constant or an {{attribute}}")
		return unread()
	}
	return r.right(&l, operator)
}

// right settles what stands on the right side.
func (r *reader) right(l *leaf, operator policy.Operator) doc {
	at := join(l.path, "value")
	if text, ok := l.value.(string); ok {
		name, template := wholeTemplate(text)
		switch {
		case template:
			l.from = name
		case strings.EqualFold(l.dataType, "attribute"):
			l.from = strings.TrimSpace(text)
		case strings.Contains(text, "{{") && strings.Contains(text, "}}"):
			r.err(at, CodeNotSayable, "%q mixes text with an attribute; the right side is a constant or one {{attribute}}", text)
			return unread()
		}
	}
	r.blank(l.attribute, join(l.path, "property"))
	r.blank(l.from, at)
	if operator == policy.Contains {
		return r.reversed(l)
	}
	d := doc{"attribute": l.attribute, "operator": string(operator)}
	if l.from != "" {
		d["value_from"] = l.from
		return d
	}
	d["value"] = r.typed(l, operator, at)
	return d
}

// reversed translates CONTAINS as LivePerson documents it: the left side occurs
// within the right one.
func (r *reader) reversed(l *leaf) doc {
	meant := doc{"attribute": l.attribute, "operator": "contains"}
	var out doc
	var where string
	switch v := l.value.(type) {
	case []any:
		where, meant["value"] = "one of the listed values", "..."
		out = doc{"attribute": l.attribute, "operator": "in", "value": v}
	default:
		text, isText := textOf(l.value)
		switch {
		case l.from != "":
			where, meant["value_from"] = "{{"+l.from+"}}", l.from
			out = doc{"attribute": l.from, "operator": "contains", "value_from": l.attribute}
		case !isText:
			r.err(join(l.path, "value"), policy.CodeTypeMismatch, "is %s, must be a string or an {{attribute}}", nameOf(l.value))
			return unread()
		default:
			where, meant["value"] = "the text "+celText(text), text
			name, err := (&translator{rename: func(s string) string { return s }}).celName(&node{name: l.attribute})
			if err != nil {
				r.err(join(l.path, "property"), CodeNotSayable, "%q cannot be looked for in a constant text: its name is not letters, digits, dots and _; "+
					"keep it under another name", l.attribute)
				return unread()
			}
			out = doc{"cel": celText(text) + ".contains(" + name + ")"}
		}
	}
	other, err := json.Marshal(meant)
	if err != nil {
		other = []byte("contains")
	}
	r.warn(join(l.path, "type"), CodeReversed, "CONTAINS keeps LivePerson's documented meaning: {{%s}} occurs within %s. "+
		"If %s was meant to hold the value, write %s", l.attribute, where, l.attribute, other)
	return out
}

// stringIDs are LivePerson's attributes that hold ids: a number beside one is an
// id too.
func stringIDs(attribute string) bool {
	switch attribute {
	case "conversation.previousAgentId", "conversation.currentSkillId", "conversation.previousSkillId",
		"conversation.conversationId", "conversation.consumerId", "conversation.groupId",
		"sde.visitorinfo.customerinfo.customerid", "orchestrator.intent":
		return true
	}
	return false
}

// typed gives a constant the type that the data type, the operator or the
// attribute asks for.
func (r *reader) typed(l *leaf, operator policy.Operator, path string) any {
	switch operator {
	case policy.In, policy.NotIn, policy.AnyOf, policy.AllOf:
		return r.typedList(l, path)
	case policy.Less, policy.LessOrEqual, policy.Greater, policy.GreaterOrEqual:
		return r.typedNumber(l, path)
	case policy.Exists:
		if l.value == nil {
			return true
		}
	case policy.Equal, policy.NotEqual, policy.Contains, policy.StartsWith, policy.EndsWith, policy.Matches, policy.Between:
	}
	return r.scalar(l, l.value, path)
}

func (r *reader) typedNumber(l *leaf, path string) any {
	if _, isText := l.value.(string); !isText {
		return l.value
	}
	n, ok := numberOf(l.value)
	if !ok {
		r.err(path, policy.CodeTypeMismatch, "%q is not a number, which is what %s compares", l.value, l.operator)
		return 0
	}
	if !strings.EqualFold(l.dataType, "number") {
		r.warn(path, CodeConverted, "%q is taken for the number %s, which is what %s compares", l.value, n, l.operator)
	}
	return n
}

// scalar types one value.
func (r *reader) scalar(l *leaf, v any, path string) any {
	text, isText := textOf(v)
	_, isNumber := v.(json.Number)
	switch {
	case isNumber && stringIDs(l.attribute), isNumber && isIDType(l.dataType):
		return text
	case isText && strings.EqualFold(l.dataType, "number"):
		if n, ok := numberOf(v); ok {
			return n
		}
		r.err(path, policy.CodeTypeMismatch, "%q is not a number, which the data type says it is", text)
	case isText && strings.EqualFold(l.dataType, "boolean"):
		switch strings.ToLower(text) {
		case "true":
			return true
		case "false":
			return false
		}
		r.err(path, policy.CodeTypeMismatch, "%q is neither true nor false, which the data type says it is", text)
	}
	return v
}

// isIDType says whether a data type of the form editor is a pick list of ids.
func isIDType(dataType string) bool {
	switch strings.ToLower(dataType) {
	case "string", "skill", "agent", "channel", "intent":
		return true
	}
	return false
}

// typedList reads the right side of IS_IN: a list, or a text that stands for one.
func (r *reader) typedList(l *leaf, path string) any {
	list, isList := l.value.([]any)
	if text, ok := l.value.(string); ok {
		if err := json.Unmarshal([]byte(text), &list); err != nil || list == nil {
			list = nil
			for part := range strings.SplitSeq(text, ",") {
				list = append(list, strings.TrimSpace(part))
			}
		}
		r.warn(path, CodeConverted, "%q is taken for a list of %d", text, len(list))
	} else if !isList {
		list = []any{l.value}
		r.warn(path, CodeConverted, "is %s and taken for a list of one", nameOf(l.value))
	}
	out := make([]any, 0, len(list))
	for i, v := range list {
		if text, ok := v.(string); ok && strings.Contains(text, "{{") {
			r.err(index(path, i), CodeNotSayable, "%q in a list is not looked up; write an expression: %s in [a, b]", text, l.attribute)
		}
		out = append(out, r.scalar(l, v, index(path, i)))
	}
	return out
}
