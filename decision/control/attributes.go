package control

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/configlog"
)

// Attributes are an account's rules for what its policies may speak of. A nil
// switch has its usual setting, which the field says.
type Attributes struct {
	// SDE and Conversation let policies use sde.* and conversation.*; on when nil.
	SDE          *bool `json:"sde_attributes,omitempty"`
	Conversation *bool `json:"conversation_attributes,omitempty"`
	// Strict refuses policies that name attributes nobody declared; when nil it
	// is on once the account has declared what callers send.
	Strict *bool `json:"strict_attributes,omitempty"`
	// RoutingSkills are the skills of the bots that ask: a transfer to one of
	// them would come back.
	RoutingSkills []string `json:"routing_skills,omitempty"`
}

// Exploration is an account's word on what may be tried.
type Exploration struct {
	// Never is a policy condition; on conversations for which it holds nothing is
	// tried. Nil for none.
	Never json.RawMessage `json:"no_exploration,omitempty"`
	// PerHour is how many exploratory draws one target may get in an hour where its
	// skill does not say; nil for no bound.
	PerHour *int64 `json:"exploration_per_hour,omitempty"`
}

func (e *Exploration) check(c *fault.Check) {
	if len(e.Never) > 0 {
		_, err := decision.CompileCondition(e.Never)
		addUnder(c, "no_exploration", "when", err)
	}
	if e.PerHour != nil && *e.PerHour < 0 {
		c.Add("exploration_per_hour", "must not be negative; 0 tries nothing")
	}
}

// explorationBudgets reads what skills say of their exploratory draws.
func explorationBudgets(skills []configlog.Resource) map[string]int64 {
	var out map[string]int64
	for _, r := range skills {
		var d struct {
			PerHour *int64 `json:"exploration_per_hour"`
		}
		if err := read(r, &d); err != nil || d.PerHour == nil {
			continue // one that cannot be read was written by a version that knew more
		}
		if out == nil {
			out = map[string]int64{}
		}
		out[r.Name] = *d.PerHour
	}
	return out
}

// maxRoutingSkills bounds the skills of the bots that ask.
const maxRoutingSkills = 100

// ReadAccount reads an account out of its record in the config log.
func ReadAccount(r configlog.Resource) (Account, error) { return readAccount(r) }

func (a *Attributes) check(c *fault.Check) {
	if len(a.RoutingSkills) > maxRoutingSkills {
		c.Add("routing_skills", "are %d; the limit is %d", len(a.RoutingSkills), maxRoutingSkills)
	}
	seen := map[string]struct{}{}
	for i, skill := range a.RoutingSkills {
		field := fmt.Sprintf("routing_skills[%d]", i)
		if strings.TrimSpace(skill) != skill || skill == "" || len(skill) > 256 {
			c.Add(field, "%q is no id of a skill: 1 to 256 bytes without blanks around", skill)
		}
		if _, dup := seen[skill]; dup {
			c.Add(field, "%q is listed twice", skill)
		}
		seen[skill] = struct{}{}
	}
}
