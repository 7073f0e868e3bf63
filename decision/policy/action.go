package policy

import (
	"maps"
	"regexp"
	"strconv"
	"strings"

	"github.com/usherhq/usher/pipeline/event"
)

// The types of action that Usher knows. Others are answered as they are.
const (
	TransferToSkill = "TRANSFER_TO_SKILL"
	TransferToAgent = "TRANSFER_TO_AGENT" // payload.fallback_skill takes over when the agent cannot
	TransferToBot   = "TRANSFER_TO_BOT"
	SendMessage     = "SEND_MESSAGE"    // payload.text
	SetContext      = "SET_CONTEXT"     // payload.namespace, scope, properties
	ShowEngagement  = "SHOW_ENGAGEMENT" // the target is the engagement
	HideEngagement  = "HIDE_ENGAGEMENT"
	CloseAction     = "CLOSE"
	Callback        = "CALLBACK"
)

// Fields of payloads.
const (
	PayloadText          = "text"
	PayloadFallbackSkill = "fallback_skill"
	PayloadNamespace     = "namespace"
	PayloadScope         = "scope"
	PayloadProperties    = "properties"
)

// Scopes of [SetContext].
const (
	ScopeConversation = "conversation"
	ScopeConsumer     = "consumer"
	ScopeGlobal       = "global"
)

// ActionTypes lists the known types in documentation order.
func ActionTypes() []string {
	return []string{
		TransferToSkill, TransferToAgent, TransferToBot, SendMessage, SetContext, ShowEngagement, HideEngagement, CloseAction, Callback,
	}
}

// ReservedNamespaces lists the namespaces of the context store that nobody may
// write: their names are families of attributes.
func ReservedNamespaces() []string {
	return []string{"consumer", "operational", "conversation", "faas", "custom", "sde"}
}

// NormalizeAction brings an action into canonical form: the type in upper case, ids
// in target, texts in payload.text; a target without a type is a
// TRANSFER_TO_SKILL. skillId, agentId, userId, botId,
// fallbackSkillId and message are LivePerson's names. The payload that is given
// is not changed.
func NormalizeAction(a event.Action) event.Action {
	a.Type = strings.ToUpper(strings.TrimSpace(a.Type))
	if a.Type == "" && a.Target != "" {
		a.Type = TransferToSkill
	}
	if len(a.Payload) == 0 {
		a.Payload = nil
		return a
	}
	p := maps.Clone(a.Payload)
	switch a.Type {
	case TransferToSkill:
		a.Target = takeID(p, a.Target, "skillId")
	case TransferToBot:
		a.Target = takeID(p, a.Target, "botId", "skillId")
	case TransferToAgent:
		a.Target = takeID(p, a.Target, "agentId", "userId")
		fallback := takeID(p, idOf(p[PayloadFallbackSkill]), "fallbackSkillId", "skillId")
		delete(p, PayloadFallbackSkill)
		// -1 is how the bot of the old system says that there is none.
		if fallback != "" && fallback != "-1" {
			p[PayloadFallbackSkill] = fallback
		}
	case SendMessage:
		if text, ok := p["message"]; ok && (p[PayloadText] == nil || p[PayloadText] == text) {
			delete(p, "message")
			p[PayloadText] = text
		}
	}
	if a.Payload = p; len(p) == 0 {
		a.Payload = nil
	}
	return a
}

// otherNames lists the fields of a payload that canonical form has elsewhere.
func otherNames(actionType string) []string {
	switch actionType {
	case TransferToSkill:
		return []string{"skillId"}
	case TransferToBot:
		return []string{"botId", "skillId"}
	case TransferToAgent:
		return []string{"agentId", "userId", "fallbackSkillId", "skillId"}
	case SendMessage:
		return []string{"message"}
	}
	return nil
}

