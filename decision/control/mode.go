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

// Mode is the setting of one scope as stored.
type Mode struct {
	// Scope is "account", "policy:<policy>" or "skill:<skill>".
	Scope string
	Kind  decision.ModeKind
	// Share, Exploration and Objective are as in decision.Mode.
	Share       float64
	Exploration *float64
	Objective   string
	// Guardrails are what must not get worse while the model decides; the ladder has
	// its own when there are none.
	Guardrails []Guardrail
	Revision   int64
	Updated    time.Time
	// Author and Reason are of the last change.
	Author, Reason string
}

// MetricReward is the guardrail's metric that is no kind of outcome: the reward of the
// mode's objective.
const MetricReward = "reward"

// Guardrail is how much worse than policy alone the model may be in one metric.
type Guardrail struct {
	// Metric is MetricReward or a kind of outcome.
	Metric string `json:"metric"`
	// MaxDrop is in units of the metric, above 0.
	MaxDrop float64 `json:"max_drop"`
	// Min and Max are the range of a kind of outcome, 0 to 1 when both are 0. A kind
	// is counted, with 0 for none, unless its range is without 0.
	Min float64 `json:"min,omitempty"`
	Max float64 `json:"max,omitempty"`
	// LowerIsBetter is for transfers, handle time and the like.
	LowerIsBetter bool `json:"lower_is_better,omitempty"`
}

// maxGuardrails bounds the guardrails of one scope: each is a test of its own, and
// the more there are the longer each takes to be sure.
const maxGuardrails = 10

// modeDocument is how a mode lies in the config log.
type modeDocument struct {
	Mode        decision.ModeKind `json:"mode"`
	Share       float64           `json:"share,omitempty"`
	Exploration *float64          `json:"exploration,omitempty"`
	Objective   string            `json:"objective,omitempty"`
	Guardrails  []Guardrail       `json:"guardrails,omitempty"`
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
		Guardrails: d.Guardrails, Revision: r.Revision, Updated: r.Time, Author: r.Author, Reason: r.Reason,
	}, nil
}

// NoRevision is the Revision of a mode that must be the scope's first.
const NoRevision = -1

// SetMode sets the mode of a scope, which need not have had one. A Revision other
// than 0 guards it; with NoRevision it is an Exists fault when the scope has one by now.
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
		next.Revision = max(next.Revision, 0)
		return c.setMode(ctx, account, next, by)
	})
}

func (c *Control) setMode(ctx context.Context, account string, m Mode, by Author) (Mode, error) {
	d := modeDocument{Mode: m.Kind, Share: m.Share, Exploration: m.Exploration, Objective: m.Objective, Guardrails: m.Guardrails}
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
	m.checkGuardrails(&f)
	return f.Err("the mode is not valid")
}

func (m Mode) checkGuardrails(f *fault.Check) {
	if len(m.Guardrails) > maxGuardrails {
		f.Add("guardrails", "are %d; the limit is %d", len(m.Guardrails), maxGuardrails)
	}
	seen := map[string]bool{}
	for i, g := range m.Guardrails {
		field := fmt.Sprintf("guardrails[%d]", i)
		if g.Metric == "" || len(g.Metric) > 256 || seen[g.Metric] {
			f.Add(field+".metric", "%q must be reward or a kind of outcome, each once", g.Metric)
		}
		seen[g.Metric] = true
		if !finite(g.MaxDrop) || g.MaxDrop <= 0 {
			f.Add(field+".max_drop", "must be above 0")
		}
		switch {
		case !finite(g.Min) || !finite(g.Max) || g.Min > g.Max || g.Min == g.Max && g.Min != 0:
			f.Add(field+".max", "must be above min")
		case g.Metric == MetricReward && (g.Min != 0 || g.Max != 0 || g.LowerIsBetter):
			f.Add(field+".metric", "the range of the reward is its objective's, and more of it is better")
		}
	}
}

// ModeBefore returns what the scope had before its last change: the mode and when it
// was set; false when it had none.
func (c *Control) ModeBefore(account, scope string) (Mode, bool) {
	history := c.store.State().History(account, configlog.KindMode)
	skipped := false
	for _, v := range slices.Backward(history) {
		if v.Name != scope {
			continue
		}
		if !skipped {
			skipped = true
			continue
		}
		if v.Deleted {
			return Mode{}, false
		}
		m, err := readMode(v.Resource)
		return m, err == nil
	}
	return Mode{}, false
}
