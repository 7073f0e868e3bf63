package clickhouse

import (
	"context"
	"fmt"

	"github.com/usherhq/usher/pipeline"
	"github.com/usherhq/usher/pipeline/event"
)

var _ pipeline.EventIndex = (*DB)(nil)

// HoldsEvents implements [pipeline.EventIndex] for decisions, outcomes and skill
// reports; of other topics nothing is held. It looks events up as the writer does,
// by their key, and costs one query.
func (db *DB) HoldsEvents(ctx context.Context, topic string, ids []event.Identity) ([]bool, error) {
	held := make([]bool, len(ids))
	names, keys := make([]string, len(ids)), make([]uint64, len(ids))
	for i, id := range ids {
		names[i] = identify(id.Account, id.Source, id.ID)
		keys[i] = keyOf(names[i])
	}
	var known map[string]bool
	var err error
	switch topic {
	case event.TopicDecisions:
		known, err = lookUp(ctx, db, decisionTable(topic), keys)
	case event.TopicOutcomes:
		known, err = lookUp(ctx, db, outcomeTable(topic), keys)
	case event.TopicSkills:
		known, err = lookUp(ctx, db, skillTable(topic), keys)
	default:
		return held, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for %d events of %q: %w", len(ids), topic, err)
	}
	for i := range ids {
		held[i] = known[names[i]]
	}
	return held, nil
}
