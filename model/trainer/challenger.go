package trainer

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/usherhq/usher/model"
)

// Challenger fits another family to rows in the order of their decisions and says how
// it did beside ours. It never fails: the result says what went wrong. It may take long
// and must end soon after ctx does.
type Challenger interface {
	Challenge(ctx context.Context, cfg model.Config, rows []*Row) model.ChallengerFit
}

// challenges are the challengers at work: one at a time in all, and for each account
// at most one every Config.ChallengeEvery. Fits do not wait for them.
type challenges struct {
	mu      sync.Mutex
	running bool
	begun   map[string]time.Time // by account
	wait    sync.WaitGroup
}

// begin tells whether a challenge may start now, and keeps that it did.
func (c *challenges) begin(account string, now time.Time, every time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	last, before := c.begun[account]
	if c.running || before && now.Sub(last) < every {
		return false
	}
	if c.begun == nil {
		c.begun = map[string]time.Time{}
	}
	c.running, c.begun[account] = true, now
	return true
}

func (c *challenges) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running = false
}

// challenge starts a challenge to the account's newest stored model, unless there is
// no challenger or it is too early. What comes of it goes to the model's card. ctx is
// that of Run: a challenge outlives the fit.
func (t *Trainer) challenge(ctx context.Context, s *state) {
	p := s.stored
	s.stored = nil
	if p == nil || t.deps.Challenger == nil || t.cfg.ChallengeEvery <= 0 || len(p.job.rows.rows) < leastChallenged {
		return
	}
	account, version := p.job.account, p.out.model.Version()
	if !t.challenges.begin(account.ID, t.deps.Now(), t.cfg.ChallengeEvery) {
		return
	}
	rows := p.job.rows.rows
	t.challenges.wait.Go(func() {
		defer t.challenges.end()
		fit := t.deps.Challenger.Challenge(ctx, learnerConfig(account), rows)
		if ctx.Err() != nil {
			return // shutting down
		}
		t.deps.Log.Info("challenger fitted", "account", account.ID, "version", version, "family", fit.Family,
			"rows", fit.Rows, "loss", fit.Loss, "ours", fit.Ours, "better", fit.Better, "seconds", fit.Seconds, "fault", fit.Fault)
		if err := t.note(ctx, account.ID, version, &fit); err != nil && ctx.Err() == nil {
			t.deps.Log.Warn("the challenger is not on the model's card", "account", account.ID, "version", version, "error", err)
		}
	})
}

// leastChallenged is the least number of rows that are worth another family.
const leastChallenged = 500

// note stores the card again, as it is now, with the challenger on it.
func (t *Trainer) note(ctx context.Context, account, version string, fit *model.ChallengerFit) error {
	card, artifact, err := t.deps.Store.LoadModel(ctx, account, version)
	if err != nil {
		return fmt.Errorf("load the card of model %q: %w", version, err)
	}
	card.Golearn = fit
	return t.deps.Store.SaveModel(ctx, card, artifact)
}