// takeID moves the first id that stands under one of the names out of the payload,
// unless there is one already. Another id than the one that counts stays, so that
// it is not lost in silence.
func takeID(payload map[string]any, current string, names ...string) string {
	for _, name := range names {
		id := idOf(payload[name])
		if id == "" {
			continue
		}
		if current == "" || current == id {
			current = id
			delete(payload, name)
		}
	}
	return current
}

// idOf spells an id, which some systems write as a number.
func idOf(v any) string {
	switch t := v.(type) {
	case string:
		return t
	case float64:
		return strconv.FormatFloat(t, 'f', -1, 64)
	}
	return ""
}

// checkAction checks what the type of an action needs.
func (c *compiler) checkAction(a *event.Action, path string) {
	if a.Type == "" && a.Target == "" {
		c.check.fail(CodeBadAction, path, "needs a type or a target; a target without a type is a TRANSFER_TO_SKILL")
	}
	if len(a.Type) > maxName || len(a.Target) > 2*maxName {
		c.check.fail(CodeLimit, path, "has a type over %d or a target over %d bytes", maxName, 2*maxName)
	}
	switch a.Type {
	case "", TransferToSkill, TransferToBot, ShowEngagement, HideEngagement:
		c.needsTarget(a, path)
	case TransferToAgent:
		c.needsTarget(a, path)
		if v, ok := a.Payload[PayloadFallbackSkill]; ok {
			if s, isText := v.(string); !isText || s == "" {
				c.check.fail(CodeBadAction, path+".payload.fallback_skill", "is %s, must be the id of a skill", nameOf(v))
			}
		}
	case SendMessage:
		if s, ok := a.Payload[PayloadText].(string); !ok || s == "" {
			c.check.fail(CodeBadAction, path+".payload.text", "is missing; a SEND_MESSAGE needs the text to send")
		}
	case SetContext:
		c.checkSetContext(a.Payload, path+".payload")
	case CloseAction, Callback:
	default:
		c.check.warn(CodeUnknownAction, path+".type", "%q is not a type that Usher knows; the bot must know it. Known are %s", a.Type, strings.Join(ActionTypes(), ", "))
	}
	c.checkResources(a, path)
}

func (c *compiler) needsTarget(a *event.Action, path string) {
	if a.Target == "" && a.Type != "" {
		c.check.fail(CodeBadAction, path+".target", "is missing; a %s needs one", a.Type)
	}
}

func (c *compiler) checkSetContext(payload map[string]any, path string) {
	namespace, _ := payload[PayloadNamespace].(string)
	switch {
	case namespace == "":
		c.check.fail(CodeBadAction, path+".namespace", "is missing; a SET_CONTEXT needs one")
	case strings.Contains(namespace, "{{"):
		c.check.fail(CodeBadAction, path+".namespace", "holds a template; a namespace is fixed")
	case !regexp.MustCompile(`^[A-Za-z0-9_]+$`).MatchString(namespace):
		c.check.fail(CodeBadAction, path+".namespace", "%q must be of letters, digits and underscores", namespace)
	}
	for _, reserved := range ReservedNamespaces() {
		if namespace == reserved {
			c.check.fail(CodeBadAction, path+".namespace", "%q is reserved; reserved are %s", namespace, strings.Join(ReservedNamespaces(), ", "))
		}
	}
	switch payload[PayloadScope] {
	case nil, ScopeConversation, ScopeConsumer, ScopeGlobal:
	default:
		c.check.fail(CodeBadAction, path+".scope", "must be one of %s, %s, %s", ScopeConversation, ScopeConsumer, ScopeGlobal)
	}
	if p, ok := payload[PayloadProperties].(map[string]any); !ok || len(p) == 0 {
		c.check.fail(CodeBadAction, path+".properties", "is missing; a SET_CONTEXT needs an object with at least one property")
	}
	for _, key := range sortedKeys(payload) {
		if key != PayloadNamespace && key != PayloadScope && key != PayloadProperties {
			c.check.fail(CodeBadAction, path+"."+key, "is not a field of SET_CONTEXT; one of namespace, scope, properties")
		}
	}
}
