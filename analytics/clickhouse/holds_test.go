package clickhouse

import (
	"slices"
	"testing"

	"github.com/usherhq/usher/pipeline"
	"github.com/usherhq/usher/pipeline/event"
)

func TestHoldsEvents(t *testing.T) {
	db := open(t)
	write(t, NewWriter(db, nil, nil), &pipeline.Block{
		Topic: "t", Last: 2,
		Decisions: []pipeline.Stored[event.Decision]{storedAt(0, decision("d1", epoch))},
		Outcomes:  []pipeline.Stored[event.Outcome]{storedAt(1, outcome("o1", "crm", epoch))},
		Skills: []pipeline.Stored[event.SkillState]{storedAt(2, &event.SkillState{
			ID: "s1", Source: "acd", Account: "acme", Skill: "sales", State: event.Skill{At: epoch},
		})},
	})
	ids := []event.Identity{
		{Account: "acme", ID: "d1"},
		{Account: "acme", Source: "crm", ID: "o1"},
		{Account: "acme", Source: "acd", ID: "s1"},
		{Account: "other", Source: "crm", ID: "o1"},
		{},
	}
	for topic, want := range map[string][]bool{
		event.TopicDecisions: {true, false, false, false, false},
		event.TopicOutcomes:  {false, true, false, false, false},
		event.TopicSkills:    {false, false, true, false, false},
		event.TopicConfig:    make([]bool, 5),
	} {
		if got, err := db.HoldsEvents(t.Context(), topic, ids); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v (%v), want %v", topic, got, err, want)
		}
	}
}
