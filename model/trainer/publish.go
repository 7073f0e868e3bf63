package trainer

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/usherhq/usher/model"
)

// publish stores the pending model with its card, live or not, and promotes it
// when it passed. The champion's own rows make the champion again: nothing to do.
func (t *Trainer) publish(ctx context.Context, s *state) error {
	p := s.pending
	if p == nil {
		return nil
	}
	current, err := t.current(ctx, p.job.account)
	if err != nil {
		return err
	}
	if !current {
		s.pending = nil // made of rows that are gone, or for rewards that are
		return nil
	}
	if version := p.out.model.Version(); s.rival == nil || s.rival.card.Version != version {
		if err := t.store(ctx, s, p); err != nil {
			return err
		}
	}
	s.pending = nil
	t.report(s, p)
	return nil
}

// store stores a model with its card and promotes it when it passed. What cannot be
// read back goes nowhere, and the next fit starts afresh.
func (t *Trainer) store(ctx context.Context, s *state, p *publication) error {
	version, artifact := p.out.model.Version(), p.out.model.Encode()
	if _, err := model.Decode(artifact); err != nil {
		s.pending, s.fitted = nil, time.Time{}
		s.fit.forget()
		return fmt.Errorf("read back model %q of account %q before it is stored: %w", version, s.account.ID, err)
	}
	held, err := t.held(ctx, s.account.ID)
	if err != nil {
		return err
	}
	card := newCard(p.job, p.out, artifact, held, t.deps.Now())
	if err := t.deps.Store.SaveModel(ctx, card, artifact); err != nil {
		return fmt.Errorf("save model %q of account %q: %w", version, s.account.ID, err)
	}
	s.stored = p
	if p.promoted = card.Gate == gatePassed; p.promoted {
		if err := t.deps.Promoter.Promote(ctx, &card, p.out.verdict.Reason); err != nil {
			return fmt.Errorf("promote model %q of account %q: %w", version, s.account.ID, err)
		}
		s.rival = &champion{model: p.out.model, card: card}
	}
	return nil
}

// current tells whether the account that a model was fitted for is still as it was:
// rows may have been erased, or the objective changed, while the fit ran.
func (t *Trainer) current(ctx context.Context, fittedFor Account) (bool, error) {
	accounts, err := t.deps.Directory.Accounts(ctx)
	if err != nil {
		return false, fmt.Errorf("list accounts to train for: %w", err)
	}
	return slices.ContainsFunc(accounts, func(a Account) bool {
		return a.ID == fittedFor.ID && a.rewards() == fittedFor.rewards()
	}), nil
}

// held asks the promoter whether a person has put promotion on hold.
func (t *Trainer) held(ctx context.Context, account string) (bool, error) {
	h, able := t.deps.Promoter.(Holder)
	if !able {
		return false, nil
	}
	held, err := h.Held(ctx, account)
	if err != nil {
		return false, fmt.Errorf("ask whether promotion is held for account %q: %w", account, err)
	}
	return held, nil
}

func (t *Trainer) report(s *state, p *publication) {
	out := p.out
	t.deps.Metrics.observe(s.account.ID, p)
	t.deps.Metrics.stale(s.account.ID, s.rival, t.deps.Now())
	t.deps.Log.Info("model fitted", "account", s.account.ID, "version", out.model.Version(),
		"rows", len(p.job.rows.rows), "learned", out.learned, "full", out.full, "exact", out.exact,
		"loss", out.verdict.Loss, "constant", out.verdict.Constant, "promoted", p.promoted,
		"reason", out.verdict.Reason, "took", p.took)
}
