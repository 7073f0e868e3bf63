package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/usherhq/usher/decision/attribute"
	"github.com/usherhq/usher/decision/catalog"
	"github.com/usherhq/usher/decision/control"
	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/decision/policystore"
	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/event"
)

// Log is the config log with its history; *configlog.Store is one.
type Log interface {
	State() *configlog.State
}

// frozen is a log that stands still.
type frozen struct{ state *configlog.State }

func (f frozen) State() *configlog.State { return f.state }

// Changed implements the logs of control, catalogue and policies: it never does.
func (f frozen) Changed() <-chan struct{} { return nil }

// Write implements them too: the past cannot be changed.
func (f frozen) Write(context.Context, event.ConfigChange) (configlog.Resource, error) {
	return configlog.Resource{}, errors.New("the past is written already")
}

// past is what an account had set at some time.
type past struct {
	policies *policy.Set
	control  *control.Control
	resolver *attribute.Resolver // asked for rules and seats only
}

// pasts keeps what accounts had set at former times: to compile an account's policies
// takes longer than to decide by them. It is safe for concurrent use; of the callers
// that want what is not kept, one at a time makes it.
type pasts struct {
	mu   sync.Mutex
	kept map[moment]*past
}

// moment is a time between two changes of an account's settings: after the first
// place of so many. Policies are those of the revision.
type moment struct {
	account        string
	revision       int64
	place, changes int
}

// keptPasts bounds the settings and lists of former times that are kept at once.
// Rows come in the order of time, so starting anew costs one reading of each.
const keptPasts = 32

func newPasts() *pasts { return &pasts{kept: map[moment]*past{}} }

// at returns the past of a moment, of which the time is one.
func (p *pasts) at(ctx context.Context, st *configlog.State, m moment, at time.Time) (*past, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if found := p.kept[m]; found != nil {
		return found, nil
	}
	made, err := pastOf(ctx, st, m.account, m.revision, at)
	if err == nil {
		if len(p.kept) >= keptPasts {
			clear(p.kept)
		}
		p.kept[m] = made
	}
	return made, err
}

// timeline lists the times at which an account's settings of these kinds changed, in
// order.
func timeline(st *configlog.State, account string, kinds ...string) []time.Time {
	var at []time.Time
	for _, kind := range kinds {
		for _, v := range st.History(account, kind) {
			at = append(at, v.Time)
		}
	}
	slices.SortFunc(at, time.Time.Compare)
	return at
}

// placeOf counts the changes that had happened by a time.
func placeOf(timeline []time.Time, at time.Time) int {
	place, _ := slices.BinarySearchFunc(timeline, at, func(change, at time.Time) int {
		if change.After(at) {
			return 1
		}
		return -1
	})
	return place
}

// pastOf takes the policies as of their revision and everything else as of a time.
func pastOf(ctx context.Context, st *configlog.State, account string, revision int64, at time.Time) (*past, error) {
	log := frozen{st.AsOf(account, func(v *configlog.Version) bool {
		if v.Kind == configlog.KindPolicy {
			return v.Revision <= revision
		}
		return !v.Time.After(at)
	})}
	declared := catalog.New(log)
	set, err := policystore.New(log, policystore.WithEnvironment(declared)).Compiled(ctx, account, policystore.Live)
	if err != nil {
		return nil, fmt.Errorf("compile the policies of revision %d: %w", revision, err)
	}
	resolver, err := attribute.New(attribute.Deps{Catalog: declared})
	if err != nil {
		return nil, err
	}
	return &past{policies: set, control: control.New(log), resolver: resolver}, nil
}
