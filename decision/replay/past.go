package replay

import (
	"context"
	"errors"
	"fmt"
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
