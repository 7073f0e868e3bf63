package catalog

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/usherhq/usher/decision/function"
	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/event"
)

// Log is what the catalogue needs of *configlog.Store.
type Log interface {
	State() *configlog.State
	Write(ctx context.Context, c event.ConfigChange) (configlog.Resource, error)
	Changed() <-chan struct{}
}

// Meta is what every resource has from the config log.
type Meta struct {
	Revision int64 // etag; 0 before it is stored
	Updated  time.Time
}

// Catalog reads and changes the resources. It is safe for concurrent use; what
// decisions read takes no lock. What it returns must not be changed.
type Catalog struct {
	Attributes *Shelf[Attribute]
	Functions  *Shelf[Function]
	Calendars  *Shelf[Calendar]
	Skills     *Shelf[Skill]
	Agents     *Shelf[Agent]
	Bots       *Shelf[Bot]

	log     Log
	view    *configlog.View[accounts]
	nobody  *view // of accounts that do not exist
	ready   chan struct{}
	mu      sync.Mutex
	changed chan struct{}
}

// Option changes a catalogue before it is used.
type Option func(*Catalog)

// WithFunctionCheck adds a check of functions before they are stored, such as
// that of their address by *function.Caller.
func WithFunctionCheck(check func(account string, f *function.Function) error) Option {
	return func(c *Catalog) {
		c.Functions.also = func(account string, f *Function) error { return check(account, &f.Function) }
	}
}

// New makes the catalogue of a log. Reading and writing work at once; Changed and
// Ready need Run.
func New(log Log, opts ...Option) *Catalog {
	c := &Catalog{log: log, nobody: newView(), ready: make(chan struct{}), changed: make(chan struct{})}
	c.view = configlog.NewView(log, derive)
	c.Attributes = &Shelf[Attribute]{catalog: c, kind: configlog.KindAttribute, of: attributeOf, check: (*Attribute).check}
	c.Functions = &Shelf[Function]{catalog: c, kind: configlog.KindFunction, of: functionOf, check: (*Function).check}
	c.Calendars = &Shelf[Calendar]{catalog: c, kind: configlog.KindCalendar, of: calendarOf, check: (*Calendar).check}
	c.Skills = &Shelf[Skill]{catalog: c, kind: configlog.KindSkill, of: skillOf, check: (*Skill).check}
	c.Agents = &Shelf[Agent]{catalog: c, kind: configlog.KindAgent, of: agentOf, check: (*Agent).check}
	c.Bots = &Shelf[Bot]{catalog: c, kind: configlog.KindBot, of: botOf, check: (*Bot).check}
	for _, opt := range opts {
		opt(c)
	}
	return c
}

// Run compiles the catalogues of all accounts, closes Ready, and goes on with
// what changes until ctx ends; then it returns nil. Start it once, when the log
// is ready.
func (c *Catalog) Run(ctx context.Context) error {
	var seen *accounts
	for {
		grown := c.log.Changed()
		now := c.view.Refresh()
		switch {
		case seen == nil:
			close(c.ready)
		case !now.same(seen):
			c.announce()
		}
		seen = now
		select {
		case <-ctx.Done():
			return nil
		case <-grown:
		}
	}
}

// Ready is closed when everything that was on the log has been compiled.
func (c *Catalog) Ready() <-chan struct{} { return c.ready }

// Changed returns a channel that is closed when the catalogue of any account has
// changed. To miss nothing take the channel first, then what it is about.
func (c *Catalog) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

func (c *Catalog) announce() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.changed)
	c.changed = make(chan struct{})
}

// Environment is what the account's policies may speak of; that of an account
// that does not exist declares nothing.
func (c *Catalog) Environment(account string) *policy.Environment { return c.of(account).env }

// Attribute returns a declared or built-in attribute.
func (c *Catalog) Attribute(account, name string) (Attribute, bool) {
	a, ok := c.of(account).attributes[name]
	if !ok {
		return Attribute{}, false
	}
	return *a, true
}

// AllAttributes lists the account's attributes and those built in, by name.
func (c *Catalog) AllAttributes(account string) []Attribute {
	out := c.Attributes.List(account)
	own := make(map[string]bool, len(out))
	for i := range out {
		own[out[i].Name] = true
	}
	for _, b := range builtin() {
		if !own[b.Name] {
			out = append(out, *b)
		}
	}
	slices.SortFunc(out, func(a, b Attribute) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// AnyAttribute returns an attribute of the account or one built in, or a NotFound
// fault.
func (c *Catalog) AnyAttribute(account, name string) (Attribute, error) {
	a, err := c.Attributes.Get(account, name)
	if err == nil {
		return a, nil
	}
	for _, b := range builtin() {
		if b.Name == name {
			return *b, nil
		}
	}
	return a, err
}

// Function returns a function as callers of it need it.
func (c *Catalog) Function(account, id string) (*function.Function, bool) {
	f, ok := c.of(account).functions[id]
	return f, ok
}

// Agent returns an agent.
func (c *Catalog) Agent(account, id string) (Agent, bool) {
	a, ok := c.of(account).agents[id]
	return a, ok
}

// BotSkill is the first skill through which a bot is reached; ok is false for a
// bot that is not declared or has none.
func (c *Catalog) BotSkill(account, bot string) (skill string, ok bool) {
	skill, ok = c.of(account).botSkills[bot]
	return skill, ok
}

// Families says which families of attributes the account's policies may use.
func (c *Catalog) Families(account string) Families { return c.of(account).families }

func (c *Catalog) of(account string) *view {
	if v, ok := c.view.Get().views[account]; ok {
		return v
	}
	return c.nobody
}
