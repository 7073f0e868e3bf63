package foreign

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/usherhq/usher/decision/policy"
)

// connectName is the id of the one policy that a routing criterion becomes: the
// documents have no name.
const connectName = "connect-routing"

// connect reads a routing criterion: one policy whose steps rank the agents that
// the caller offers.
func (r *reader) connect(tree any) {
	r.each(tree, func(v any, path string) {
		before := r.errors
		o := asObject(v, path, &r.sink)
		name, _ := o.text("Name")
		if name == "" {
			name = connectName
		}
		id := r.claim(name, "", path, false)
		d := doc{"name": id}
		if name != id && name != connectName {
			d["display_name"] = name
		}
		criteria := o
		if inner, at, ok := o.take("RoutingCriteria"); ok {
			criteria = asObject(inner, at, &r.sink)
		}
		steps, at := criteria.list("Steps")
		if d["effect"] = (doc{"steps": r.connectSteps(steps, at)}); len(steps) == 0 {
			r.err(at, policy.CodeMissing, "is empty: a routing criterion needs a step")
			d["effect"] = doc{"fixed": doc{"actions": []any{standIn()}}}
		}
		criteria.done()
		if criteria != o {
			o.done()
		}
		r.warn(path, CodeCandidates, "ranks agents: the caller must offer them as candidates of type TRANSFER_TO_AGENT whose attributes "+
			"hold their proficiencies, such as {\"Language\": {\"English\": 4}}")
		r.keep(d, path, before, func(p string) string {
			return strings.NewReplacer("effect.steps[", strings.TrimPrefix(at, path+".")+"[", "rank.where", "Expression", "expires_after", "Expiry.DurationInSeconds").Replace(p)
		})
	})
}

// connectSteps translates the steps. When the last one lapses, any agent will do.
func (r *reader) connectSteps(list []any, path string) []any {
	steps := make([]any, 0, len(list)+1)
	lapses := true
	for i, v := range list {
		step := doc{}
		o := asObject(v, index(path, i), &r.sink)
		if expression, at, ok := o.take("Expression"); ok {
			step["rank"] = doc{"where": r.connectExpression(expression, at)}
		} else {
			r.err(at, policy.CodeMissing, "is missing")
			step["rank"] = doc{}
		}
		expires := r.expiry(o, step)
		if status, ok := o.text("Status"); ok {
			r.warn(join(o.path, "Status"), CodeNotTaken, "%s is where one contact stood and is left out", status)
		}
		o.done()
		if !lapses {
			r.warn(o.path, policy.CodeUnreachable, "is never reached: the step before it does not expire, so it is left out")
			continue
		}
		steps, lapses = append(steps, step), expires
	}
	if lapses {
		steps = append(steps, doc{"rank": doc{}})
	}
	return steps
}

func (r *reader) expiry(o *object, step doc) bool {
	v, at, ok := o.take("Expiry")
	if !ok {
		return false
	}
	expiry := asObject(v, at, &r.sink)
	duration, durationPath, timed := expiry.take("DurationInSeconds")
	if stamp, ok := expiry.text("ExpiryTimestamp"); ok {
		if !timed {
			r.err(join(at, "ExpiryTimestamp"), CodeNotSayable, "%s is a moment of one contact; give DurationInSeconds", stamp)
			expiry.done()
			return true
		}
		r.warn(join(at, "ExpiryTimestamp"), CodeNotTaken, "is a moment of one contact and is left out")
	}
	expiry.done()
	if !timed {
		r.err(durationPath, policy.CodeMissing, "is missing: an expiry is a number of seconds")
		return true
	}
	step["expires_after"] = "1s"
	if after, isNumber := duration.(json.Number); isNumber {
		step["expires_after"] = after.String() + "s"
	} else {
		r.unreadable(durationPath, duration, "a number of seconds")
	}
	return true
}

