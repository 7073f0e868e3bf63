// Package control governs accounts: what they answer by default, their
// objectives, the mode ladder and which model is live. Everything is a resource
// of the config log; reading costs a look at an immutable snapshot.
package control

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/event"
)

// Names of resources that every account has from the start.
const (
	DefaultAccount   = "default"
	DefaultObjective = "default"
	championName     = "champion"
)

// Store is the part of configlog.Store that control needs.
type Store interface {
	State() *configlog.State
	Write(ctx context.Context, c event.ConfigChange) (configlog.Resource, error)
}

// Control reads and changes the control state. It is safe for concurrent use.
type Control struct {
	store Store
	view  *configlog.View[snapshot]
}

var _ decision.ControlSource = (*Control)(nil)

// New makes the control of a store.
func New(store Store) *Control {
	return &Control{store: store, view: configlog.NewView(store, derive)}
}

// Author is who changes something, and why; both go into the audit log.
type Author struct{ Name, Reason string }

// Account is a tenant as stored.
type Account struct {
	ID          string
	DisplayName string
	// DefaultEffect is the JSON of a policy effect, nil for none.
	DefaultEffect json.RawMessage
	Attributes    Attributes
	Exploration   Exploration
	Revision      int64
	Updated       time.Time
}

// accountDocument is how an account lies in the config log.
type accountDocument struct {
	DisplayName   string          `json:"display_name,omitempty"`
	DefaultEffect json.RawMessage `json:"default_effect,omitempty"`
	Attributes
	Exploration
}

// snapshot is the control state compiled for the decision path.
type snapshot struct{ accounts map[string]*accountView }

type accountView struct {
	kinds   [4]int64 // revisions of the kinds this was made from
	account decision.Account
	modes   map[string]decision.Mode
}

// derive compiles what changed and keeps the rest.
func derive(old *snapshot, st *configlog.State) *snapshot {
	s := &snapshot{accounts: map[string]*accountView{}}
	for _, id := range st.Accounts() {
		kinds := [4]int64{
			st.KindRevision(id, configlog.KindAccount), st.KindRevision(id, configlog.KindMode),
			st.KindRevision(id, configlog.KindObjective), st.KindRevision(id, configlog.KindSkill),
		}
		if old != nil && old.accounts[id] != nil && old.accounts[id].kinds == kinds {
			s.accounts[id] = old.accounts[id]
			continue
		}
		v := &accountView{kinds: kinds, modes: map[string]decision.Mode{}}
		if r, ok := st.Get(id, configlog.KindAccount, id); ok {
			v.account = compileAccount(r)
		}
		v.account.ExplorationPerHour = explorationBudgets(st.List(id, configlog.KindSkill))
		v.account.WaitPrices = waitPrices(st.List(id, configlog.KindObjective))
		for _, r := range st.List(id, configlog.KindMode) {
			if m, err := readMode(r); err == nil {
				v.modes[r.Name] = m.live()
			}
		}
		s.accounts[id] = v
	}
	return s
}

// compileAccount compiles the default effect and what forbids exploration. What
// cannot be compiled was written by a version that knew more: then the candidates are
// ranked as offered, and nothing is tried on anybody.
func compileAccount(r configlog.Resource) decision.Account {
	a, err := readAccount(r)
	if err != nil {
		return decision.Account{}
	}
	out := decision.Account{ExplorationElsewhere: a.Exploration.PerHour}
	if len(a.DefaultEffect) > 0 {
		if set, err := policy.CompileEffect(a.DefaultEffect); err == nil {
			out.Default = set
		}
	}
	if len(a.Exploration.Never) > 0 {
		if out.NoExploration, err = decision.CompileCondition(a.Exploration.Never); err != nil {
			out.NoExploration = always()
		}
	}
	return out
}

// always matches every conversation.
func always() *policy.Set {
	set, err := policy.CompileEffect([]byte(`{"rank":{}}`))
	if err != nil {
		return nil
	}
	return set
}

