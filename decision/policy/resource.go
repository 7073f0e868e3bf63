package policy

import (
	"fmt"
	"slices"

	"github.com/usherhq/usher/pipeline/event"
)

// checkResources checks the skills, agents and bots that an action names outright.
func (c *compiler) checkResources(a *event.Action, path string) {
	if c.audit == nil {
		return
	}
	fallback, _ := a.Payload[PayloadFallbackSkill].(string)
	switch a.Type {
	case "", TransferToSkill:
		c.known(c.skills(), a.Target, path+".target")
	case TransferToAgent:
		c.known(resource{c.audit.Agents, CodeUnknownAgent, "an agent"}, a.Target, path+".target")
		c.known(c.skills(), fallback, path+".payload.fallback_skill")
		c.checkLoop(TransferToSkill, fallback, path+".payload.fallback_skill")
	case TransferToBot:
		c.known(resource{c.audit.Bots, CodeUnknownBot, "a bot"}, a.Target, path+".target")
	}
	c.checkLoop(a.Type, a.Target, path+".target")
}

func (c *compiler) checkLoop(actionType, target, path string) {
	if c.audit.Loops(actionType, target) {
		c.check.fail(CodeLoop, path, "%q leads to the routing bot itself: the conversation would come back and ask again", target)
	}
}

// Loops reports whether an action with this type and target gives the conversation
// back to the bot that asks: to one of its skills, or to a bot that has one. Without
// an environment nothing does.
func (e *Environment) Loops(actionType, target string) bool {
	switch {
	case e == nil:
		return false
	case actionType == TransferToBot && slices.Contains(e.RoutingBots, target):
		return true
	}
	return (actionType == "" || actionType == TransferToSkill || actionType == TransferToBot) && slices.Contains(e.RoutingSkills, target)
}

// Environment is what the set was compiled with; nil for none.
func (s *Set) Environment() *Environment { return s.env }

// auditRank checks what a rank names: its targets, what its levers pull, and its
// objective.
func (c *compiler) auditRank(k *Rank, path string) {
	var own []string // the policy's own candidates
	for i := range k.Actions {
		own = append(own, k.Actions[i].Key())
	}
	c.auditTargets(k.Targets, own, path+".targets")
	for i, key := range k.Targets {
		// Which kind of thing a candidate is its key does not say.
		if c.audit.Loops(TransferToSkill, key) || c.audit.Loops(TransferToBot, key) {
			c.check.fail(CodeLoop, fmt.Sprintf("%s.targets[%d]", path, i), "%q leads to the routing bot itself: the conversation would come back and ask again", key)
		}
	}
	named := len(k.Targets) > 0 && k.Where == nil
	for _, key := range sortedKeys(k.Levers) {
		at := fmt.Sprintf("%s.levers[%q]", path, key)
		switch {
		case slices.Contains(own, key), slices.Contains(k.Targets, key):
		case named:
			c.check.warn(CodeUnknownLever, at, "does nothing: %q is not ranked here%s", key, nearest(key, append(own, k.Targets...)))
		case c.strange(key):
			c.check.warn(CodeUnknownLever, at, "%q is no skill, agent or bot of the account%s", key, nearest(key, sortedKeys(c.audit.Skills)))
		}
	}
	if c.audit == nil || c.audit.Objectives == nil || k.Objective == "" {
		return
	}
	if _, ok := c.audit.Objectives[k.Objective]; !ok {
		c.check.warn(CodeUnknownObjective, path+".objective", "%q is not an objective of the account%s", k.Objective, nearest(k.Objective, sortedKeys(c.audit.Objectives)))
	}
}

// auditTargets checks keys of candidates. They may be of anything that callers offer,
// so that one which the account does not list is doubtful and no more.
func (c *compiler) auditTargets(targets, own []string, path string) {
	for i, key := range targets {
		if c.strange(key) && !slices.Contains(own, key) {
			c.check.warn(CodeUnknownTarget, fmt.Sprintf("%s[%d]", path, i), "%q is no skill, agent or bot of the account%s", key, nearest(key, sortedKeys(c.audit.Skills)))
		}
	}
}

// strange reports whether an account that lists its skills has nothing of this key.
func (c *compiler) strange(key string) bool {
	if c.audit == nil || len(c.audit.Skills) == 0 || key == "" || slices.Contains(ActionTypes(), key) {
		return false
	}
	for _, ids := range []map[string]struct{}{c.audit.Skills, c.audit.Agents, c.audit.Bots} {
		if _, ok := ids[key]; ok {
			return false
		}
	}
	return true
}

// resource is one kind of thing that policies name.
type resource struct {
	ids        map[string]struct{}
	code, name string // name with its article
}

func (c *compiler) skills() resource { return resource{c.audit.Skills, CodeUnknownSkill, "a skill"} }

// known checks the id of a resource, unless the account has none of the kind or the
// id is made by a template.
func (c *compiler) known(r resource, id, path string) {
	if len(r.ids) == 0 || id == "" || !parseTemplate(id).constant() {
		return
	}
	if _, ok := r.ids[id]; !ok {
		c.check.fail(r.code, path, "%q is not %s of the account; add it to the catalogue%s", id, r.name, nearest(id, sortedKeys(r.ids)))
	}
}
