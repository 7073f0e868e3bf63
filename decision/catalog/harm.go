package catalog

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/usherhq/usher/decision/control"
	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/configlog"
)

// harmless refuses a change that would break what works: next is the resource to
// be, nil when it goes. Two writers at once can still get past it together; then
// the attribute is UNKNOWN and the next check of the policies says so.
func (c *Catalog) harmless(s *scene, kind, id string, next any) error {
	var users []string
	if next == nil {
		users = s.references(kind, id)
	}
	env := c.of(s.account).env
	if changed := changedEnvironment(env, kind, id, next); changed != nil {
		users = append(users, s.broken(env, changed)...)
	}
	doing := "change"
	if next == nil {
		doing = "delete"
	}
	return inUse(users, kind, fmt.Sprintf("cannot %s %s %q, which is needed", doing, kind, id))
}

// HarmlessAccount refuses settings of an account that would put an error into an
// enabled policy which has none: a Precondition fault that names them.
func (c *Catalog) HarmlessAccount(account string, next control.Attributes) error {
	s := &scene{account: account, state: c.log.State()}
	env := c.of(account).env
	after := *env
	after.RoutingSkills = next.RoutingSkills
	after.RoutingBots = nil
	for _, r := range s.state.List(account, configlog.KindBot) {
		if b, err := botOf(r); err == nil && b.routes(&after) {
			after.RoutingBots = append(after.RoutingBots, b.ID)
		}
	}
	if next.Strict != nil {
		after.Strict = *next.Strict
	}
	if slices.Equal(env.RoutingSkills, after.RoutingSkills) && env.Strict == after.Strict {
		return nil
	}
	return inUse(s.broken(env, &after), configlog.KindAccount, fmt.Sprintf("cannot change account %q, or policies that work would not", account))
}

// inUse is the fault about those who would suffer, nil for nobody.
func inUse(users []string, kind, message string) error {
	if len(users) == 0 {
		return nil
	}
	const shown = 5
	list := strings.Join(users[:min(shown, len(users))], "; ")
	if more := len(users) - shown; more > 0 {
		list += fmt.Sprintf("; and %d more", more)
	}
	e := fault.New(fault.Precondition, strings.ToUpper(kind)+"_IN_USE", "%s: %s", message, list)
	e.Metadata = map[string]string{"users": list}
	return e
}

// routes reports whether one of the bot's skills is that of a bot that asks.
func (b *Bot) routes(env *policy.Environment) bool {
	return slices.ContainsFunc(b.Skills, func(skill string) bool { return slices.Contains(env.RoutingSkills, skill) })
}

// references names the resources of the catalogue that name the one that goes.
func (s *scene) references(kind, id string) (users []string) {
	switch kind {
	case configlog.KindFunction, configlog.KindAttribute:
		for _, r := range s.state.List(s.account, configlog.KindAttribute) {
			a, err := attributeOf(r)
			if err == nil && (kind == configlog.KindFunction && a.Function == id || kind == configlog.KindAttribute && slices.Contains(a.Needs(), id)) {
				users = append(users, "attribute "+a.Name)
			}
		}
	case configlog.KindSkill:
		for _, r := range s.state.List(s.account, configlog.KindAgent) {
			if a, err := agentOf(r); err == nil && slices.Contains(a.Skills, id) {
				users = append(users, "agent "+a.ID)
			}
		}
		for _, r := range s.state.List(s.account, configlog.KindBot) {
			if b, err := botOf(r); err == nil && slices.Contains(b.Skills, id) {
				users = append(users, "bot "+b.ID)
			}
		}
	}
	return users
}

// changedEnvironment is what policies could speak of after the change; nil when
// that stays as it is.
func changedEnvironment(env *policy.Environment, kind, id string, next any) *policy.Environment {
	out := *env
	switch kind {
	case configlog.KindAttribute:
		a, _ := next.(*Attribute)
		old, declared := env.Attributes[id]
		if !declared || a != nil && a.Type == old.Type && len(a.Allowed) == 0 {
			return nil
		}
		out.Attributes = maps.Clone(env.Attributes)
		delete(out.Attributes, id)
		if a != nil {
			out.Attributes[id] = a.declaration()
		}
		return &out
	case configlog.KindCalendar:
		out.Calendars = without(env.Calendars, id)
	case configlog.KindSkill:
		out.Skills = without(env.Skills, id)
	case configlog.KindAgent:
		out.Agents = without(env.Agents, id)
	case configlog.KindBot:
		if b, _ := next.(*Bot); b != nil {
			if !b.routes(env) || slices.Contains(env.RoutingBots, id) {
				return nil
			}
			out.RoutingBots = append(slices.Clip(env.RoutingBots), id)
			return &out
		}
		out.Bots = without(env.Bots, id)
	default:
		return nil
	}
	if next != nil { // a new id or a new text takes nothing away
		return nil
	}
	return &out
}

func without[V any](m map[string]V, id string) map[string]V {
	out := maps.Clone(m)
	delete(out, id)
	return out
}

// broken names the enabled policies that have errors after and had none before.
func (s *scene) broken(before, after *policy.Environment) (users []string) {
	var policies []*policy.Policy
	for _, r := range s.state.List(s.account, configlog.KindPolicy) {
		p, err := policy.Parse(r.Value)
		if err != nil || !p.Enabled {
			continue
		}
		p.Name = r.Name
		policies = append(policies, p)
	}
	if len(policies) == 0 {
		return nil
	}
	had := map[policy.Problem]bool{}
	for _, p := range policy.Check(policies, before) {
		had[p] = true
	}
	for _, p := range policy.Check(policies, after) {
		if p.Severity == policy.Error && !had[p] {
			users = append(users, fmt.Sprintf("policy %s, %s: %s", p.Policy, p.Path, p.Description))
		}
	}
	return users
}
