package catalog

import (
	"fmt"
	"strings"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/configlog"
)

// Calendar is named business hours.
type Calendar struct {
	ID, Description string
	policy.Calendar
	// Notes describe the holidays, in their order; shorter when the rest has none.
	Notes []string
	Meta
}

type calendarDocument struct {
	Description string `json:"description,omitempty"`
	policy.Calendar
	Notes []string `json:"holiday_notes,omitempty"`
}

func calendarOf(r configlog.Resource) (Calendar, error) {
	var d calendarDocument
	err := read(r, &d)
	return Calendar{ID: r.Name, Description: d.Description, Calendar: d.Calendar, Notes: d.Notes, Meta: metaOf(r)}, err
}

func (k *Calendar) key() string { return k.ID }

func (k *Calendar) document() any {
	return calendarDocument{Description: k.Description, Calendar: k.Calendar, Notes: k.Notes}
}

func (k *Calendar) check(_ *scene, c *fault.Check) {
	checkID(c, k.ID)
	checkText(c, "description", k.Description, maxDescription)
	for i, note := range k.Notes {
		checkText(c, fmt.Sprintf("holidays[%d].description", i), note, maxDescription)
	}
	take(c, "", k.Validate())
	if len(k.Hours) == 0 && len(k.Holidays) == 0 {
		c.Add("hours", "are missing: this calendar would never be open")
	}
}

// Skill is a queue that people serve.
type Skill struct {
	ID, DisplayName, Description string
	// ExplorationPerHour is how many exploratory draws it may get in an hour, 0 for
	// none; nil leaves it to the account.
	ExplorationPerHour *int64
	Meta
}

// seatDocument is how skills, agents and bots lie in the config log.
type seatDocument struct {
	DisplayName string   `json:"display_name,omitempty"`
	Description string   `json:"description,omitempty"`
	Skills      []string `json:"skills,omitempty"`
	// ExplorationPerHour is that of a skill.
	ExplorationPerHour *int64 `json:"exploration_per_hour,omitempty"`
}

func skillOf(r configlog.Resource) (Skill, error) {
	var d seatDocument
	err := read(r, &d)
	return Skill{
		ID: r.Name, DisplayName: d.DisplayName, Description: d.Description, ExplorationPerHour: d.ExplorationPerHour, Meta: metaOf(r),
	}, err
}

func (s *Skill) key() string { return s.ID }

func (s *Skill) document() any {
	return seatDocument{DisplayName: s.DisplayName, Description: s.Description, ExplorationPerHour: s.ExplorationPerHour}
}

func (s *Skill) check(_ *scene, c *fault.Check) {
	checkSeat(c, s.ID, s.document())
	if n := s.ExplorationPerHour; n != nil && *n < 0 {
		c.Add("exploration_per_hour", "must not be negative; 0 tries nothing")
	}
}

// Agent is a person.
type Agent struct {
	ID, DisplayName string
	Skills          []string // ids of the skills the agent serves
	Meta
}

func agentOf(r configlog.Resource) (Agent, error) {
	var d seatDocument
	err := read(r, &d)
	return Agent{ID: r.Name, DisplayName: d.DisplayName, Skills: d.Skills, Meta: metaOf(r)}, err
}

func (a *Agent) key() string { return a.ID }

func (a *Agent) document() any { return seatDocument{DisplayName: a.DisplayName, Skills: a.Skills} }

func (a *Agent) check(s *scene, c *fault.Check) {
	checkSeat(c, a.ID, a.document())
	s.checkSkills(c, a.Skills)
}

// Bot is a program that conversations can be given to.
type Bot struct {
	ID, DisplayName, Description string
	Skills                       []string // ids of the skills through which it is reached
	Meta
}

func botOf(r configlog.Resource) (Bot, error) {
	var d seatDocument
	err := read(r, &d)
	return Bot{ID: r.Name, DisplayName: d.DisplayName, Description: d.Description, Skills: d.Skills, Meta: metaOf(r)}, err
}

func (b *Bot) key() string { return b.ID }

func (b *Bot) document() any {
	return seatDocument{DisplayName: b.DisplayName, Description: b.Description, Skills: b.Skills}
}

func (b *Bot) check(s *scene, c *fault.Check) {
	checkSeat(c, b.ID, b.document())
	s.checkSkills(c, b.Skills)
}

// checkSeat checks what skills, agents and bots have in common. Their ids come
// from other systems, so nearly everything goes.
func checkSeat(c *fault.Check, id string, document any) {
	d, _ := document.(seatDocument)
	if id == "" || len(id) > 128 || strings.TrimSpace(id) != id || strings.ContainsAny(id, "/{}\x00\n\r\t") {
		c.Add("name", "%q must be 1 to 128 bytes without '/', braces, and blanks around", id)
	}
	checkText(c, "display_name", d.DisplayName, maxDisplayName)
	checkText(c, "description", d.Description, maxDescription)
}

// checkSkills wants skills that exist, once the account has any.
func (s *scene) checkSkills(c *fault.Check, skills []string) {
	if len(skills) > maxSkills {
		c.Add("skills", "are %d; the limit is %d", len(skills), maxSkills)
	}
	known := ids(s.state, s.account, configlog.KindSkill)
	seen := map[string]struct{}{}
	for i, skill := range skills {
		field := fmt.Sprintf("skills[%d]", i)
		if _, ok := known[skill]; !ok && known != nil {
			c.Add(field, "there is no skill %q in the account's catalogue", skill)
		}
		if _, dup := seen[skill]; dup || skill == "" {
			c.Add(field, "%q is empty or listed twice", skill)
		}
		seen[skill] = struct{}{}
	}
}
