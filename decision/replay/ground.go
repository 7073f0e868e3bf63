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

	pasts *pasts

	mu       sync.Mutex
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

// pastAt returns the settings at a time. Decisions between two changes share them.
func (g *ground) pastAt(ctx context.Context, at time.Time) (*past, error) {
	place := placeOf(g.timeline, at)
	if place == 0 && len(g.timeline) > 0 {
		// Before the account was there: of an import, or of a clock that is behind.
		place, at = 1, g.timeline[0]
	}
	return g.pasts.at(ctx, g.state, moment{account: g.plan.Account, place: place}, at)
}

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

// models keeps the last few models that were read. It is safe for concurrent use.
type models struct {
	from Artifacts
	// gone keeps in mind what is not there, too.
	gone bool
	mu   sync.Mutex
	kept map[string]*model.Model // by account and version
}

// keptModels bounds the memory that they take.
const keptModels = 4

func newModels(from Artifacts, gone bool) *models {
	return &models{from: from, gone: gone, kept: map[string]*model.Model{}}
}

// get returns a model, nil when it is gone.
func (m *models) get(ctx context.Context, account, version string) (*model.Model, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := account + "/" + version
	if found, asked := m.kept[key]; asked || m.from == nil || version == "" {
		return found, nil
	}
	found, err := load(ctx, m.from, account, version)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return nil, err
	}
	if len(m.kept) >= keptModels {
		clear(m.kept)
	}
	if found != nil || m.gone {
		m.kept[key] = found
	}
	return found, nil
}
