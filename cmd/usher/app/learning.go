package app

import (
	"context"

	"github.com/usherhq/usher/analytics/clickhouse"
	"github.com/usherhq/usher/internal/run"
	"github.com/usherhq/usher/model/trainer"
	"github.com/usherhq/usher/pipeline"
	"github.com/usherhq/usher/pipeline/event"
)

// eventTopics are what the pipeline stores. The config log is among them: its
// rows are the audit trail, and the objectives that rewards are computed from.
func eventTopics() []string {
	return []string{event.TopicDecisions, event.TopicOutcomes, event.TopicSkills, event.TopicConfig}
}

// pipelinePhase moves events into the warehouse and keeps the roll-ups. Roll-ups
// may be cancelled at any time, and computed by several processes at once: an hour
// is always recounted whole.
func (n *node) pipelinePhase() run.Phase {
	events := late("pipeline", func(context.Context) (worker, error) {
		c := pipeline.DefaultConfig()
		c.MaxRows, c.MaxAge = n.cfg.Pipeline.BatchRows, n.cfg.Pipeline.BatchAge
		c.MaxSkew = n.cfg.Pipeline.MaxSkew
		consumer, err := pipeline.New(c, pipeline.Deps{
			Source: n.source(), Sink: clickhouse.NewWriter(n.engines.store, n.opts.Now, n.reg),
			DeadLetters: n.engines.publisher, Log: n.log, Metrics: pipeline.NewMetrics(n.reg),
		})
		if err != nil {
			return worker{}, err
		}
		return worker{run: consumer.Run}, nil
	})
	rollUps := late("roll-ups", func(context.Context) (worker, error) {
		r, err := clickhouse.NewRoller(n.engines.store, clickhouse.DefaultRollerConfig(),
			clickhouse.RollerDeps{Log: n.log, Registerer: n.reg, Now: n.opts.Now})
		if err != nil {
			return worker{}, err
		}
		return worker{run: r.Run}, nil
	})
	return run.Phase{Name: "pipeline", Drain: n.cfg.StopAfter, Parts: []run.Part{events, rollUps}}
}

// source reads an embedded broker alone, for nobody else can be there, and a real
// one as a member of a group.
func (n *node) source() pipeline.Source {
	if n.embedsLog() {
		return n.engines.client.NewSole(eventTopics()...)
	}
	return n.engines.client.NewGroup(eventTopics()...)
}

// trainerPhase refits models. It may be cancelled at any time: what it does is
// stored whole or done again.
func (n *node) trainerPhase() run.Phase {
	return run.Phase{Name: "trainer", Drain: n.cfg.StopAfter, Parts: []run.Part{late("trainer", func(context.Context) (worker, error) {
		rows := trainingStore{db: n.engines.store}
		other, err := n.challenger()
		if err != nil {
			return worker{}, err
		}
		t, err := trainer.New(trainerConfig(n.cfg), trainer.Deps{
			Directory: directory{store: n.state.store, control: n.state.control}, Rows: rows, Store: rows,
			Promoter: promoter{control: n.state.control, author: "usher-trainer"},
			Now:      n.opts.Now, Log: n.log, Metrics: trainer.NewMetrics(n.reg), Challenger: other,
		})
		if err != nil {
			return worker{}, err
		}
		return worker{run: t.Run}, nil
	}), n.ladderWatch(), n.forgetPart()}}
}
