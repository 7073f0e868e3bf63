package replay

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/decision/policystore"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/event"
)

// ground is what the workers of one simulation share.
type ground struct {
	simulator *Simulator
	plan      *Plan
	state     *configlog.State
	timeline  []time.Time
	models    *models

	mu       sync.Mutex
	pasts    map[int]*past
	lists    map[int64]*former
	finished int64
}

// done counts, and tells of the progress.
func (g *ground) done() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.finished++; g.plan.Progress != nil && g.finished%progressEvery == 0 {
		g.plan.Progress(g.finished)
	}
}

// timeline lists the times at which settings changed that a replay under other
// policies rests on, in order.
func timeline(st *configlog.State, account string) []time.Time {
	var at []time.Time
	for _, kind := range []string{configlog.KindAccount, configlog.KindMode, configlog.KindSkill, configlog.KindAgent} {
		for _, v := range st.History(account, kind) {
			at = append(at, v.Time)
		}
	}
	slices.SortFunc(at, time.Time.Compare)
	return at
}

// pastAt returns the settings at a time. Decisions between two changes share them.
func (g *ground) pastAt(ctx context.Context, at time.Time) (*past, error) {
	place, _ := slices.BinarySearchFunc(g.timeline, at, func(change, at time.Time) int {
		if change.After(at) {
			return 1
		}
		return -1
	})
	if place == 0 && len(g.timeline) > 0 {
		// Before the account was there: of an import, or of a clock that is behind.
		place, at = 1, g.timeline[0]
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if p := g.pasts[place]; p != nil {
		return p, nil
	}
	p, err := pastOf(ctx, g.state, g.plan.Account, 0, at)
	if err == nil {
		if len(g.pasts) >= keptPasts {
			clear(g.pasts)
		}
		g.pasts[place] = p
	}
	return p, err
}

// keptPasts bounds the settings and lists of former times that are kept at once.
// Rows come in the order of time, so starting anew costs one reading of each.
const keptPasts = 32

// former is a list that decided, and how the draft differs from it.
type former struct {
	// What the draft looks at beside the request, and this list did not.
	wanted, skills []string
	policies       map[string]*policy.Policy
	draft          *policy.Set
	changes        []policystore.Difference
	byPolicy       map[string]*policystore.Difference
}

// list returns what is known of the list with the revision. One that is not in the
// config log any more is taken for empty.
func (g *ground) list(revision int64) (*former, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f := g.lists[revision]; f != nil {
		return f, nil
	}
	set, list, err := g.simulator.deps.Revisions.At(g.plan.Account, revision)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return nil, fmt.Errorf("read the policies of revision %d: %w", revision, err)
	}
	f := &former{policies: map[string]*policy.Policy{}, draft: g.plan.Draft, byPolicy: map[string]*policystore.Difference{}}
	var looked, live []string
	if set != nil {
		looked, live = set.Needs(), set.Skills()
	}
	for _, p := range list {
		f.policies[p.Name] = p
	}
	for _, name := range g.plan.Draft.Needs() {
		if looksUp(name) && !slices.Contains(looked, name) {
			f.wanted = append(f.wanted, name)
		}
	}
	for _, name := range g.plan.Draft.Skills() {
		if !slices.Contains(live, name) {
			f.skills = append(f.skills, name)
		}
	}
	draft := make([]*policy.Policy, g.plan.Draft.Len())
	for i := range draft {
		draft[i] = g.plan.Draft.Rule(i).Policy()
	}
	if f.changes, err = policystore.Diff(list, draft); err != nil {
		return nil, fmt.Errorf("compare the draft with revision %d: %w", revision, err)
	}
	for i := range f.changes {
		f.byPolicy[f.changes[i].Policy] = &f.changes[i]
	}
	if len(g.lists) >= keptPasts {
		clear(g.lists)
	}
	g.lists[revision] = f
	return f, nil
}

// looksUp reports whether the attribute can come from elsewhere than the request:
// from the context of the conversation, the catalogue or a function.
func looksUp(name string) bool {
	return strings.Contains(name, ".") && !strings.HasPrefix(name, "conversation.")
}

// lacking lists what the draft would have looked up and the record cannot know.
func (g *ground) lacking(f *former, d *event.Decision) []string {
	var out []string
	for _, name := range f.wanted {
		if !brings(d, name) {
			out = append(out, name)
		}
	}
	for _, name := range f.skills {
		// The live state of candidates is looked at in any case.
		_, known := d.Skills[name]
		if !known && !slices.ContainsFunc(d.Candidates, func(c event.Candidate) bool { return c.Key() == name }) {
			out = append(out, "skill."+name)
		}
	}
	return out
}

// brings reports whether the record has the attribute, by its name or inside of an
// object.
func brings(d *event.Decision, name string) bool {
	switch name {
	case "orchestrator.channel":
		return d.Channel != ""
	case "orchestrator.intent":
		return d.Intent != ""
	}
	return within(d.Attributes, name)
}

func within(attributes map[string]any, name string) bool {
	if v, ok := attributes[name]; ok && v != nil {
		return true
	}
	for end := strings.LastIndexByte(name, '.'); end > 0; end = strings.LastIndexByte(name[:end], '.') {
		if inner, ok := attributes[name[:end]].(map[string]any); ok && within(inner, name[end+1:]) {
			return true
		}
	}
	return false
}

// models keeps the models that recorded scores cannot stand in for.
type models struct {
	from Artifacts
	mu   sync.Mutex
	kept map[string]*model.Model
}

// keptModels bounds the memory of a simulation.
const keptModels = 4

func newModels(from Artifacts) *models { return &models{from: from, kept: map[string]*model.Model{}} }

// get returns a model, nil when it is gone.
func (m *models) get(ctx context.Context, account, version string) (*model.Model, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if found, asked := m.kept[version]; asked || m.from == nil {
		return found, nil
	}
	found, err := load(ctx, m.from, account, version)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return nil, err
	}
	if len(m.kept) >= keptModels {
		clear(m.kept)
	}
	m.kept[version] = found
	return found, nil
}
