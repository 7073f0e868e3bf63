package foreign

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/usherhq/usher/decision/policy"
)

func (r *reader) livePerson(tree any) {
	r.each(tree, r.livePersonPolicy, "policies", "rules")
}

// livePersonPolicy translates one policy of LivePerson. conditions and the
// expression must both hold when both are there.
func (r *reader) livePersonPolicy(v any, path string) {
	before := r.errors
	o := asObject(v, path, &r.sink)
	name, _ := o.text("name", "displayName", "display_name")
	id, hasID := o.text("id", "policyId", "ruleId")
	d := doc{"name": r.claim(name, id, path, false)}
	if name != "" && name != d["name"] {
		d["display_name"] = name
	}
	if hasID {
		r.warn(join(path, "id"), CodeNotTaken, "%s is not kept: the policy is %s from here on", id, d["name"])
	}
	if text, ok := o.text("description"); ok {
		d["description"] = text
	}
	if enabled, at, ok := o.take("enabled", "isEnabled", "active"); ok {
		if _, isFlag := enabled.(bool); !isFlag {
			r.unreadable(at, enabled, "true or false")
			enabled = false
		}
		d["enabled"] = enabled
	}
	conditional := r.block(o, d) || r.part
	if exception, at, ok := o.take("exception", "exceptions"); ok {
		d["exception"] = r.exception(exception, at)
	}
	o.done()
	_, isText := o.fields["expression"].(string)
	r.keep(d, path, before, func(at string) string { return livePersonPath(at, isText && o.fields["conditions"] == nil) })
	if !conditional && r.errors == before {
		r.warn(join(path, "conditions"), CodeConstant, "says nothing: the policy always holds")
	}
}

// block reads conditions and actions into when and effect, and reports whether
// there is a condition. What is blank is one that was forgotten.
func (r *reader) block(o *object, d doc) bool {
	var all []any
	given := false
	if v, at, ok := o.take("conditions", "condition"); ok {
		all = r.conditions(v, at)
	}
	if v, at, ok := o.take("expression"); ok {
		given = true
		if c := r.expression(v, at); len(c) > 0 || len(all) > 0 {
			if len(all) == 0 {
				d["when"] = c
			}
			all = append(all, c)
		}
	}
	if _, direct := d["when"]; !direct && len(all) > 0 {
		d["when"] = doc{"all": all}
	}
	for _, name := range []string{"conditions", "condition", "expression"} {
		if len(all) == 0 && !given && o.fields[name] == "" {
			r.err(join(o.path, name), policy.CodeMissing, "is empty; write true for a policy that always holds")
		}
	}
	actions, at := o.list("actions", "action")
	if len(actions) == 0 {
		r.err(at, policy.CodeMissing, "is empty: a policy without actions does nothing")
		actions = []any{standIn()}
	}
	out := make([]any, 0, len(actions))
	for i, action := range actions {
		out = append(out, r.action(action, index(at, i)))
	}
	d["effect"] = doc{"fixed": doc{"actions": out}}
	return given || len(all) > 0
}

// standIn is an action without a fault, for one that cannot be read.
func standIn() doc { return doc{"type": policy.CloseAction} }

// exception reads an exception of LivePerson, or one in canonical form.
func (r *reader) exception(v any, path string) any {
	if list, ok := v.([]any); ok {
		if len(list) == 0 {
			r.warn(path, CodeNotTaken, "is empty and left out")
			return nil
		}
		if len(list) > 1 {
			r.err(path, CodeNotSayable, "holds %d exceptions; a policy has one: make policies of the others and put them before this one", len(list))
		}
		for i, other := range list[1:] {
			r.exception(other, index(path, i+1))
		}
		v, path = list[0], index(path, 0)
	}
	if fields, ok := v.(map[string]any); ok && (fields["effect"] != nil || fields["when"] != nil) {
		return fields
	}
	o := asObject(v, path, &r.sink)
	before, d := r.errors, doc{}
	if (!r.block(o, d) || d["when"] == nil) && r.errors == before {
		r.err(join(path, "conditions"), policy.CodeMissing, "says nothing: an exception that always holds would never let the policy itself answer")
	}
	if d["when"] == nil {
		d["when"] = unread()
	}
	o.done()
	return d
}

func (r *reader) expression(v any, path string) doc {
	text, ok := v.(string)
	if !ok {
		r.unreadable(path, v, "a string")
		return unread()
	}
	t := &translator{out: &r.sink, path: path, rename: func(name string) string {
		r.blank(name, path)
		return name
	}}
	return t.expression(text)
}

// blank refuses a custom attribute whose name has a blank in it: the catalogue
// takes none such, so the condition would never see a value.
func (r *reader) blank(name, path string) {
	if strings.HasPrefix(name, "custom.") && strings.ContainsAny(name, " \t\n") {
		r.err(path, policy.CodeInvalid, "%q has a blank in its name, which no custom attribute can; write %q, and name the attribute so",
			name, strings.Join(strings.Fields(name), "_"))
	}
}

