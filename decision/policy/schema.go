package policy

import (
	"encoding/json"
	"fmt"
)

// SchemaID is the $id of the schema that [Schema] returns.
const SchemaID = "https://github.com/usherhq/usher/blob/main/docs/policy.schema.json"

// schemaNode is an object of the schema.
type schemaNode = map[string]any

// Schema returns the JSON Schema (draft 2020-12) of a policy document in canonical
// form, indented. It says what has which shape; what Parse checks beyond that, such
// as zones, patterns and expressions, it does not.
func Schema() ([]byte, error) {
	root := closed(schemaNode{
		"name":         schemaNode{"type": "string", "pattern": "^[a-z0-9][a-z0-9._-]*$", "maxLength": maxPolicyName, "description": "id in the account; default is the account's last word"},
		"display_name": limited(maxText), "description": limited(maxText),
		"enabled":   schemaNode{"type": "boolean", "default": true},
		"rank":      schemaNode{"type": "number", "description": "place in the list, lowest first"},
		"schedule":  ref("schedule"),
		"when":      ref("condition"),
		"effect":    ref("effect"),
		"exception": closed(schemaNode{"when": ref("condition"), "effect": ref("effect")}, "effect"),
	}, "effect")
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["$id"] = SchemaID
	root["title"] = "Policy"
	root["description"] = "A condition and its effect. docs/policies.md describes the language."
	root["$defs"] = definitions()
	data, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("marshal the schema: %w", err)
	}
	return append(data, '\n'), nil
}

func ref(name string) schemaNode { return schemaNode{"$ref": "#/$defs/" + name} }

func limited(length int) schemaNode { return schemaNode{"type": "string", "maxLength": length} }