// Account implements decision.ControlSource.
func (c *Control) Account(id string) (decision.Account, bool) {
	v, ok := c.view.Get().accounts[id]
	if !ok {
		return decision.Account{}, false
	}
	return v.account, true
}

// Mode implements decision.ControlSource.
func (c *Control) Mode(account, scope string) (decision.Mode, bool) {
	v, ok := c.view.Get().accounts[account]
	if !ok {
		return decision.Mode{}, false
	}
	m, ok := v.modes[scope]
	return m, ok
}

// Accounts lists the accounts in order of their ids.
func (c *Control) Accounts() []Account {
	st := c.store.State()
	var out []Account
	for _, id := range st.Accounts() {
		if a, err := c.GetAccount(id); err == nil {
			out = append(out, a)
		}
	}
	return out
}

// GetAccount returns an account, or a NotFound fault.
func (c *Control) GetAccount(id string) (Account, error) {
	r, ok := c.store.State().Get(id, configlog.KindAccount, id)
	if !ok {
		return Account{}, notFound("account", id)
	}
	return readAccount(r)
}

func readAccount(r configlog.Resource) (Account, error) {
	var d accountDocument
	if err := read(r, &d); err != nil {
		return Account{}, err
	}
	return Account{
		ID: r.Name, DisplayName: d.DisplayName, DefaultEffect: d.DefaultEffect, Attributes: d.Attributes,
		Exploration: d.Exploration, Revision: r.Revision, Updated: r.Time,
	}, nil
}

// CreateAccount opens an account with the default objective and the mode SHADOW:
// it watches until somebody says otherwise. What else is to be written counts only
// together with it.
func (c *Control) CreateAccount(ctx context.Context, a Account, by Author, also ...event.ConfigPart) (Account, error) {
	if err := a.check(); err != nil {
		return Account{}, err
	}
	stored, err := c.writeAccount(ctx, a, by, also)
	if err != nil {
		return Account{}, err
	}
	return stored, c.furnish(ctx, a.ID, by)
}

// furnish gives an account what it needs and may have already: an earlier
// attempt can have ended half way.
func (c *Control) furnish(ctx context.Context, account string, by Author) error {
	objective := Objective{ID: DefaultObjective, Description: "The conversation was resolved."}
	objective.Terms = []event.Term{{Kind: "resolved", Weight: 1, Aggregate: "last"}}
	if _, err := c.CreateObjective(ctx, account, objective, by); err != nil && fault.KindOf(err) != fault.Exists {
		return err
	}
	if _, ok := c.Mode(account, decision.ScopeAccount); ok {
		return nil
	}
	mode := Mode{Scope: decision.ScopeAccount, Kind: decision.ModeShadow, Objective: DefaultObjective}
	_, err := c.setMode(ctx, account, mode, by)
	if kind := fault.KindOf(err); kind == fault.Exists || kind == fault.Conflict {
		return nil
	}
	return err
}

// UpdateAccount replaces an account. A Revision other than 0 guards it. What else
// is to be written counts only together with it.
func (c *Control) UpdateAccount(ctx context.Context, a Account, by Author, also ...event.ConfigPart) (Account, error) {
	if err := a.check(); err != nil {
		return Account{}, err
	}
	return unguarded(a.Revision, func() (Account, error) {
		current, err := c.GetAccount(a.ID)
		if err != nil {
			return Account{}, err
		}
		next := a
		next.Revision = cmp.Or(a.Revision, current.Revision)
		return c.writeAccount(ctx, next, by, also)
	})
}

// unguarded repeats a write without a guard that lost against another one: its
// writer said that the last word counts. A guarded one is tried once.
func unguarded[T any](guard int64, write func() (T, error)) (T, error) {
	for try := 0; ; try++ {
		v, err := write()
		kind := fault.KindOf(err)
		if guard != 0 || try == 5 || (kind != fault.Conflict && kind != fault.Exists) {
			return v, err
		}
	}
}

