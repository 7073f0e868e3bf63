package liveperson

import (
	"maps"

	"github.com/usherhq/usher/pipeline/event"
)

// action is one action as LivePerson's bots read it.
type action struct {
	Type    string         `json:"type"`
	Payload map[string]any `json:"payload"`
}

// The types of actions that the original knows, and that of a bot, which it knows
// by its skill only.
const (
	toSkill = "TRANSFER_TO_SKILL"
	toAgent = "TRANSFER_TO_AGENT"
	toBot   = "TRANSFER_TO_BOT"
	message = "SEND_MESSAGE"
)

// actionsOf spells the actions of a decision, in their order.
func (f *facade) actionsOf(d *event.Decision) []action {
	out := make([]action, len(d.Actions))
	for i, a := range d.Actions {
		out[i] = f.spell(d.Account, a)
	}
	return out
}

// spell puts the target into the payload under the names that bots look for. The
// original's pages have two names for several of them; both are given. A payload
// of the policy's own keeps what else it says.
func (f *facade) spell(account string, a event.Action) action {
	out := action{Type: a.Type, Payload: map[string]any{}}
	maps.Copy(out.Payload, a.Payload)
	both := func(value any, names ...string) {
		for _, name := range names {
			out.Payload[name] = value
		}
	}
	switch a.Type {
	case toSkill:
		both(a.Target, "skillId")
	case toAgent:
		both(a.Target, "agentId", "userId")
		if skill, ok := a.Payload["fallback_skill"]; ok {
			delete(out.Payload, "fallback_skill")
			both(skill, "fallbackSkillId", "skillId")
		}
	case message:
		if text, ok := a.Payload["text"]; ok {
			both(text, "text", "message")
		}
	case toBot:
		both(a.Target, "botId")
		if f.deps.Bots == nil {
			break
		}
		if skill, ok := f.deps.Bots.BotSkill(account, a.Target); ok {
			out.Type = toSkill
			both(skill, "skillId")
		}
	default:
		if a.Target != "" {
			both(a.Target, "target")
		}
	}
	return out
}
