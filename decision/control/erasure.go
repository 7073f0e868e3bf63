package control

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/event"
)

// The states of an erasure.
const (
	ErasureRunning = "RUNNING"
	ErasureDone    = "DONE"
	ErasureFailed  = "FAILED"
)

// Erasure is one request to forget a person, as stored. The person is in it by a
// keyed hash alone: the config log is for ever.
type Erasure struct {
	Name      string    `json:"-"` // of the request
	Hash      string    `json:"hash"`
	Requested time.Time `json:"requested"`
	Done      time.Time `json:"done,omitzero"`
	// RowsGone says that the warehouse has no row of them any more, and that what it
	// knows of their conversations can be asked there by hash.
	RowsGone    bool     `json:"rows_gone,omitempty"`
	Decisions   int64    `json:"decisions,omitempty"`
	Outcomes    int64    `json:"outcomes,omitempty"`
	DeadLetters int64    `json:"dead_letters,omitempty"`
	Contexts    int64    `json:"contexts,omitempty"`
	Models      []string `json:"models,omitempty"` // that learned from the rows
	// Hours, since 1970, are those whose roll-ups are to be counted anew. Once that is
	// done they go.
	Hours []int64 `json:"hours,omitempty"`
	// RetrainBy is when Models must not be live any more; zero without models.
	RetrainBy time.Time `json:"retrain_by,omitzero"`
	State     string    `json:"state"`
	Detail    string    `json:"detail,omitempty"`
	Author    string    `json:"author,omitempty"` // who asked
	Reason    string    `json:"reason,omitempty"`
	Revision  int64     `json:"-"`
}

// Erasures lists an account's requests, newest first.
func (c *Control) Erasures(account string) ([]Erasure, error) {
	list := c.store.State().List(account, configlog.KindErasure)
	out := make([]Erasure, 0, len(list))
	for _, r := range list {
		e, err := readErasure(r)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	slices.SortStableFunc(out, func(a, b Erasure) int {
		return cmp.Or(b.Requested.Compare(a.Requested), cmp.Compare(b.Name, a.Name))
	})
	return out, nil
}

func readErasure(r configlog.Resource) (Erasure, error) {
	var e Erasure
	if err := read(r, &e); err != nil {
		return Erasure{}, err
	}
	e.Name, e.Revision = r.Name, r.Revision
	return e, nil
}

// requestTries bounds how often a request is written that others write to meanwhile.
const requestTries = 5

// RequestErasure writes a request down. One of the same person that still runs begins
// anew as of at instead: what came since the first time goes as well.
func (c *Control) RequestErasure(ctx context.Context, account, hash string, at time.Time, by Author) (e Erasure, err error) {
	if _, err := c.GetAccount(account); err != nil {
		return Erasure{}, err
	}
	for range requestTries {
		e, err = c.requestErasure(ctx, account, hash, at.UTC(), by)
		if fault.KindOf(err) != fault.Conflict {
			break
		}
	}
	return e, err
}

func (c *Control) requestErasure(ctx context.Context, account, hash string, at time.Time, by Author) (Erasure, error) {
	all, err := c.Erasures(account)
	if err != nil {
		return Erasure{}, err
	}
	fresh := Erasure{
		Name: fmt.Sprintf("%s-%d", hash, at.UnixMilli()), Hash: hash, Requested: at,
		State: ErasureRunning, Author: by.Name, Reason: by.Reason,
	}
	for _, e := range all {
		switch {
		case e.Hash != hash:
		case e.State == ErasureRunning && !at.After(e.Requested):
			return e, nil
		case e.State == ErasureRunning:
			e.Requested, e.RowsGone, e.Detail = at, false, ""
			return c.SaveErasure(ctx, account, e, by)
		case e.State == ErasureFailed: // its rows may be gone, but nobody counted anew
			fresh.Hours = append(fresh.Hours, e.Hours...)
		}
	}
	slices.Sort(fresh.Hours)
	fresh.Hours = slices.Compact(fresh.Hours)
	return c.SaveErasure(ctx, account, fresh, by)
}

// SaveErasure writes how far an erasure is, on condition that its Revision is the
// newest: else it answers a Conflict fault.
func (c *Control) SaveErasure(ctx context.Context, account string, e Erasure, by Author) (Erasure, error) {
	r, err := c.write(ctx, event.ConfigChange{
		Account: account, Kind: configlog.KindErasure, Name: e.Name, Base: e.Revision,
	}, e, by)
	if err != nil {
		return Erasure{}, err
	}
	return readErasure(r)
}

// Retrain tells until when each model that learned from erased rows may be live.
func (c *Control) Retrain(account string) (map[string]time.Time, error) {
	all, err := c.Erasures(account)
	if err != nil {
		return nil, err
	}
	by := map[string]time.Time{}
	for _, e := range all {
		for _, version := range e.Models {
			if known, ok := by[version]; !ok || e.RetrainBy.Before(known) {
				by[version] = e.RetrainBy
			}
		}
	}
	return by, nil
}

// Retire takes a live model away whose time is over: the newest one before it that
// may still be live follows, or policy alone. It answers false, and does nothing,
// while the live model has time left.
func (c *Control) Retire(ctx context.Context, account string, now time.Time, by Author) (bool, error) {
	champion, history, err := c.champion(account)
	if err != nil || champion.Version == "" {
		return false, err
	}
	limits, err := c.Retrain(account)
	if err != nil {
		return false, err
	}
	over := func(version string) bool { limit, ok := limits[version]; return ok && now.After(limit) }
	if !over(champion.Version) {
		return false, nil
	}
	d := championDocument{Held: champion.Held}
	for _, version := range slices.Backward(history) {
		history = history[:len(history)-1]
		if !over(version) {
			d.Version = version
			break
		}
	}
	d.History = slices.DeleteFunc(slices.Clone(history), over)
	_, err = c.point(ctx, account, d, champion.Revision, by)
	return err == nil, err
}

// CheckRetrain refuses a version that must not be live any more.
func (c *Control) CheckRetrain(account, version string, now time.Time) error {
	limits, err := c.Retrain(account)
	if err != nil {
		return err
	}
	if limit, ok := limits[version]; ok && now.After(limit) {
		return fault.New(fault.Precondition, "RETRAIN",
			"model %q learned from rows that were erased and had to be trained anew by %s", version, limit.Format(time.RFC3339))
	}
	return nil
}