func (c *Control) writeAccount(ctx context.Context, a Account, by Author, also []event.ConfigPart) (Account, error) {
	d := accountDocument{DisplayName: a.DisplayName, DefaultEffect: a.DefaultEffect, Attributes: a.Attributes, Exploration: a.Exploration}
	change := event.ConfigChange{Account: a.ID, Kind: configlog.KindAccount, Name: a.ID, Base: a.Revision}
	r, err := c.write(ctx, change, d, by, also...)
	if err != nil {
		return Account{}, err
	}
	return readAccount(r)
}

// Bootstrap opens the account "default" unless it is there. Call it when the
// store is ready; several processes may at once.
func (c *Control) Bootstrap(ctx context.Context) error {
	by := Author{Name: "usher", Reason: "first start"}
	_, err := c.CreateAccount(ctx, Account{
		ID: DefaultAccount, DisplayName: "Default", DefaultEffect: json.RawMessage(`{"rank":{}}`),
	}, by)
	if fault.KindOf(err) == fault.Exists {
		return c.furnish(ctx, DefaultAccount, by)
	}
	return err
}

// idPattern is that of every id a person can choose.
const idPattern = `^[a-z0-9][a-z0-9_.-]{0,62}$`

func checkID(c *fault.Check, field, id string) {
	if ok, _ := regexp.MatchString(idPattern, id); !ok {
		c.Add(field, "%q must be 1 to 63 of a-z, 0-9, '-', '_', '.', beginning with a letter or digit", id)
	}
}

// check lists every fault of an account.
func (a *Account) check() error {
	var c fault.Check
	checkID(&c, "name", a.ID)
	if len(a.DisplayName) > 256 {
		c.Add("display_name", "is longer than 256 bytes")
	}
	if len(a.DefaultEffect) > 0 {
		_, err := policy.CompileEffect(a.DefaultEffect)
		addUnder(&c, "default_effect", "effect", err)
	}
	a.Attributes.check(&c)
	a.Exploration.check(&c)
	return c.Err("the account is not valid")
}

// addUnder takes over the violations of a part of a document, with the name that
// the part has there in place of its own.
func addUnder(c *fault.Check, name, own string, err error) {
	if err == nil {
		return
	}
	e, ok := asFault(err)
	if !ok || len(e.Violations) == 0 {
		c.Add(name, "%s", err)
		return
	}
	for _, v := range e.Violations {
		c.Add(strings.TrimSuffix(name+"."+strings.TrimPrefix(strings.TrimPrefix(v.Field, own), "."), "."), "%s", v.Description)
	}
}

// write puts a document into the config log, with what else is to change with it,
// and makes the view show it.
func (c *Control) write(ctx context.Context, change event.ConfigChange, document any, by Author, also ...event.ConfigPart) (configlog.Resource, error) {
	value, err := json.Marshal(document)
	if err != nil {
		return configlog.Resource{}, fmt.Errorf("write %s %q: %w", change.Kind, change.Name, err)
	}
	kind, name := change.Kind, change.Name
	change.Value, change.Author, change.Reason = value, by.Name, by.Reason
	if len(also) > 0 {
		own := event.ConfigPart{Kind: kind, Name: name, Base: change.Base, Value: value}
		change.Kind, change.Name, change.Base, change.Value = "", "", 0, nil
		change.Parts = append([]event.ConfigPart{own}, also...)
	}
	r, err := c.store.Write(ctx, change)
	if err != nil {
		return configlog.Resource{}, fmt.Errorf("write %s %q: %w", kind, name, err)
	}
	c.view.Refresh()
	return r, nil
}

// read takes a stored document apart.
func read(r configlog.Resource, into any) error {
	if err := json.Unmarshal(r.Value, into); err != nil {
		return fmt.Errorf("read %s %q of account %q: %w", r.Kind, r.Name, r.Account, err)
	}
	return nil
}

func notFound(kind, name string) error {
	return fault.New(fault.NotFound, strings.ToUpper(kind)+"_NOT_FOUND", "there is no %s %q", kind, name)
}