// connectExpression translates one expression, which is exactly one of four.
func (r *reader) connectExpression(v any, path string) doc {
	o := asObject(v, path, &r.sink)
	forms := []string{"AttributeCondition", "AndExpression", "OrExpression", "NotAttributeCondition"}
	var out doc
	for _, form := range forms {
		inner, at, ok := o.take(form)
		if ok && out != nil {
			r.err(at, policy.CodeInvalid, "stands beside another expression; an expression is one of them")
		}
		switch {
		case !ok:
		case form == "AndExpression" || form == "OrExpression":
			out = r.connectGroup(form, inner, at)
		default:
			out = r.proficiency(inner, at, form == "NotAttributeCondition")
		}
	}
	if out == nil {
		r.err(path, policy.CodeMissing, "is none of AttributeCondition, AndExpression, OrExpression, NotAttributeCondition")
		out = unread()
	}
	o.done()
	return out
}

func (r *reader) connectGroup(form string, v any, path string) doc {
	list, ok := v.([]any)
	if !ok {
		r.unreadable(path, v, "a list of expressions")
	}
	if len(list) == 0 {
		r.err(path, policy.CodeMissing, "is empty: a group needs an expression")
		return unread()
	}
	var out []any
	for i, one := range list {
		out = append(out, r.connectExpression(one, index(path, i)))
	}
	if form == "OrExpression" {
		return doc{"any": out}
	}
	return doc{"all": out}
}

// proficiency translates one condition on an agent's level. An agent without the
// proficiency fails it, and so passes its negation.
func (r *reader) proficiency(v any, path string, not bool) doc {
	o := asObject(v, path, &r.sink)
	operator, _ := o.text("ComparisonOperator")
	if agents, at, ok := o.take("MatchCriteria"); ok || operator == "Match" {
		return r.matchAgents(o, agents, at, not)
	}
	name, hasName := o.text("Name")
	value, hasValue := o.text("Value")
	if !hasName {
		r.err(join(path, "Name"), policy.CodeMissing, "is missing: name the proficiency")
	}
	if !hasValue {
		r.err(join(path, "Value"), policy.CodeMissing, "is missing: give the proficiency's value")
	}
	attribute := fmt.Sprintf("candidate.%s.%s", name, value)
	d := doc{"attribute": attribute}
	if operator == "" && o.fields["Range"] != nil {
		operator = "Range"
	}
	switch operator {
	case "NumberGreaterOrEqualTo", "":
		level, at, _ := o.take("ProficiencyLevel")
		d["operator"], d["value"] = "greater_than_or_equal", r.level(level, at)
	case "Range":
		limits, at, _ := o.take("Range")
		bounds := asObject(limits, at, &r.sink)
		low, lowPath, _ := bounds.take("MinProficiencyLevel")
		high, highPath, _ := bounds.take("MaxProficiencyLevel")
		from, to := r.level(low, lowPath), r.level(high, highPath)
		d["operator"], d["value"] = "between", []any{from, to}
		if to < from {
			r.err(at, policy.CodeInvalid, "has its bounds in the wrong order")
			d["value"] = []any{to, from}
		}
		bounds.done()
	default:
		r.err(join(path, "ComparisonOperator"), policy.CodeUnknownOperator, "%q is none of NumberGreaterOrEqualTo, Range, Match", operator)
		o.known = append(o.known, "ProficiencyLevel", "Range")
		hasName = false
	}
	o.done()
	if !hasName || !hasValue {
		return unread()
	}
	if not {
		return doc{"any": []any{doc{"attribute": attribute, "operator": "exists", "value": false}, doc{"not": d}}}
	}
	return d
}

// level checks a proficiency, 1 to 5.
func (r *reader) level(v any, path string) float64 {
	n, _ := v.(json.Number)
	level, err := n.Float64()
	if err != nil || level < 1 || level > 5 {
		r.err(path, policy.CodeInvalid, "is not a proficiency level from 1 to 5")
		return 1
	}
	return level
}

func (r *reader) matchAgents(o *object, v any, path string, not bool) doc {
	match := asObject(v, path, &r.sink)
	criteria, at, _ := match.take("AgentsCriteria")
	agents := asObject(criteria, at, &r.sink)
	ids, idsPath := agents.list("AgentIds")
	if len(ids) == 0 || slices.ContainsFunc(ids, func(id any) bool { _, ok := id.(string); return !ok }) {
		r.err(idsPath, policy.CodeInvalid, "must be a list of agents, not empty")
		ids = []any{"agent"}
	}
	agents.done()
	match.done()
	o.done()
	operator := "in"
	if not {
		operator = "not_in"
	}
	return doc{"attribute": "candidate.target", "operator": operator, "value": ids}
}
