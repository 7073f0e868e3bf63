package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/usherhq/usher/decision/control"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/pipeline/configlog"
)

// artifactSource brings the bytes of a model, verified by model.Decode later on.
type artifactSource interface {
	Artifact(ctx context.Context, account, version string) ([]byte, error)
}

// champions keeps the registry of live models in step with the config log. While
// a model cannot be had, the one before it stays live, or policy alone decides.
type champions struct {
	store    *configlog.Store
	control  *control.Control
	source   artifactSource
	registry *model.Registry
	log      *slog.Logger
	ready    chan struct{} // closes after the first look at every account
}

// championRetry is the pause before a model that could not be had is asked for again.
const championRetry = time.Second

// Run follows the log until ctx ends.
func (c *champions) Run(ctx context.Context) error {
	for first := true; ; first = false {
		changed := c.store.Changed()
		err := c.sync(ctx)
		if first {
			close(c.ready)
		}
		var retry <-chan time.Time
		if err != nil && ctx.Err() == nil {
			c.log.WarnContext(ctx, "a promoted model cannot be loaded, the one before it stays live", "error", err)
			retry = time.After(championRetry)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-retry:
		}
	}
}

// sync makes each account's champion live. One that fails does not hold up the
// others.
func (c *champions) sync(ctx context.Context) error {
	var errs []error
	for _, account := range c.store.State().Accounts() {
		if err := c.syncAccount(ctx, account); err != nil {
			errs = append(errs, fmt.Errorf("account %q: %w", account, err))
		}
	}
	return errors.Join(errs...)
}

func (c *champions) syncAccount(ctx context.Context, account string) error {
	current, err := c.control.Champion(account)
	if err != nil {
		return err
	}
	live := c.registry.Current(account)
	if current.Version == "" {
		if live != nil {
			c.registry.Swap(account, nil)
			c.log.InfoContext(ctx, "no model is live any more", "account", account)
		}
		return nil
	}
	if live != nil && live.Version() == current.Version {
		return nil
	}
	if kept := c.registry.Previous(account); kept != nil && kept.Version() == current.Version {
		c.registry.Rollback(account) // still warm
		return nil
	}
	m, err := c.load(ctx, account, current.Version)
	if err != nil {
		if live == nil && current.Previous != "" {
			c.standIn(ctx, account, current.Previous)
		}
		return err
	}
	c.registry.Swap(account, m)
	c.log.InfoContext(ctx, "model is live", "account", account, "model", current.Version, "reason", current.Reason)
	return nil
}

// standIn makes the champion before live for as long as the champion cannot be
// had: a process that starts while the warehouse is away has it in its cache more
// often than not. Without it policy alone answers.
func (c *champions) standIn(ctx context.Context, account, version string) {
	m, err := c.load(ctx, account, version)
	if err != nil {
		return // the caller reports that the champion cannot be had
	}
	c.registry.Swap(account, m)
	c.log.WarnContext(ctx, "the model before is live until the promoted one can be loaded", "account", account, "model", version)
}

// load fetches a model and checks that it is the one that was asked for.
func (c *champions) load(ctx context.Context, account, version string) (*model.Model, error) {
	data, err := c.source.Artifact(ctx, account, version)
	if err != nil {
		return nil, fmt.Errorf("fetch model %q: %w", version, err)
	}
	m, err := model.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("read model %q: %w", version, err)
	}
	if m.Version() != version {
		return nil, fmt.Errorf("model %q says it is %q", version, m.Version())
	}
	return m, nil
}

// promoter makes a trained model the champion by a record of the config log.
type promoter struct {
	control *control.Control
	author  string
}

// Champion implements half of trainer.Promoter.
func (p promoter) Champion(_ context.Context, account string) (string, error) {
	c, err := p.control.Champion(account)
	return c.Version, err
}

// Held implements trainer.Holder: after a rollback a person has to promote.
func (p promoter) Held(_ context.Context, account string) (bool, error) {
	c, err := p.control.Champion(account)
	return c.Held, err
}

// Promote implements the other half. Somebody who changes the pointer meanwhile
// wins: the trainer asks again at its next refit.
func (p promoter) Promote(ctx context.Context, card *model.Card, reason string) error {
	trained := control.Trained{Objective: card.Objective, Version: card.ObjectiveVersion}
	_, err := p.control.Promote(ctx, card.Account, card.Version, trained, control.Author{Name: p.author, Reason: reason})
	return err
}

// artifactCache keeps artifacts in a folder, so that a process that starts while
// the warehouse is away has its models.
type artifactCache struct {
	dir    string
	source artifactSource
}

// Artifact answers from the folder, else from the source. Damaged files are
// fetched again.
func (a artifactCache) Artifact(ctx context.Context, account, version string) ([]byte, error) {
	// The prefix keeps an account called ".." inside.
	path := filepath.Join(a.dir, "account-"+url.PathEscape(account), url.PathEscape(version)+".model")
	kept, err := os.ReadFile(path)
	if err == nil {
		if _, err := model.Decode(kept); err == nil {
			return kept, nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read cached model: %w", err)
	}
	data, err := a.source.Artifact(ctx, account, version)
	if err != nil {
		return nil, err
	}
	if len(data) == 0 {
		return nil, fault.New(fault.NotFound, "NOT_FOUND", "model %q has no artifact", version)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("cache model: %w", err)
	}
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return nil, fmt.Errorf("cache model: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return nil, fmt.Errorf("cache model: %w", err)
	}
	return data, nil
}
