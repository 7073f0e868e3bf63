package control

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/usherhq/usher/decision"
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

// Trained says what a model's rewards meant. The zero Trained is unknown, and taken for
// the present objective's.
type Trained struct {
	Objective string `json:"objective,omitempty"`
	Version   int64  `json:"version,omitempty"` // of the objective
}

// championDocument is how the pointer lies in the config log. History holds the
// versions before, the latest last, so that several rollbacks go back one by one.
type championDocument struct {
	Version  string   `json:"version"`
	Previous string   `json:"previous,omitempty"`
	Reason   string   `json:"reason,omitempty"`
	Held     bool     `json:"held,omitempty"`
	History  []string `json:"history,omitempty"`
	// Trained is by version, of the live one and those of the history.
	Trained map[string]Trained `json:"trained,omitempty"`
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
	d, r, err := c.championNow(account)
	if err != nil || r.Revision == 0 {
		return Champion{}, nil, err
	}
	champion := Champion{Version: d.Version, Reason: d.Reason, Held: d.Held, Revision: r.Revision, Since: r.Time}
	if at := c.back(account, d.History, d.Trained); at >= 0 {
		champion.Previous = d.History[at]
	}
	return champion, d.History, nil
}

// championNow reads the pointer; the resource has revision 0 when there never was one.
func (c *Control) championNow(account string) (d championDocument, r configlog.Resource, err error) {
	r, ok := c.store.State().Get(account, configlog.KindModel, championName)
	if ok {
		err = read(r, &d)
	}
	return d, r, err
}

// back is the place of the newest of versions that was trained for what the account's
// objective means now, -1 for none: one that learned another reward may do the
// opposite of what is wanted.
func (c *Control) back(account string, versions []string, trained map[string]Trained) int {
	now := Trained{Objective: DefaultObjective}
	if m, ok := c.Mode(account, decision.ScopeAccount); ok && m.Objective != "" {
		now.Objective = m.Objective
	}
	o, err := c.GetObjective(account, now.Objective)
	now.Version = o.Version
	for at, version := range slices.Backward(versions) {
		if t := trained[version]; err != nil || t == (Trained{}) || t == now {
			return at
		}
	}
	return -1
}

// Promote makes a version live and lifts the hold of a rollback. Promoting the
// live one again, without a hold, changes nothing.
// trained is what its card says. When another promotion comes between it answers a
// Conflict fault.
func (c *Control) Promote(ctx context.Context, account, version string, trained Trained, by Author) (Champion, error) {
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
	d := championDocument{Version: version, History: history, Trained: map[string]Trained{version: trained}}
	return c.point(ctx, account, d, now.Revision, by)
}

// Rollback makes the newest version before live again that was trained for what the
// objective means now, or none when there is none; the reason then names those that
// it passed over. It is a Precondition fault when no model is live. It holds the trainer, which
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
	d, _, err := c.championNow(account)
	if err != nil {
		return Champion{}, err
	}
	version, at := "", c.back(account, history, d.Trained)
	if at >= 0 {
		version = history[at]
	}
	if passed := history[at+1:]; len(passed) > 0 {
		by.Reason = strings.TrimSpace(fmt.Sprintf("%s (passed over %s: trained for another objective or version of it)", by.Reason, strings.Join(passed, ", ")))
	}
	history = history[:max(at, 0)]
	return c.point(ctx, account, championDocument{Version: version, History: history, Held: true}, now.Revision, by)
}

func (c *Control) point(ctx context.Context, account string, d championDocument, base int64, by Author) (Champion, error) {
	d.Reason, d.History = by.Reason, d.History[max(0, len(d.History)-maxHistory):]
	before, _, err := c.championNow(account)
	if err != nil {
		return Champion{}, err
	}
	trained := map[string]Trained{}
	for _, version := range append(slices.Clip(d.History), d.Version) {
		if t := cmp.Or(d.Trained[version], before.Trained[version]); t != (Trained{}) {
			trained[version] = t
		}
	}
	d.Trained = trained
	if at := c.back(account, d.History, trained); at >= 0 {
		d.Previous = d.History[at]
	}
	r, err := c.write(ctx, event.ConfigChange{Account: account, Kind: configlog.KindModel, Name: championName, Base: base}, d, by)
	if err != nil {
		return Champion{}, err
	}
	return Champion{Version: d.Version, Previous: d.Previous, Reason: d.Reason, Held: d.Held, Revision: r.Revision, Since: r.Time}, nil
}
