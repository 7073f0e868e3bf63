package control

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/event"
)

// Mode is the setting of one scope as stored.
type Mode struct {
	// Scope is "account", "policy:<policy>" or "skill:<skill>".
	Scope string
	Kind  decision.ModeKind
	// Share, Exploration and Objective are as in decision.Mode.
	Share       float64
	Exploration *float64
	Objective   string
	Revision    int64
	Updated     time.Time
}

// modeDocument is how a mode lies in the config log.
type modeDocument struct {
	Mode        decision.ModeKind `json:"mode"`
	Share       float64           `json:"share,omitempty"`
	Exploration *float64          `json:"exploration,omitempty"`
	Objective   string            `json:"objective,omitempty"`
}

func (m Mode) live() decision.Mode {
	return decision.Mode{Kind: m.Kind, Share: m.Share, Exploration: m.Exploration, Objective: m.Objective}
}

// Modes lists the scopes of an account that have a mode of their own.
func (c *Control) Modes(account string) ([]Mode, error) {
	var out []Mode
	for _, r := range c.store.State().List(account, configlog.KindMode) {
		m, err := readMode(r)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// GetMode returns the mode set for a scope, or a NotFound fault.
func (c *Control) GetMode(account, scope string) (Mode, error) {
	r, ok := c.store.State().Get(account, configlog.KindMode, scope)
	if !ok {
		return Mode{}, notFound("mode", scope)
	}
	return readMode(r)
}

func readMode(r configlog.Resource) (Mode, error) {
	var d modeDocument
	if err := read(r, &d); err != nil {
		return Mode{}, err
	}
	return Mode{
		Scope: r.Name, Kind: d.Mode, Share: d.Share, Exploration: d.Exploration, Objective: d.Objective,
		Revision: r.Revision, Updated: r.Time,
	}, nil
}

// SetMode sets the mode of a scope, which need not have had one. A Revision other
// than 0 guards it.
func (c *Control) SetMode(ctx context.Context, account string, m Mode, by Author) (Mode, error) {
	if _, err := c.GetAccount(account); err != nil {
		return Mode{}, err
	}
	if err := c.checkMode(account, m); err != nil {
		return Mode{}, err
	}
	return unguarded(m.Revision, func() (Mode, error) {
		next := m
		if r, ok := c.store.State().Get(account, configlog.KindMode, m.Scope); ok && m.Revision == 0 {
			next.Revision = r.Revision
		}
		return c.setMode(ctx, account, next, by)
	})
}

func (c *Control) setMode(ctx context.Context, account string, m Mode, by Author) (Mode, error) {
	d := modeDocument{Mode: m.Kind, Share: m.Share, Exploration: m.Exploration, Objective: m.Objective}
	r, err := c.write(ctx, event.ConfigChange{Account: account, Kind: configlog.KindMode, Name: m.Scope, Base: m.Revision}, d, by)
	if err != nil {
		return Mode{}, err
	}
	return readMode(r)
}

// checkShare holds the share against the mode that it is for.
func (m Mode) checkShare(f *fault.Check) {
	switch sound := m.Share >= 0 && m.Share <= 1; {
	case m.Kind == decision.ModeCompare && (!sound || m.Share == 0):
		f.Add("share", "must be above 0 and at most 1: in COMPARE it is the share of conversations that the model decides")
	case m.Kind == decision.ModeHoldout && (!sound || m.Share == 0):
		f.Add("share", "must be above 0 and at most 1: in HOLDOUT it is the share of conversations kept on policy")
	case !sound:
		f.Add("share", "must lie between 0 and 1")
	}
}

// DeleteMode takes the mode of a scope away, which then follows the account. A
// revision other than 0 guards it. Errors: NotFound, Conflict, Precondition for
// the account's own mode, and those of the log.
func (c *Control) DeleteMode(ctx context.Context, account, scope string, revision int64, by Author) error {
	if _, err := c.GetAccount(account); err != nil {
		return err
	}
	if scope == decision.ScopeAccount {
		return fault.New(fault.Precondition, "ACCOUNT_MODE", "the account always has a mode: set it to OFF or SHADOW instead")
	}
	_, err := unguarded(revision, func() (struct{}, error) {
		m, err := c.GetMode(account, scope)
		if err != nil {
			return struct{}{}, err
		}
		_, err = c.store.Write(ctx, event.ConfigChange{
			Account: account, Kind: configlog.KindMode, Name: scope, Base: cmp.Or(revision, m.Revision),
			Deleted: true, Author: by.Name, Reason: by.Reason,
		})
		c.view.Refresh()
		return struct{}{}, err
	})
	return err
}

// checkMode lists every fault of a mode.
func (c *Control) checkMode(account string, m Mode) error {
	var f fault.Check
	kind, name, _ := strings.Cut(m.Scope, ":")
	ofPart := (kind == "policy" || kind == "skill") && name != "" && len(m.Scope) <= 256
	if m.Scope != decision.ScopeAccount && !ofPart {
		f.Add("name", "scope %q must be account, policy:<policy> or skill:<skill>", m.Scope)
	}
	if !m.Kind.Valid() {
		f.Add("mode", "%q must be OFF, SHADOW, COMPARE, HOLDOUT or ON", m.Kind)
	}
	if kind == "policy" && ofPart {
		if _, ok := c.store.State().Get(account, configlog.KindPolicy, name); !ok {
			f.Add("name", "there is no policy %q", name)
		}
	}
	m.checkShare(&f)
	if e := m.Exploration; e != nil && !(*e >= 0 && *e <= 1) {
		f.Add("exploration", "must lie between 0 and 1")
	}
	if m.Objective != "" {
		if _, err := c.GetObjective(account, m.Objective); err != nil {
			f.Add("objective", "there is no objective %q", m.Objective)
		}
	}
	return f.Err("the mode is not valid")
}