// conditions reads a list of conditions, one alone, or an expression.
func (r *reader) conditions(v any, path string) []any {
	switch t := v.(type) {
	case string:
		return []any{r.expression(t, path)}
	case map[string]any:
		return []any{r.condition(t, path)}
	case []any:
		out := make([]any, 0, len(t))
		for i, one := range t {
			out = append(out, r.condition(one, index(path, i)))
		}
		return out
	}
	r.unreadable(path, v, "a list of conditions")
	return nil
}

// livePersonPath turns a path of the canonical document into one of LivePerson's.
func livePersonPath(path string, expression bool) string {
	if rest, ok := strings.CutPrefix(path, "when"); ok && expression {
		return "expression" + rest
	}
	return strings.NewReplacer("when.all[", "conditions[", "effect.fixed.actions", "actions").Replace(path)
}

// action reads an action, and one of the form editor, in the spellings of every
// generation of the documents.
func (r *reader) action(v any, path string) any {
	if text, ok := v.(string); ok {
		v = map[string]any{"type": text}
	}
	o := asObject(v, path, &r.sink)
	kind, _ := o.text("type", "actionType", "action")
	kind = strings.ToUpper(strings.NewReplacer(" ", "_", "-", "_").Replace(strings.TrimSpace(kind)))
	payload := map[string]any{}
	if p, at, ok := o.take("payload"); ok {
		maps.Copy(payload, asObject(p, at, &r.sink).fields)
	}
	r.editorAction(o, kind, payload)
	d := doc{"type": kind}
	if target, ok := o.text("target"); ok {
		d["target"] = target
	}
	p := &object{out: &r.sink, path: join(path, "payload"), fields: payload}
	if target, ok := p.text(targetSpellings(kind)...); ok && d["target"] == nil {
		d["target"] = target
	} else if ok && d["target"] != target {
		r.err(p.path, policy.CodeInvalid, "names %s, where the action's target is %s", target, d["target"])
	}
	own := map[string]any{}
	switch kind {
	case "TRANSFER_TO_AGENT":
		// The bot says -1 when there is no skill to fall back to.
		if skill, ok := p.text("fallbackSkillId", "fallbackSkill", "fallback_skill", "skillId"); ok && skill == "-1" {
			r.warn(join(path, "payload"), CodeNotTaken, "the fallback skill -1 means none and is left out: without the agent the conversation waits for nobody else")
		} else if ok {
			own["fallback_skill"] = skill
		}
	case "SEND_MESSAGE":
		if text, ok := p.text("text", "message"); ok {
			own["text"] = text
		}
	}
	for _, key := range sortedKeys(payload) {
		if !slices.Contains(p.known, key) {
			own[key] = payload[key]
		}
	}
	if len(own) > 0 {
		d["payload"] = own
	}
	o.done()
	return d
}

// targetSpellings lists the payload fields that name an action's target; the last
// one stands for kinds without a target in their payload.
func targetSpellings(kind string) []string {
	switch kind {
	case "TRANSFER_TO_SKILL":
		return []string{"skillId", "skill", "skill_id"}
	case "TRANSFER_TO_AGENT":
		return []string{"agentId", "userId", "agent", "agent_id"}
	case "TRANSFER_TO_BOT":
		return []string{"botId", "skillId", "bot", "bot_id"}
	case "SHOW_ENGAGEMENT", "HIDE_ENGAGEMENT":
		return []string{"engagementId", "engagement"}
	}
	return []string{""}
}

// editorAction puts the form editor's value where the action's payload has it.
func (r *reader) editorAction(o *object, kind string, payload map[string]any) {
	value, at, ok := o.take("value")
	valueType, typed := o.text("valueType", "dataType", "value_type")
	if !ok {
		if typed {
			r.warn(join(o.path, "valueType"), CodeNotTaken, "is left out: there is no value beside it")
		}
		return
	}
	text, isText := textOf(value)
	if !isText {
		r.unreadable(at, value, "a string")
		return
	}
	if _, template := wholeTemplate(text); typed && strings.EqualFold(valueType, "attribute") && !template {
		text = "{{" + text + "}}"
	}
	key := targetSpellings(kind)[0]
	if kind == "SEND_MESSAGE" {
		key = "text"
	}
	if key == "" {
		r.err(at, CodeNotSayable, "has no meaning for an action %s; give a payload", kind)
		return
	}
	if there, given := payload[key]; given && there != text {
		r.err(at, policy.CodeInvalid, "stands beside payload.%s, which says something else", key)
	}
	payload[key] = text
}

// numberOf reads a number, also one written as a string.
func numberOf(v any) (json.Number, bool) {
	text, ok := textOf(v)
	text = strings.TrimSpace(text)
	if !ok || !json.Valid([]byte(text)) || text == "" || text[0] != '-' && !isDigit(text[0]) {
		return "", false
	}
	return json.Number(text), true
}
