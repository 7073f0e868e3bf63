package app

import (
	"context"
	"fmt"
	"time"

	"github.com/usherhq/usher/cmd/usher/config"
	"github.com/usherhq/usher/decision/attribute"
	"github.com/usherhq/usher/decision/function"
	"github.com/usherhq/usher/decision/skillstate"
	"github.com/usherhq/usher/internal/run"
	"github.com/usherhq/usher/pipeline/event"
	"github.com/usherhq/usher/pipeline/kafka"
)

// skillLog follows the topic of skill reports, without a group: every process that
// decides sees all of them.
type skillLog struct{ client *kafka.Client }

// Follow implements skillstate.Log.
func (l skillLog) Follow(ctx context.Context, since time.Time, caughtUp func(), fn func(event.Message) error) error {
	return l.client.Since(ctx, event.TopicSkills, since, caughtUp, fn)
}

// factPhase is where decisions find what requests do not bring: the catalogue of
// attributes, and the live state of skills.
func (n *node) factPhase() run.Phase {
	return run.Phase{Name: "facts", Parts: []run.Part{
		late("catalogue", func(context.Context) (worker, error) {
			if err := n.state.functions.Warm(); err != nil {
				return worker{}, err
			}
			return worker{run: n.state.catalog.Run, ready: n.state.catalog.Ready()}, nil
		}),
		late("live state", func(context.Context) (worker, error) {
			states, err := skillstate.New(skillConfig(n.cfg), skillstate.Deps{
				Spool: n.serving.spool, Log: skillLog{n.engines.client}, Logger: n.log, Now: n.opts.Now, Metrics: n.reg,
			})
			if err != nil {
				return worker{}, err
			}
			n.serving.skills = states
			return worker{run: states.Run, ready: states.Ready()}, nil
		}),
	}}
}

// functionCaller makes what asks functions. Nothing runs before a function does.
func (n *node) functionCaller() (*function.Caller, error) {
	c := function.DefaultConfig()
	c.PrivateHosts = n.cfg.Decision.FunctionHosts
	caller, err := function.New(c, function.Deps{Metrics: n.reg, Log: n.log, Now: n.opts.Now})
	if err != nil {
		return nil, fmt.Errorf("configure decision.function_hosts: %w", err)
	}
	return caller, nil
}

func skillConfig(cfg *config.Config) skillstate.Config {
	c := skillstate.DefaultConfig()
	c.MaxAge = cfg.Decision.SkillMaxAge
	c.History = max(c.History, c.MaxAge)
	return c
}

// resolver composes the sources of attributes.
func (n *node) resolver() (*attribute.Resolver, error) {
	deps := attribute.Deps{Catalog: n.state.catalog, Context: n.serving.contexts, Functions: n.state.functions}
	return attribute.New(deps)
}
