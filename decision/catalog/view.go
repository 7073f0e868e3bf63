package catalog

import (
	"github.com/usherhq/usher/decision/control"
	"github.com/usherhq/usher/decision/function"
	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/pipeline/configlog"
)

// kinds are what a view is made from, the account's own settings included.
var kinds = [...]string{
	configlog.KindAccount, configlog.KindAttribute, configlog.KindFunction, configlog.KindCalendar,
	configlog.KindSkill, configlog.KindAgent, configlog.KindBot, configlog.KindObjective,
}

// Families says whether the attributes of a family may be used; the zero value
// forbids both.
type Families struct{ SDE, Conversation bool }

// accounts is the catalogue of the installation, compiled.
type accounts struct{ views map[string]*view }

// view is the catalogue of one account, compiled for decisions.
type view struct {
	revisions  [len(kinds)]int64
	env        *policy.Environment
	attributes map[string]*Attribute
	functions  map[string]*function.Function
	agents     map[string]Agent
	botSkills  map[string]string // of bots that are reached through one, its first
	families   Families
}

// newView is that of an account that declares nothing.
func newView() *view {
	return &view{env: &policy.Environment{}, families: Families{SDE: true, Conversation: true}}
}

// same says whether nothing that decisions read has changed.
func (a *accounts) same(b *accounts) bool {
	if a == b {
		return true
	}
	if len(a.views) != len(b.views) {
		return false
	}
	for id, v := range a.views {
		if b.views[id] != v {
			return false
		}
	}
	return true
}

// derive compiles the accounts that changed and keeps the others.
func derive(old *accounts, st *configlog.State) *accounts {
	out := &accounts{views: map[string]*view{}}
	for _, account := range st.Accounts() {
		var revisions [len(kinds)]int64
		for i, kind := range kinds {
			revisions[i] = st.KindRevision(account, kind)
		}
		if old != nil && old.views[account] != nil && old.views[account].revisions == revisions {
			out.views[account] = old.views[account]
			continue
		}
		v := compile(account, st)
		v.revisions = revisions
		for _, r := range revisions {
			v.env.Revision = max(v.env.Revision, r)
		}
		out.views[account] = v
	}
	return out
}

// compile makes the view of one account. A document that cannot be read was
// written by a version that knew more; what it declares is not there then.
func compile(account string, st *configlog.State) *view {
	v := &view{
		env:        &policy.Environment{Attributes: map[string]policy.Attribute{}, Calendars: map[string]*policy.Calendar{}},
		attributes: map[string]*Attribute{}, functions: map[string]*function.Function{}, agents: map[string]Agent{}, botSkills: map[string]string{},
		families: Families{SDE: true, Conversation: true},
	}
	declared := false
	for _, a := range builtin() {
		v.attributes[a.Name] = a
	}
	for _, r := range st.List(account, configlog.KindAttribute) {
		if a, err := attributeOf(r); err == nil {
			v.attributes[a.Name] = &a
			v.env.Attributes[a.Name] = a.declaration()
			declared = declared || a.Source == SourceRequest || a.Source == SourceContext
		}
	}
	for _, r := range st.List(account, configlog.KindFunction) {
		if f, err := functionOf(r); err == nil {
			v.functions[f.ID] = &f.Function
		}
	}
	for _, r := range st.List(account, configlog.KindCalendar) {
		if k, err := calendarOf(r); err == nil {
			v.env.Calendars[k.ID] = &k.Calendar
		}
	}
	for _, r := range st.List(account, configlog.KindAgent) {
		if a, err := agentOf(r); err == nil {
			v.agents[a.ID] = a
		}
	}
	for _, r := range st.List(account, configlog.KindBot) {
		if b, err := botOf(r); err == nil && len(b.Skills) > 0 {
			v.botSkills[b.ID] = b.Skills[0]
		}
	}
	v.env.Skills, v.env.Agents, v.env.Bots = ids(st, account, configlog.KindSkill), ids(st, account, configlog.KindAgent), ids(st, account, configlog.KindBot)
	v.env.Objectives = ids(st, account, configlog.KindObjective)
	v.settle(account, st, declared)
	return v
}

// settle takes over the account's own settings.
func (v *view) settle(account string, st *configlog.State, declared bool) {
	v.env.Strict = declared
	r, ok := st.Get(account, configlog.KindAccount, account)
	if !ok {
		return
	}
	a, err := control.ReadAccount(r)
	if err != nil {
		return
	}
	s := a.Attributes
	v.env.RoutingSkills = s.RoutingSkills
	for _, r := range st.List(account, configlog.KindBot) {
		if b, err := botOf(r); err == nil && b.routes(v.env) {
			v.env.RoutingBots = append(v.env.RoutingBots, b.ID)
		}
	}
	if s.Strict != nil {
		v.env.Strict = *s.Strict
	}
	v.families = Families{SDE: s.SDE == nil || *s.SDE, Conversation: s.Conversation == nil || *s.Conversation}
}

// ids is the set of resources of a kind; nil when there are none, which checks
// nothing.
func ids(st *configlog.State, account, kind string) map[string]struct{} {
	list := st.List(account, kind)
	if len(list) == 0 {
		return nil
	}
	out := make(map[string]struct{}, len(list))
	for _, r := range list {
		out[r.Name] = struct{}{}
	}
	return out
}
