package control

import (
	"context"
	"slices"
	"time"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/event"
)

// Champion says which model of an account is live.
type Champion struct {
	// Version is the live model, empty when policy alone answers.
	Version string
	// Previous is what a rollback makes live, empty for none.
	Previous string
	// Reason is why it was promoted.
	Reason string
	// Held says that a person rolled back: the trainer promotes nothing until a
	// person promotes a model, be it the live one.
	Held     bool
	Revision int64
	Since    time.Time
}

// championDocument is how the pointer lies in the config log. History holds the
// versions before, the latest last, so that several rollbacks go back one by one.
type championDocument struct {
	Version  string   `json:"version"`
	Previous string   `json:"previous,omitempty"`
	Reason   string   `json:"reason,omitempty"`
	Held     bool     `json:"held,omitempty"`
	History  []string `json:"history,omitempty"`
}

// maxHistory bounds how far rollbacks reach.
const maxHistory = 16

// Champion returns the live model of an account; the zero Champion when there
// never was one.
func (c *Control) Champion(account string) (Champion, error) {
	champion, _, err := c.champion(account)
	return champion, err
}

func (c *Control) champion(account string) (Champion, []string, error) {
	r, ok := c.store.State().Get(account, configlog.KindModel, championName)
	if !ok {
		return Champion{}, nil, nil
	}
	return readChampion(r)
}

func readChampion(r configlog.Resource) (Champion, []string, error) {
	var d championDocument
	if err := read(r, &d); err != nil {
		return Champion{}, nil, err
	}
	return Champion{
		Version: d.Version, Previous: d.Previous, Reason: d.Reason, Held: d.Held, Revision: r.Revision, Since: r.Time,
	}, d.History, nil
}

// Promote makes a version live and lifts the hold of a rollback. Promoting the
// live one again, without a hold, changes nothing.
// When another promotion comes between it answers a Conflict fault.
func (c *Control) Promote(ctx context.Context, account, version string, by Author) (Champion, error) {
	if version == "" {
		return Champion{}, fault.New(fault.Invalid, "INVALID_ARGUMENT", "promote: no version is named")
	}
	if _, err := c.GetAccount(account); err != nil {
		return Champion{}, err
	}
	now, history, err := c.champion(account)
	if err != nil || now.Version == version && !now.Held {
		return now, err
	}
	if now.Version != "" && now.Version != version {
		history = append(slices.Clip(history), now.Version)
	}
	return c.point(ctx, account, championDocument{Version: version, History: history}, now.Revision, by)
}

// Rollback makes the version before live again, or none when there is none. It
// is a Precondition fault when no model is live. It holds the trainer, which
// would otherwise promote the next model, fitted to nearly the same rows.
func (c *Control) Rollback(ctx context.Context, account string, by Author) (Champion, error) {
	if _, err := c.GetAccount(account); err != nil {
		return Champion{}, err
	}
	now, history, err := c.champion(account)
	if err != nil {
		return Champion{}, err
	}
	if now.Version == "" {
		return Champion{}, fault.New(fault.Precondition, "NO_MODEL", "no model of account %q is live", account)
	}
	version := ""
	if len(history) > 0 {
		version, history = history[len(history)-1], history[:len(history)-1]
	}
	return c.point(ctx, account, championDocument{Version: version, History: history, Held: true}, now.Revision, by)
}

func (c *Control) point(ctx context.Context, account string, d championDocument, base int64, by Author) (Champion, error) {
	d.Reason, d.History = by.Reason, d.History[max(0, len(d.History)-maxHistory):]
	if n := len(d.History); n > 0 {
		d.Previous = d.History[n-1]
	}
	r, err := c.write(ctx, event.ConfigChange{Account: account, Kind: configlog.KindModel, Name: championName, Base: base}, d, by)
	if err != nil {
		return Champion{}, err
	}
	champion, _, err := readChampion(r)
	return champion, err
}
