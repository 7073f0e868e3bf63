package ladder

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/control"
	"github.com/usherhq/usher/internal/fault"
)

// Run looks at the guardrails of every scope in which the model decides, every
// Config.Check, and sets scopes back. It returns nil when ctx ends. Several processes
// may run it: of two that find one breach, one writes.
func (l *Ladder) Run(ctx context.Context) error {
	tick := time.NewTicker(l.cfg.Check)
	defer tick.Stop()
	for {
		if err := l.Watch(ctx); err != nil && ctx.Err() == nil {
			if l.deps.Log != nil {
				l.deps.Log.WarnContext(ctx, "guardrails not looked at", "error", err)
			}
			if l.deps.Metrics != nil {
				l.deps.Metrics.failures.Inc()
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Watch looks once. A scope that cannot be looked at keeps no other from it; the
// error joins those of all.
func (l *Ladder) Watch(ctx context.Context) error {
	var errs []error
	for _, a := range l.deps.Control.Accounts() {
		modes, err := l.deps.Control.Modes(a.ID)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s := sceneOf(a.ID, modes)
		for i := range modes {
			if err := l.guard(ctx, s, &modes[i]); err != nil {
				errs = append(errs, fmt.Errorf("account %q: %w", a.ID, err))
			}
		}
	}
	if l.deps.Metrics != nil && len(errs) == 0 {
		l.deps.Metrics.looked.Set(float64(l.deps.Now().Unix()))
	}
	return errors.Join(errs...)
}

// guard sets one scope back when a guardrail is breached. The mode's revision guards
// the write: what a person changed meanwhile was not tested.
func (l *Ladder) guard(ctx context.Context, s *scene, m *control.Mode) error {
	states, err := l.guardrails(ctx, s, m)
	if err != nil {
		return err
	}
	for i := range states {
		if states[i].Standing != Breached {
			continue
		}
		next := *m
		next.Kind, next.Share = decision.ModeShadow, 0
		reason := reasonOf(m.Kind, &states[i])
		_, err := l.deps.Control.SetMode(ctx, s.account, next, control.Author{Name: Author, Reason: reason})
		if fault.KindOf(err) == fault.Conflict {
			return nil
		}
		if err != nil {
			return fmt.Errorf("set %q back: %w", m.Scope, err)
		}
		if l.deps.Log != nil {
			l.deps.Log.WarnContext(ctx, "scope set back", "account", s.account, "scope", m.Scope, "reason", reason)
		}
		if l.deps.Metrics != nil {
			l.deps.Metrics.breaches.Inc()
		}
		return nil
	}
	return nil
}