// closed is an object without any other fields.
func closed(properties schemaNode, required ...string) schemaNode {
	out := schemaNode{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

func listOf(items any, least, most int) schemaNode {
	return schemaNode{"type": "array", "items": items, "minItems": least, "maxItems": most}
}

func definitions() schemaNode {
	attribute := schemaNode{"type": "string", "minLength": 1, "maxLength": maxName}
	zone := schemaNode{"type": "string", "description": "IANA time zone; UTC when left out"}
	days := listOf(schemaNode{"enum": []string{"MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"}}, 1, 7)
	clock := schemaNode{"type": "string", "pattern": `^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$|^24:00(:00)?$`}
	moment := schemaNode{"type": "string", "pattern": `^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt].+)?$`, "description": "date or RFC 3339 time"}
	scalar := schemaNode{"type": []string{"string", "number", "boolean"}}
	return schemaNode{
		"attribute": attribute,
		"scalar":    scalar,
		"schedule":  closed(schemaNode{"from": moment, "to": moment, "zone": zone}),
		"part": schemaNode{"oneOf": []any{
			schemaNode{"type": "object", "maxProperties": 0, "description": "holds always"}, ref("condition"),
		}},
		"condition": schemaNode{"oneOf": []any{
			closed(schemaNode{"all": listOf(ref("part"), 1, maxList)}, "all"),
			closed(schemaNode{"any": listOf(ref("part"), 1, maxList)}, "any"),
			closed(schemaNode{"not": ref("part")}, "not"),
			ref("comparison"),
			closed(schemaNode{"time": ref("time")}, "time"),
			closed(schemaNode{"date": closed(schemaNode{"from": moment, "to": moment, "zone": zone, "days": days, "attribute": ref("attribute")})}, "date"),
			closed(schemaNode{"cel": schemaNode{"type": "string", "minLength": 1, "maxLength": maxCEL}}, "cel"),
		}},
		"comparison": comparisonSchema(),
		"time": schemaNode{"oneOf": []any{
			closed(schemaNode{"from": clock, "to": clock, "zone": zone, "days": days, "attribute": ref("attribute")}),
			closed(schemaNode{"calendar": limited(maxName), "attribute": ref("attribute")}, "calendar"),
		}},
		"effect":   effectSchema(),
		"fixed":    closed(schemaNode{"actions": actionsSchema(1)}, "actions"),
		"rank":     rankSchema(),
		"split":    splitSchema(),
		"step":     stepSchema(),
		"action":   actionSchema(),
		"selector": listOf(schemaNode{"type": "string", "minLength": 1}, 1, maxList),
	}
}

// comparisonSchema says for every operator what stands on its right.
func comparisonSchema() schemaNode {
	var right []any
	for _, op := range Operators() {
		shape := rightSchema(op)
		right = append(right, schemaNode{
			"if": schemaNode{"properties": schemaNode{"operator": schemaNode{"const": string(op)}}}, "then": shape,
		})
	}
	out := closed(schemaNode{
		"attribute": ref("attribute"), "operator": schemaNode{"enum": Operators()}, "value": true, "value_from": ref("attribute"),
		"fold": schemaNode{"type": "boolean", "description": "upper and lower case are one"},
	}, "attribute", "operator")
	out["allOf"] = right
	return out
}

func rightSchema(op Operator) schemaNode {
	value := func(shape any, alone bool) schemaNode {
		out := schemaNode{"properties": schemaNode{"value": shape}}
		if alone {
			out["properties"].(schemaNode)["value_from"] = false
			return out
		}
		out["oneOf"] = []any{schemaNode{"required": []string{"value"}}, schemaNode{"required": []string{"value_from"}}}
		return out
	}
	ordered := schemaNode{"type": []string{"string", "number"}}
	switch op {
	case Exists:
		return value(schemaNode{"type": "boolean"}, true)
	case Matches:
		return value(limited(maxPattern), true)
	case Between:
		return value(listOf(ordered, 2, 2), true)
	case In, NotIn, AnyOf, AllOf:
		return value(listOf(ref("scalar"), 1, maxList), false)
	case Less, LessOrEqual, Greater, GreaterOrEqual:
		return value(ordered, false)
	case StartsWith, EndsWith:
		return value(schemaNode{"type": "string"}, false)
	default:
		return value(ref("scalar"), false)
	}
}

func effectSchema() schemaNode {
	out := closed(schemaNode{
		"fixed": ref("fixed"), "rank": ref("rank"), "split": ref("split"), "steps": listOf(ref("step"), 1, maxSteps),
		"deny": closed(schemaNode{"targets": ref("selector"), "where": ref("condition")}),
	})
	alone := func(name string, others ...string) schemaNode {
		none := schemaNode{}
		for _, other := range others {
			none[other] = false
		}
		return schemaNode{"required": []string{name}, "properties": none}
	}
	out["oneOf"] = []any{
		alone("fixed", "rank", "split", "steps", "deny"), alone("rank", "fixed", "split", "steps"),
		alone("split", "fixed", "rank", "steps"), alone("steps", "fixed", "rank", "split"), alone("deny", "fixed", "rank", "split", "steps"),
	}
	return out
}

func rankSchema() schemaNode {
	return closed(schemaNode{
		"objective": limited(maxName), "targets": ref("selector"), "where": ref("condition"), "actions": actionsSchema(0),
		"levers": schemaNode{
			"type": "object", "description": "percent by candidate",
			"additionalProperties": schemaNode{"type": "number", "minimum": MinLever, "maximum": MaxLever},
		},
	})
}

func splitSchema() schemaNode {
	arm := closed(schemaNode{"weight": schemaNode{"type": "number", "exclusiveMinimum": 0}, "actions": actionsSchema(1)}, "weight", "actions")
	return closed(schemaNode{
		"by":   schemaNode{"type": "string", "maxLength": maxName, "default": ByConversation, "description": "conversation, consumer or an attribute"},
		"arms": listOf(arm, 1, maxArms),
	}, "arms")
}

func stepSchema() schemaNode {
	out := closed(schemaNode{
		"fixed": ref("fixed"), "rank": ref("rank"), "split": ref("split"), "skip_when": ref("condition"),
		"expires_after": schemaNode{"type": "string", "pattern": `^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`, "description": "such as 30s or 2m"},
	})
	out["oneOf"] = []any{
		schemaNode{"required": []string{"fixed"}}, schemaNode{"required": []string{"rank"}}, schemaNode{"required": []string{"split"}},
	}
	return out
}

func actionsSchema(least int) schemaNode { return listOf(ref("action"), least, maxActions) }

func actionSchema() schemaNode {
	return closed(schemaNode{
		"type":    schemaNode{"type": "string", "minLength": 1, "maxLength": maxName, "examples": ActionTypes()},
		"target":  schemaNode{"type": "string", "maxLength": 2 * maxName, "description": "skill, agent, bot or engagement; may hold {{attribute}}"},
		"payload": schemaNode{"type": "object"},
	}, "type")
}
