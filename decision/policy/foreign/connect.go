package foreign

import (
	"encoding/json"
	"fmt"
	"slices"

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
		o.take("InstanceId", "ContactId", "ContactFlowId")
		steps, at := criteria.list("Steps")
		if len(steps) == 0 {
			r.err(at, policy.CodeMissing, "is empty: a routing criterion needs a step")
		}
		d["effect"] = doc{"steps": r.connectSteps(steps, at)}
		criteria.done()
		if criteria != o {
			o.done()
		}
		r.warn(path, CodeCandidates, "ranks agents: the caller must offer them as candidates of type TRANSFER_TO_AGENT whose attributes "+
			"hold their proficiencies, such as {\"Language\": {\"English\": 4}}")
		r.keep(d, path, before, asIs)
	})
}

// connectSteps translates the steps. When the last one lapses, any agent will do.
func (r *reader) connectSteps(list []any, path string) []any {
	steps := make([]any, 0, len(list)+1)
	lapses := false
	for i, v := range list {
		if i > 0 && !lapses {
			r.warn(index(path, i), policy.CodeUnreachable, "is never reached: the step before it does not expire, so it is left out")
			continue
		}
		step := doc{}
		o := asObject(v, index(path, i), &r.sink)
		if expression, at, ok := o.take("Expression"); ok {
			step["rank"] = doc{"where": r.connectExpression(expression, at)}
		} else {
			r.err(at, policy.CodeMissing, "is missing")
		}
		lapses = r.expiry(o, step)
		if status, ok := o.text("Status"); ok && status != "ACTIVE" && status != "INACTIVE" {
			r.warn(join(o.path, "Status"), CodeNotTaken, "%s is where one contact stood and is left out", status)
		}
		o.done()
		steps = append(steps, step)
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
			return true
		}
		r.warn(join(at, "ExpiryTimestamp"), CodeNotTaken, "is a moment of one contact and is left out")
	}
	expiry.done()
	if !timed {
		return false
	}
	after, isNumber := secondsOf(duration)
	if !isNumber {
		r.err(durationPath, policy.CodeInvalid, "is %s, must be a number of seconds", nameOf(duration))
	}
	step["expires_after"] = after
	return true
}

// connectExpression translates one expression, which is exactly one of four.
func (r *reader) connectExpression(v any, path string) doc {
	o := asObject(v, path, &r.sink)
	forms := []string{"AttributeCondition", "AndExpression", "OrExpression", "NotAttributeCondition"}
	var out doc
	for _, form := range forms {
		inner, at, ok := o.take(form)
		switch {
		case !ok:
		case out != nil:
			r.err(at, policy.CodeInvalid, "stands beside another expression; an expression is one of them")
		case form == "AndExpression" || form == "OrExpression":
			out = r.connectGroup(form, inner, at)
		default:
			out = r.proficiency(inner, at, form == "NotAttributeCondition")
		}
	}
	if out == nil {
		r.err(path, policy.CodeMissing, "is none of AttributeCondition, AndExpression, OrExpression, NotAttributeCondition")
	}
	o.done()
	return out
}

func (r *reader) connectGroup(form string, v any, path string) doc {
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		r.err(path, policy.CodeInvalid, "must be a list of expressions, not empty")
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
	if !hasName || !hasValue {
		r.err(path, policy.CodeMissing, "needs Name and Value")
	}
	attribute := fmt.Sprintf("candidate.%s.%s", name, value)
	d := doc{"attribute": attribute}
	switch operator {
	case "NumberGreaterOrEqualTo", "":
		level, at, _ := o.take("ProficiencyLevel")
		d["operator"], d["value"] = "greater_than_or_equal", r.level(level, at)
	case "Range":
		limits, at, _ := o.take("Range")
		bounds := asObject(limits, at, &r.sink)
		low, lowPath, _ := bounds.take("MinProficiencyLevel")
		high, highPath, _ := bounds.take("MaxProficiencyLevel")
		d["operator"], d["value"] = "between", []any{r.level(low, lowPath), r.level(high, highPath)}
		bounds.done()
	default:
		r.err(join(path, "ComparisonOperator"), policy.CodeUnknownOperator, "%q is none of NumberGreaterOrEqualTo, Range, Match", operator)
		return doc{}
	}
	o.done()
	if not {
		return doc{"any": []any{doc{"attribute": attribute, "operator": "exists", "value": false}, doc{"not": d}}}
	}
	return d
}

// level checks a proficiency, 1 to 5.
func (r *reader) level(v any, path string) any {
	n, ok := v.(json.Number)
	if f, err := n.Float64(); !ok || err != nil || f < 1 || f > 5 {
		r.err(path, policy.CodeInvalid, "is not a proficiency level from 1 to 5")
	}
	return v
}

func (r *reader) matchAgents(o *object, v any, path string, not bool) doc {
	match := asObject(v, path, &r.sink)
	criteria, at, _ := match.take("AgentsCriteria")
	agents := asObject(criteria, at, &r.sink)
	ids, idsPath := agents.list("AgentIds")
	if len(ids) == 0 || slices.ContainsFunc(ids, func(id any) bool { _, ok := id.(string); return !ok }) {
		r.err(idsPath, policy.CodeInvalid, "must be a list of agents, not empty")
	}
	agents.done()
	match.done()
	o.take("Name", "Value", "ProficiencyLevel")
	o.done()
	operator := "in"
	if not {
		operator = "not_in"
	}
	return doc{"attribute": "candidate.target", "operator": operator, "value": ids}
}
