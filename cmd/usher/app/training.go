package app

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/usherhq/usher/cmd/usher/config"
	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/control"
	"github.com/usherhq/usher/model/trainer"
	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/event"
)

// defaultObjective is what an account optimises when nobody said otherwise.
const defaultObjective = "default"

// trainerConfig is the trainer as configured.
func trainerConfig(cfg *config.Config) trainer.Config {
	c := trainer.DefaultConfig()
	t := cfg.Training
	c.Check, c.MinRows, c.GrowthShare, c.MaxAge = t.Check, int64(t.MinRows), t.GrowthShare, t.MaxAge
	c.Window, c.MaxRows, c.Parallel, c.ChallengeEvery = t.Window, t.MaxRows, t.Parallel, t.Challenger
	return c
}

// directory lists the accounts to train for, from the config log.
type directory struct {
	store   *configlog.Store
	control *control.Control
}

// Accounts implements trainer.Directory. An account without its objective has
// nothing to learn and is left out.
func (d directory) Accounts(context.Context) ([]trainer.Account, error) {
	st := d.store.State()
	var accounts []trainer.Account
	for _, id := range st.Accounts() {
		name, err := objectiveName(st, id)
		if err != nil {
			return nil, err
		}
		r, ok := st.Get(id, configlog.KindObjective, name)
		if !ok {
			continue
		}
		var o struct {
			event.Objective
			Version int64 `json:"version"`
		}
		if err := json.Unmarshal(r.Value, &o); err != nil {
			return nil, fmt.Errorf("read objective %q of account %q: %w", name, id, err)
		}
		followed, err := modelFollowed(st, id)
		if err != nil {
			return nil, err
		}
		account := trainer.Account{
			ID: id, Objective: name, Revision: r.Revision, ObjectiveVersion: o.Version,
			RewardMin: o.Min, RewardMax: o.Max, Margin: o.Margin, OpenRows: o.OpenRows, Shadow: !followed,
		}
		var going bool
		if account.Erased, account.Retrain, going, err = d.erased(id); err != nil {
			return nil, err
		}
		if going {
			continue // a model that is fitted now would learn from rows that must be forgotten
		}
		accounts = append(accounts, account)
	}
	return accounts, nil
}

// modelFollowed says whether any scope of the account lets the model decide.
func modelFollowed(st *configlog.State, account string) (bool, error) {
	for _, r := range st.List(account, configlog.KindMode) {
		var mode struct {
			Mode decision.ModeKind `json:"mode"`
		}
		if err := json.Unmarshal(r.Value, &mode); err != nil {
			return false, fmt.Errorf("read mode %q of account %q: %w", r.Name, account, err)
		}
		if mode.Mode != decision.ModeOff && mode.Mode != decision.ModeShadow {
			return true, nil
		}
	}
	return false, nil
}

// erased counts the rows that erasures removed, whether a model is known to have
// learned from them or one that is being fitted has read them, and names the live model
// when it is one of those that must be trained anew. going says that rows are being
// removed.
func (d directory) erased(account string) (count int64, retrain string, going bool, err error) {
	all, err := d.control.Erasures(account)
	if err != nil {
		return 0, "", false, err
	}
	for _, e := range all {
		going = going || e.State == control.ErasureRunning && !e.RowsGone
		if e.RowsGone {
			count += e.Decisions + e.Outcomes
		}
	}
	limits, err := d.control.Retrain(account)
	if err != nil || len(limits) == 0 {
		return count, "", going, err
	}
	champion, err := d.control.Champion(account)
	if _, marked := limits[champion.Version]; marked && count > 0 {
		retrain = champion.Version
	}
	return count, retrain, going, err
}

// objectiveName is the objective that the account's mode names.
func objectiveName(st *configlog.State, account string) (string, error) {
	r, ok := st.Get(account, configlog.KindMode, "account")
	if !ok {
		return defaultObjective, nil
	}
	var mode struct {
		Objective string `json:"objective"`
	}
	if err := json.Unmarshal(r.Value, &mode); err != nil {
		return "", fmt.Errorf("read the mode of account %q: %w", account, err)
	}
	if mode.Objective == "" {
		return defaultObjective, nil
	}
	return mode.Objective, nil
}

var (
	_ trainer.Directory = directory{}
	_ trainer.Promoter  = promoter{}
	_ trainer.Holder    = promoter{}
	_ trainer.Holder    = promoter{}
)
