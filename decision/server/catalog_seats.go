package server

import (
	"context"

	"github.com/usherhq/usher/decision/catalog"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// ListCalendars lists the account's calendars.
func (s *catalogService) ListCalendars(_ context.Context, r *usherv1.ListCalendarsRequest) (*usherv1.ListCalendarsResponse, error) {
	list, next, err := s.calendars().list(r)
	return &usherv1.ListCalendarsResponse{Calendars: list, NextPageToken: next}, err
}

// GetCalendar returns a calendar.
func (s *catalogService) GetCalendar(_ context.Context, r *usherv1.GetCalendarRequest) (*usherv1.GetCalendarResponse, error) {
	k, err := s.calendars().get(r.GetName())
	return &usherv1.GetCalendarResponse{Calendar: k}, err
}

// CreateCalendar adds a calendar.
func (s *catalogService) CreateCalendar(ctx context.Context, r *usherv1.CreateCalendarRequest) (*usherv1.CreateCalendarResponse, error) {
	k, err := s.calendars().create(ctx, r.GetParent(), r.GetCalendarId(), r.GetCalendar())
	return &usherv1.CreateCalendarResponse{Calendar: k}, err
}

// UpdateCalendar changes a calendar.
func (s *catalogService) UpdateCalendar(ctx context.Context, r *usherv1.UpdateCalendarRequest) (*usherv1.UpdateCalendarResponse, error) {
	k, err := s.calendars().update(ctx, r.GetCalendar(), r.GetUpdateMask())
	return &usherv1.UpdateCalendarResponse{Calendar: k}, err
}

// DeleteCalendar removes a calendar.
func (s *catalogService) DeleteCalendar(ctx context.Context, r *usherv1.DeleteCalendarRequest) (*usherv1.DeleteCalendarResponse, error) {
	return &usherv1.DeleteCalendarResponse{}, s.calendars().remove(ctx, r, r.GetReason())
}

// ListSkills lists the account's skills.
func (s *catalogService) ListSkills(_ context.Context, r *usherv1.ListSkillsRequest) (*usherv1.ListSkillsResponse, error) {
	list, next, err := s.skills().list(r)
	return &usherv1.ListSkillsResponse{Skills: list, NextPageToken: next}, err
}

// GetSkill returns a skill.
func (s *catalogService) GetSkill(_ context.Context, r *usherv1.GetSkillRequest) (*usherv1.GetSkillResponse, error) {
	v, err := s.skills().get(r.GetName())
	return &usherv1.GetSkillResponse{Skill: v}, err
}

// CreateSkill adds a skill.
func (s *catalogService) CreateSkill(ctx context.Context, r *usherv1.CreateSkillRequest) (*usherv1.CreateSkillResponse, error) {
	v, err := s.skills().create(ctx, r.GetParent(), r.GetSkillId(), r.GetSkill())
	return &usherv1.CreateSkillResponse{Skill: v}, err
}

// UpdateSkill changes a skill.
func (s *catalogService) UpdateSkill(ctx context.Context, r *usherv1.UpdateSkillRequest) (*usherv1.UpdateSkillResponse, error) {
	v, err := s.skills().update(ctx, r.GetSkill(), r.GetUpdateMask())
	return &usherv1.UpdateSkillResponse{Skill: v}, err
}

// DeleteSkill removes a skill.
func (s *catalogService) DeleteSkill(ctx context.Context, r *usherv1.DeleteSkillRequest) (*usherv1.DeleteSkillResponse, error) {
	return &usherv1.DeleteSkillResponse{}, s.skills().remove(ctx, r, r.GetReason())
}

// ListAgents lists the account's agents.
func (s *catalogService) ListAgents(_ context.Context, r *usherv1.ListAgentsRequest) (*usherv1.ListAgentsResponse, error) {
	list, next, err := s.agents().list(r)
	return &usherv1.ListAgentsResponse{Agents: list, NextPageToken: next}, err
}

// GetAgent returns an agent.
func (s *catalogService) GetAgent(_ context.Context, r *usherv1.GetAgentRequest) (*usherv1.GetAgentResponse, error) {
	a, err := s.agents().get(r.GetName())
	return &usherv1.GetAgentResponse{Agent: a}, err
}

// CreateAgent adds an agent.
func (s *catalogService) CreateAgent(ctx context.Context, r *usherv1.CreateAgentRequest) (*usherv1.CreateAgentResponse, error) {
	a, err := s.agents().create(ctx, r.GetParent(), r.GetAgentId(), r.GetAgent())
	return &usherv1.CreateAgentResponse{Agent: a}, err
}

// UpdateAgent changes an agent.
func (s *catalogService) UpdateAgent(ctx context.Context, r *usherv1.UpdateAgentRequest) (*usherv1.UpdateAgentResponse, error) {
	a, err := s.agents().update(ctx, r.GetAgent(), r.GetUpdateMask())
	return &usherv1.UpdateAgentResponse{Agent: a}, err
}

// DeleteAgent removes an agent.
func (s *catalogService) DeleteAgent(ctx context.Context, r *usherv1.DeleteAgentRequest) (*usherv1.DeleteAgentResponse, error) {
	return &usherv1.DeleteAgentResponse{}, s.agents().remove(ctx, r, r.GetReason())
}

// ListBots lists the account's bots.
func (s *catalogService) ListBots(_ context.Context, r *usherv1.ListBotsRequest) (*usherv1.ListBotsResponse, error) {
	list, next, err := s.bots().list(r)
	return &usherv1.ListBotsResponse{Bots: list, NextPageToken: next}, err
}

// GetBot returns a bot.
func (s *catalogService) GetBot(_ context.Context, r *usherv1.GetBotRequest) (*usherv1.GetBotResponse, error) {
	b, err := s.bots().get(r.GetName())
	return &usherv1.GetBotResponse{Bot: b}, err
}

// CreateBot adds a bot.
func (s *catalogService) CreateBot(ctx context.Context, r *usherv1.CreateBotRequest) (*usherv1.CreateBotResponse, error) {
	b, err := s.bots().create(ctx, r.GetParent(), r.GetBotId(), r.GetBot())
	return &usherv1.CreateBotResponse{Bot: b}, err
}

// UpdateBot changes a bot.
func (s *catalogService) UpdateBot(ctx context.Context, r *usherv1.UpdateBotRequest) (*usherv1.UpdateBotResponse, error) {
	b, err := s.bots().update(ctx, r.GetBot(), r.GetUpdateMask())
	return &usherv1.UpdateBotResponse{Bot: b}, err
}

// DeleteBot removes a bot.
func (s *catalogService) DeleteBot(ctx context.Context, r *usherv1.DeleteBotRequest) (*usherv1.DeleteBotResponse, error) {
	return &usherv1.DeleteBotResponse{}, s.bots().remove(ctx, r, r.GetReason())
}

func (s *catalogService) calendars() *collection[catalog.Calendar, *usherv1.Calendar] {
	c := &collection[catalog.Calendar, *usherv1.Calendar]{
		server: s.Server, plural: "calendars", empty: &usherv1.Calendar{}, to: calendarTo, from: calendarFrom,
		revision: func(k *catalog.Calendar) int64 { return k.Revision },
	}
	if s.deps.Catalog != nil {
		c.shelf = s.deps.Catalog.Calendars
	}
	return c
}

func (s *catalogService) skills() *collection[catalog.Skill, *usherv1.Skill] {
	c := &collection[catalog.Skill, *usherv1.Skill]{
		server: s.Server, plural: "skills", empty: &usherv1.Skill{}, to: skillTo, from: skillFrom,
		revision: func(v *catalog.Skill) int64 { return v.Revision },
	}
	if s.deps.Catalog != nil {
		c.shelf = s.deps.Catalog.Skills
	}
	return c
}

func (s *catalogService) agents() *collection[catalog.Agent, *usherv1.Agent] {
	c := &collection[catalog.Agent, *usherv1.Agent]{
		server: s.Server, plural: "agents", empty: &usherv1.Agent{}, to: agentTo, from: agentFrom,
		revision: func(a *catalog.Agent) int64 { return a.Revision },
	}
	if s.deps.Catalog != nil {
		c.shelf = s.deps.Catalog.Agents
	}
	return c
}

func (s *catalogService) bots() *collection[catalog.Bot, *usherv1.Bot] {
	c := &collection[catalog.Bot, *usherv1.Bot]{
		server: s.Server, plural: "bots", empty: &usherv1.Bot{}, to: botTo, from: botFrom,
		revision: func(b *catalog.Bot) int64 { return b.Revision },
	}
	if s.deps.Catalog != nil {
		c.shelf = s.deps.Catalog.Bots
	}
	return c
}
